//! Rows as their task sees them: something to commit and to restore, whatever the type of the values.

use super::row_bytes::{encode, write_head};
use super::{Committing, RowHeaders, Rows};
use crate::broker::RecordBatch;
use crate::error::Error;
use crate::record::{Headers, Timestamp};
use crate::state::{StateError, StorePosition};

/// A commit's buffer is kept for the next one up to about this size.
const ARENA_BYTES: usize = 4 << 20;

/// A changelog record of a commit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChangelogRecord<'a> {
    pub(crate) key: &'a [u8],
    /// `None` is a deletion.
    pub(crate) value: Option<&'a [u8]>,
    /// `None` leaves it to the broker.
    pub(crate) timestamp: Option<Timestamp>,
    pub(crate) headers: &'a Headers,
}

/// Takes the changelog records of a commit.
pub(crate) type EmitChange<'a> = dyn FnMut(ChangelogRecord<'_>) -> Result<(), Error> + 'a;

/// A store as its task sees it: something to commit, roll back, and restore.
pub(crate) trait ManagedStore {
    /// Whether rows have left the store since the last commit because they went downstream. Their
    /// changelog must not forget them before what came of them is acknowledged.
    fn gave_out(&self) -> bool {
        false
    }
    /// Serializes the rows written since the last commit and gives them out as changelog records: the
    /// latest per row, or every update where the store is asked for that.
    fn prepare_commit(&mut self, emit: &mut EmitChange<'_>) -> Result<(), Error>;
    /// Writes the prepared rows and the changelog position in one batch; they are committed then.
    fn finish_commit(
        &mut self,
        position: Option<StorePosition>,
        now_ms: Timestamp,
    ) -> Result<(), Error>;
    /// Applies changelog records and the position behind them in one batch.
    fn restore(&mut self, records: &dyn RecordBatch, position: StorePosition) -> Result<(), Error>;
    /// Where the committed rows stand in the changelog.
    fn position(&self) -> Result<Option<StorePosition>, Error>;
    /// Writes committed rows to disk.
    fn flush(&mut self) -> Result<(), Error>;
    /// Bytes of rows in memory that are not committed.
    fn uncommitted_bytes(&self) -> usize;
    /// About how many committed rows.
    fn approximate_rows(&self) -> u64;
    /// About how many bytes of committed rows.
    fn approximate_bytes(&self) -> u64;
    /// Loses no row when the user's code fails while it changes it, at the cost of a copy per change.
    fn keep_taken_rows(&mut self) {}
}

impl<V: Clone + 'static> ManagedStore for Rows<V> {
    fn keep_taken_rows(&mut self) {
        self.keep_taken = true;
    }

    fn prepare_commit(&mut self, emit: &mut EmitChange<'_>) -> Result<(), Error> {
        self.expire_some()?;
        self.committing.clear();
        self.arena.clear();
        let no_headers = Headers::new();
        for &id in &self.dirty {
            let Some(slot) = self.slots.get(id as usize) else { continue };
            if !slot.flags.dirty {
                continue;
            }
            let logs_headers = self.header_use.logs(slot.row.is_some());
            let headers = if logs_headers { &slot.headers } else { &no_headers };
            let stored_headers = (self.header_use == RowHeaders::Kept).then_some(&slot.headers);
            let from = self.arena.len();
            let (value, timestamp) = match &slot.row {
                None => (None, slot.written_at),
                Some(row) => {
                    let at = encode(&self.value_serde, row, stored_headers, &mut self.arena)?;
                    (self.arena.get(at..), row.timestamp)
                }
            };
            if self.log.is_none() && !slot.flags.unlogged {
                let timestamp = Some(timestamp);
                emit(ChangelogRecord { key: &slot.key, value, timestamp, headers })?;
            }
            let to = self.arena.len();
            self.committing.push(Committing { slot: id, from, to });
        }
        if let Some(log) = &mut self.log {
            log.emit(&self.slots, emit)?;
        }
        self.layout.freeze();
        Ok(())
    }

