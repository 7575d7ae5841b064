//! Both row stores against a naive model: any sequence of batches, reads and reopenings.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use tempfile::TempDir;

use super::persistent::{PersistentRows, StateEnv, TaskDb};
use super::{MemoryRows, RowStore, StorePosition};
use crate::ids::TopicId;

type Key = Vec<u8>;
type Model = BTreeMap<Key, Vec<u8>>;

const STORE: &str = "rows";

#[derive(Debug, Clone)]
enum Change {
    Put(Key, Vec<u8>),
    Delete(Key),
    DeleteRange(Key, Key),
}

#[derive(Debug, Clone)]
enum Step {
    Commit(Vec<Change>, Option<i64>),
    Drop(Vec<Change>),
    Get(Key),
    Scan { from: Key, to: Option<Key>, reverse: bool, limit: usize },
    Flush,
    Reopen,
}

/// Few and short, so that keys meet; with bytes at both ends, and the empty key.
fn keys() -> impl Strategy<Value = Key> {
    vec(prop_oneof![Just(0u8), Just(1), Just(2), Just(0x7f), Just(0xff)], 0..4)
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        6 => (keys(), vec(any::<u8>(), 0..20)).prop_map(|(key, value)| Change::Put(key, value)),
        2 => keys().prop_map(Change::Delete),
        1 => (keys(), keys()).prop_map(|(from, to)| Change::DeleteRange(from, to)),
    ];
    vec(change, 0..12)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let scan = (keys(), proptest::option::of(keys()), any::<bool>(), 0..50usize)
        .prop_map(|(from, to, reverse, limit)| Step::Scan { from, to, reverse, limit });
    let step = prop_oneof![
        8 => (changes(), proptest::option::of(any::<i64>()))
            .prop_map(|(changes, offset)| Step::Commit(changes, offset)),
        1 => changes().prop_map(Step::Drop),
        4 => keys().prop_map(Step::Get),
        4 => scan,
        1 => Just(Step::Flush),
        1 => Just(Step::Reopen),
    ];
    vec(step, 1..30)
}

fn apply_to_model(model: &mut Model, changes: &[Change]) {
    for change in changes {
        match change {
            Change::Put(key, value) => {
                model.insert(key.clone(), value.clone());
            }
            Change::Delete(key) => {
                model.remove(key);
            }
            Change::DeleteRange(from, to) => model.retain(|key, _| key < from || key >= to),
        }
    }
}

fn position(offset: i64) -> StorePosition {
    StorePosition {
        next_offset: offset,
        written_at_ms: offset.wrapping_mul(7),
        topic_id: TopicId::from_bytes(
            offset.rotate_left(9).to_be_bytes().repeat(2).try_into().unwrap(),
        ),
    }
}

fn scan(store: &dyn RowStore, from: &[u8], to: Option<&[u8]>, reverse: bool) -> Vec<(Key, Key)> {
    let mut seen = Vec::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        seen.push((key.to_vec(), value.to_vec()));
        true
    };
    store.scan(from, to, reverse, &mut visit).unwrap();
    seen
}

/// Runs `steps` on a store and on the model; `reopen` closes the store and opens it again.
fn check<S: RowStore>(
    mut store: S,
    steps: &[Step],
    reopen: impl Fn(S) -> S,
) -> Result<(), TestCaseError> {
    let mut model = Model::new();
    let mut model_position = None;
    for step in steps {
        match step {
            Step::Commit(changes, offset) => {
                let mut batch = store.batch();
                add(&mut *batch, changes);
                batch.commit(offset.map(position)).unwrap();
                apply_to_model(&mut model, changes);
                model_position = offset.map(position).or(model_position);
            }
            Step::Drop(changes) => add(&mut *store.batch(), changes),
            Step::Get(key) => {
                let mut value = None;
                let found = store.get(key, &mut |bytes| value = Some(bytes.to_vec())).unwrap();
                prop_assert_eq!(found, value.is_some());
                prop_assert_eq!(value.as_ref(), model.get(key));
            }
            Step::Scan { from, to, reverse, limit } => {
                let mut seen = Vec::new();
                let mut visit = |key: &[u8], value: &[u8]| {
                    seen.push((key.to_vec(), value.to_vec()));
                    seen.len() < *limit
                };
                store.scan(from, to.as_deref(), *reverse, &mut visit).unwrap();
                let is_within = |key: &Key| key >= from && to.as_ref().is_none_or(|to| key < to);
                let mut expected: Vec<_> =
                    model.clone().into_iter().filter(|(key, _)| is_within(key)).collect();
                if *reverse {
                    expected.reverse();
                }
                expected.truncate(1.max(*limit));
                prop_assert_eq!(seen, expected);
            }
            Step::Flush => store.flush().unwrap(),
            Step::Reopen => store = reopen(store),
        }
        prop_assert_eq!(store.position().unwrap(), model_position);
    }
    let all = scan(&store, &[], None, false);
    prop_assert_eq!(all, model.into_iter().collect::<Vec<_>>());
    Ok(())
}

fn add(batch: &mut dyn super::RowBatch, changes: &[Change]) {
    for change in changes {
        match change {
            Change::Put(key, value) => batch.put(key, value),
            Change::Delete(key) => batch.delete(key),
            Change::DeleteRange(from, to) => batch.delete_range(from, to),
        }
    }
}

fn open(env: &StateEnv, folder: &TempDir) -> PersistentRows {
    TaskDb::open(env, folder.path(), &[STORE]).unwrap().take_rows(STORE).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn memory_rows_equal_the_model(steps in steps()) {
        check(MemoryRows::new(), &steps, |store| store)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn persistent_rows_equal_the_model(steps in steps()) {
        let env = StateEnv::default();
        let folder = tempfile::tempdir().unwrap();
        check(open(&env, &folder), &steps, |store| {
            drop(store);
            open(&env, &folder)
        })?;
    }
}

#[test]
fn memory_rows_count_their_bytes_down_to_nothing() {
    let mut rows = MemoryRows::new();
    let changes = [
        Change::Put(vec![1], vec![0; 10]),
        Change::Put(vec![1], vec![0; 3]),
        Change::Put(vec![2], vec![0; 5]),
        Change::Put(vec![3], vec![0; 5]),
    ];
    let mut batch: Box<dyn super::RowBatch + '_> = rows.batch();
    add(&mut *batch, &changes);
    batch.commit(None).unwrap();
    assert_eq!(rows.approximate_rows(), 3);
    assert_eq!(rows.approximate_bytes(), 3 + 13 + 3 * 40);

    let mut batch = rows.batch();
    add(&mut *batch, &[Change::Delete(vec![1]), Change::DeleteRange(vec![2], vec![9])]);
    batch.commit(None).unwrap();
    assert_eq!((rows.approximate_rows(), rows.approximate_bytes()), (0, 0));
}
