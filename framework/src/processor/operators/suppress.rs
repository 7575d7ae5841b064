//! Holds a table's updates back until their time has come: `suppress`.
//!
//! A row that waits keeps the place of its first update and the value of its last. Stream time here is
//! the highest timestamp that this operator has seen.

use std::cell::RefCell;
use std::rc::Rc;

use super::row_errors::{unreadable_key, unreadable_value, unwritable_key, unwritable_value};
use super::sink::nullable;
use crate::error::{Error, ErrorKind};
use crate::processor::context::TaskContext;
use crate::processor::value_getter::{BoxedGetter, ValueGetter};
use crate::processor::{Change, Data, Node, Outlet};
use crate::record::{Record, Timestamp};
use crate::serdes::{ArcSerde, Serde, SerdeError};
use crate::state::buffer::{Buffered, Origin, Place, TimeOrderedBuffer};
use crate::state::rows::Stamped;

/// When updates are given out, and which.
#[derive(Clone)]
pub(crate) struct Suppression<K> {
    /// The time that an update waits behind; the record's, where there is none.
    pub(crate) time: Option<fn(&K) -> Timestamp>,
    pub(crate) wait_ms: i64,
    pub(crate) max_records: u64,
    pub(crate) max_bytes: u64,
    /// Whether a full buffer gives out its oldest rows; otherwise it is an error.
    pub(crate) emit_early: bool,
    /// Whether rows that were deleted before they came out are news to nobody.
    pub(crate) drop_tombstones: bool,
}

/// Scratch for the bytes of an update.
#[derive(Default)]
pub(crate) struct Scratch {
    key: Vec<u8>,
    old: Vec<u8>,
    new: Vec<u8>,
}

/// The operator.
pub(crate) struct Suppress<K, V> {
    pub(crate) name: String,
    pub(crate) suppression: Suppression<K>,
    pub(crate) key_serde: ArcSerde<K>,
    pub(crate) value_serde: ArcSerde<V>,
    pub(crate) buffer: Rc<RefCell<TimeOrderedBuffer>>,
    pub(crate) next: Outlet<K, Change<V>>,
    pub(crate) bytes: Scratch,
    pub(crate) stream_time: Timestamp,
}

impl<K: Data, V: Data> Node<K, Change<V>> for Suppress<K, V> {
    fn process(
        &mut self,
        task: &mut TaskContext,
        record: Record<K, Change<V>>,
    ) -> Result<(), Error> {
        self.stream_time = self.stream_time.max(record.timestamp);
        self.hold_back(task, record)?;
        let due = self.stream_time.saturating_sub(self.suppression.wait_ms);
        self.give_out_while(task, |_, buffer| {
            buffer.first().is_some_and(|(place, _)| place.time <= due)
        })?;
        if !self.is_full(&self.buffer.borrow()) {
            return Ok(());
        }
        if self.suppression.emit_early {
            return self.give_out_while(task, Self::is_full);
        }
        Err(self.full())
    }
}

impl<K: Data, V: Data> Suppress<K, V> {
    fn hold_back(&mut self, task: &TaskContext, record: Record<K, Change<V>>) -> Result<(), Error> {
        let Record { key, value: Change { new, old, .. }, timestamp, headers } = record;
        let Scratch { key: key_bytes, old: old_bytes, new: new_bytes } = &mut self.bytes;
        key_bytes.clear();
        self.key_serde
            .serialize(&key, key_bytes)
            .map_err(|error| unwritable_key(&self.name, error))?;
        let serde = &*self.value_serde;
        let unwritable = |error| unwritable_value(&self.name, error);
        let old = option_bytes(serde, old.as_ref(), old_bytes).map_err(unwritable)?;
        let new = option_bytes(serde, new.as_ref(), new_bytes).map_err(unwritable)?;
        let time = self.suppression.time.map_or(timestamp, |time| time(&key));
        let origin = Origin::of(task, timestamp, headers);
        self.buffer.borrow_mut().put(time, key_bytes, old, new, origin);
        Ok(())
    }

