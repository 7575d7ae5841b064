//! Records of a stream that wait until stream time is some time past them.

use std::cell::RefCell;
use std::rc::Rc;

use super::row_errors::{unreadable_key, unwritable_key, unwritable_value};
use crate::error::{Error, ErrorKind};
use crate::processor::Data;
use crate::processor::context::TaskContext;
use crate::record::{Record, Timestamp};
use crate::serdes::{ArcSerde, SerdeError};
use crate::state::buffer::{
    Buffered, Origin, Place, TimeOrderedBuffer, read_grace_key, write_grace_key,
};

/// A buffer of records, by time, key and the order in which they came. Records are given out as if they were
/// processed then: with their own time, headers and origin.
///
/// # Source
/// `RocksDBTimeOrderedKeyValueBuffer` (KIP-923).
pub(crate) struct WaitingRecords<K, V> {
    pub(crate) name: String,
    pub(crate) key_serde: ArcSerde<K>,
    pub(crate) value_serde: ArcSerde<V>,
    pub(crate) buffer: Rc<RefCell<TimeOrderedBuffer>>,
    pub(crate) bytes: RecordBytes,
}

/// Takes a record that has waited long enough.
pub(crate) type Give<'a, K, V> =
    dyn FnMut(&mut TaskContext, Record<K, V>) -> Result<(), Error> + 'a;

/// Scratch for the bytes of a record.
#[derive(Default)]
pub(crate) struct RecordBytes {
    key: Vec<u8>,
    value: Vec<u8>,
    row_key: Vec<u8>,
}

impl<K: Data, V: Data> WaitingRecords<K, V> {
    /// Has a record wait.
    pub(crate) fn hold_back(
        &mut self,
        task: &TaskContext,
        record: Record<K, V>,
    ) -> Result<(), Error> {
        let Record { key, value, timestamp, headers } = record;
        let RecordBytes { key: key_bytes, value: value_bytes, row_key } = &mut self.bytes;
        key_bytes.clear();
        value_bytes.clear();
        self.key_serde
            .serialize(&key, key_bytes)
            .map_err(|error| unwritable_key(&self.name, error))?;
        self.value_serde
            .serialize(&value, value_bytes)
            .map_err(|error| unwritable_value(&self.name, error))?;
        let mut buffer = self.buffer.borrow_mut();
        write_grace_key(timestamp, key_bytes, buffer.next_sequence(), row_key);
        let origin = Origin::of(task, timestamp, headers);
        buffer.put(timestamp, row_key, None, Some(value_bytes), origin);
        Ok(())
    }

    /// Gives the records out whose time is `until` or earlier.
    pub(crate) fn release(
        &self,
        task: &mut TaskContext,
        until: Timestamp,
        give: &mut Give<'_, K, V>,
    ) -> Result<(), Error> {
        loop {
            let buffer = self.buffer.borrow();
            let Some((place, row)) = buffer.first().filter(|(place, _)| place.time <= until) else {
                return Ok(());
            };
            let record = self.read(place, row)?;
            let origin = row.origin.clone();
            drop(buffer);
            let input = origin.enter(task);
            let given = give(task, record);
            Origin::leave(task, input);
            given?;
            self.buffer.borrow_mut().remove_first();
        }
    }

    fn read(&self, place: &Place, row: &Buffered) -> Result<Record<K, V>, Error> {
        let key = read_grace_key(&place.key).map_or(&[][..], |(_, key, _)| key);
        let key =
            self.key_serde.deserialize(key).map_err(|error| unreadable_key(&self.name, error))?;
        let value = row.new.get().unwrap_or_default();
        let value = self
            .value_serde
            .deserialize(value)
            .map_err(|error| unreadable_value(&self.name, error))?;
        let Origin { timestamp, headers, .. } = &row.origin;
        Ok(Record { key, value, timestamp: *timestamp, headers: headers.clone() })
    }
}

#[cold]
fn unreadable_value(node: &str, error: SerdeError) -> Error {
    Error::new(ErrorKind::Fatal, "a buffered value cannot be read; was the stream's type changed?")
        .with_source(error)
        .at_node(node)
}
