//! What happens to a record whose bytes do not fit its type: the user's handler decides.

use std::fmt::Debug;

use crate::ids::TaskId;
use crate::record::RecordMetadata;
use crate::serdes::SerdeError;

/// A handler's decision about a bad record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HandlerResponse {
    /// Stop: the application ends with an error that names the record. Nothing of it is committed.
    Fail,
    /// Drop the record, count it, and go on. With a
    /// [dead-letter topic](crate::StreamsConfig::dead_letter_topic) the raw record goes there.
    Continue,
}

/// The record a handler decides about.
#[derive(Debug)]
#[non_exhaustive]
pub struct ErrorContext<'a> {
    /// The task.
    pub task: TaskId,
    /// The node that failed.
    pub node: &'a str,
    /// Topic, partition and offset of the source record.
    pub metadata: RecordMetadata,
    /// The source record's key bytes.
    pub raw_key: Option<&'a [u8]>,
    /// The source record's value bytes.
    pub raw_value: Option<&'a [u8]>,
}

/// Decides about records whose bytes the source's serdes refuse.
///
/// # Source
/// `DeserializationExceptionHandler`; dead-letter topics: KIP-1034.
pub trait DeserializationHandler: Debug + Send + Sync + 'static {
    /// Called once per bad record, on the stream thread.
    fn handle(&self, context: &ErrorContext<'_>, error: &SerdeError) -> HandlerResponse;
}

/// Stops at the first bad record: the default.
#[derive(Debug, Clone, Copy, Default)]
pub struct FailOnBadRecord;

impl DeserializationHandler for FailOnBadRecord {
    fn handle(&self, _: &ErrorContext<'_>, _: &SerdeError) -> HandlerResponse {
        HandlerResponse::Fail
    }
}

/// Logs each bad record as a warning and goes on.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogAndContinue;

impl DeserializationHandler for LogAndContinue {
    fn handle(&self, context: &ErrorContext<'_>, error: &SerdeError) -> HandlerResponse {
        tracing::warn!(
            task = %context.task,
            node = context.node,
            topic = context.metadata.topic.as_deref(),
            partition = context.metadata.partition,
            offset = context.metadata.offset,
            error = %error,
            "bad record dropped"
        );
        HandlerResponse::Continue
    }
}
