//! Folds the records of a key into one row of a versioned store: `count`, `reduce`, `aggregate` of tables that
//! keep their history.

use std::cell::RefCell;
use std::rc::Rc;

use super::fold::Update;
use super::row_errors::unwritable_key;
use crate::error::Error;
use crate::processor::context::{DropReason, TaskContext};
use crate::processor::{Change, Data, Node, Outlet};
use crate::record::Record;
use crate::serdes::ArcSerde;
use crate::state::rows::Stamped;
use crate::state::versioned::{PutOutcome, VersionedRows};

/// An aggregation without windows. Records with a null key or value are dropped, and those that would begin
/// a row further back than the history reaches. The record cache has no part in it.
pub(crate) struct VersionedAggregate<K, V, A> {
    pub(crate) name: String,
    pub(crate) key_serde: ArcSerde<K>,
    pub(crate) value_serde: ArcSerde<V>,
    pub(crate) update: Update<K, V, A>,
    pub(crate) rows: Rc<RefCell<VersionedRows<A>>>,
    /// Whether somebody downstream wants to know the value before.
    pub(crate) send_old: bool,
    pub(crate) next: Outlet<K, Change<A>>,
    pub(crate) key_bytes: Vec<u8>,
}

impl<K: Data, V: Data, A: Data> Node<K, V> for VersionedAggregate<K, V, A> {
    fn process(&mut self, task: &mut TaskContext, record: Record<K, V>) -> Result<(), Error> {
        if self.key_serde.is_null(&record.key) {
            task.drop_record(DropReason::NullKey);
            return Ok(());
        }
        if self.value_serde.is_null(&record.value) {
            task.drop_record(DropReason::NullValue);
            return Ok(());
        }
        self.key_bytes.clear();
        self.key_serde
            .serialize(&record.key, &mut self.key_bytes)
            .map_err(|error| unwritable_key(&self.name, error))?;
        let Record { key, value, timestamp, headers } = record;
        let mut rows = self.rows.borrow_mut();
        let before = rows.get(&self.key_bytes)?.map(Stamped::from);
        let timestamp = before.as_ref().map_or(timestamp, |row| timestamp.max(row.timestamp));
        let before = before.map(|row| row.value);
        let old = if self.send_old { self.update.told(before.clone()) } else { None };
        let new = self.update.apply(&key, value, before).filter(|new| !rows.is_null(new));
        let outcome = rows.put(&self.key_bytes, new.clone(), timestamp)?;
        drop(rows);
        if outcome == PutOutcome::TooOld {
            task.drop_record(DropReason::Late);
            return Ok(());
        }
        let value = Change { new, old, is_latest: outcome == PutOutcome::Latest };
        self.next.forward(task, Record { key, value, timestamp, headers })
    }
}
