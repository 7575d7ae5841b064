//! Key-value stores, the least recently used of them, and those whose rows live for a time.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::error::Error;
use crate::record::{Headers, Timestamp};
use crate::serdes::StringSerde;
use crate::state::rows::TimeToLive;
use crate::state::test_changelog::TestChangelog;

type Store = TimestampedKeyValueStoreWithHeaders<String, String>;

fn store(clock: &RecordClock, every: bool) -> (Store, SharedRows) {
    let rows = rows_with(KeyLayout::Plain, RowHeaders::Kept, every);
    let rows = Rc::new(RefCell::new(rows));
    let shared: Rc<RefCell<dyn KeyValueRows<String>>> = Rc::<RefCell<Rows<String>>>::clone(&rows);
    (Store::new(core(clock), shared), rows)
}

fn value(text: &str, timestamp: Timestamp) -> ValueTimestampHeaders<String> {
    let mut headers = Headers::new();
    headers.add("of", Some(text.as_bytes()));
    ValueTimestampHeaders::new(text.to_owned(), timestamp, headers)
}

#[derive(Debug, Clone)]
enum Step {
    Put(String, Option<u8>),
    PutIfAbsent(String, u8),
    Delete(String),
    Commit,
    Restore,
}

fn key() -> impl Strategy<Value = String> {
    "[abc]{0,3}"
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (key(), prop::option::weighted(0.8, any::<u8>()))
            .prop_map(|(key, value)| Step::Put(key, value)),
        2 => (key(), any::<u8>()).prop_map(|(key, value)| Step::PutIfAbsent(key, value)),
        2 => key().prop_map(Step::Delete),
        2 => Just(Step::Commit),
        1 => Just(Step::Restore),
    ];
    vec(step, 0..50)
}

type Rows2 = Vec<(String, ValueTimestampHeaders<String>)>;

fn listed(found: Result<KeyValueIterator<String, ValueTimestampHeaders<String>>, Error>) -> Rows2 {
    found.unwrap().collect()
}

