//! Stores that retain duplicates: a deletion there removes nothing.

use super::{RowHeaders, Rows};
use crate::error::Error;
use crate::record::{Headers, Timestamp};

impl<V: Clone + 'static> Rows<V> {
    /// Notes the deletion of a key that has no row, in a store where every put has a key of its own: nothing
    /// changes, but a changelog that gets every update gets it. KAFKA: stores in memory take its time into
    /// account (`observe`), others do not.
    pub(crate) fn note_deletion(
        &mut self,
        key: &[u8],
        headers: Headers,
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
        let headers = (self.header_use != RowHeaders::Dropped).then_some(&headers);
        if let Some(log) = &mut self.log {
            let before = log.bytes();
            log.append(id.0, None, written_at, headers, &self.value_serde);
            self.uncommitted_bytes += log.bytes() - before;
        }
        Ok(())
    }
}
