//! The rows of a table that an operator keeps in a store of its own.

use super::held_back::forward_held_back;
use super::row_errors::unwritable_key;
use super::table_rows::TableRows;
use crate::error::Error;
use crate::processor::context::{DropReason, TaskContext};
use crate::processor::{Change, Data, Outlet};
use crate::record::{Headers, Timestamp};
use crate::serdes::ArcSerde;
use crate::state::rows::Stamped;
use crate::state::versioned::PutOutcome;

/// Rows under their keys as they are.
pub(crate) struct KeptRows<K, V> {
    /// The node, for errors.
    pub(crate) node: String,
    pub(crate) key_serde: ArcSerde<K>,
    pub(crate) rows: TableRows<V>,
    /// Whether the record cache holds updates back until the task commits.
    pub(crate) caching: bool,
    /// Whether updates carry the value that they replace.
    pub(crate) send_old: bool,
    pub(crate) key_bytes: Vec<u8>,
}

/// What is to be done with an update that was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It goes on now.
    Forward {
        /// See [`Change::is_latest`].
        is_latest: bool,
    },
    /// It waits for the commit, or was too old.
    Quiet,
}

impl Kept {
    /// Of an update that was put to a versioned store.
    pub(crate) fn of_versioned(task: &mut TaskContext, put: PutOutcome) -> Self {
        if put == PutOutcome::TooOld {
            task.drop_record(DropReason::Late);
            return Self::Quiet;
        }
        Self::Forward { is_latest: put == PutOutcome::Latest }
    }
}

impl<K: Data, V: Data> KeptRows<K, V> {
    /// The key's value now.
    pub(crate) fn value(&mut self, key: &K) -> Result<Option<V>, Error> {
        self.write_key(key)?;
        Ok(self.rows.get(&self.key_bytes)?.map(|row| row.value))
    }

    /// Whether a value is one that the store keeps as "no row".
    pub(crate) fn is_null(&self, value: &V) -> bool {
        self.rows.is_null(value)
    }

    /// Sets the key's row.
    #[expect(clippy::too_many_arguments, reason = "the parts of a record, none of them owned")]
    pub(crate) fn put(
        &mut self,
        task: &mut TaskContext,
        key: &K,
        new: Option<&V>,
        timestamp: Timestamp,
        headers: &Headers,
    ) -> Result<Kept, Error> {
        self.write_key(key)?;
        let rows = match &self.rows {
            TableRows::Latest(rows) => rows,
            TableRows::Versioned(rows) => {
                let put = rows.borrow_mut().put(&self.key_bytes, new.cloned(), timestamp)?;
                return Ok(Kept::of_versioned(task, put));
            }
        };
        let mut rows = rows.borrow_mut();
        let id = rows.find(&self.key_bytes)?;
        let old = if self.caching && self.send_old { rows.take(id) } else { None };
        let row = new.map(|value| Stamped { value: value.clone(), timestamp });
        if row.is_none() {
            rows.put_deletion_headers(id, headers);
        }
        rows.put(id, row, timestamp);
        if self.caching {
            rows.hold_back(id, headers.clone(), old.map(|old| old.value));
        }
        Ok(if self.caching { Kept::Quiet } else { Kept::Forward { is_latest: true } })
    }

    /// Forwards what waits.
    pub(crate) fn flush(
        &self,
        next: &Outlet<K, Change<V>>,
        task: &mut TaskContext,
    ) -> Result<(), Error> {
        let TableRows::Latest(rows) = &self.rows else { return Ok(()) };
        forward_held_back(&self.node, rows, next, task, |key| self.key_serde.deserialize(key))
    }

    fn write_key(&mut self, key: &K) -> Result<(), Error> {
        self.key_bytes.clear();
        self.key_serde
            .serialize(key, &mut self.key_bytes)
            .map_err(|error| unwritable_key(&self.node, error))
    }
}
