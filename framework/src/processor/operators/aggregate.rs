//! Folds the records of a key into one row: `count`, `reduce`, `aggregate`.

use super::fold::{Fold, Folded};
use super::held_back::forward_held_back;
use super::row_errors::unwritable_key;
use crate::error::Error;
use crate::processor::context::{DropReason, TaskContext};
use crate::processor::{Change, Data, Flush, Node, Outlet};
use crate::record::Record;
use crate::serdes::ArcSerde;

/// An aggregation without windows. Records with a null key or value are dropped.
pub(crate) struct Aggregate<K, V, A> {
    pub(crate) name: String,
    pub(crate) key_serde: ArcSerde<K>,
    pub(crate) value_serde: ArcSerde<V>,
    pub(crate) fold: Fold<K, V, A>,
    pub(crate) next: Outlet<K, Change<A>>,
    pub(crate) key_bytes: Vec<u8>,
}

impl<K: Data, V: Data, A: Data> Node<K, V> for Aggregate<K, V, A> {
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
        let looked_at = Record { key: &key, value, timestamp, headers };
        let has_children = !self.next.is_empty();
        match self.fold.fold(&self.key_bytes, looked_at, has_children)? {
            None => Ok(()),
            Some(Folded { value, timestamp, headers }) => {
                self.next.forward(task, Record { key, value, timestamp, headers })
            }
        }
    }
}

impl<K: Data, V: Data, A: Data> Flush for Aggregate<K, V, A> {
    fn flush(&mut self, task: &mut TaskContext) -> Result<(), Error> {
        let key_serde = &self.key_serde;
        forward_held_back(&self.name, &self.fold.rows, &self.next, task, |key| {
            key_serde.deserialize(key)
        })
    }
}
