//! Global tables: filled from a topic, and looked up by streams.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::row_errors::unwritable_key;
use crate::error::Error;
use crate::processor::context::{DropReason, TaskContext};
use crate::processor::{Data, Node, Outlet};
use crate::record::Record;
use crate::serdes::ArcSerde;
use crate::state::rows::{Rows, Stamped};

/// Keeps the latest value of each key. Records with a null key are dropped; a null value deletes the
/// row.
pub(crate) struct GlobalTableSource<K, V> {
    pub(crate) name: String,
    pub(crate) key_serde: ArcSerde<K>,
    pub(crate) rows: Rc<RefCell<Rows<V>>>,
    pub(crate) key_bytes: Vec<u8>,
}

impl<K: Data, V: Data> Node<K, Option<V>> for GlobalTableSource<K, V> {
    fn process(
        &mut self,
        task: &mut TaskContext,
        record: Record<K, Option<V>>,
    ) -> Result<(), Error> {
        let Record { key, value, timestamp, .. } = record;
        if self.key_serde.is_null(&key) {
            task.drop_record(DropReason::NullKey);
            return Ok(());
        }
        self.key_bytes.clear();
        self.key_serde
            .serialize(&key, &mut self.key_bytes)
            .map_err(|error| unwritable_key(&self.name, error))?;
        let row = value.map(|value| Stamped { value, timestamp });
        self.rows.borrow_mut().set(&self.key_bytes, row, timestamp)
    }
}

/// The key to look up for a stream's record; `None` for none.
pub(crate) type GlobalKeySelector<K, V, GK> = Arc<dyn Fn(&K, &V) -> Option<GK> + Send + Sync>;

/// A result of the record's key and value and the table's value, where there is one; `None` for none.
pub(crate) type GlobalJoiner<K, V, GV, VOut> =
    Arc<dyn Fn(&K, &V, Option<&GV>) -> Option<VOut> + Send + Sync>;

/// Looks each record up in a global table.
pub(crate) struct GlobalTableJoin<K, V, GK, GV, VOut> {
    pub(crate) name: String,
    pub(crate) left: bool,
    pub(crate) value_serde: ArcSerde<V>,
    pub(crate) selector: GlobalKeySelector<K, V, GK>,
    pub(crate) joiner: GlobalJoiner<K, V, GV, VOut>,
    pub(crate) global_key_serde: ArcSerde<GK>,
    pub(crate) rows: Rc<RefCell<Rows<GV>>>,
    pub(crate) next: Outlet<K, VOut>,
    pub(crate) key_bytes: Vec<u8>,
}

impl<K: Data, V: Data, GK: Data, GV: Data, VOut: Data> Node<K, V>
    for GlobalTableJoin<K, V, GK, GV, VOut>
{
    fn process(&mut self, task: &mut TaskContext, record: Record<K, V>) -> Result<(), Error> {
        if self.value_serde.is_null(&record.value) {
            task.drop_record(DropReason::NullValue);
            return Ok(());
        }
        let wanted = (self.selector)(&record.key, &record.value)
            .filter(|key| !self.global_key_serde.is_null(key));
        if wanted.is_none() && !self.left {
            task.drop_record(DropReason::NullKey);
            return Ok(());
        }
        let mut rows = self.rows.borrow_mut();
        let found = match &wanted {
            None => None,
            Some(key) => {
                self.key_bytes.clear();
                self.global_key_serde
                    .serialize(key, &mut self.key_bytes)
                    .map_err(|error| unwritable_key(&self.name, error))?;
                rows.get(&self.key_bytes)?
            }
        };
        let joined = (self.joiner)(&record.key, &record.value, found.map(|row| &row.value));
        // Nodes further down may look into the same table.
        drop(rows);
        match joined {
            Some(joined) => self.next.forward(task, record.with_value(joined)),
            None => Ok(()),
        }
    }
}
