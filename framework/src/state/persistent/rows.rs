//! One store's rows in its column family.
//!
//! A batch and the position it brings the store to are one RocksDB batch. Rows are in memory until
//! RocksDB's buffer is full or `maintain` finds them numerous or old; what a crash takes, the
//! changelog brings back.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use rocksdb::{ColumnFamily, DB, FlushOptions, ReadOptions, WriteBatch, WriteOptions, properties};

use super::{error, layout, options};
use crate::state::{RowBatch, RowStore, StateError, StorePosition};

#[cfg(test)]
mod tests;

/// Changes after which `maintain` has them written to disk: what a crash replays at most.
const FLUSH_ROWS: usize = 50_000;
/// Age at which `maintain` has changes written to disk. It also frees the memory of idle stores,
/// which RocksDB's own limit does not look for.
const FLUSH_AGE_MS: i64 = 2 * 60 * 1000;

/// A [`RowStore`] in a column family of its task's database.
pub struct PersistentRows {
    db: Arc<DB>,
    store: String,
    progress: Progress,
    reads: ReadOptions,
    writes: WriteOptions,
    /// Keys of reads and of batches are put together here, so that a read allocates nothing.
    key: RefCell<Vec<u8>>,
}

/// What has been written, and what of it may be in memory only.
#[derive(Debug, Default)]
struct Progress {
    position: Option<StorePosition>,
    unflushed_rows: usize,
    /// When `maintain` first saw unflushed rows.
    unflushed_since_ms: Option<i64>,
}

impl PersistentRows {
    /// The rows of `store`, a column family that `db` has open.
    pub(super) fn open(db: Arc<DB>, store: String) -> Result<Self, StateError> {
        let mut rows = Self {
            db,
            store,
            progress: Progress::default(),
            reads: ReadOptions::default(),
            writes: options::writes(),
            key: RefCell::default(),
        };
        rows.progress.position = rows.read_position()?;
        Ok(rows)
    }

    fn read_position(&self) -> Result<Option<StorePosition>, StateError> {
        let row = self
            .db
            .get_pinned_cf_opt(self.family(), layout::POSITION_KEY, &self.reads)
            .map_err(|error| self.failed("read the position of", error))?;
        row.map(|row| layout::decode_position(&row)).transpose().map_err(|reason| {
            StateError::Corrupted {
                store: format!("{} in {}", self.store, self.db.path().display()),
                reason,
            }
        })
    }

    fn family(&self) -> &ColumnFamily {
        family(&self.db, &self.store)
    }

    fn flush_family(&self, wait: bool) -> Result<(), StateError> {
        let mut options = FlushOptions::default();
        options.set_wait(wait);
        self.db.flush_cf_opt(self.family(), &options).map_err(|error| self.failed("flush", error))
    }

    fn property(&self, name: &properties::PropName) -> u64 {
        // Only for display: a number that cannot be had reads as nothing.
        self.db.property_int_value_cf(self.family(), name).ok().flatten().unwrap_or(0)
    }

    fn failed(&self, action: &str, error: rocksdb::Error) -> StateError {
        error::using(&self.store, self.db.path(), action, error)
    }
}

/// The handle belongs to the database, which looks it up among the task's few stores: nanoseconds
/// beside a read.
#[expect(clippy::expect_used, reason = "opened by name with the database and never dropped")]
fn family<'a>(db: &'a DB, store: &str) -> &'a ColumnFamily {
    db.cf_handle(store).expect("a store's column family lives as long as its database")
}

impl RowStore for PersistentRows {
    fn get(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool, StateError> {
        let value = {
            let mut stored = self.key.borrow_mut();
            layout::write_row_key(&mut stored, key);
            self.db.get_pinned_cf_opt(self.family(), &*stored, &self.reads)
        };
        let value = value.map_err(|error| self.failed("read from", error))?;
        if let Some(value) = &value {
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
            return Ok(());
        }
        let mut reads = ReadOptions::default();
        reads.set_iterate_lower_bound(layout::row_key(from));
        reads.set_iterate_upper_bound(to.map_or(layout::AFTER_ROWS.to_vec(), layout::row_key));
        // A walk over the whole store must not push out the blocks that reads need.
        reads.fill_cache(!from.is_empty() || to.is_some());
        let mut rows = self.db.raw_iterator_cf_opt(self.family(), reads);
        if reverse {
            rows.seek_to_last();
        } else {
            rows.seek_to_first();
        }
        while let Some((stored_key, value)) = rows.item() {
            let key = stored_key.split_first().map_or(stored_key, |(_, key)| key);
            if !visit(key, value) {
                return Ok(());
            }
            if reverse { rows.prev() } else { rows.next() }
        }
        rows.status().map_err(|error| self.failed("scan", error))
    }

    fn position(&self) -> Result<Option<StorePosition>, StateError> {
        Ok(self.progress.position)
    }

    fn batch(&mut self) -> Box<dyn RowBatch + '_> {
        Box::new(PersistentBatch {
            db: &self.db,
            family: family(&self.db, &self.store),
            store: &self.store,
            progress: &mut self.progress,
            writes: &self.writes,
            key: self.key.get_mut(),
            batch: WriteBatch::default(),
            dropped_ranges: Vec::new(),
        })
    }

