//! A topic as a table: each record is the row's new value.

use super::held_back::forward_held_back;
use super::kept_rows::Kept;
use super::row_errors::unwritable_key;
use super::table_rows::TableRows;
use crate::error::Error;
use crate::processor::context::{DropReason, TaskContext};
use crate::processor::{Change, Data, Flush, Node, Outlet};
use crate::record::Record;
use crate::serdes::ArcSerde;
use crate::state::rows::Stamped;

/// The store of a table, if it has one.
pub(crate) struct TableStore<V> {
    pub(crate) rows: TableRows<V>,
    pub(crate) caching: bool,
    /// Whether somebody downstream wants to know the value before.
    pub(crate) send_old: bool,
}

/// Turns records into updates, and keeps the rows if the table is materialized. Records with a null
/// key are dropped; a null value deletes the row.
pub(crate) struct TableSource<K, V> {
    pub(crate) name: String,
    pub(crate) key_serde: ArcSerde<K>,
    pub(crate) store: Option<TableStore<V>>,
    pub(crate) next: Outlet<K, Change<V>>,
    pub(crate) key_bytes: Vec<u8>,
}

impl<K: Data, I: Data + Into<Option<V>>, V: Data> Node<K, I> for TableSource<K, V> {
    fn process(&mut self, task: &mut TaskContext, record: Record<K, I>) -> Result<(), Error> {
        if self.key_serde.is_null(&record.key) {
            task.drop_record(DropReason::NullKey);
            return Ok(());
        }
        let Record { key, value, timestamp, headers } = record;
        let new: Option<V> = value.into();
        let (mut old, mut is_latest) = (None, true);
        if let Some(store) = &self.store {
            self.key_bytes.clear();
            self.key_serde
                .serialize(&key, &mut self.key_bytes)
                .map_err(|error| unwritable_key(&self.name, error))?;
            match &store.rows {
                TableRows::Latest(rows) => {
                    let mut rows = rows.borrow_mut();
                    let id = rows.find(&self.key_bytes)?;
                    if store.send_old {
                        old = rows.take(id).map(|row| row.value);
                    }
                    let row = new.clone().map(|value| Stamped { value, timestamp });
                    if row.is_none() {
                        rows.put_deletion_headers(id, &headers);
                    }
                    rows.put(id, row, timestamp);
                    if store.caching {
                        rows.hold_back(id, headers, old);
                        return Ok(());
                    }
                }
                TableRows::Versioned(rows) => {
                    if store.send_old {
                        old = store.rows.get(&self.key_bytes)?.map(|row| row.value);
                    }
                    let put = rows.borrow_mut().put(&self.key_bytes, new.clone(), timestamp)?;
                    match Kept::of_versioned(task, put) {
                        Kept::Forward { is_latest: latest } => is_latest = latest,
                        Kept::Quiet => return Ok(()),
                    }
                }
            }
        }
        let value = Change { new, old, is_latest };
        self.next.forward(task, Record { key, value, timestamp, headers })
    }
}

impl<K: Data, V: Data> Flush for TableSource<K, V> {
    fn flush(&mut self, task: &mut TaskContext) -> Result<(), Error> {
        let Some(TableStore { rows: TableRows::Latest(rows), .. }) = &self.store else {
            return Ok(());
        };
        let key_serde = &self.key_serde;
        forward_held_back(&self.name, rows, &self.next, task, |key| key_serde.deserialize(key))
    }
}
