//! The typed layer of a store: rows as values, in memory, above a [`RowStore`] of bytes.
//!
//! It is a read cache and the overlay of uncommitted rows in one table, found by the key's bytes. A
//! value is deserialized when it is first read and serialized when it is committed, however often it
//! changes in between.
//!
//! INVARIANT: a row marked dirty is in memory until it is committed or rolled back; the [`RowStore`]
//! only ever holds committed rows.

mod managed;
#[cfg(test)]
mod tests;

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::RowStore;
use super::key_layout::KeyLayout;
use crate::error::{Error, ErrorKind};
use crate::record::{Headers, Timestamp};
use crate::serdes::ArcSerde;
pub(crate) use managed::ManagedStore;

/// A value and the timestamp of its row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamped<V> {
    pub(crate) value: V,
    pub(crate) timestamp: Timestamp,
}

/// Where a row is in memory; valid until the store is next committed, rolled back or trimmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowId(u32);

/// What a row is waiting for.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent marks of a row, not a state")]
struct Flags {
    /// Written since the last commit.
    dirty: bool,
    /// Held back by the record cache: to be forwarded at the next flush.
    pending: bool,
    /// The row existed when it was first held back: deleting it is news to those downstream.
    existed: bool,
    /// Used since the last trim.
    used: bool,
}

struct Slot<V> {
    key: Box<[u8]>,
    row: Option<Stamped<V>>,
    /// Timestamp of the record that wrote the row last: that of a deletion's changelog record.
    written_at: Timestamp,
    /// Headers of that record, kept only while the row is pending.
    headers: Headers,
    bytes: u32,
    flags: Flags,
}

/// One row of the commit in progress.
struct Committing {
    slot: u32,
    /// Where its timestamp and value are in the arena; empty for a deletion.
    from: usize,
    to: usize,
}

/// An update that the record cache gives out at a flush.
pub(crate) struct Pending<V> {
    pub(crate) key: Box<[u8]>,
    pub(crate) new: Option<V>,
    pub(crate) timestamp: Timestamp,
    pub(crate) headers: Headers,
}

/// Memory bounds of one store's typed rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowBudget {
    /// Committed rows are dropped from memory above this many bytes.
    pub(crate) cached_bytes: usize,
}

/// The typed rows of one store.
pub(crate) struct Rows<V> {
    slots: Vec<Slot<V>>,
    free: Vec<u32>,
    index: HashTable<u32>,
    hasher: RandomState,
    /// Rows written since the last commit, in the order of their first write.
    dirty: Vec<u32>,
    /// Rows held back by the record cache, in the order of their first write.
    pending: Vec<u32>,
    bytes: usize,
    uncommitted_bytes: usize,
    budget: RowBudget,
    layout: KeyLayout,
    value_serde: ArcSerde<V>,
    backing: Box<dyn RowStore>,
    committing: Vec<Committing>,
    arena: Vec<u8>,
    /// Scratch for keys of the backing store.
    key_bytes: Vec<u8>,
}

/// Memory that a row takes beside its key and value: its slot and its place in the index.
const fn slot_bytes<V>() -> usize {
    size_of::<Slot<V>>() + 8
}

