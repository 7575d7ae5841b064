//! Window stores.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::record::Timestamp;
use crate::state::test_changelog::TestChangelog;
use crate::time::windows::Windowed;

/// Segments are half as long.
const RETENTION_MS: i64 = 200_000;
const SEGMENT_MS: i64 = RETENTION_MS / 2;
const SIZE_MS: i64 = 10;

fn store(clock: &RecordClock, options: WindowOptions) -> (WindowStore<String, String>, SharedRows) {
    let rows = rows_with(KeyLayout::windowed(RETENTION_MS), RowHeaders::Dropped, true);
    let rows = Rc::new(RefCell::new(rows));
    (WindowStore::new(core(clock), Rc::clone(&rows), options), rows)
}

/// Every put that was not null, in order, with its key, window start and value.
#[derive(Default)]
struct Model {
    rows: Vec<(String, Timestamp, String)>,
    stream_time: Timestamp,
}

impl Model {
    fn put(
        &mut self,
        (key, start): (&str, Timestamp),
        value: Option<String>,
        options: WindowOptions,
    ) {
        // Null where duplicates are retained is nothing to a store on disk, not even news of the time.
        if value.is_some() || !options.retain_duplicates || options.by_time {
            self.stream_time = self.stream_time.max(start);
        }
        if !options.retain_duplicates {
            self.rows.retain(|row| (row.0.as_str(), row.1) != (key, start));
        }
        self.rows.extend(value.map(|value| (key.to_owned(), start, value)));
    }

    /// What is within retention, in the store's order.
    fn live(&self, by_time: bool) -> Vec<(String, Timestamp, String)> {
        let live = |row: &&(String, Timestamp, String)| row.1 > self.stream_time - RETENTION_MS;
        let mut rows: Vec<_> = self.rows.iter().filter(live).cloned().collect();
        // Stable: duplicates stay in order.
        if by_time {
            rows.sort_by_key(|(key, start, _)| (*start, key.clone()));
        } else {
            rows.sort_by_key(|(key, start, _)| (start / SEGMENT_MS, key.clone(), *start));
        }
        rows
    }
}

#[derive(Debug, Clone)]
enum Step {
    Put(String, Timestamp, Option<u8>),
    Commit,
    Restore,
}

fn key() -> impl Strategy<Value = String> {
    "[ab]{0,2}"
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Few starts, far apart, so that they meet and expire.
    let start = (0..12_i64).prop_map(|place| place * 40_000);
    let step = prop_oneof![
        8 => (key(), start, prop::option::weighted(0.8, any::<u8>()))
            .prop_map(|(key, start, value)| Step::Put(key, start, value)),
        2 => Just(Step::Commit),
        1 => Just(Step::Restore),
    ];
    vec(step, 0..50)
}

fn flat(
    found: impl Iterator<Item = (Windowed<String>, String)>,
) -> Vec<(String, Timestamp, String)> {
    found
        .map(|(key, value)| {
            assert_eq!(key.window.end, key.window.start + SIZE_MS);
            (key.key, key.window.start, value)
        })
        .collect()
}

proptest! {
    #[test]
    fn window_store_reads_as_a_list_of_puts(
        steps in steps(),
        retain_duplicates in any::<bool>(),
        by_time in any::<bool>(),
        (from, to) in (prop::option::of(key()), prop::option::of(key())),
        (earliest, latest) in (0..500_000_i64, 0..500_000_i64),
    ) {
        let clock = RecordClock::default();
        let options = WindowOptions { size_ms: SIZE_MS, retain_duplicates, by_time };
        let (mut store, mut rows) = store(&clock, options);
        let mut model = Model { stream_time: -1, ..Model::default() };
        let mut log = TestChangelog::default();
        for step in steps {
            match step {
                Step::Put(key, start, value) => {
                    let value = value.map(|value| value.to_string());
                    store.put(&key, value.clone(), start).unwrap();
                    model.put((&key, start), value.clone(), options);
                    let live = start > model.stream_time - RETENTION_MS;
                    if !retain_duplicates {
                        let fetched = store.fetch(&key, start).unwrap();
                        prop_assert_eq!(fetched, value.filter(|_| live));
                    }
                }
                Step::Commit => {
                    log.commit(&mut *rows.borrow_mut());
                }
                // The numbers of duplicates begin anew after a restore, as in Kafka Streams.
                Step::Restore if !retain_duplicates => {
                    log.commit(&mut *rows.borrow_mut());
                    (store, rows) = self::store(&clock, options);
                    log.restore(&mut *rows.borrow_mut());
                }
                Step::Restore => {}
            }
            let live = model.live(by_time);
            prop_assert_eq!(flat(store.all().unwrap()), live.clone());
            let mut backwards = live.clone();
            backwards.reverse();
            prop_assert_eq!(flat(store.backward_all().unwrap()), backwards);
            let in_range = |row: &&(String, Timestamp, String)| {
                (earliest..=latest).contains(&row.1)
                    && from.as_ref().is_none_or(|from| row.0 >= *from)
                    && to.as_ref().is_none_or(|to| row.0 <= *to)
            };
            let ranged: Vec<_> = live.iter().filter(in_range).cloned().collect();
            let fetched = store.fetch_keys(from.as_ref(), to.as_ref(), earliest..=latest).unwrap();
            prop_assert_eq!(flat(fetched), ranged);
            if let Some(key) = &from {
                let mut of_key: Vec<_> = live
                    .iter()
                    .filter(|row| row.0 == *key && (earliest..=latest).contains(&row.1))
                    .map(|row| (row.1, row.2.clone()))
                    .collect();
                let fetched = store.fetch_range(key, earliest..=latest).unwrap();
                prop_assert_eq!(fetched.collect::<Vec<_>>(), of_key.clone());
                of_key.reverse();
                let fetched = store.backward_fetch_range(key, earliest..=latest).unwrap();
                prop_assert_eq!(fetched.collect::<Vec<_>>(), of_key);
            }
        }
    }
}

#[test]
fn null_in_a_store_of_duplicates_takes_a_number_and_a_tombstone_but_nothing_else() {
    let clock = RecordClock::default();
    let options = WindowOptions { size_ms: SIZE_MS, retain_duplicates: true, by_time: false };
    let (store, rows) = store(&clock, options);
    let key = "k".to_owned();
    store.put(&key, "a".to_owned(), 5).unwrap();
    store.put(&key, None, 5).unwrap();
    store.put(&key, "b".to_owned(), 5).unwrap();
    let values: Vec<_> = store.fetch_range(&key, ..).unwrap().map(|(_, value)| value).collect();
    assert_eq!(values, ["a", "b"]);
    let mut log = TestChangelog::default();
    assert_eq!(log.commit(&mut *rows.borrow_mut()), 3);
    let numbers: Vec<u8> = log.0.iter().map(|record| *record.key.last().unwrap()).collect();
    assert_eq!(numbers, [1, 2, 3]);
    assert_eq!(log.0[1].value, None);
    assert_eq!(store.fetch(&key, 5).unwrap(), Some("b".to_owned()), "the last one put");
    assert_eq!(store.fetch(&key, 6).unwrap(), None);
}
