//! Rows that another task writes: what is in memory of them is a cache, and this side only reads.

use super::Rows;
use crate::error::{Error, ErrorKind};

impl<V> Rows<V> {
    /// Forgets what is in memory if it is out of date, or too much.
    pub(super) fn refresh(&mut self) {
        let version = self.backing.foreign_version();
        if version == self.foreign && self.bytes <= self.budget.cached_bytes {
            return;
        }
        self.foreign = version;
        self.slots.clear();
        self.free.clear();
        self.index.clear();
        self.bytes = 0;
    }

    /// Refuses to write what another task writes.
    pub(super) fn check_writable(&self) -> Result<(), Error> {
        if self.foreign.is_none() {
            return Ok(());
        }
        let message = "a global store is written by its own processor only";
        Err(Error::new(ErrorKind::BadRecord, message))
    }
}
