//! Rows behind their store's retention, which nobody else sees: still there for whom they concern last.

use super::{Rows, Stamped};
use crate::error::Error;
use crate::record::Timestamp;

impl<V: Clone + 'static> Rows<V> {
    /// The highest time that the store has seen: of a window its start, of a session its end.
    pub(crate) fn observed(&self) -> Timestamp {
        self.layout.observed()
    }

    /// The row of `key`, also if it has expired since the last commit.
    pub(crate) fn get_even_expired(&mut self, key: &[u8]) -> Result<Option<&Stamped<V>>, Error> {
        let id = self.find(key)?;
        Ok(self.slots.get(id.0 as usize).and_then(|slot| slot.row.as_ref()))
    }
}
