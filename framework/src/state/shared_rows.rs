//! Rows that one writes and the tasks of a process read: those of a global store.
//!
//! A batch becomes visible as a whole. Each has a number, by which readers know that what they keep in memory is
//! out of date.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{RowBatch, RowStore, StateError, StorePosition};

/// The rows as their writer has them; [`SharedRows::reader`] gives them to a task.
#[derive(Debug)]
pub(crate) struct SharedRows {
    rows: Arc<Mutex<Box<dyn RowStore>>>,
    /// How many batches have been written.
    version: Arc<AtomicU64>,
    reads_only: bool,
}

impl SharedRows {
    pub(crate) fn new(rows: Box<dyn RowStore>) -> Self {
        let (rows, version) = (Arc::new(Mutex::new(rows)), Arc::default());
        Self { rows, version, reads_only: false }
    }

    /// The rows for one who only reads them.
    pub(crate) fn reader(&self) -> Self {
        Self { reads_only: true, ..self.writer() }
    }

    /// The rows for the one who writes them.
    pub(crate) fn writer(&self) -> Self {
        let (rows, version) = (Arc::clone(&self.rows), Arc::clone(&self.version));
        Self { rows, version, reads_only: false }
    }

    // A panic in a reader's callback leaves the rows as they were.
    fn lock(&self) -> MutexGuard<'_, Box<dyn RowStore>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RowStore for SharedRows {
    fn get(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool, StateError> {
        self.lock().get(key, found)
    }

    fn scan(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        reverse: bool,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StateError> {
        self.lock().scan(from, to, reverse, visit)
    }

    fn position(&self) -> Result<Option<StorePosition>, StateError> {
        self.lock().position()
    }

    fn batch(&mut self) -> Box<dyn RowBatch + '_> {
        Box::new(SharedBatch { shared: self, changes: Vec::new() })
    }

    fn maintain(&mut self, now_ms: i64) -> Result<(), StateError> {
        self.lock().maintain(now_ms)
    }

    fn flush(&mut self) -> Result<(), StateError> {
        self.lock().flush()
    }

    fn approximate_rows(&self) -> u64 {
        self.lock().approximate_rows()
    }

    fn approximate_bytes(&self) -> u64 {
        self.lock().approximate_bytes()
    }

    fn foreign_version(&self) -> Option<u64> {
        self.reads_only.then(|| self.version.load(Ordering::Acquire))
    }
}

enum Change {
    Put(Box<[u8]>, Box<[u8]>),
    Delete(Box<[u8]>),
    DeleteRange(Box<[u8]>, Box<[u8]>),
}

/// Changes that wait for the lock until they are complete.
struct SharedBatch<'a> {
    shared: &'a SharedRows,
    changes: Vec<Change>,
}

impl RowBatch for SharedBatch<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.changes.push(Change::Put(key.into(), value.into()));
    }

    fn delete(&mut self, key: &[u8]) {
        self.changes.push(Change::Delete(key.into()));
    }

    fn delete_range(&mut self, from: &[u8], to: &[u8]) {
        self.changes.push(Change::DeleteRange(from.into(), to.into()));
    }

    fn commit(self: Box<Self>, position: Option<StorePosition>) -> Result<(), StateError> {
        let mut rows = self.shared.lock();
        let mut batch = rows.batch();
        for change in &self.changes {
            match change {
                Change::Put(key, value) => batch.put(key, value),
                Change::Delete(key) => batch.delete(key),
                Change::DeleteRange(from, to) => batch.delete_range(from, to),
            }
        }
        batch.commit(position)?;
        // ORDER: behind the rows, under their lock: who sees the number sees the rows.
        self.shared.version.fetch_add(1, Ordering::Release);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::MemoryRows;

    fn get(rows: &SharedRows, key: &[u8]) -> Option<Vec<u8>> {
        let mut value = None;
        rows.get(key, &mut |bytes| value = Some(bytes.to_vec())).expect("memory does not fail");
        value
    }

    #[test]
    fn readers_see_whole_batches_and_their_number() {
        let mut writer = SharedRows::new(Box::new(MemoryRows::new()));
        let reader = writer.reader();
        assert_eq!((writer.foreign_version(), reader.foreign_version()), (None, Some(0)));
        let mut batch = writer.batch();
        batch.put(b"a", b"1");
        batch.put(b"b", b"2");
        batch.delete(b"a");
        assert_eq!(get(&reader, b"b"), None);
        batch.commit(None).expect("memory does not fail");
        assert_eq!(reader.foreign_version(), Some(1));
        assert_eq!((get(&reader, b"a"), get(&reader, b"b")), (None, Some(b"2".to_vec())));
    }
}
