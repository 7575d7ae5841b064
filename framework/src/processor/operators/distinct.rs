//! Drops repeats: records of a key and an id that are close in time to one that was let through.
//!
//! Time is cut into spans of the window's length. Records that are let through are at least that far apart,
//! so that each span has at most one of an id: a record is compared with those of its own span and of the
//! two beside it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::row_errors::unwritable_key;
use crate::error::Error;
use crate::processor::context::{DropReason, TaskContext};
use crate::processor::{Data, Node, Outlet};
use crate::record::{Record, Timestamp};
use crate::serdes::ArcSerde;
use crate::state::key_layout::write_window_suffix;
use crate::state::rows::{Rows, Stamped};

/// What has to be equal beside the key.
pub(crate) type IdSelector<K, V, I> = Arc<dyn Fn(&K, &V) -> I + Send + Sync>;

/// Times of a distinct operator, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DistinctTimes {
    /// Equal records less than this apart are repeats; at least 1.
    pub(crate) within_ms: i64,
    pub(crate) grace_ms: i64,
}

impl DistinctTimes {
    /// Records at or before this time are late.
    fn late_until(self, stream_time: Timestamp) -> Timestamp {
        stream_time.saturating_sub(self.within_ms).saturating_sub(self.grace_ms)
    }

    /// How long rows are kept behind the highest start of a span: what a record that is not late can meet,
    /// which is in the span before it, and a span for rounding.
    pub(crate) fn retention_ms(self) -> i64 {
        self.within_ms.saturating_mul(3).saturating_add(self.grace_ms)
    }
}

/// The operator. Rows hold the time of the record that was let through. Records with a null key are dropped.
pub(crate) struct DistinctRecords<K, V, I> {
    pub(crate) name: String,
    pub(crate) times: DistinctTimes,
    pub(crate) id: IdSelector<K, V, I>,
    pub(crate) key_serde: ArcSerde<K>,
    pub(crate) id_serde: ArcSerde<I>,
    pub(crate) rows: Rc<RefCell<Rows<i64>>>,
    pub(crate) next: Outlet<K, V>,
    pub(crate) key_bytes: Vec<u8>,
    pub(crate) stream_time: Timestamp,
}

impl<K: Data, V: Data, I: Data> Node<K, V> for DistinctRecords<K, V, I> {
    fn process(&mut self, task: &mut TaskContext, record: Record<K, V>) -> Result<(), Error> {
        if self.key_serde.is_null(&record.key) {
            task.drop_record(DropReason::NullKey);
            return Ok(());
        }
        self.stream_time = self.stream_time.max(record.timestamp);
        if record.timestamp <= self.times.late_until(self.stream_time) {
            task.drop_record(DropReason::Late);
            return Ok(());
        }
        if self.is_repeat(&record)? {
            return Ok(());
        }
        self.next.forward(task, record)
    }
}

impl<K: Data, V: Data, I: Data> DistinctRecords<K, V, I> {
    /// Whether the record is a repeat; one that is not is remembered.
    fn is_repeat(&mut self, record: &Record<K, V>) -> Result<bool, Error> {
        self.write_id(record)?;
        let id_length = self.key_bytes.len();
        let (time, within_ms) = (record.timestamp, self.times.within_ms);
        let span = time.div_euclid(within_ms);
        let last_span = self.stream_time.div_euclid(within_ms);
        let mut rows = self.rows.borrow_mut();
        // The record's own span comes last: its key is what is written.
        for span in [span.saturating_add(1), span - 1, span] {
            self.key_bytes.truncate(id_length);
            write_window_suffix(span.saturating_mul(within_ms), &mut self.key_bytes);
            if span > last_span || span < 0 {
                continue;
            }
            let met = rows.get(&self.key_bytes)?;
            if met.is_some_and(|met| met.timestamp.abs_diff(time) < within_ms.unsigned_abs()) {
                return Ok(true);
            }
        }
        rows.set(&self.key_bytes, Some(Stamped { value: time, timestamp: time }), time)?;
        Ok(false)
    }

    /// Writes key and id so that no two pairs have the same bytes: the key behind its length, then the id
    /// behind a mark, 0 for a null one.
    fn write_id(&mut self, record: &Record<K, V>) -> Result<(), Error> {
        let id = (self.id)(&record.key, &record.value);
        let bytes = &mut self.key_bytes;
        bytes.clear();
        bytes.extend_from_slice(&[0; 4]);
        let unwritable = |error| unwritable_key(&self.name, error);
        self.key_serde.serialize(&record.key, bytes).map_err(unwritable)?;
        let length = u32::try_from(bytes.len() - 4).unwrap_or(u32::MAX).to_be_bytes();
        if let Some(place) = bytes.first_chunk_mut::<4>() {
            *place = length;
        }
        if self.id_serde.is_null(&id) {
            bytes.push(0);
            return Ok(());
        }
        bytes.push(1);
        self.id_serde.serialize(&id, bytes).map_err(unwritable)
    }
}
