//! As-of joins: each left record meets the latest right record of its key at or before its time.
//!
//! The clock is the highest timestamp of both sides' records that have a key and a value. Left records that
//! may wait do so until the clock is past them by the grace; late ones are joined at once, with what is
//! kept. Right records that nothing could match any more are dropped and counted.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::row_errors::unwritable_key;
use super::stream_join::{Alone, Joiner};
use super::waiting_records::WaitingRecords;
use crate::error::Error;
use crate::processor::context::{DropReason, TaskContext};
use crate::processor::{Data, Node, Outlet};
use crate::record::{Record, Timestamp};
use crate::serdes::ArcSerde;
use crate::state::key_layout::{
    window_record_key, window_start, write_window_suffix, write_window_suffix_with_sequence,
};
use crate::state::rows::{Rows, Stamped};
use crate::time::windows::AsOf;

/// The clock that both sides share.
#[derive(Debug)]
pub(crate) struct AsOfClock(Cell<Timestamp>);

impl Default for AsOfClock {
    fn default() -> Self {
        Self(Cell::new(-1))
    }
}

impl AsOfClock {
    fn advance(&self, timestamp: Timestamp) -> Timestamp {
        self.0.set(self.0.get().max(timestamp));
        self.0.get()
    }
}

/// What joins a left record, on whichever side it falls due.
pub(crate) struct AsOfLookup<K, L, R, O> {
    pub(crate) name: String,
    pub(crate) as_of: AsOf,
    pub(crate) key_serde: ArcSerde<K>,
    pub(crate) rights: Rc<RefCell<Rows<R>>>,
    pub(crate) matched: Joiner<K, L, R, O>,
    pub(crate) alone: Option<Alone<K, L, O>>,
    pub(crate) next: Outlet<K, O>,
    pub(crate) from: Vec<u8>,
    pub(crate) to: Vec<u8>,
}

impl<K: Data, L: Data, R: Data, O: Data> AsOfLookup<K, L, R, O> {
    fn join(&mut self, task: &mut TaskContext, record: Record<K, L>) -> Result<(), Error> {
        let Record { key, value, timestamp, headers } = record;
        let result = self.find(&key, &value, timestamp)?;
        let value = match (result, &self.alone) {
            (Some(result), _) => result,
            (None, Some(alone)) => alone(&key, &value),
            (None, None) => return Ok(()),
        };
        self.next.forward(task, Record { key, value, timestamp, headers })
    }

    /// The result with the latest right record, if one matches.
    fn find(&mut self, key: &K, value: &L, timestamp: Timestamp) -> Result<Option<O>, Error> {
        let Self { from, to, matched, .. } = self;
        let earliest = timestamp.saturating_sub(self.as_of.tolerance_ms()).max(0);
        from.clear();
        self.key_serde.serialize(key, from).map_err(|error| unwritable_key(&self.name, error))?;
        to.clear();
        to.extend_from_slice(from);
        let key_length = from.len();
        write_window_suffix(earliest, from);
        write_window_suffix_with_sequence(timestamp, u32::MAX, to);
        let mut result = None;
        let mut rights = self.rights.borrow_mut();
        rights.scan_times(earliest..=timestamp, from, Some(to), true, &mut |row_key, row| {
            let of_key = Some(window_record_key(row_key)) == from.get(..key_length);
            if of_key && (earliest..=timestamp).contains(&window_start(row_key)) {
                result = Some(matched(key, value, &row.value));
            }
            result.is_none()
        })?;
        Ok(result)
    }
}

/// Left records that wait, and what becomes of them.
pub(crate) struct AsOfLefts<K, L, R, O> {
    pub(crate) lookup: AsOfLookup<K, L, R, O>,
    /// There is none without a grace period.
    pub(crate) waiting: Option<WaitingRecords<K, L>>,
    pub(crate) clock: Rc<AsOfClock>,
}

impl<K: Data, L: Data, R: Data, O: Data> AsOfLefts<K, L, R, O> {
    /// Joins the left records that the clock is past by the grace.
    fn join_due(&mut self, task: &mut TaskContext, stream_time: Timestamp) -> Result<(), Error> {
        let Some(waiting) = &self.waiting else { return Ok(()) };
        let until = stream_time.saturating_sub(self.lookup.as_of.grace_ms());
        let lookup = &mut self.lookup;
        waiting.release(task, until, &mut |task, record| lookup.join(task, record))
    }
}

/// The left side.
pub(crate) struct AsOfLeft<K, L, R, O> {
    pub(crate) lefts: AsOfLefts<K, L, R, O>,
    pub(crate) value_serde: ArcSerde<L>,
}

impl<K: Data, L: Data, R: Data, O: Data> Node<K, L> for AsOfLeft<K, L, R, O> {
    fn process(&mut self, task: &mut TaskContext, record: Record<K, L>) -> Result<(), Error> {
        let lefts = &mut self.lefts;
        if self.value_serde.is_null(&record.value) {
            task.drop_record(DropReason::NullValue);
            return Ok(());
        }
        if lefts.lookup.key_serde.is_null(&record.key) {
            let Some(alone) = &lefts.lookup.alone else {
                task.drop_record(DropReason::NullKey);
                return Ok(());
            };
            let value = alone(&record.key, &record.value);
            return lefts.lookup.next.forward(task, record.with_value(value));
        }
        let stream_time = lefts.clock.advance(record.timestamp);
        let late = record.timestamp < stream_time.saturating_sub(lefts.lookup.as_of.grace_ms());
        match &mut lefts.waiting {
            Some(waiting) if !late => waiting.hold_back(task, record)?,
            _ => lefts.lookup.join(task, record)?,
        }
        lefts.join_due(task, stream_time)
    }
}

/// The right side.
pub(crate) struct AsOfRight<K, L, R, O> {
    pub(crate) name: String,
    pub(crate) lefts: AsOfLefts<K, L, R, O>,
    pub(crate) value_serde: ArcSerde<R>,
    pub(crate) key_bytes: Vec<u8>,
}

impl<K: Data, L: Data, R: Data, O: Data> Node<K, R> for AsOfRight<K, L, R, O> {
    fn process(&mut self, task: &mut TaskContext, record: Record<K, R>) -> Result<(), Error> {
        let lookup = &self.lefts.lookup;
        if lookup.key_serde.is_null(&record.key) {
            task.drop_record(DropReason::NullKey);
            return Ok(());
        }
        if self.value_serde.is_null(&record.value) {
            task.drop_record(DropReason::NullValue);
            return Ok(());
        }
        let stream_time = self.lefts.clock.advance(record.timestamp);
        // Before the record is kept: it is newer than those that are due, and older rows may expire by it.
        self.lefts.join_due(task, stream_time)?;
        let lookup = &self.lefts.lookup;
        if record.timestamp <= lookup.as_of.late_until(stream_time) {
            task.drop_record(DropReason::Late);
            return Ok(());
        }
        let Record { key, value, timestamp, headers } = record;
        self.key_bytes.clear();
        lookup
            .key_serde
            .serialize(&key, &mut self.key_bytes)
            .map_err(|error| unwritable_key(&self.name, error))?;
        write_window_suffix(timestamp, &mut self.key_bytes);
        let row = Some(Stamped { value, timestamp });
        lookup.rights.borrow_mut().set_with_headers(&self.key_bytes, row, headers, timestamp)
    }
}
