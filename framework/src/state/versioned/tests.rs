//! Versioned rows against all puts that were ever accepted, looked through from the beginning.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::serdes::DefaultSerde;
use crate::state::MemoryRows;
use crate::state::test_changelog::TestChangelog;

const HISTORY_MS: i64 = 60;

fn rows() -> VersionedRows<String> {
    let budget = RowBudget { cached_bytes: 200 };
    let serde = String::default_serde();
    VersionedRows::new(Box::new(MemoryRows::new()), serde, HISTORY_MS, budget).unwrap()
}

type Answer = Option<(String, Timestamp, Option<Timestamp>)>;

fn answer(found: Option<Found<'_, String>>) -> Answer {
    found.map(|found| (found.value.clone(), found.from, found.to))
}

/// Every put that was not too old, in order.
#[derive(Default)]
struct Model {
    puts: Vec<(u8, Option<String>, Timestamp)>,
    stream_time: Timestamp,
}

impl Model {
    /// When the key changed; a time counts once.
    fn times(&self, key: u8) -> Vec<Timestamp> {
        let mut times: Vec<_> =
            self.puts.iter().filter(|put| put.0 == key).map(|put| put.2).collect();
        times.sort_unstable();
        times.dedup();
        times
    }

    /// The last value that was put for exactly this time.
    fn value(&self, key: u8, from: Timestamp) -> Option<String> {
        let put = self.puts.iter().rev().find(|put| put.0 == key && put.2 == from);
        put.and_then(|put| put.1.clone())
    }

    fn put(&mut self, key: u8, value: Option<String>, from: Timestamp) -> PutOutcome {
        if from < self.stream_time - HISTORY_MS {
            return PutOutcome::TooOld;
        }
        self.stream_time = self.stream_time.max(from);
        self.puts.push((key, value, from));
        let next = self.times(key).into_iter().find(|time| *time > from);
        next.map_or(PutOutcome::Latest, PutOutcome::ValidTo)
    }

    fn get(&self, key: u8) -> Answer {
        let from = *self.times(key).last()?;
        Some((self.value(key, from)?, from, None))
    }

    fn as_of(&self, key: u8, at: Timestamp) -> Answer {
        if at < self.stream_time - HISTORY_MS {
            return self.get(key).filter(|latest| latest.1 <= at);
        }
        let times = self.times(key);
        let from = *times.iter().rev().find(|time| **time <= at)?;
        let to = times.into_iter().find(|time| *time > at);
        Some((self.value(key, from)?, from, to))
    }
}

#[derive(Debug, Clone)]
enum Step {
    Put(u8, Option<u8>, Timestamp),
    Delete(u8, Timestamp),
    Commit,
    /// The store is lost and comes back from its changelog.
    Restore,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = 0..3_u8;
    let step = prop_oneof![
        8 => (key.clone(), prop::option::weighted(0.7, any::<u8>()), 0..200_i64)
            .prop_map(|(key, value, at)| Step::Put(key, value, at)),
        2 => (key, 0..200_i64).prop_map(|(key, at)| Step::Delete(key, at)),
        2 => Just(Step::Commit),
        1 => Just(Step::Restore),
    ];
    vec(step, 0..60)
}

proptest! {
    #[test]
    fn versions_are_those_of_the_naive_list(steps in steps()) {
        let mut model = Model { stream_time: -1, ..Model::default() };
        let (mut rows, mut log) = (rows(), TestChangelog::default());
        for step in steps {
            match step {
                Step::Put(key, value, at) => {
                    // A deletion at the very time of the latest version is a case of its own.
                    if value.is_none() && model.times(key).last() == Some(&at) {
                        continue;
                    }
                    let value = value.map(|value| value.to_string());
                    let outcome = rows.put(&[key], value.clone(), at).unwrap();
                    prop_assert_eq!(outcome, model.put(key, value, at));
                }
                Step::Delete(key, at) => {
                    if model.times(key).last() == Some(&at) {
                        continue;
                    }
                    let too_old = at < model.stream_time - HISTORY_MS;
                    let before = model.as_of(key, at).filter(|_| !too_old);
                    let deleted = rows.delete(&[key], at).unwrap();
                    let deleted = deleted.map(|found| (found.value, found.timestamp, found.valid_to));
                    prop_assert_eq!(deleted, before);
                    model.put(key, None, at);
                }
                Step::Commit => {
                    log.commit(&mut rows);
                }
                Step::Restore => {
                    log.commit(&mut rows);
                    rows = self::rows();
                    log.restore(&mut rows);
                }
            }
            for key in 0..3 {
                prop_assert_eq!(answer(rows.get(&[key]).unwrap()), model.get(key));
                for at in (0..220).step_by(7) {
                    let found = answer(rows.get_as_of(&[key], at).unwrap());
                    prop_assert_eq!(found, model.as_of(key, at), "key {} at {}", key, at);
                }
            }
        }
    }
}

#[test]
fn changelog_has_every_put_in_order_those_too_old_too() {
    let (mut rows, mut log) = (rows(), TestChangelog::default());
    for (value, at) in [("a", 100), ("b", 200), ("late", 0), ("c", 200)] {
        rows.put(b"k", Some(value.to_owned()), at).unwrap();
    }
    rows.put(b"absent", None, 210).unwrap();
    assert_eq!(log.commit(&mut rows), 5);
    let times: Vec<_> = log.0.iter().map(|record| record.timestamp).collect();
    assert_eq!(times, [100, 200, 0, 200, 210]);
    assert_eq!(log.0[2].value.as_deref(), Some(&b"late"[..]));
    assert_eq!(log.0[4].value, None);
    assert_eq!(log.commit(&mut rows), 0);
}

#[test]
fn deletion_at_the_time_of_the_only_version_leaves_no_trace() {
    let mut rows = rows();
    rows.put(b"k", Some("a".to_owned()), 100).unwrap();
    rows.put(b"k", None, 100).unwrap();
    let outcome = rows.put(b"k", Some("earlier".to_owned()), 50).unwrap();
    assert_eq!(outcome, PutOutcome::Latest);
}

#[test]
fn deletion_at_the_time_of_a_version_that_replaced_another_is_remembered() {
    let mut rows = rows();
    rows.put(b"k", Some("a".to_owned()), 90).unwrap();
    rows.put(b"k", Some("b".to_owned()), 100).unwrap();
    rows.put(b"k", None, 100).unwrap();
    assert_eq!(rows.get(b"k").unwrap(), None);
    let outcome = rows.put(b"k", Some("between".to_owned()), 95).unwrap();
    assert_eq!(outcome, PutOutcome::ValidTo(100));
}

#[test]
fn keys_that_were_deleted_long_ago_are_swept_away() {
    let (mut rows, mut log) = (rows(), TestChangelog::default());
    for key in 0..10_u8 {
        rows.put(&[key], Some("x".to_owned()), 0).unwrap();
        rows.put(&[key], None, 10).unwrap();
    }
    log.commit(&mut rows);
    assert_eq!(rows.approximate_rows(), 10);
    rows.put(b"other", Some("y".to_owned()), 1000).unwrap();
    log.commit(&mut rows);
    assert_eq!(rows.approximate_rows(), 1, "only the other key is left");
}
