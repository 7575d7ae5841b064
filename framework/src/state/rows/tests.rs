//! Typed rows against a naive model, with any memory budget; and what expires.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::broker::RawRecord;
use crate::broker::RecordBatch;
use crate::error::ErrorKind;
use crate::serdes::DefaultSerde;
use crate::state::MemoryRows;
use crate::state::StorePosition;
use crate::state::key_layout::{window_start, write_window_suffix};

type Row = (String, Timestamp);
/// A changelog record: key, value or deletion, timestamp.
type Change = (Vec<u8>, Option<Vec<u8>>, Timestamp);

fn rows(backing: Box<dyn RowStore>, layout: KeyLayout, cached_bytes: usize) -> Rows<String> {
    let budget = RowBudget { cached_bytes };
    let (headers, log_every_update) = (RowHeaders::default(), false);
    let options = RowsOptions { layout, budget, headers, log_every_update };
    Rows::new(backing, String::default_serde(), options).unwrap()
}

/// The store as it comes back after a crash: what is committed, and nothing else.
fn reopened(rows: Rows<String>, layout: KeyLayout) -> Rows<String> {
    let Rows { backing, budget, .. } = rows;
    self::rows(backing, layout, budget.cached_bytes)
}

fn commit(rows: &mut Rows<String>) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut emit = |record: ChangelogRecord<'_>| {
        let ChangelogRecord { key, value, timestamp, .. } = record;
        changes.push((key.to_vec(), value.map(<[u8]>::to_vec), timestamp.unwrap()));
        Ok(())
    };
    rows.prepare_commit(&mut emit).unwrap();
    rows.finish_commit(None, 0).unwrap();
    changes
}

fn put(rows: &mut Rows<String>, key: &[u8], value: Option<&str>, written_at: Timestamp) {
    let id = rows.find(key).unwrap();
    let value = value.map(|value| Stamped { value: value.to_owned(), timestamp: written_at });
    rows.put(id, value, written_at);
}

fn all(rows: &mut Rows<String>) -> BTreeMap<Vec<u8>, Row> {
    let mut all = BTreeMap::new();
    let mut show = |key: &[u8], row: &Stamped<String>| {
        all.insert(key.to_vec(), (row.value.clone(), row.timestamp));
    };
    rows.for_each_row(&mut show).unwrap();
    all
}

#[derive(Debug, Clone)]
enum Step {
    /// Appends to a key's row, or deletes it.
    Update {
        key: u8,
        value: Option<char>,
        timestamp: Timestamp,
    },
    Commit,
    /// Loses what is not committed.
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let value = prop::option::weighted(0.7, prop::char::range('a', 'e'));
    let step = prop_oneof![
        8 => (0..5_u8, value, 0..100_i64)
            .prop_map(|(key, value, timestamp)| Step::Update { key, value, timestamp }),
        2 => Just(Step::Commit),
        1 => Just(Step::Crash),
    ];
    vec(step, 0..60)
}

/// What the rows should be.
#[derive(Default)]
struct Model {
    committed: BTreeMap<Vec<u8>, Row>,
    present: BTreeMap<Vec<u8>, Row>,
    /// Keys written since the last commit, with the time of the last write: in the order of their first
    /// write, with the record cache in that of their last.
    written: Vec<(Vec<u8>, Timestamp)>,
}

impl Model {
    fn update(&mut self, caching: bool, key: &[u8], value: Option<char>, timestamp: Timestamp) {
        let old = self.present.remove(key);
        if let Some(value) = value {
            let (old, at) = old.unwrap_or_default();
            self.present.insert(key.to_vec(), (format!("{old}{value}"), at.max(timestamp)));
        }
        if caching {
            self.written.retain(|(written, _)| written != key);
        }
        match self.written.iter_mut().find(|(written, _)| written == key) {
            Some((_, written_at)) => *written_at = timestamp,
            None => self.written.push((key.to_vec(), timestamp)),
        }
    }

    fn crash(&mut self) {
        self.present = self.committed.clone();
        self.written.clear();
    }

    /// The changelog records of the commit. With the record cache a deletion is one only where there
    /// was a row.
    fn commit(&mut self, caching: bool) -> Vec<Change> {
        let mut changes = Vec::new();
        for (key, written_at) in self.written.drain(..) {
            match self.present.get(&key) {
                Some((value, at)) => changes.push((key, Some(value.clone().into_bytes()), *at)),
                None if caching && !self.committed.contains_key(&key) => (),
                None => changes.push((key, None, written_at)),
            }
        }
        self.committed = self.present.clone();
        changes
    }
}

