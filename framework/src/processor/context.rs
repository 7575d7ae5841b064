//! What a node sees of its task while it handles a record.

use std::sync::Arc;

use super::collector::RecordCollector;
use super::handler::DeserializationHandler;
use crate::ids::TaskId;
use crate::record::{RecordMetadata, Timestamp};

/// Why a record was dropped; the `reason` label of `kstream_task_dropped_records_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DropReason {
    /// A null key where the operator or the type has none.
    NullKey,
    /// A null value where the operator or the type has none.
    NullValue,
    /// Bytes that the serde refused, with a handler that continues.
    Deserialization,
    /// A record for a window that is closed.
    Late,
}

impl DropReason {
    /// Every reason, in the order of their counters.
    pub(crate) const ALL: [Self; 4] =
        [Self::NullKey, Self::NullValue, Self::Deserialization, Self::Late];

    /// The label's text.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::NullKey => "null_key",
            Self::NullValue => "null_value",
            Self::Deserialization => "deserialization",
            Self::Late => "late",
        }
    }
}

/// Plain counters of one task; published when a slice of records is done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TaskCounters {
    pub(crate) processed: u64,
    pub(crate) dropped: [u64; DropReason::ALL.len()],
}

/// The task as its nodes see it: where the current record came from, the clocks, and the way out.
pub(crate) struct TaskContext {
    pub(crate) task: TaskId,
    pub(crate) topic: Arc<str>,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    /// Timestamp of the source record being processed.
    pub(crate) record_timestamp: Timestamp,
    /// The highest timestamp of the records processed; −1 before the first.
    pub(crate) stream_time: Timestamp,
    /// The wall clock as it was when the slice began.
    pub(crate) wall_clock: Timestamp,
    pub(crate) collector: RecordCollector,
    pub(crate) deserialization_handler: Arc<dyn DeserializationHandler>,
    pub(crate) counters: TaskCounters,
}

impl TaskContext {
    /// Counts a dropped record.
    pub(crate) fn drop_record(&mut self, reason: DropReason) {
        let [null_key, null_value, deserialization, late] = &mut self.counters.dropped;
        match reason {
            DropReason::NullKey => *null_key += 1,
            DropReason::NullValue => *null_value += 1,
            DropReason::Deserialization => *deserialization += 1,
            DropReason::Late => *late += 1,
        }
    }

    /// Where the current record came from.
    pub(crate) fn metadata(&self) -> RecordMetadata {
        RecordMetadata {
            topic: Some(Arc::clone(&self.topic)),
            partition: self.partition,
            offset: self.offset,
        }
    }
}
