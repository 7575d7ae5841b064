//! Rows in memory that outlive their task: one that is rolled back goes on with what it had committed, as it does
//! with rows on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::ids::TaskId;
use crate::state::{MemoryRows, RowBatch, RowStore, StateError, StorePosition};
use crate::topology::StoreId;

/// What is kept until the task is opened again, or forgotten.
#[derive(Debug, Clone, Default)]
pub(super) struct KeptRows(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    /// Tasks whose rows are wanted again.
    wanted: BTreeSet<TaskId>,
    rows: BTreeMap<(TaskId, StoreId), MemoryRows>,
}

impl KeptRows {
    /// From now on, what these tasks have committed is kept when they are dropped.
    pub(super) fn want(&self, tasks: impl IntoIterator<Item = TaskId>) {
        self.kept().wanted.extend(tasks);
    }

    /// The rows of a store, empty if nothing was kept. They come back when they are dropped, if they are wanted then.
    pub(super) fn take(&self, task: TaskId, store: StoreId) -> Box<dyn RowStore> {
        let mut kept = self.kept();
        kept.wanted.remove(&task);
        let rows = kept.rows.remove(&(task, store)).unwrap_or_default();
        Box::new(LentRows { rows, place: (task, store), owner: self.clone() })
    }

    /// Frees what is kept of a task.
    pub(super) fn forget(&self, task: TaskId) {
        let mut kept = self.kept();
        kept.wanted.remove(&task);
        kept.rows.retain(|(of, _), _| *of != task);
    }

    pub(super) fn forget_all(&self) {
        *self.kept() = Kept::default();
    }

    /// Never held while rows are used.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rows in memory, on loan to a task.
///
/// INVARIANT: rows and position are those of one commit, whenever it is dropped: [`MemoryRows`] changes both together.
#[derive(Debug)]
struct LentRows {
    rows: MemoryRows,
    place: (TaskId, StoreId),
    owner: KeptRows,
}

impl Drop for LentRows {
    fn drop(&mut self) {
        let mut kept = self.owner.kept();
        if kept.wanted.contains(&self.place.0) {
            kept.rows.insert(self.place, std::mem::take(&mut self.rows));
        }
    }
}

impl RowStore for LentRows {
    fn get(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool, StateError> {
        self.rows.get(key, found)
    }
    fn scan(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        reverse: bool,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StateError> {
        self.rows.scan(from, to, reverse, visit)
    }
    fn position(&self) -> Result<Option<StorePosition>, StateError> {
        self.rows.position()
    }
    fn batch(&mut self) -> Box<dyn RowBatch + '_> {
        self.rows.batch()
    }
    fn maintain(&mut self, now_ms: i64) -> Result<(), StateError> {
        self.rows.maintain(now_ms)
    }
    fn flush(&mut self) -> Result<(), StateError> {
        self.rows.flush()
    }
    fn approximate_rows(&self) -> u64 {
        self.rows.approximate_rows()
    }
    fn approximate_bytes(&self) -> u64 {
        self.rows.approximate_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: TaskId = TaskId { subtopology: 0, partition: 1 };
    const STORE: StoreId = StoreId(3);
    const POSITION: StorePosition =
        StorePosition { next_offset: 1, written_at_ms: 2, topic_id: None };

    fn put(rows: &mut dyn RowStore) {
        let mut batch = rows.batch();
        batch.put(b"key", b"value");
        batch.commit(Some(POSITION)).unwrap();
    }

    #[test]
    fn only_rows_that_are_wanted_when_they_are_dropped_come_back_and_once() {
        let kept = KeptRows::default();
        let mut rows = kept.take(TASK, STORE);
        put(&mut *rows);
        drop(rows);
        assert_eq!(kept.take(TASK, STORE).approximate_rows(), 0, "nobody wants them");

        let mut rows = kept.take(TASK, STORE);
        put(&mut *rows);
        kept.want([TASK]);
        drop(rows);
        let rows = kept.take(TASK, STORE);
        assert_eq!((rows.approximate_rows(), rows.position().unwrap()), (1, Some(POSITION)));
        drop(rows);
        assert_eq!(kept.take(TASK, STORE).position().unwrap(), None, "it was wanted once");
    }

    #[test]
    fn what_is_forgotten_is_freed() {
        let kept = KeptRows::default();
        let mut rows = kept.take(TASK, STORE);
        put(&mut *rows);
        kept.want([TASK]);
        drop(rows);
        kept.forget(TASK);
        assert!(kept.kept().rows.is_empty());
        assert_eq!(kept.take(TASK, STORE).approximate_rows(), 0);
    }
}
