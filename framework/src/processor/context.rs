//! What a node sees of its task while it handles a record.

use std::sync::Arc;

use super::collector::RecordCollector;
use super::handler::DeserializationHandler;
use super::punctuation::Punctuations;
use crate::ids::TaskId;
pub(crate) use crate::metrics::DropReason;
use crate::record::{RecordMetadata, Timestamp};
use crate::state::handle::RecordClock;

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
    /// The highest timestamp of the records processed; −1 before the first.
    pub(crate) stream_time: Timestamp,
    /// The wall clock as it was when the slice began.
    pub(crate) wall_clock: Timestamp,
    pub(crate) collector: RecordCollector,
    pub(crate) deserialization_handler: Arc<dyn DeserializationHandler>,
    pub(crate) counters: TaskCounters,
    /// What processors have asked to be called for.
    pub(crate) punctuations: Punctuations,
    /// Whether a processor has asked for a commit since the last one.
    pub(crate) commit_requested: bool,
    /// The timestamp of the record that a processor works on, as its stores see it.
    pub(crate) record_clock: RecordClock,
}

impl TaskContext {
    /// The context of a task that has processed nothing yet.
    pub(crate) fn new(
        task: TaskId,
        wall_clock: Timestamp,
        collector: RecordCollector,
        deserialization_handler: Arc<dyn DeserializationHandler>,
    ) -> Self {
        Self {
            task,
            topic: "".into(),
            partition: -1,
            offset: -1,
            stream_time: -1,
            wall_clock,
            collector,
            deserialization_handler,
            counters: TaskCounters::default(),
            punctuations: Punctuations::default(),
            commit_requested: false,
            record_clock: RecordClock::default(),
        }
    }

    /// Counts a dropped record.
    pub(crate) fn drop_record(&mut self, reason: DropReason) {
        if let Some(count) = self.counters.dropped.get_mut(reason as usize) {
            *count += 1;
        }
    }

    /// Where the current record came from.
    pub(crate) fn metadata(&self) -> RecordMetadata {
        RecordMetadata {
            // A punctuation has none.
            topic: (!self.topic.is_empty()).then(|| Arc::clone(&self.topic)),
            partition: self.partition,
            offset: self.offset,
        }
    }
}
