//! The rows of a table that an operator keeps in a store of its own.

use std::cell::RefCell;
use std::rc::Rc;

use super::aggregate::unwritable_key;
use super::held_back::forward_held_back;
use crate::error::Error;
use crate::processor::context::TaskContext;
use crate::processor::{Change, Data, Outlet};
use crate::record::{Headers, Timestamp};
use crate::serdes::ArcSerde;
use crate::state::rows::{Rows, Stamped};

/// Rows under their keys as they are.
pub(crate) struct KeptRows<K, V> {
    /// The node, for errors.
    pub(crate) node: String,
    pub(crate) key_serde: ArcSerde<K>,
    pub(crate) rows: Rc<RefCell<Rows<V>>>,
    /// Whether the record cache holds updates back until the task commits.
    pub(crate) caching: bool,
    /// Whether updates carry the value that they replace.
    pub(crate) send_old: bool,
    pub(crate) key_bytes: Vec<u8>,
}

impl<K: Data, V: Data> KeptRows<K, V> {
    /// The key's value now.
    pub(crate) fn value(&mut self, key: &K) -> Result<Option<V>, Error> {
        self.write_key(key)?;
        Ok(self.rows.borrow_mut().get(&self.key_bytes)?.map(|row| row.value.clone()))
    }

    /// Whether a value is one that the store keeps as "no row".
    pub(crate) fn is_null(&self, value: &V) -> bool {
        self.rows.borrow().is_null(value)
    }

    /// Sets the key's row. Answers whether the update is to be forwarded now; otherwise it waits for the
    /// commit.
    pub(crate) fn put(
        &mut self,
        key: &K,
        new: Option<&V>,
        timestamp: Timestamp,
        headers: &Headers,
    ) -> Result<bool, Error> {
        self.write_key(key)?;
        let mut rows = self.rows.borrow_mut();
        let id = rows.find(&self.key_bytes)?;
        let old = if self.caching && self.send_old { rows.take(id) } else { None };
        let row = new.map(|value| Stamped { value: value.clone(), timestamp });
        rows.put(id, row, timestamp);
        if self.caching {
            rows.hold_back(id, headers.clone(), old.map(|old| old.value));
        }
        Ok(!self.caching)
    }

    /// Forwards what waits.
    pub(crate) fn flush(
        &self,
        next: &Outlet<K, Change<V>>,
        task: &mut TaskContext,
    ) -> Result<(), Error> {
        forward_held_back(&self.node, &self.rows, next, task, |key| self.key_serde.deserialize(key))
    }

    fn write_key(&mut self, key: &K) -> Result<(), Error> {
        self.key_bytes.clear();
        self.key_serde
            .serialize(key, &mut self.key_bytes)
            .map_err(|error| unwritable_key(&self.node, error))
    }
}
