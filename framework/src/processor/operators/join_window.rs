//! Keeps the records of one side of a stream-stream join, for the other side to find.

use std::cell::RefCell;
use std::rc::Rc;

use super::row_errors::unwritable_key;
use crate::error::Error;
use crate::processor::context::TaskContext;
use crate::processor::{Data, Node, Outlet};
use crate::record::{Headers, Record, Timestamp};
use crate::serdes::ArcSerde;
use crate::state::key_layout::write_window_suffix_with_sequence;
use crate::state::recent_rows::RecentRows;
use crate::state::rows::{Rows, Stamped};

/// Forwards each record to its join and then stores it, so that it does not meet itself.
///
/// Rows are numbered in the order of their records, as Kafka Streams' changelogs number them: equal keys and
/// timestamps stay apart. A null value stores nothing, yet takes a number and leaves a tombstone.
pub(crate) struct JoinWindow<K, V> {
    pub(crate) name: String,
    pub(crate) key_serde: ArcSerde<K>,
    pub(crate) rows: Rc<RefCell<Rows<V>>>,
    pub(crate) next: Outlet<K, V>,
    /// The same rows as the other side looks for them first.
    pub(crate) recent: Rc<RefCell<RecentRows<V>>>,
    pub(crate) in_memory: bool,
    pub(crate) key_bytes: Vec<u8>,
    /// The number of the last row.
    pub(crate) sequence: u32,
}

impl<K: Data, V: Data> Node<K, V> for JoinWindow<K, V> {
    fn process(&mut self, task: &mut TaskContext, record: Record<K, V>) -> Result<(), Error> {
        if self.key_serde.is_null(&record.key) {
            return self.next.forward(task, record);
        }
        self.key_bytes.clear();
        self.key_serde
            .serialize(&record.key, &mut self.key_bytes)
            .map_err(|error| unwritable_key(&self.name, error))?;
        let Record { value, timestamp, headers, .. } = &record;
        let (timestamp, headers) = (*timestamp, headers.clone());
        let value = (!self.rows.borrow().is_null(value)).then(|| value.clone());
        self.next.forward(task, record)?;
        self.keep(value, timestamp, headers)
    }
}

impl<K, V: Data> JoinWindow<K, V> {
    /// Stores a record whose key is written.
    fn keep(
        &mut self,
        value: Option<V>,
        timestamp: Timestamp,
        headers: Headers,
    ) -> Result<(), Error> {
        let (mut rows, mut recent) = (self.rows.borrow_mut(), self.recent.borrow_mut());
        recent.begin(rows.written_until(), rows.observed());
        if let Some(value) = value.as_ref().filter(|_| recent.has_room()) {
            recent.put(&self.key_bytes, timestamp, value.clone(), rows.memory_bytes(value));
        } else if value.is_some() || self.in_memory {
            recent.observe(timestamp);
        }
        // KAFKA: the number wraps to 0, never below.
        self.sequence = self.sequence.wrapping_add(1) & 0x7FFF_FFFF;
        write_window_suffix_with_sequence(timestamp, self.sequence, &mut self.key_bytes);
        match value {
            Some(value) => {
                rows.add(&self.key_bytes, Stamped { value, timestamp }, headers, timestamp);
                Ok(())
            }
            // KAFKA: only a store in memory takes the time of a null into account.
            None => rows.note_deletion(&self.key_bytes, &headers, timestamp, self.in_memory),
        }
    }
}
