//! Stores that retain duplicates: every put has a key of its own, and a deletion removes nothing.

use std::hash::BuildHasher;

use super::{RowHeaders, RowId, Rows, Stamped};
use crate::error::Error;
use crate::record::{Headers, Timestamp};

impl<V: Clone + 'static> Rows<V> {
    /// [`Rows::set_with_headers`] of a key that the backing store does not have: it is not asked.
    pub(crate) fn add(
        &mut self,
        key: &[u8],
        row: Stamped<V>,
        headers: Headers,
        written_at: Timestamp,
    ) {
        let hash = self.hasher.hash_one(key);
        let slots = &self.slots;
        let found = self
            .index
            .find(hash, |slot| slots.get(*slot as usize).is_some_and(|slot| &*slot.key == key))
            .copied();
        let id = match found {
            Some(id) => RowId(id),
            None => self.place(hash, key, None, Headers::new()),
        };
        self.put_headers(id, headers);
        self.put(id, Some(row), written_at);
    }

    /// About how many bytes of memory a value takes.
    pub(crate) fn memory_bytes(&self, value: &V) -> usize {
        self.value_serde.memory_bytes(value)
    }

    /// A time that all rows are before.
    pub(crate) fn written_until(&self) -> Timestamp {
        self.layout.written_until()
    }

    /// Notes the deletion of a key that has no row, in a store where every put has a key of its own: nothing
    /// changes, but a changelog that gets every update gets it. KAFKA: stores in memory take its time into
    /// account (`observe`), others do not.
    pub(crate) fn note_deletion(
        &mut self,
        key: &[u8],
        headers: &Headers,
        written_at: Timestamp,
        observe: bool,
    ) -> Result<(), Error> {
        if observe {
            self.layout.observe(key);
        }
        if self.log.is_none() {
            return Ok(());
        }
        let id = self.find(key)?;
        let headers = (self.header_use != RowHeaders::Dropped).then_some(headers);
        if let Some(log) = &mut self.log {
            let before = log.bytes();
            log.append(id.0, (None, written_at), headers, &self.value_serde);
            self.uncommitted_bytes += log.bytes() - before;
        }
        Ok(())
    }
}
