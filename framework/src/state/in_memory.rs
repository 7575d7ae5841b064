//! Rows kept in memory alone: the store of applications that restore from the changelog each time.
//!
//! The rows and the position change together in `commit` and nowhere else, as they do on disk.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::{RowBatch, RowStore, StateError, StorePosition};

/// What a row takes besides its key and its value: two pointers with lengths, and its share of the
/// tree's nodes.
const ROW_OVERHEAD_BYTES: usize = 40;

type Bytes = Box<[u8]>;

/// A [`RowStore`] over an ordered map.
#[derive(Debug, Default)]
pub struct MemoryRows {
    rows: BTreeMap<Bytes, Bytes>,
    position: Option<StorePosition>,
    bytes: usize,
}

impl MemoryRows {
    /// A store without rows.
    pub fn new() -> Self {
        Self::default()
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Put(key, value) => {
                let key_bytes = key.len();
                self.bytes += value.len();
                match self.rows.insert(key, value) {
                    Some(old) => self.bytes -= old.len(),
                    None => self.bytes += key_bytes + ROW_OVERHEAD_BYTES,
                }
            }
            Change::Delete(key) => {
                if let Some(old) = self.rows.remove(&key) {
                    self.bytes -= row_bytes(&key, &old);
                }
            }
            Change::DeleteRange(from, to) => {
                let gone = self.rows.extract_if(from..to, |_, _| true);
                self.bytes -= gone.map(|(key, value)| row_bytes(&key, &value)).sum::<usize>();
            }
        }
    }
}

fn row_bytes(key: &[u8], value: &[u8]) -> usize {
    key.len() + value.len() + ROW_OVERHEAD_BYTES
}

fn range<'a>(from: &'a [u8], to: Option<&'a [u8]>) -> (Bound<&'a [u8]>, Bound<&'a [u8]>) {
    (Bound::Included(from), to.map_or(Bound::Unbounded, Bound::Excluded))
}

impl RowStore for MemoryRows {
    fn get(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool, StateError> {
        let value = self.rows.get(key);
        if let Some(value) = value {
            found(value);
        }
        Ok(value.is_some())
    }

    fn scan(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        reverse: bool,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StateError> {
        if to.is_some_and(|to| to <= from) {
            return Ok(()); // the map takes no reversed range
        }
        let mut rows = self.rows.range::<[u8], _>(range(from, to));
        while let Some((key, value)) = if reverse { rows.next_back() } else { rows.next() } {
            if !visit(key, value) {
                break;
            }
        }
        Ok(())
    }

    fn position(&self) -> Result<Option<StorePosition>, StateError> {
        Ok(self.position)
    }

    fn batch(&mut self) -> Box<dyn RowBatch + '_> {
        Box::new(MemoryBatch { store: self, changes: Vec::new() })
    }

    fn maintain(&mut self, _now_ms: i64) -> Result<(), StateError> {
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StateError> {
        Ok(())
    }

    fn approximate_rows(&self) -> u64 {
        self.rows.len() as u64
    }

    fn approximate_bytes(&self) -> u64 {
        self.bytes as u64
    }
}

#[derive(Debug)]
enum Change {
    Put(Bytes, Bytes),
    Delete(Bytes),
    DeleteRange(Bytes, Bytes),
}

/// Changes wait here until `commit`, so that a dropped batch leaves no trace.
#[derive(Debug)]
struct MemoryBatch<'a> {
    store: &'a mut MemoryRows,
    changes: Vec<Change>,
}

impl RowBatch for MemoryBatch<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.changes.push(Change::Put(key.into(), value.into()));
    }

    fn delete(&mut self, key: &[u8]) {
        self.changes.push(Change::Delete(key.into()));
    }

    fn delete_range(&mut self, from: &[u8], to: &[u8]) {
        if from < to {
            self.changes.push(Change::DeleteRange(from.into(), to.into()));
        }
    }

    fn commit(self: Box<Self>, position: Option<StorePosition>) -> Result<(), StateError> {
        let Self { store, changes } = *self;
        for change in changes {
            store.apply(change);
        }
        store.position = position.or(store.position);
        Ok(())
    }
}
