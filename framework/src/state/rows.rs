//! The typed layer of a store: rows as values, in memory, above a [`RowStore`] of bytes.
//!
//! It is a read cache and the overlay of uncommitted rows in one table, found by the key's bytes. A
//! value is deserialized when it is first read and serialized when it is committed, however often it
//! changes in between.
//!
//! INVARIANT: a row marked dirty is in memory until it is committed or rolled back; the [`RowStore`]
//! only ever holds committed rows.

mod duplicates;
mod expired;
mod foreign;
mod held_back;
mod managed;
mod row_bytes;
mod scan;
#[cfg(test)]
mod tests;
mod ttl;
mod update_log;

use std::collections::BTreeMap;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashTable};

use super::RowStore;
use super::key_layout::KeyLayout;
use crate::error::Error;
use crate::record::{Headers, Timestamp};
use crate::serdes::ArcSerde;
pub(crate) use managed::{ChangelogRecord, EmitChange, ManagedStore};
use row_bytes::decode;
pub(crate) use scan::VisitRowWithHeaders;
pub(crate) use ttl::{Sweep, TimeToLive};
use update_log::UpdateLog;

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
    /// In the list of dirty rows.
    listed: bool,
    /// Held back by the record cache: to be forwarded at the next flush.
    pending: bool,
    /// The row existed when it was first held back: deleting it is news to those downstream.
    existed: bool,
    /// Deleted when it had expired: the changelog is not told.
    unlogged: bool,
    /// Used since the last trim.
    used: bool,
}

struct Slot<V> {
    key: Box<[u8]>,
    row: Option<Stamped<V>>,
    /// Timestamp of the record that wrote the row last: that of a deletion's changelog record.
    written_at: Timestamp,
    /// Headers of that record, kept while the row is pending; in a store with headers, those of the row.
    headers: Headers,
    bytes: u32,
    /// The row's latest place among those held back.
    pending_at: u32,
    flags: Flags,
}

/// One row of the commit in progress.
struct Committing {
    slot: u32,
    /// Where its timestamp and value are in the arena; empty for a deletion.
    from: usize,
    to: usize,
}

/// Memory bounds of one store's typed rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowBudget {
    /// Committed rows are dropped from memory above this many bytes.
    pub(crate) cached_bytes: usize,
}

/// What a store does with the headers of the records that write its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum RowHeaders {
    /// Nothing.
    #[default]
    Dropped,
    /// They go to the changelog, and are not kept.
    Logged,
    /// Those of deletions go to the changelog, and are not kept.
    OfDeletions,
    /// They belong to the row.
    Kept,
}

impl RowHeaders {
    /// Whether the changelog record of a row, or of a deletion, has headers.
    fn logs(self, is_row: bool) -> bool {
        match self {
            Self::Dropped => false,
            Self::Logged | Self::Kept => true,
            Self::OfDeletions => !is_row,
        }
    }
}

/// How one store treats its rows, whatever their type.
#[derive(Debug, Clone)]
pub(crate) struct RowsOptions {
    pub(crate) layout: KeyLayout,
    pub(crate) budget: RowBudget,
    pub(crate) headers: RowHeaders,
    /// Whether the changelog gets every update instead of the latest per key.
    pub(crate) log_every_update: bool,
}