/// Does a step to the rows as an aggregation would.
fn update(rows: &mut Rows<String>, caching: bool, key: u8, value: Option<char>, at: Timestamp) {
    let id = rows.find(&[key]).unwrap();
    let old = rows.take(id);
    let row = value.map(|value| {
        let old = old.unwrap_or(Stamped { value: String::new(), timestamp: 0 });
        Stamped { value: format!("{}{value}", old.value), timestamp: old.timestamp.max(at) }
    });
    rows.put(id, row, at);
    if caching {
        rows.hold_back(id, Headers::new(), None);
    }
}

fn flush(rows: &mut Rows<String>) -> Vec<Change> {
    let mut given = Vec::new();
    let pending = rows.begin_flush();
    for index in 0..pending.len() {
        let Some(update) = rows.release(&pending, index) else { continue };
        let value = update.new.map(String::into_bytes);
        given.push((update.key.into_vec(), value, update.timestamp));
    }
    rows.end_flush(pending);
    given
}

/// Records of a changelog partition.
#[derive(Debug)]
struct Batch(Vec<Change>);

impl RecordBatch for Batch {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn record(&self, index: usize) -> RawRecord<'_> {
        let (key, value, timestamp) = &self.0[index];
        RawRecord {
            offset: 0,
            timestamp: *timestamp,
            key: Some(key),
            value: value.as_deref(),
            headers: Headers::new(),
        }
    }
}

const POSITION: StorePosition = StorePosition { next_offset: 0, written_at_ms: 0, topic_id: None };

proptest! {
    #[test]
    fn rows_are_those_of_the_model_whatever_the_budget(
        steps in steps(),
        caching in any::<bool>(),
        budget in prop_oneof![Just(0), Just(400), Just(1 << 20)],
        from_key in 0..5_u8,
    ) {
        let mut model = Model::default();
        let mut rows = rows(Box::new(MemoryRows::new()), KeyLayout::Plain, budget);
        let mut restored = self::rows(Box::new(MemoryRows::new()), KeyLayout::Plain, 0);
        for step in steps {
            match step {
                Step::Update { key, value, timestamp } => {
                    model.update(caching, &[key], value, timestamp);
                    update(&mut rows, caching, key, value, timestamp);
                }
                Step::Commit => {
                    let given = flush(&mut rows);
                    let changes = commit(&mut rows);
                    prop_assert_eq!(&changes, &model.commit(caching));
                    if caching {
                        prop_assert_eq!(&given, &changes);
                    }
                    prop_assert_eq!(rows.uncommitted_bytes(), 0);
                    prop_assert!(rows.bytes <= budget);
                    restored.restore(&Batch(changes), POSITION).unwrap();
                    prop_assert_eq!(all(&mut restored), model.committed.clone());
                }
                Step::Crash => {
                    model.crash();
                    rows = reopened(rows, KeyLayout::Plain);
                }
            }
            prop_assert_eq!(all(&mut rows), model.present.clone());
            let from = &[from_key][..];
            let expected: Vec<_> = model.present.range(from.to_vec()..vec![4.max(from_key)]).rev().collect();
            let mut seen = Vec::new();
            rows.scan(from, Some(&[4]), true, &mut |key, row| {
                seen.push((key.to_vec(), (row.value.clone(), row.timestamp)));
                seen.len() < 2
            }).unwrap();
            let seen: Vec<_> = seen.iter().map(|(key, row)| (key, row)).collect();
            prop_assert_eq!(&seen[..], &expected[..expected.len().min(2)]);
        }
    }

    #[test]
    fn scan_of_times_shows_each_live_window_of_the_key_range_once(
        windows in vec((0..3_u8, 0..900_000_i64, any::<bool>()), 1..40),
        from in 0..900_000_i64,
        length in 0..300_000_i64,
        keys in (0..3_u8, 0..3_u8),
        reverse in any::<bool>(),
    ) {
        let mut rows = windowed(Box::new(MemoryRows::new()));
        let mut written = BTreeSet::new();
        for (key, start, committed) in windows {
            put(&mut rows, &window(&[key], start), Some("x"), start);
            written.insert((key, start));
            if committed {
                commit(&mut rows);
            }
        }
        let newest = written.iter().map(|(_, start)| *start).max().unwrap_or(0);
        let times = from..=from + length;
        let mut seen = Vec::new();
        rows.scan_times(times.clone(), &[keys.0], Some(&[keys.1]), reverse, &mut |key, row| {
            assert_eq!(window_start(key), row.timestamp);
            seen.push((key[0], row.timestamp));
            true
        }).unwrap();
        seen.retain(|(_, start)| times.contains(start));
        let segment = |start: i64| start / (RETENTION_MS / 2);
        let mut expected: Vec<_> = written.into_iter()
            .filter(|(key, start)| (keys.0..keys.1).contains(key) && times.contains(start))
            .filter(|(_, start)| *start > newest - RETENTION_MS)
            .collect();
        expected.sort_by_key(|(key, start)| (segment(*start), *key, *start));
        if reverse {
            expected.reverse();
        }
        prop_assert_eq!(seen, expected);
    }
}