impl<V: Clone + 'static> Rows<V> {
    pub(crate) fn new(
        backing: Box<dyn RowStore>,
        layout: KeyLayout,
        value_serde: ArcSerde<V>,
        budget: RowBudget,
    ) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
            hasher: RandomState::default(),
            dirty: Vec::new(),
            pending: Vec::new(),
            bytes: 0,
            uncommitted_bytes: 0,
            budget,
            layout,
            value_serde,
            backing,
            committing: Vec::new(),
            arena: Vec::new(),
            key_bytes: Vec::new(),
        }
    }

    /// Whether a value is one that the store keeps as "no row".
    pub(crate) fn is_null(&self, value: &V) -> bool {
        self.value_serde.is_null(value)
    }

    /// Brings the row of `key` into memory, from the backing store if need be. A key without a row
    /// has a place too.
    #[inline]
    pub(crate) fn find(&mut self, key: &[u8]) -> Result<RowId, Error> {
        let hash = self.hasher.hash_one(key);
        let slots = &mut self.slots;
        let found = self
            .index
            .find(hash, |slot| slots.get(*slot as usize).is_some_and(|slot| &*slot.key == key));
        if let Some(&id) = found {
            if let Some(slot) = slots.get_mut(id as usize) {
                slot.flags.used = true;
            }
            return Ok(RowId(id));
        }
        self.load(hash, key)
    }

    #[cold]
    fn load(&mut self, hash: u64, key: &[u8]) -> Result<RowId, Error> {
        self.layout.row_key(key, &mut self.key_bytes);
        let serde = &self.value_serde;
        let mut row = Ok(None);
        self.backing.get(&self.key_bytes, &mut |bytes| row = decode(serde, bytes).map(Some))?;
        let row = row?;
        let bytes = slot_bytes::<V>()
            + key.len()
            + row.as_ref().map_or(0, |row| serde.memory_bytes(&row.value));
        let slot = Slot {
            key: key.into(),
            row,
            written_at: 0,
            headers: Headers::new(),
            bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
            flags: Flags { used: true, ..Flags::default() },
        };
        self.bytes += bytes;
        let id = if let Some(id) = self.free.pop() {
            if let Some(place) = self.slots.get_mut(id as usize) {
                *place = slot;
            }
            id
        } else {
            self.slots.push(slot);
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        };
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.index.insert_unique(hash, id, |slot| {
            slots.get(*slot as usize).map_or(0, |slot| hasher.hash_one(&*slot.key))
        });
        Ok(RowId(id))
    }

    /// Takes the row out to change it; [`Rows::put`] follows.
    #[inline]
    pub(crate) fn take(&mut self, id: RowId) -> Option<Stamped<V>> {
        let slot = self.slots.get_mut(id.0 as usize)?;
        // What `put` would need to know about the row that is now gone.
        slot.flags.existed |= !slot.flags.pending && slot.row.is_some();
        slot.row.take()
    }

    /// Sets or removes a row. `written_at` is the timestamp of the record that causes it.
    #[inline]
    pub(crate) fn put(&mut self, id: RowId, row: Option<Stamped<V>>, written_at: Timestamp) {
        let Some(slot) = self.slots.get_mut(id.0 as usize) else { return };
        let bytes = slot_bytes::<V>()
            + slot.key.len()
            + row.as_ref().map_or(0, |row| self.value_serde.memory_bytes(&row.value));
        let old_bytes = slot.bytes as usize;
        slot.bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.bytes = self.bytes + bytes - old_bytes;
        slot.flags.existed |= !slot.flags.pending && slot.row.is_some();
        slot.row = row;
        slot.written_at = written_at;
        self.layout.observe(&slot.key);
        if slot.flags.dirty {
            self.uncommitted_bytes = self.uncommitted_bytes + bytes - old_bytes;
        } else {
            slot.flags.dirty = true;
            self.dirty.push(id.0);
            self.uncommitted_bytes += bytes;
        }
    }

    /// Marks a row that was just put as held back by the record cache.
    #[inline]
    pub(crate) fn hold_back(&mut self, id: RowId, headers: Headers) {
        let Some(slot) = self.slots.get_mut(id.0 as usize) else { return };
        slot.headers = headers;
        if !slot.flags.pending {
            slot.flags.pending = true;
            self.pending.push(id.0);
        }
    }

    /// Gives out the updates held back, in the order of their first write. A row that was created and
    /// deleted in between is news to nobody: it is neither forwarded nor logged.
    pub(crate) fn take_pending(
        &mut self,
        mut give: impl FnMut(Pending<V>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let pending = std::mem::take(&mut self.pending);
        for &id in &pending {
            let Some(slot) = self.slots.get_mut(id as usize) else { continue };
            let existed = std::mem::take(&mut slot.flags.existed);
            slot.flags.pending = false;
            let headers = std::mem::take(&mut slot.headers);
            let (new, timestamp) = match &slot.row {
                Some(row) => (Some(row.value.clone()), row.timestamp),
                None if existed => (None, slot.written_at),
                None => {
                    slot.flags.dirty = false;
                    continue;
                }
            };
            give(Pending { key: slot.key.clone(), new, timestamp, headers })?;
        }
        let mut empty = pending;
        empty.clear();
        if self.pending.is_empty() {
            self.pending = empty;
        }
        Ok(())
    }

    /// Drops committed rows from memory until they are well within the budget: those not used since
    /// the last time first.
    fn trim(&mut self) {
        if self.bytes <= self.budget.cached_bytes {
            return;
        }
        // Room for a while: each pass looks at every row.
        let enough = self.budget.cached_bytes - self.budget.cached_bytes / 4;
        self.evict(enough, |flags| !flags.used);
        self.evict(enough, |_| true);
        for slot in &mut self.slots {
            slot.flags.used = false;
        }
    }

    /// Drops committed rows until they take `enough` bytes, in no particular order.
    fn evict(&mut self, enough: usize, which: impl Fn(Flags) -> bool) {
        let (slots, free, bytes) = (&mut self.slots, &mut self.free, &mut self.bytes);
        self.index.retain(|id| {
            let Some(slot) = slots.get_mut(*id as usize) else { return false };
            let needed = slot.flags.dirty || slot.flags.pending;
            if *bytes <= enough || needed || !which(slot.flags) {
                return true;
            }
            *bytes = bytes.saturating_sub(slot.bytes as usize);
            slot.key = Box::default();
            slot.row = None;
            free.push(*id);
            false
        });
    }

    /// Shows every row, committed or not, in the order of changelog keys.
    #[cfg(any(test, feature = "__test-utils"))]
    pub(crate) fn for_each_row(
        &self,
        show: &mut dyn FnMut(&[u8], &Stamped<V>),
    ) -> Result<(), Error> {
        let mut rows = std::collections::BTreeMap::<Vec<u8>, Stamped<V>>::new();
        let mut failed = None;
        self.backing.scan(&[], None, false, &mut |key, bytes| match decode(
            &self.value_serde,
            bytes,
        ) {
            Ok(row) => {
                rows.insert(self.layout.changelog_key(key).to_vec(), row);
                true
            }
            Err(error) => {
                failed = Some(error);
                false
            }
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        for &id in &self.dirty {
            let Some(slot) = self.slots.get(id as usize) else { continue };
            match &slot.row {
                Some(row) => drop(rows.insert(slot.key.to_vec(), row.clone())),
                None => drop(rows.remove(&*slot.key)),
            }
        }
        for (key, row) in &rows {
            if self.layout.is_live(key) {
                show(key, row);
            }
        }
        Ok(())
    }
}

const TIMESTAMP_BYTES: usize = 8;

/// Reads a row of the backing store: its timestamp, then its value.
fn decode<V: 'static>(serde: &ArcSerde<V>, bytes: &[u8]) -> Result<Stamped<V>, Error> {
    let Some((timestamp, value)) = bytes.split_first_chunk::<TIMESTAMP_BYTES>() else {
        return Err(Error::new(
            ErrorKind::TaskCorrupted,
            "a stored row is shorter than its timestamp",
        ));
    };
    let value = serde.deserialize(value).map_err(|error| {
        Error::new(ErrorKind::Fatal, "a stored value cannot be read; was the store's type changed?")
            .with_source(error)
    })?;
    Ok(Stamped { value, timestamp: i64::from_be_bytes(*timestamp) })
}
