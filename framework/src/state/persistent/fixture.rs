//! Opening, writing and reading for the tests of this folder.

use std::collections::BTreeMap;
use std::path::Path;

use super::{PersistentRows, StateEnv, TaskDb};
use crate::state::{RowStore, StateError, StorePosition};

pub(super) const STORE: &str = "counts";

pub(super) const OTHER_STORE: &str = "totals";

pub(super) fn open(folder: &Path, stores: &[&str]) -> Result<TaskDb, StateError> {
    TaskDb::open(&StateEnv::default(), folder, stores)
}

pub(super) fn open_rows(folder: &Path) -> PersistentRows {
    open(folder, &[STORE]).unwrap().take_rows(STORE).unwrap()
}

pub(super) fn put(rows: &mut PersistentRows, key: &[u8], value: &[u8], next_offset: i64) {
    let mut batch = rows.batch();
    batch.put(key, value);
    batch.commit(Some(StorePosition { next_offset, written_at_ms: 5, topic_id: None })).unwrap();
}

pub(super) fn all(rows: &PersistentRows) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut seen = BTreeMap::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        seen.insert(key.to_vec(), value.to_vec());
        true
    };
    rows.scan(&[], None, false, &mut visit).unwrap();
    seen
}

pub(super) fn next_offset(rows: &PersistentRows) -> Option<i64> {
    rows.position().unwrap().map(|position| position.next_offset)
}