#[test]
fn log_of_every_update_has_them_in_order_and_the_store_has_the_last() {
    let options = RowsOptions {
        layout: KeyLayout::Plain,
        budget: RowBudget { cached_bytes: 0 },
        headers: RowHeaders::Dropped,
        log_every_update: true,
    };
    let backing = Box::new(MemoryRows::new());
    let mut rows = Rows::new(backing, String::default_serde(), options).unwrap();
    put(&mut rows, b"a", Some("1"), 1);
    put(&mut rows, b"b", Some("2"), 2);
    put(&mut rows, b"a", None, 3);
    put(&mut rows, b"never", None, 4);
    put(&mut rows, b"a", Some(""), 5);
    let change = |key: &str, value: Option<&str>, timestamp| {
        (key.as_bytes().to_vec(), value.map(|value| value.as_bytes().to_vec()), timestamp)
    };
    let expected = [
        change("a", Some("1"), 1),
        change("b", Some("2"), 2),
        change("a", None, 3),
        change("never", None, 4),
        change("a", Some(""), 5),
    ];
    assert_eq!(commit(&mut rows), expected);
    assert_eq!(commit(&mut rows), []);
    let present: Vec<_> = all(&mut rows).into_iter().collect();
    let row = |key: &str, value: &str, timestamp| {
        (key.as_bytes().to_vec(), (value.to_owned(), timestamp))
    };
    assert_eq!(present, [row("a", "", 5), row("b", "2", 2)]);
}

#[test]
fn kept_headers_survive_commit_and_reopening_and_are_logged() {
    let options = RowsOptions {
        layout: KeyLayout::Plain,
        budget: RowBudget { cached_bytes: 0 },
        headers: RowHeaders::Kept,
        log_every_update: false,
    };
    let mut headers = Headers::new();
    headers.add("trace", Some(b"7"));
    headers.add("", None);
    let row = || Some(Stamped { value: "v".to_owned(), timestamp: 3 });
    let backing = Box::new(MemoryRows::new());
    let mut rows = Rows::new(backing, String::default_serde(), options.clone()).unwrap();
    rows.set_with_headers(b"k", row(), headers.clone(), 3).unwrap();
    rows.prepare_commit(&mut |record| {
        assert_eq!((record.value, record.headers), (Some(&b"v"[..]), &headers));
        Ok(())
    })
    .unwrap();
    rows.finish_commit(None, 0).unwrap();
    let mut rows = Rows::new(rows.backing, String::default_serde(), options).unwrap();
    let found = rows.get_with_headers(b"k").unwrap();
    assert_eq!(found, Some((&row().unwrap(), &headers)));
}

#[test]
fn rows_of_a_failed_commit_stay_to_be_committed() {
    let mut rows = rows(Box::new(MemoryRows::new()), KeyLayout::Plain, 0);
    put(&mut rows, b"a", Some("1"), 1);
    let refused = || Error::new(ErrorKind::Retriable, "not now");
    rows.prepare_commit(&mut |_| Err(refused())).unwrap_err();
    assert!(rows.uncommitted_bytes() > 0);
    assert_eq!(commit(&mut rows), [(b"a".to_vec(), Some(b"1".to_vec()), 1)]);
    assert_eq!(commit(&mut rows), []);
}

#[test]
fn row_that_is_not_committed_or_not_forwarded_is_never_evicted() {
    let mut rows = rows(Box::new(MemoryRows::new()), KeyLayout::Plain, 0);
    put(&mut rows, b"dirty", Some("1"), 1);
    update(&mut rows, true, b'p', Some('2'), 2);
    rows.trim();
    assert_eq!(flush(&mut rows), [(b"p".to_vec(), Some(b"2".to_vec()), 2)]);
    assert_eq!(commit(&mut rows).len(), 2);
    assert_eq!(rows.index.len(), 0, "nothing keeps them in memory now");
    assert_eq!(all(&mut rows).len(), 2);
}