    fn maintain(&mut self, now_ms: i64) -> Result<(), StateError> {
        if self.progress.unflushed_rows == 0 {
            return Ok(());
        }
        let since_ms = *self.progress.unflushed_since_ms.get_or_insert(now_ms);
        let is_old = now_ms.saturating_sub(since_ms) >= FLUSH_AGE_MS;
        if is_old || self.progress.unflushed_rows >= FLUSH_ROWS {
            self.flush_family(false)?;
            self.progress.flushed();
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StateError> {
        self.flush_family(true)?;
        self.progress.flushed();
        Ok(())
    }

    fn approximate_rows(&self) -> u64 {
        let position_rows = u64::from(self.progress.position.is_some());
        self.property(properties::ESTIMATE_NUM_KEYS).saturating_sub(position_rows)
    }

    fn approximate_bytes(&self) -> u64 {
        self.property(properties::LIVE_SST_FILES_SIZE)
            + self.property(properties::CUR_SIZE_ALL_MEM_TABLES)
    }
}

impl fmt::Debug for PersistentRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PersistentRows")
            .field("store", &self.store)
            .field("path", &self.db.path())
            .field("progress", &self.progress)
            .finish_non_exhaustive()
    }
}

impl Progress {
    fn flushed(&mut self) {
        self.unflushed_rows = 0;
        self.unflushed_since_ms = None;
    }
}

struct PersistentBatch<'a> {
    db: &'a DB,
    family: &'a ColumnFamily,
    store: &'a str,
    progress: &'a mut Progress,
    writes: &'a WriteOptions,
    key: &'a mut Vec<u8>,
    batch: WriteBatch,
    /// Stored keys: first, and first no longer in the range.
    dropped_ranges: Vec<(Vec<u8>, Vec<u8>)>,
}

impl PersistentBatch<'_> {
    /// Drops the files that lie inside the deleted ranges whole.
    ///
    /// ORDER: before the batch is written, or rows that it puts into the range could be among them. It
    /// is durable at once, while the batch is not. After a crash the rows of the range may thus be
    /// gone although the position is older: replay does not miss them, because it ends behind the
    /// batch that deletes them.
    fn drop_files(&self) -> Result<(), rocksdb::Error> {
        for (from, to) in &self.dropped_ranges {
            let last = layout::just_below(to.clone());
            if *from <= last {
                self.db.delete_file_in_range_cf(self.family, from, &last)?;
            }
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), rocksdb::Error> {
        self.drop_files()?;
        self.progress.unflushed_rows += self.batch.len();
        self.db.write_opt(std::mem::take(&mut self.batch), self.writes)
    }
}

impl RowBatch for PersistentBatch<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) {
        layout::write_row_key(self.key, key);
        self.batch.put_cf(self.family, &*self.key, value);
    }

    fn delete(&mut self, key: &[u8]) {
        layout::write_row_key(self.key, key);
        self.batch.delete_cf(self.family, &*self.key);
    }

    fn delete_range(&mut self, from: &[u8], to: &[u8]) {
        if from < to {
            let (from, to) = (layout::row_key(from), layout::row_key(to));
            self.batch.delete_range_cf(self.family, &from, &to);
            self.dropped_ranges.push((from, to));
        }
    }

    fn commit(mut self: Box<Self>, position: Option<StorePosition>) -> Result<(), StateError> {
        if let Some(position) = position {
            let row = layout::encode_position(position);
            self.batch.put_cf(self.family, layout::POSITION_KEY, row);
        }
        if self.batch.is_empty() {
            return Ok(());
        }
        self.write()
            .map_err(|error| error::using(self.store, self.db.path(), "write a batch to", error))?;
        self.progress.position = position.or(self.progress.position);
        Ok(())
    }
}
