//! What happens to a record that cannot be read, processed or written: the user's handlers decide.
//!
//! A handler answers with a [`HandlerResponse`]. Whatever it decides, the dead letters go out first, so that
//! a failing record is on the dead-letter topic when somebody looks for it. An error that a handler has
//! decided about is *settled*: no handler further up is asked again.

mod dead_letter;
mod deserialization;
mod processing;
mod production;
mod settle;

use std::any::Any;
use std::error::Error as StdError;
use std::fmt::Debug;
use std::sync::Arc;

pub use dead_letter::DeadLetter;
pub use deserialization::DeserializationHandler;
pub(crate) use processing::panic_of;
pub use processing::{ProcessingHandler, UserPanic};
pub use production::{ProducedRecord, ProductionHandler, RecordPart, SerializationFailure};
pub(crate) use settle::{Failure, panicked};

use crate::broker::BrokerError;
use crate::config::StreamsConfig;
use crate::ids::TaskId;
use crate::record::{Headers, RecordMetadata, Timestamp};
use crate::serdes::SerdeError;

/// A handler's decision about a bad record, and what is written about it.
///
/// # Source
/// `Response` of Kafka Streams' exception handlers (KIP-1034).
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct HandlerResponse {
    pub(crate) decision: Decision,
    /// `None`: the usual letter, if there is a dead-letter topic.
    pub(crate) letters: Option<Vec<DeadLetter>>,
}

/// What a handler decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    Fail,
    Resume,
    Retry,
}

impl HandlerResponse {
    /// Stop: the application ends with an error that names the record. Nothing of it is committed.
    pub fn fail() -> Self {
        Self { decision: Decision::Fail, letters: None }
    }

    /// Drop the record, count it, and go on.
    pub fn resume() -> Self {
        Self { decision: Decision::Resume, letters: None }
    }

    /// Try again what the broker refused for now. It is [`fail`](Self::fail) for everything else: what
    /// cannot be read or processed once cannot be the second time.
    pub fn retry() -> Self {
        Self { decision: Decision::Retry, letters: None }
    }

    /// Writes these records instead of the usual one to the
    /// [dead-letter topic](crate::StreamsConfig::dead_letter_topic); none of them is fine. Their topics have
    /// to exist.
    pub fn with_dead_letters(mut self, letters: impl IntoIterator<Item = DeadLetter>) -> Self {
        self.letters = Some(letters.into_iter().collect());
        self
    }
}

/// Where and when a record failed.
#[derive(Debug)]
#[non_exhaustive]
pub struct ErrorContext<'a> {
    /// The task.
    pub task: TaskId,
    /// The node that failed.
    pub node: &'a str,
    /// Topic, partition and offset of the source record; no topic and −1 in a punctuation.
    pub metadata: RecordMetadata,
    /// The timestamp that the record had at the failing node.
    pub timestamp: Timestamp,
    /// The headers that the record had at the failing node.
    pub headers: &'a Headers,
    /// The source record's key bytes.
    pub raw_key: Option<&'a [u8]>,
    /// The source record's value bytes.
    pub raw_value: Option<&'a [u8]>,
}

/// A record as it was at the node that failed.
#[derive(Debug)]
#[non_exhaustive]
pub struct FailedRecord<'a> {
    key: &'a dyn Any,
    value: &'a dyn Any,
    /// Its timestamp.
    pub timestamp: Timestamp,
    /// Its headers.
    pub headers: &'a Headers,
}

impl<'a> FailedRecord<'a> {
    pub(crate) fn new(
        key: &'a dyn Any,
        value: &'a dyn Any,
        timestamp: Timestamp,
        headers: &'a Headers,
    ) -> Self {
        Self { key, value, timestamp, headers }
    }

    /// The key, if the node takes keys of this type.
    pub fn key<K: 'static>(&self) -> Option<&'a K> {
        self.key.downcast_ref()
    }

    /// The value, if the node takes values of this type.
    pub fn value<V: 'static>(&self) -> Option<&'a V> {
        self.value.downcast_ref()
    }
}

/// Stops at the first bad record: the default of all handlers.
#[derive(Debug, Clone, Copy, Default)]
pub struct FailOnBadRecord;

impl DeserializationHandler for FailOnBadRecord {
    fn handle(&self, _: &ErrorContext<'_>, _: &SerdeError) -> HandlerResponse {
        HandlerResponse::fail()
    }
}

impl ProcessingHandler for FailOnBadRecord {
    fn handle(
        &self,
        _: &ErrorContext<'_>,
        _: Option<&FailedRecord<'_>>,
        _: &(dyn StdError + Send + Sync + 'static),
    ) -> HandlerResponse {
        HandlerResponse::fail()
    }
}

impl ProductionHandler for FailOnBadRecord {}

/// Logs each bad record as a warning and goes on.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogAndContinue;

impl LogAndContinue {
    fn log(context: &ErrorContext<'_>, error: &(dyn StdError + 'static)) {
        tracing::warn!(
            task = %context.task,
            node = context.node,
            topic = context.metadata.topic.as_deref(),
            partition = context.metadata.partition,
            offset = context.metadata.offset,
            error = %error,
            "bad record dropped"
        );
    }
}

impl DeserializationHandler for LogAndContinue {
    fn handle(&self, context: &ErrorContext<'_>, error: &SerdeError) -> HandlerResponse {
        Self::log(context, &**error);
        HandlerResponse::resume()
    }
}

impl ProcessingHandler for LogAndContinue {
    fn handle(
        &self,
        context: &ErrorContext<'_>,
        _: Option<&FailedRecord<'_>>,
        error: &(dyn StdError + Send + Sync + 'static),
    ) -> HandlerResponse {
        Self::log(context, error);
        HandlerResponse::resume()
    }
}

impl ProductionHandler for LogAndContinue {
    fn handle(
        &self,
        context: &ErrorContext<'_>,
        _: &ProducedRecord<'_>,
        error: &BrokerError,
    ) -> HandlerResponse {
        Self::log(context, error);
        HandlerResponse::resume()
    }

    fn handle_serialization(
        &self,
        context: &ErrorContext<'_>,
        _: &FailedRecord<'_>,
        failure: &SerializationFailure<'_>,
    ) -> HandlerResponse {
        Self::log(context, &**failure.error);
        HandlerResponse::resume()
    }
}

/// The handlers of an application, as its tasks ask them.
#[derive(Debug, Clone)]
pub(crate) struct Handlers {
    pub(crate) deserialization: Arc<dyn DeserializationHandler>,
    /// `None`: nodes have no guards, and the first failure ends the task.
    pub(crate) processing: Option<Arc<dyn ProcessingHandler>>,
    pub(crate) production: Option<Arc<dyn ProductionHandler>>,
}

impl Handlers {
    pub(crate) fn of(config: &StreamsConfig) -> Self {
        Self {
            deserialization: Arc::clone(&config.deserialization_handler),
            processing: config.processing_handler.clone(),
            production: config.production_handler.clone(),
        }
    }

    /// Whether somebody may ask for the bytes of the source record long after it was read.
    pub(crate) fn need_source_record(&self) -> bool {
        self.processing.is_some() || self.production.is_some()
    }
}