#[test]
fn row_used_all_the_time_stays_in_memory_when_others_come_and_go() {
    let mut rows = rows(Box::new(MemoryRows::new()), KeyLayout::Plain, 20 * 200);
    let in_memory = |rows: &Rows<String>| {
        rows.slots.iter().any(|slot| &*slot.key == b"hot" && slot.row.is_some())
    };
    let mut lost = 0;
    for round in 0..200_u64 {
        for cold in 0..3 {
            put(&mut rows, &(round * 3 + cold).to_be_bytes(), Some("x"), 0);
        }
        put(&mut rows, b"hot", Some("y"), 0);
        commit(&mut rows);
        lost += usize::from(!in_memory(&rows));
        assert!(rows.bytes <= rows.budget.cached_bytes);
    }
    // Only the first time are all rows equally used.
    assert!(lost <= 1, "lost {lost} times");
    assert_eq!(all(&mut rows).len(), 601);
}

const RETENTION_MS: i64 = 200_000;

fn window(key: &[u8], start: Timestamp) -> Vec<u8> {
    let mut key = key.to_vec();
    write_window_suffix(start, &mut key);
    key
}

fn windowed(backing: Box<dyn RowStore>) -> Rows<String> {
    rows(backing, KeyLayout::windowed(RETENTION_MS), 0)
}

#[test]
fn window_is_gone_when_the_newest_start_is_its_retention_ahead() {
    let mut rows = windowed(Box::new(MemoryRows::new()));
    put(&mut rows, &window(b"k", 0), Some("old"), 0);
    put(&mut rows, &window(b"l", 1), Some("kept"), 0);
    commit(&mut rows);
    put(&mut rows, &window(b"k", RETENTION_MS - 1), Some("new"), 0);
    assert_eq!(all(&mut rows).len(), 3);
    put(&mut rows, &window(b"k", RETENTION_MS), Some("new"), 0);
    assert_eq!(all(&mut rows).len(), 3);
    assert!(!all(&mut rows).contains_key(&window(b"k", 0)));
    commit(&mut rows);
    assert!(!all(&mut rows).contains_key(&window(b"k", 0)));
}

#[test]
fn expired_segments_leave_the_backing_store_after_reopening_too() {
    let mut rows = windowed(Box::new(MemoryRows::new()));
    for start in [0, 50_000, 150_000] {
        put(&mut rows, &window(b"k", start), Some("x"), start);
    }
    commit(&mut rows);
    let mut rows = reopened(rows, KeyLayout::windowed(RETENTION_MS));
    assert_eq!(rows.backing.approximate_rows(), 3);
    put(&mut rows, &window(b"k", 300_000), Some("x"), 300_000);
    commit(&mut rows);
    // A segment is half the retention: those below 100,000 ms are dropped whole.
    let starts: Vec<_> = all(&mut rows).into_values().map(|(_, start)| start).collect();
    assert_eq!(starts, [150_000, 300_000]);
    assert_eq!(rows.backing.approximate_rows(), 2);
}

#[test]
fn write_to_a_window_that_has_expired_is_logged_but_not_kept() {
    let mut rows = windowed(Box::new(MemoryRows::new()));
    put(&mut rows, &window(b"k", RETENTION_MS), Some("new"), 0);
    put(&mut rows, &window(b"k", 0), Some("late"), 0);
    assert_eq!(commit(&mut rows).len(), 2);
    let mut rows = reopened(rows, KeyLayout::windowed(RETENTION_MS));
    assert_eq!(all(&mut rows).into_keys().collect::<Vec<_>>(), [window(b"k", RETENTION_MS)]);
}

#[test]
fn restored_windows_expire_like_written_ones() {
    let mut rows = windowed(Box::new(MemoryRows::new()));
    let change = |start| (window(b"k", start), Some(b"x".to_vec()), start);
    rows.restore(&Batch([0, 100, RETENTION_MS].map(change).to_vec()), POSITION).unwrap();
    let starts: Vec<_> = all(&mut rows).into_values().map(|(_, start)| start).collect();
    assert_eq!(starts, [100, RETENTION_MS]);
    assert_eq!(rows.backing.approximate_rows(), 2);
}