    /// Forwards rows in their order, each as if its last update were processed now.
    fn give_out_while(
        &self,
        task: &mut TaskContext,
        is_due: impl Fn(&Self, &TimeOrderedBuffer) -> bool,
    ) -> Result<(), Error> {
        loop {
            let buffer = self.buffer.borrow();
            let Some((place, row)) = buffer.first().filter(|_| is_due(self, &buffer)) else {
                return Ok(());
            };
            let is_news = row.new.get().is_some() || !self.suppression.drop_tombstones;
            let given = if is_news { Some(self.read(place, row)?) } else { None };
            // The row is still there while it goes downstream: who looks it up sees what was known before.
            drop(buffer);
            if let Some((record, origin)) = given {
                let input = origin.enter(task);
                let forwarded = self.next.forward(task, record);
                Origin::leave(task, input);
                forwarded?;
            }
            self.buffer.borrow_mut().remove_first();
        }
    }

    fn read(&self, place: &Place, row: &Buffered) -> Result<(Record<K, Change<V>>, Origin), Error> {
        let key = self.key_serde.deserialize(&place.key);
        let key = key.map_err(|error| unreadable_key(&self.name, error))?;
        let value = |bytes: Option<&[u8]>| {
            let value = bytes.map(|bytes| self.value_serde.deserialize(bytes)).transpose();
            value.map_err(|error| unreadable_value(&self.name, error))
        };
        // KAFKA: the old value is that of the last update, which those downstream need not have seen.
        let value = Change::latest(value(row.new.get())?, value(row.old.get())?);
        let origin = row.origin.clone();
        let (timestamp, headers) = (origin.timestamp, origin.headers.clone());
        Ok((Record { key, value, timestamp, headers }, origin))
    }

    fn is_full(&self, buffer: &TimeOrderedBuffer) -> bool {
        buffer.len() as u64 > self.suppression.max_records
            || buffer.bytes() as u64 > self.suppression.max_bytes
    }

    #[cold]
    fn full(&self) -> Error {
        let buffer = self.buffer.borrow();
        let bound = |bound: u64| {
            if bound == u64::MAX { "any number".to_owned() } else { bound.to_string() }
        };
        let message = format!(
            "the buffer is full: {} records where {} may wait, {} bytes where {} may; allow it more, or let it emit early",
            buffer.len(),
            bound(self.suppression.max_records),
            buffer.bytes(),
            bound(self.suppression.max_bytes),
        );
        Error::new(ErrorKind::Fatal, message).at_node(&self.name)
    }
}

/// Reads a table whose updates are held back: of a row that waits those downstream know what it was
/// before.
pub(crate) struct SuppressedGetter<K, V> {
    pub(crate) parent: BoxedGetter<K, V>,
    pub(crate) buffer: Rc<RefCell<TimeOrderedBuffer>>,
    pub(crate) key_serde: ArcSerde<K>,
    pub(crate) value_serde: ArcSerde<V>,
    pub(crate) key_bytes: Vec<u8>,
}

impl<K: Data, V: Data> ValueGetter<K, V> for SuppressedGetter<K, V> {
    fn get(&mut self, task: &mut TaskContext, key: &K) -> Result<Option<Stamped<V>>, Error> {
        const NODE: &str = "suppress";
        /// Nobody knows any more when the row became what it was.
        const UNKNOWN_TIME: Timestamp = -1;
        self.key_bytes.clear();
        self.key_serde
            .serialize(key, &mut self.key_bytes)
            .map_err(|error| unwritable_key(NODE, error))?;
        let buffer = self.buffer.borrow();
        let Some(prior) = buffer.prior_value(&self.key_bytes) else {
            drop(buffer);
            return self.parent.get(task, key);
        };
        let Some(prior) = prior else { return Ok(None) };
        let value = self.value_serde.deserialize(prior);
        let value = value.map_err(|error| unreadable_value(NODE, error))?;
        Ok(Some(Stamped { value, timestamp: UNKNOWN_TIME }))
    }
}

fn option_bytes<'a, V: 'static>(
    serde: &dyn Serde<V>,
    value: Option<&V>,
    bytes: &'a mut Vec<u8>,
) -> Result<Option<&'a [u8]>, SerdeError> {
    value.map_or(Ok(None), |value| nullable(serde, value, bytes))
}
