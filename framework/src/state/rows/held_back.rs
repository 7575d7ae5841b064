//! What the record cache holds back: rows whose update waits for the next flush.

use super::{RowId, Rows};
use crate::record::{Headers, Timestamp};

/// Stale places are cleared away when they are this many times as many as the rows held back.
const STALE_FACTOR: usize = 4;

/// An update that the record cache gives out at a flush.
pub(crate) struct Pending<V> {
    pub(crate) key: Box<[u8]>,
    pub(crate) new: Option<V>,
    /// The value before the first update held back, if the store was asked to remember it.
    pub(crate) old: Option<V>,
    pub(crate) timestamp: Timestamp,
    pub(crate) headers: Headers,
}

/// The rows held back when a flush began.
pub(crate) struct PendingRows(Vec<u32>);

impl<V: Clone + 'static> Rows<V> {
    /// Marks a row that was just put as held back by the record cache. `old` is its value before, if those
    /// downstream want it.
    #[inline]
    pub(crate) fn hold_back(&mut self, id: RowId, headers: Headers, old: Option<V>) {
        let Some(slot) = self.slots.get_mut(id.0 as usize) else { return };
        slot.headers = headers;
        if !slot.flags.pending {
            slot.flags.pending = true;
            self.held_back += 1;
            if let Some(old) = old {
                self.replaced.insert(id.0, old);
            }
        } else if self.pending.last() == Some(&id.0) {
            return;
        }
        slot.pending_at = u32::try_from(self.pending.len()).unwrap_or(u32::MAX);
        self.pending.push(id.0);
        if self.pending.len() > 64 + STALE_FACTOR * self.held_back {
            self.clear_stale_places();
        }
    }

    /// Keeps each row's latest place only.
    #[cold]
    fn clear_stale_places(&mut self) {
        let (slots, mut from, mut to) = (&mut self.slots, 0, 0);
        self.pending.retain(|id| {
            let Some(slot) = slots.get_mut(*id as usize) else { return false };
            let counts = slot.pending_at == from;
            from += 1;
            if counts {
                slot.pending_at = to;
                to += 1;
            }
            counts
        });
    }

    /// Takes the list of rows held back, in the order of their latest updates, to be given out one by one
    /// with [`Rows::release`]. Rows that are held back meanwhile wait for the next call.
    pub(crate) fn begin_flush(&mut self) -> PendingRows {
        self.clear_stale_places();
        self.held_back = 0;
        // The changelog gets them in this order too: `release` lists them anew.
        let slots = &mut self.slots;
        self.dirty.retain(|id| {
            let Some(slot) = slots.get_mut(*id as usize) else { return false };
            slot.flags.listed = !slot.flags.pending;
            slot.flags.listed
        });
        PendingRows(std::mem::take(&mut self.pending))
    }

    /// Gives the list's memory back for the next flush.
    pub(crate) fn end_flush(&mut self, rows: PendingRows) {
        if self.pending.is_empty() {
            self.pending = rows.0;
            self.pending.clear();
        }
    }

    /// Gives out a row held back. A row that was created and deleted in between is news to nobody: it is
    /// neither forwarded nor logged. The same goes for the deletion of one that has expired.
    pub(crate) fn release(&mut self, rows: &PendingRows, index: usize) -> Option<Pending<V>> {
        let id = *rows.0.get(index)?;
        let slot = self.slots.get_mut(id as usize)?;
        let existed = std::mem::take(&mut slot.flags.existed);
        slot.flags.pending = false;
        let old = self.replaced.remove(&id);
        let headers = if self.header_use.logs(slot.row.is_some()) {
            slot.headers.clone()
        } else {
            std::mem::take(&mut slot.headers)
        };
        let expired = !self.layout.flush(&slot.key);
        if slot.row.is_none() && !existed {
            slot.flags.dirty = false;
            return None;
        }
        slot.flags.unlogged = slot.row.is_none() && expired;
        if slot.flags.dirty && !slot.flags.listed {
            slot.flags.listed = true;
            self.dirty.push(id);
        }
        if slot.flags.unlogged {
            return None;
        }
        let (new, timestamp) = match &slot.row {
            Some(row) => (Some(row.value.clone()), row.timestamp),
            None => (None, slot.written_at),
        };
        Some(Pending { key: slot.key.clone(), new, old, timestamp, headers })
    }
}

impl PendingRows {
    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