    fn finish_commit(
        &mut self,
        position: Option<StorePosition>,
        now_ms: Timestamp,
    ) -> Result<(), Error> {
        if !self.committing.is_empty() {
            self.write_batch(position)?;
        }
        for &id in &self.dirty {
            if let Some(slot) = self.slots.get_mut(id as usize) {
                slot.flags.dirty = false;
                slot.flags.listed = false;
                slot.flags.unlogged = false;
                slot.flags.existed &= slot.flags.pending;
                if matches!(self.header_use, RowHeaders::Logged | RowHeaders::OfDeletions) {
                    slot.headers = Headers::new();
                }
            }
        }
        self.dirty.clear();
        if let Some(order) = &mut self.order {
            order.clear();
        }
        if let Some(log) = &mut self.log {
            log.clear();
        }
        self.committing.clear();
        self.uncommitted_bytes = 0;
        // A burst must not hold its buffers for ever.
        if self.arena.capacity() > 4 * ARENA_BYTES {
            self.arena = Vec::new();
        }
        self.trim();
        self.backing.maintain(now_ms)?;
        Ok(())
    }

    fn restore(&mut self, records: &dyn RecordBatch, position: StorePosition) -> Result<(), Error> {
        let mut keys: Vec<(&[u8], usize)> = Vec::with_capacity(records.len());
        for index in 0..records.len() {
            if let Some(key) = records.record(index).key {
                self.layout.observe(key);
                keys.push((key, index));
            }
        }
        self.layout.freeze();
        self.layout.restored();
        // In order of the rows, of each row its last record: both make the write cheaper.
        keys.sort_by(|(a, _), (b, _)| self.layout.compare(Some(a), Some(b)));
        let mut batch = self.backing.batch();
        for (place, (key, index)) in keys.iter().enumerate() {
            let is_superseded = keys.get(place + 1).is_some_and(|(next, _)| next == key);
            if is_superseded || !self.layout.is_live(key) {
                continue;
            }
            let record = records.record(*index);
            self.layout.row_key(key, &mut self.key_bytes);
            match record.value {
                Some(value) => {
                    self.arena.clear();
                    let headers = (self.header_use == RowHeaders::Kept).then_some(&record.headers);
                    write_head(record.timestamp, headers, &mut self.arena);
                    self.arena.extend_from_slice(value);
                    batch.put(&self.key_bytes, &self.arena);
                }
                None => batch.delete(&self.key_bytes),
            }
        }
        if let Some((from, to)) = self.layout.expired() {
            batch.delete_range(&from, &to);
        }
        batch.commit(Some(position))?;
        Ok(())
    }

    fn position(&self) -> Result<Option<StorePosition>, Error> {
        Ok(self.backing.position()?)
    }

    fn flush(&mut self) -> Result<(), Error> {
        Ok(self.backing.flush()?)
    }

    fn uncommitted_bytes(&self) -> usize {
        self.uncommitted_bytes
    }

    fn approximate_rows(&self) -> u64 {
        self.backing.approximate_rows()
    }

    fn approximate_bytes(&self) -> u64 {
        self.backing.approximate_bytes()
    }
}

impl<V: Clone + 'static> Rows<V> {
    /// Commits rows that changelog records have led to, with the position behind these records, in one batch.
    pub(crate) fn commit_restored(&mut self, position: StorePosition) -> Result<(), Error> {
        self.prepare_commit(&mut |_| Ok(()))?;
        if self.committing.is_empty() {
            self.backing.batch().commit(Some(position))?;
        }
        self.finish_commit(Some(position), position.written_at_ms)
    }
}

impl<V> Rows<V> {
    /// Writes the prepared rows, sorted by key, with the position: one batch, so a crash leaves all of
    /// it or nothing.
    fn write_batch(&mut self, position: Option<StorePosition>) -> Result<(), StateError> {
        let slots = &self.slots;
        let key_of = |entry: &Committing| slots.get(entry.slot as usize).map(|slot| &*slot.key);
        self.committing.sort_unstable_by(|a, b| self.layout.compare(key_of(a), key_of(b)));
        let mut batch = self.backing.batch();
        for entry in &self.committing {
            let Some(key) = key_of(entry).filter(|key| self.layout.is_live(key)) else { continue };
            self.layout.row_key(key, &mut self.key_bytes);
            match self.arena.get(entry.from..entry.to) {
                Some(bytes) if !bytes.is_empty() => batch.put(&self.key_bytes, bytes),
                _ => batch.delete(&self.key_bytes),
            }
        }
        if let Some((from, to)) = self.layout.expired() {
            batch.delete_range(&from, &to);
        }
        batch.commit(position)
    }
}
