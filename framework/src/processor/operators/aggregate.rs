//! Folds the records of a key into one row: `count`, `reduce`, `aggregate`.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use crate::error::{Error, ErrorKind};
use crate::processor::context::{DropReason, TaskContext};
use crate::processor::{Change, Data, Flush, Node, Outlet};
use crate::record::Record;
use crate::serdes::{ArcSerde, SerdeError};
use crate::state::rows::{Rows, Stamped};

/// The row's next value from key, record value and present value; `None` deletes the row.
pub(crate) type Update<K, V, A> = Arc<dyn Fn(&K, V, Option<A>) -> Option<A> + Send + Sync>;

/// An aggregation without windows. Records with a null key or value are dropped.
pub(crate) struct Aggregate<K, V, A> {
    pub(crate) name: String,
    pub(crate) key_serde: ArcSerde<K>,
    pub(crate) value_serde: ArcSerde<V>,
    pub(crate) update: Update<K, V, A>,
    pub(crate) rows: Rc<RefCell<Rows<A>>>,
    /// Whether updates are held back until the task commits.
    pub(crate) caching: bool,
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
        let mut rows = self.rows.borrow_mut();
        let id = rows.find(&self.key_bytes)?;
        let (old, result_timestamp) = match rows.take(id) {
            Some(old) => (Some(old.value), old.timestamp.max(timestamp)),
            None => (None, timestamp),
        };
        let new = (self.update)(&key, value, old).filter(|new| !rows.is_null(new));
        let forwarded = if self.caching || self.next.is_empty() { None } else { Some(new.clone()) };
        let row = new.map(|value| Stamped { value, timestamp: result_timestamp });
        rows.put(id, row, timestamp);
        match forwarded {
            None => {
                if self.caching {
                    rows.hold_back(id, headers);
                }
                Ok(())
            }
            Some(new) => {
                drop(rows);
                let value = Change { new, old: None };
                self.next.forward(task, Record { key, value, timestamp: result_timestamp, headers })
            }
        }
    }
}

impl<K: Data, V: Data, A: Data> Flush for Aggregate<K, V, A> {
    fn flush(&mut self, task: &mut TaskContext) -> Result<(), Error> {
        let (key_serde, next, name) = (&self.key_serde, &self.next, &self.name);
        self.rows.borrow_mut().take_pending(|update| {
            let key =
                key_serde.deserialize(&update.key).map_err(|error| unreadable_key(name, error))?;
            let value = Change { new: update.new, old: None };
            next.forward(
                task,
                Record { key, value, timestamp: update.timestamp, headers: update.headers },
            )
        })
    }
}

#[cold]
pub(crate) fn unwritable_key(node: &str, error: SerdeError) -> Error {
    Error::new(ErrorKind::BadRecord, "the key cannot be written").with_source(error).at_node(node)
}

#[cold]
pub(crate) fn unreadable_key(node: &str, error: SerdeError) -> Error {
    Error::new(ErrorKind::Fatal, "a stored key cannot be read; was the store's type changed?")
        .with_source(error)
        .at_node(node)
}
