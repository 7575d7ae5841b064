//! Session stores.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::record::Timestamp;
use crate::state::test_changelog::TestChangelog;
use crate::time::windows::{Window, Windowed};

/// Segments are half as long.
const RETENTION_MS: i64 = 200_000;
const SEGMENT_MS: i64 = RETENTION_MS / 2;

fn store(clock: &RecordClock, by_time: bool) -> (SessionStore<String, String>, SharedRows) {
    let rows = shared(KeyLayout::sessions(RETENTION_MS));
    (SessionStore::new(core(clock), Rc::clone(&rows), by_time), rows)
}

type Session = (String, Timestamp, Timestamp);

#[derive(Debug, Clone)]
enum Step {
    Put(String, Timestamp, Timestamp, Option<u8>),
    Commit,
    Restore,
}

fn key() -> impl Strategy<Value = String> {
    "[ab]{0,2}"
}

fn time() -> impl Strategy<Value = Timestamp> {
    (0..12_i64).prop_map(|place| place * 40_000)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (key(), time(), 0..3_i64, prop::option::weighted(0.8, any::<u8>()))
            .prop_map(|(key, start, length, value)| {
                Step::Put(key, start, start + length * 40_000, value)
            }),
        2 => Just(Step::Commit),
        1 => Just(Step::Restore),
    ];
    vec(step, 0..50)
}

fn flat(found: impl Iterator<Item = (Windowed<String>, String)>) -> Vec<(Session, String)> {
    found
        .map(|(Windowed { key, window }, value)| ((key, window.start, window.end), value))
        .collect()
}

/// The sessions that are within retention, in the store's order.
fn live(
    model: &BTreeMap<Session, String>,
    stream_time: Timestamp,
    by_time: bool,
) -> Vec<(Session, String)> {
    let mut rows: Vec<_> = model
        .iter()
        .filter(|((_, _, end), _)| *end > stream_time - RETENTION_MS)
        .map(|(session, value)| (session.clone(), value.clone()))
        .collect();
    rows.sort_by_key(|((key, start, end), _)| {
        if by_time {
            (*end, key.clone(), 0, -start)
        } else {
            (end / SEGMENT_MS, key.clone(), *end, *start)
        }
    });
    rows
}

proptest! {
    #[test]
    fn session_store_reads_as_a_map_of_sessions(
        steps in steps(),
        by_time in any::<bool>(),
        (from, to) in (key(), key()),
        (earliest_end, latest_start) in (time(), time()),
    ) {
        let clock = RecordClock::default();
        let (mut store, mut rows) = store(&clock, by_time);
        let (mut model, mut stream_time) = (BTreeMap::new(), -1);
        let mut log = TestChangelog::default();
        for step in steps {
            match step {
                Step::Put(key, start, end, value) => {
                    let value = value.map(|value| value.to_string());
                    let session = Windowed { key: key.clone(), window: Window { start, end } };
                    store.put(&session, value.clone()).unwrap();
                    stream_time = stream_time.max(end);
                    let fetched = store.fetch_session(&key, start, end).unwrap();
                    let is_live = end > stream_time - RETENTION_MS;
                    prop_assert_eq!(fetched, value.clone().filter(|_| is_live));
                    match value {
                        Some(value) => drop(model.insert((key, start, end), value)),
                        None => drop(model.remove(&(key, start, end))),
                    }
                }
                Step::Commit => {
                    log.commit(&mut *rows.borrow_mut());
                }
                Step::Restore => {
                    log.commit(&mut *rows.borrow_mut());
                    (store, rows) = self::store(&clock, by_time);
                    log.restore(&mut *rows.borrow_mut());
                }
            }
            let live = live(&model, stream_time, by_time);
            let found = |of: &dyn Fn(&str) -> bool| -> Vec<(Session, String)> {
                let wanted = |((key, start, end), _): &&(Session, String)| {
                    of(key) && *end >= earliest_end && *start <= latest_start
                };
                live.iter().filter(wanted).cloned().collect()
            };
            let mut of_key = found(&|key| key == from);
            let sessions = store.find_sessions(&from, earliest_end, latest_start).unwrap();
            prop_assert_eq!(flat(sessions), of_key.clone());
            of_key.reverse();
            let sessions = store.backward_find_sessions(&from, earliest_end, latest_start).unwrap();
            prop_assert_eq!(flat(sessions), of_key);
            let of_keys = found(&|key| from.as_str() <= key && key <= to.as_str());
            let sessions = store
                .find_sessions_of_keys(&from, &to, earliest_end, latest_start)
                .unwrap();
            prop_assert_eq!(flat(sessions), of_keys);
            let fetched = store.fetch(&from).unwrap();
            let all: Vec<_> = live.iter().filter(|((key, ..), _)| *key == from).cloned().collect();
            prop_assert_eq!(flat(fetched), all);
        }
    }
}
