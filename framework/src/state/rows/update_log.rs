//! Every update of a store since its last commit, for changelogs that get them all.

use super::row_bytes::unwritable;
use super::{Slot, Stamped};
use crate::error::Error;
use crate::record::{Headers, Timestamp};
use crate::serdes::ArcSerde;
use crate::state::rows::managed::{ChangelogRecord, EmitChange};

/// Updates in the order in which they were made, their values serialized.
#[derive(Default)]
pub(super) struct UpdateLog {
    updates: Vec<Update>,
    values: Vec<u8>,
    /// The first value that could not be written; reported at the commit.
    failed: Option<Error>,
}

struct Update {
    slot: u32,
    /// The end of the value in `values`, which begins where the last one ends; `None` is a deletion.
    value_end: Option<usize>,
    timestamp: Timestamp,
    headers: Headers,
}

impl UpdateLog {
    /// Notes an update.
    pub(super) fn append<V: 'static>(
        &mut self,
        slot: u32,
        (row, written_at): (Option<&Stamped<V>>, Timestamp),
        headers: Option<&Headers>,
        serde: &ArcSerde<V>,
    ) {
        let (value_end, timestamp) = match row {
            None => (None, written_at),
            Some(row) => {
                if let Err(error) = serde.serialize(&row.value, &mut self.values) {
                    self.failed.get_or_insert_with(|| unwritable(error));
                }
                (Some(self.values.len()), row.timestamp)
            }
        };
        let headers = headers.cloned().unwrap_or_default();
        self.updates.push(Update { slot, value_end, timestamp, headers });
    }

    /// Gives the updates out as changelog records.
    pub(super) fn emit<V>(
        &mut self,
        slots: &[Slot<V>],
        emit: &mut EmitChange<'_>,
    ) -> Result<(), Error> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let mut from = 0;
        for update in &self.updates {
            let Some(slot) = slots.get(update.slot as usize) else { continue };
            let value = update
                .value_end
                .and_then(|to| self.values.get(std::mem::replace(&mut from, to)..to));
            emit(ChangelogRecord {
                key: &slot.key,
                value,
                timestamp: Some(update.timestamp),
                headers: &update.headers,
            })?;
        }
        Ok(())
    }

    /// Forgets what is committed.
    pub(super) fn clear(&mut self) {
        self.updates.clear();
        self.values.clear();
    }

    /// Bytes of memory in use.
    pub(super) fn bytes(&self) -> usize {
        self.values.len() + self.updates.len() * size_of::<Update>()
    }
}