proptest! {
    #[test]
    fn key_value_store_reads_as_an_ordered_map(
        steps in steps(),
        every in any::<bool>(),
        from in prop::option::of(key()),
        to in prop::option::of(key()),
    ) {
        let clock = RecordClock::default();
        let (mut store, mut rows) = store(&clock, every);
        let mut model: BTreeMap<String, ValueTimestampHeaders<String>> = BTreeMap::new();
        let mut log = TestChangelog::default();
        for (at, step) in (0..).zip(steps) {
            clock.set(at);
            match step {
                Step::Put(key, new) => {
                    let new = new.map(|new| value(&new.to_string(), at));
                    store.put(&key, new.clone()).unwrap();
                    match new {
                        Some(new) => drop(model.insert(key, new)),
                        None => drop(model.remove(&key)),
                    }
                }
                Step::PutIfAbsent(key, new) => {
                    let new = value(&new.to_string(), at);
                    let before = store.put_if_absent(&key, new.clone()).unwrap();
                    prop_assert_eq!(before.as_ref(), model.get(&key));
                    model.entry(key).or_insert(new);
                }
                Step::Delete(key) => {
                    prop_assert_eq!(store.delete(&key).unwrap(), model.remove(&key));
                }
                Step::Commit => {
                    log.commit(&mut *rows.borrow_mut());
                }
                Step::Restore => {
                    log.commit(&mut *rows.borrow_mut());
                    (store, rows) = self::store(&clock, every);
                    log.restore(&mut *rows.borrow_mut());
                }
            }
            let all: Rows2 = model.clone().into_iter().collect();
            prop_assert_eq!(listed(store.all()), all.clone());
            let in_range = |key: &String| {
                from.as_ref().is_none_or(|from| key >= from) && to.as_ref().is_none_or(|to| key <= to)
            };
            let ranged: Rows2 = all.iter().filter(|(key, _)| in_range(key)).cloned().collect();
            prop_assert_eq!(listed(store.range(from.as_ref(), to.as_ref())), ranged.clone());
            let backwards: Rows2 = ranged.into_iter().rev().collect();
            prop_assert_eq!(listed(store.reverse_range(from.as_ref(), to.as_ref())), backwards);
            if let Some(prefix) = &from {
                let begun: Rows2 =
                    all.iter().filter(|(key, _)| key.starts_with(prefix.as_str())).cloned().collect();
                prop_assert_eq!(listed(store.prefix_scan(prefix, &StringSerde)), begun);
            }
        }
    }

    #[test]
    fn lru_store_has_the_rows_used_last(
        uses in vec((0..6_u8, any::<bool>(), prop::option::weighted(0.8, any::<u8>())), 0..60),
        max_rows in 1..5_usize,
    ) {
        let clock = RecordClock::default();
        let new_rows = || {
            let rows = rows_with(KeyLayout::Plain, RowHeaders::Dropped, true);
            Rc::new(RefCell::new(LruRows::new(rows, String::default_serde(), max_rows)))
        };
        let rows = new_rows();
        let shared: Rc<RefCell<dyn KeyValueRows<String>>> = Rc::<RefCell<LruRows<String>>>::clone(&rows);
        let store = KeyValueStore::<String, String>::new(core(&clock), shared);
        // The least recently used first.
        let mut model: Vec<(String, String)> = Vec::new();
        let mut log = TestChangelog::default();
        for (key, reads, new) in uses {
            let key = key.to_string();
            let place = model.iter().position(|(other, _)| *other == key);
            let row = place.map(|place| model.remove(place));
            if reads {
                let value = row.as_ref().map(|(_, value)| value.clone());
                prop_assert_eq!(store.get(&key).unwrap(), value);
                model.extend(row);
            } else {
                let new = new.map(|new| new.to_string());
                store.put(&key, new.clone()).unwrap();
                model.extend(new.map(|new| (key, new)));
                if model.len() > max_rows {
                    model.remove(0);
                }
            }
            log.commit(&mut *rows.borrow_mut());
        }
        let mut left = model.clone();
        left.sort();
        prop_assert_eq!(store.all().unwrap().collect::<Vec<_>>(), left.clone());
        let keys: Vec<_> = left.iter().map(|(key, _)| key.clone().into_bytes()).collect();
        prop_assert_eq!(log.compacted_keys(), keys, "what is evicted leaves the changelog");
        let restored = new_rows();
        log.restore(&mut *restored.borrow_mut());
        let shared: Rc<RefCell<dyn KeyValueRows<String>>> = restored;
        let restored = KeyValueStore::<String, String>::new(core(&clock), shared);
        prop_assert_eq!(restored.all().unwrap().collect::<Vec<_>>(), left);
    }

    #[test]
    fn row_older_than_its_time_to_live_is_gone_for_readers_disk_and_changelog(
        steps in vec((0..8_u8, 0..40_i64, any::<bool>()), 0..60),
    ) {
        const TTL_MS: i64 = 100;
        let clock = RecordClock::default();
        let ttl = TimeToLive { ttl_ms: TTL_MS, clock: clock.clone() };
        let rows = rows_with(KeyLayout::Plain, RowHeaders::Dropped, false).with_time_to_live(ttl);
        let rows = Rc::new(RefCell::new(rows));
        let shared: Rc<RefCell<dyn KeyValueRows<String>>> =
            Rc::<RefCell<Rows<String>>>::clone(&rows);
        let store = TimestampedKeyValueStore::<String, String>::new(core(&clock), shared);
        let mut model: BTreeMap<String, Timestamp> = BTreeMap::new();
        let mut log = TestChangelog::default();
        let mut stream_time = 0;
        for (key, later, commits) in steps {
            stream_time += later;
            clock.set_stream_time(stream_time);
            // Every other row comes late, some too late.
            let at = stream_time - i64::from(key) * 20;
            let key = key.to_string();
            store.put(&key, ValueAndTimestamp::new("x".to_owned(), at)).unwrap();
            model.insert(key, at);
            if commits {
                log.commit(&mut *rows.borrow_mut());
            }
            let live: Vec<String> = model
                .iter()
                .filter(|(_, at)| stream_time - **at <= TTL_MS)
                .map(|(key, _)| key.clone())
                .collect();
            let keys: Vec<String> = store.all().unwrap().map(|(key, _)| key).collect();
            prop_assert_eq!(keys, live.clone());
            for key in model.keys() {
                prop_assert_eq!(store.get(key).unwrap().is_some(), live.contains(key));
            }
        }
        stream_time += 2 * TTL_MS + 200;
        clock.set_stream_time(stream_time);
        log.commit(&mut *rows.borrow_mut());
        log.commit(&mut *rows.borrow_mut());
        prop_assert_eq!(store.approximate_num_entries().unwrap(), 0);
        prop_assert!(log.compacted_keys().is_empty());
    }
}

#[test]
fn deletion_in_a_store_with_headers_has_those_of_the_record_being_processed() {
    let clock = RecordClock::default();
    let (store, rows) = store(&clock, false);
    let mut headers = Headers::new();
    headers.add("why", None);
    clock.set_headers(headers.clone());
    store.put(&"k".to_owned(), None).unwrap();
    let mut log = TestChangelog::default();
    log.commit(&mut *rows.borrow_mut());
    assert_eq!(log.0[0].headers, headers);
}

#[test]
fn store_cannot_be_used_while_it_is_visited() {
    let clock = RecordClock::default();
    let (store, _) = store(&clock, false);
    let key = "k".to_owned();
    store.put(&key, value("x", 1)).unwrap();
    let mut refused = None;
    store
        .visit_range(None, None, |key, _| {
            refused = store.get(&key).err();
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    assert!(refused.unwrap().to_string().contains("being visited"));
    assert!(store.get(&key).unwrap().is_some());
}
