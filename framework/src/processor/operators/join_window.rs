//! Keeps the records of one side of a stream-stream join, for the other side to find.

use std::cell::RefCell;
use std::rc::Rc;

use super::aggregate::unwritable_key;
use crate::error::Error;
use crate::processor::context::TaskContext;
use crate::processor::{Data, Node, Outlet};
use crate::record::Record;
use crate::serdes::ArcSerde;
use crate::state::key_layout::write_window_suffix_with_sequence;
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
        // KAFKA: the number wraps to 0, never below.
        self.sequence = self.sequence.wrapping_add(1) & 0x7FFF_FFFF;
        write_window_suffix_with_sequence(timestamp, self.sequence, &mut self.key_bytes);
        let (mut rows, key) = (self.rows.borrow_mut(), &self.key_bytes);
        match value {
            Some(value) => {
                let row = Some(Stamped { value, timestamp });
                rows.set_with_headers(key, row, headers, timestamp)
            }
            None => rows.note_deletion(key, headers, timestamp, self.in_memory),
        }
    }
}