/// The typed rows of one store.
pub(crate) struct Rows<V> {
    slots: Vec<Slot<V>>,
    free: Vec<u32>,
    index: HashTable<u32>,
    hasher: RandomState,
    /// Rows written since the last commit: in the order of their first write, or of their flush where the
    /// record cache held them back.
    dirty: Vec<u32>,
    /// Rows held back by the record cache, in the order of their writes; only a row's latest place counts.
    pending: Vec<u32>,
    /// How many of these places count.
    held_back: usize,
    /// Values before the rows held back were first written, where somebody wants them.
    replaced: HashMap<u32, V, RandomState>,
    /// Dirty rows by row key; kept from the first scan on.
    order: Option<BTreeMap<Box<[u8]>, u32>>,
    /// Every update since the last commit, where the changelog gets them all.
    log: Option<UpdateLog>,
    header_use: RowHeaders,
    /// How long rows live, where they do not live for ever, and the search for old ones.
    ttl: Option<Box<(TimeToLive, Sweep)>>,
    bytes: usize,
    uncommitted_bytes: usize,
    budget: RowBudget,
    layout: KeyLayout,
    value_serde: ArcSerde<V>,
    backing: Box<dyn RowStore>,
    committing: Vec<Committing>,
    arena: Vec<u8>,
    /// Whether a row that is taken out stays until `put`: what changes it may fail, and the task go on.
    keep_taken: bool,
    /// Of rows that another writes: the state of theirs that ours are of.
    foreign: Option<u64>,
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
        value_serde: ArcSerde<V>,
        options: RowsOptions,
    ) -> Result<Self, Error> {
        let RowsOptions { mut layout, budget, headers, log_every_update } = options;
        if layout != KeyLayout::Plain {
            backing.scan(&[], None, true, &mut |row_key, _| {
                layout.opened(row_key);
                false
            })?;
        }
        Ok(Self {
            slots: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
            hasher: RandomState::default(),
            dirty: Vec::new(),
            pending: Vec::new(),
            held_back: 0,
            replaced: HashMap::default(),
            order: None,
            log: log_every_update.then(UpdateLog::default),
            header_use: headers,
            ttl: None,
            bytes: 0,
            uncommitted_bytes: 0,
            budget,
            layout,
            value_serde,
            foreign: backing.foreign_version(),
            backing,
            committing: Vec::new(),
            arena: Vec::new(),
            keep_taken: false,
            key_bytes: Vec::new(),
        })
    }

    /// Whether a value is one that the store keeps as "no row".
    pub(crate) fn is_null(&self, value: &V) -> bool {
        self.value_serde.is_null(value)
    }

    /// Brings the row of `key` into memory, from the backing store if need be. A key without a row
    /// has a place too.
    #[inline]
    pub(crate) fn find(&mut self, key: &[u8]) -> Result<RowId, Error> {
        if self.foreign.is_some() {
            self.refresh()?;
        }
        let id = self.look_up(key)?;
        if self.ttl.is_some() && self.foreign.is_none() {
            self.expire(id);
        }
        Ok(id)
    }

    #[inline]
    fn look_up(&mut self, key: &[u8]) -> Result<RowId, Error> {
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
        let with_headers = self.header_use == RowHeaders::Kept;
        let mut found = Ok(None);
        self.backing.get(&self.key_bytes, &mut |bytes| {
            found = decode(serde, with_headers, bytes).map(Some);
        })?;
        let (row, headers) = match found? {
            Some((row, headers)) => (Some(row), headers),
            None => (None, Headers::new()),
        };
        Ok(self.place(hash, key, row, headers))
    }

    /// Gives a key that has none a place in memory.
    fn place(&mut self, hash: u64, key: &[u8], row: Option<Stamped<V>>, headers: Headers) -> RowId {
        let value_bytes = row.as_ref().map_or(0, |row| self.value_serde.memory_bytes(&row.value));
        let bytes = slot_bytes::<V>() + key.len() + value_bytes;
        let slot = Slot {
            key: key.into(),
            row,
            written_at: 0,
            headers,
            bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
            pending_at: 0,
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
        RowId(id)
    }

    /// Takes the row out to change it; [`Rows::put`] follows.
    #[inline]
    pub(crate) fn take(&mut self, id: RowId) -> Option<Stamped<V>> {
        let slot = self.slots.get_mut(id.0 as usize)?;
        if self.keep_taken {
            return slot.row.clone();
        }
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
        slot.flags.unlogged = false;
        self.layout.observe(&slot.key);
        if slot.flags.dirty {
            self.uncommitted_bytes = self.uncommitted_bytes + bytes - old_bytes;
        } else {
            slot.flags.dirty = true;
            self.uncommitted_bytes += bytes;
            if let Some(order) = &mut self.order {
                self.layout.row_key(&slot.key, &mut self.key_bytes);
                order.insert(self.key_bytes.as_slice().into(), id.0);
            }
        }
        if !slot.flags.listed {
            slot.flags.listed = true;
            self.dirty.push(id.0);
        }
        if let (Some(ttl), Some(row)) = (&mut self.ttl, &slot.row) {
            ttl.1.note(row.timestamp);
        }
        if let Some(log) = &mut self.log {
            let row = slot.row.as_ref();
            let headers = self.header_use.logs(row.is_some()).then_some(&slot.headers);
            let before = log.bytes();
            log.append(id.0, (row, written_at), headers, &self.value_serde);
            self.uncommitted_bytes += log.bytes() - before;
        }
    }

    /// Sets the headers that belong to the next [`Rows::put`] of the row; for stores that keep or log
    /// them.
    pub(crate) fn put_headers(&mut self, id: RowId, headers: Headers) {
        if let Some(slot) = self.slots.get_mut(id.0 as usize) {
            slot.headers = headers;
        }
    }

    /// [`Rows::put_headers`] where the changelog gets the headers of deletions.
    #[inline]
    pub(crate) fn put_deletion_headers(&mut self, id: RowId, headers: &Headers) {
        if self.header_use == RowHeaders::OfDeletions {
            self.put_headers(id, headers.clone());
        }
    }

    /// The row of `key`; none if it has expired.
    pub(crate) fn get(&mut self, key: &[u8]) -> Result<Option<&Stamped<V>>, Error> {
        let id = self.find(key)?;
        let live = self.layout.is_live(key);
        let row = self.slots.get(id.0 as usize).and_then(|slot| slot.row.as_ref());
        Ok(row.filter(|row| live && !self.is_expired(row)))
    }

    /// The row of `key` with its headers, in a store that keeps them; none if it has expired.
    pub(crate) fn get_with_headers(
        &mut self,
        key: &[u8],
    ) -> Result<Option<(&Stamped<V>, &Headers)>, Error> {
        let id = self.find(key)?;
        let live = self.layout.is_live(key);
        let slot = self.slots.get(id.0 as usize).filter(|_| live);
        let row = slot.and_then(|slot| Some((slot.row.as_ref()?, &slot.headers)));
        Ok(row.filter(|(row, _)| !self.is_expired(row)))
    }

    /// Sets or removes the row of `key`. `written_at` is the timestamp of the record that causes it.
    pub(crate) fn set(
        &mut self,
        key: &[u8],
        row: Option<Stamped<V>>,
        written_at: Timestamp,
    ) -> Result<(), Error> {
        self.check_writable()?;
        let id = self.find(key)?;
        self.put(id, row, written_at);
        Ok(())
    }

    /// [`Rows::set`] with headers, for stores that keep or log them.
    pub(crate) fn set_with_headers(
        &mut self,
        key: &[u8],
        row: Option<Stamped<V>>,
        headers: Headers,
        written_at: Timestamp,
    ) -> Result<(), Error> {
        self.check_writable()?;
        let id = self.find(key)?;
        self.put_headers(id, headers);
        self.put(id, row, written_at);
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
}
