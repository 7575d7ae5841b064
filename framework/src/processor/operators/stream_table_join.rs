//! A stream joined with a table: each record looks up the row of its key.
//!
//! The row is the table's at present, or, of a table that keeps its history, as of the record's time.

use super::stream_join::{Alone, Joiner};
use super::waiting_records::WaitingRecords;
use crate::error::Error;
use crate::processor::context::{DropReason, TaskContext};
use crate::processor::value_getter::BoxedGetter;
use crate::processor::{Data, Node, Outlet};
use crate::record::{Record, Timestamp};
use crate::serdes::ArcSerde;

/// What becomes of a record: the same with and without a grace period.
pub(crate) struct RowLookup<K, V, T, O> {
    pub(crate) key_serde: ArcSerde<K>,
    pub(crate) value_serde: ArcSerde<V>,
    pub(crate) getter: BoxedGetter<K, T>,
    pub(crate) matched: Joiner<K, V, T, O>,
    /// The result of a record without a row, in left joins.
    pub(crate) alone: Option<Alone<K, V, O>>,
    pub(crate) next: Outlet<K, O>,
}

impl<K: Data, V: Data, T: Data, O: Data> RowLookup<K, V, T, O> {
    /// Drops a record that cannot be joined; the answer is one that can.
    pub(crate) fn joinable(
        &self,
        task: &mut TaskContext,
        record: Record<K, V>,
    ) -> Option<Record<K, V>> {
        let reason = if self.value_serde.is_null(&record.value) {
            DropReason::NullValue
        } else if self.alone.is_none() && self.key_serde.is_null(&record.key) {
            DropReason::NullKey
        } else {
            return Some(record);
        };
        task.drop_record(reason);
        None
    }

    /// Joins a record with the row of its key.
    pub(crate) fn join(
        &mut self,
        task: &mut TaskContext,
        record: Record<K, V>,
    ) -> Result<(), Error> {
        let Record { key, value, timestamp, headers } = record;
        let row = if self.key_serde.is_null(&key) {
            None
        } else if self.getter.is_versioned() {
            self.getter.get_as_of(task, &key, timestamp)?
        } else {
            self.getter.get(task, &key)?
        };
        let value = match (row, &self.alone) {
            (Some(row), _) => (self.matched)(&key, &value, &row.value),
            (None, Some(alone)) => alone(&key, &value),
            (None, None) => return Ok(()),
        };
        self.next.forward(task, Record { key, value, timestamp, headers })
    }
}

/// The join node without a grace period.
pub(crate) struct StreamTableJoin<K, V, T, O>(pub(crate) RowLookup<K, V, T, O>);

impl<K: Data, V: Data, T: Data, O: Data> Node<K, V> for StreamTableJoin<K, V, T, O> {
    fn process(&mut self, task: &mut TaskContext, record: Record<K, V>) -> Result<(), Error> {
        match self.0.joinable(task, record) {
            Some(record) => self.0.join(task, record),
            None => Ok(()),
        }
    }
}

/// The join node with a grace period: records wait until stream time is so much past them.
///
/// Stream time here is the highest timestamp of the records that could wait; one that is later than the
/// grace allows is joined at once, and so is one without a key.
pub(crate) struct GracedStreamTableJoin<K, V, T, O> {
    pub(crate) lookup: RowLookup<K, V, T, O>,
    pub(crate) waiting: WaitingRecords<K, V>,
    pub(crate) grace_ms: i64,
    pub(crate) stream_time: Timestamp,
}

impl<K: Data, V: Data, T: Data, O: Data> Node<K, V> for GracedStreamTableJoin<K, V, T, O> {
    fn process(&mut self, task: &mut TaskContext, record: Record<K, V>) -> Result<(), Error> {
        let Some(record) = self.lookup.joinable(task, record) else { return Ok(()) };
        let late = record.timestamp < self.stream_time.saturating_sub(self.grace_ms);
        if late || self.lookup.key_serde.is_null(&record.key) {
            return self.lookup.join(task, record);
        }
        self.stream_time = self.stream_time.max(record.timestamp);
        self.waiting.hold_back(task, record)?;
        let until = self.stream_time.saturating_sub(self.grace_ms);
        let lookup = &mut self.lookup;
        self.waiting.release(task, until, &mut |task, record| lookup.join(task, record))
    }
}
