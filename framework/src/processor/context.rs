//! What a node sees of its task while it handles a record.

use std::sync::Arc;

use super::collector::RecordCollector;
use super::handler::Handlers;
use super::punctuation::Punctuations;
use crate::broker::RawRecord;
use crate::ids::{TaskId, TopicPartition};
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
    pub(crate) handlers: Handlers,
    pub(crate) counters: TaskCounters,
    /// What processors have asked to be called for.
    pub(crate) punctuations: Punctuations,
    /// Whether a processor has asked for a commit since the last one.
    pub(crate) commit_requested: bool,
    /// The timestamp of the record that a processor works on, as its stores see it.
    pub(crate) record_clock: RecordClock,
    source: SourceBytes,
}

/// Where a record came from, kept with it while it waits outside of the stream thread.
#[derive(Debug)]
pub(crate) struct Origin {
    topic: Arc<str>,
    partition: i32,
    offset: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
}

/// The bytes of the current source record, kept only where a handler may ask for them.
struct SourceBytes {
    kept: bool,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
}

impl TaskContext {
    /// The context of a task that has processed nothing yet.
    pub(crate) fn new(
        task: TaskId,
        wall_clock: Timestamp,
        collector: RecordCollector,
        handlers: Handlers,
    ) -> Self {
        let source = SourceBytes { kept: handlers.need_source_record(), key: None, value: None };
        Self {
            task,
            topic: "".into(),
            partition: -1,
            offset: -1,
            stream_time: -1,
            wall_clock,
            collector,
            handlers,
            counters: TaskCounters::default(),
            punctuations: Punctuations::default(),
            commit_requested: false,
            record_clock: RecordClock::default(),
            source,
        }
    }

    /// Counts a dropped record.
    pub(crate) fn drop_record(&mut self, reason: DropReason) {
        if let Some(count) = self.counters.dropped.get_mut(reason as usize) {
            *count += 1;
        }
    }

    /// Notes which record is being processed.
    #[inline]
    pub(crate) fn begin(&mut self, partition: &TopicPartition, raw: &RawRecord<'_>) {
        if !Arc::ptr_eq(&self.topic, &partition.topic) {
            self.topic = Arc::clone(&partition.topic);
        }
        self.partition = partition.partition;
        self.offset = raw.offset;
        if self.source.kept {
            replace(&mut self.source.key, raw.key);
            replace(&mut self.source.value, raw.value);
        }
    }

    /// Notes that what happens now has no record.
    pub(crate) fn begin_punctuation(&mut self) {
        if !self.topic.is_empty() {
            self.topic = Arc::from("");
        }
        self.partition = -1;
        self.offset = -1;
        self.source.key = None;
        self.source.value = None;
    }

    /// Where the current record came from, for [`TaskContext::resume`].
    pub(crate) fn origin(&self) -> Origin {
        Origin {
            topic: Arc::clone(&self.topic),
            partition: self.partition,
            offset: self.offset,
            key: self.source.key.clone(),
            value: self.source.value.clone(),
        }
    }

    /// Goes on with a record that has waited.
    pub(crate) fn resume(&mut self, origin: Origin) {
        let Origin { topic, partition, offset, key, value } = origin;
        self.topic = topic;
        self.partition = partition;
        self.offset = offset;
        self.source.key = key;
        self.source.value = value;
    }

    /// Key and value bytes of the current source record, if a handler may ask for them.
    pub(crate) fn source_record(&self) -> (Option<&[u8]>, Option<&[u8]>) {
        (self.source.key.as_deref(), self.source.value.as_deref())
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

/// Sets `bytes` to a copy, in place where it can.
fn replace(bytes: &mut Option<Vec<u8>>, new: Option<&[u8]>) {
    match (bytes, new) {
        (Some(bytes), Some(new)) => {
            bytes.clear();
            bytes.extend_from_slice(new);
        }
        (bytes, new) => *bytes = new.map(<[u8]>::to_vec),
    }
}
