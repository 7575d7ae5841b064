//! Records that cannot be written.

use std::fmt::{self, Debug};

use super::{ErrorContext, FailedRecord, HandlerResponse};
use crate::broker::BrokerError;
use crate::record::{Headers, Timestamp};
use crate::serdes::SerdeError;

/// Decides about records that cannot be written: their serde refuses them, or the broker does.
///
/// # Source
/// `ProductionExceptionHandler` (KIP-210, KIP-399).
pub trait ProductionHandler: Debug + Send + Sync + 'static {
    /// Called when the broker refuses a record; fails by default. Where the broker takes a record and refuses it
    /// later, which shows when the task commits, it is not known any more where the record came from: the
    /// context then has the topic's name for the node, and neither metadata nor a source record. Records of
    /// changelogs are never asked about: without them a store would be lost.
    /// [`HandlerResponse::retry`] sends it once
    /// more and is for [retriable](BrokerError::is_retriable) errors.
    fn handle(
        &self,
        context: &ErrorContext<'_>,
        record: &ProducedRecord<'_>,
        error: &BrokerError,
    ) -> HandlerResponse {
        let _ = (context, record, error);
        HandlerResponse::fail()
    }

    /// Called when a serde refuses a key or a value; fails by default.
    fn handle_serialization(
        &self,
        context: &ErrorContext<'_>,
        record: &FailedRecord<'_>,
        failure: &SerializationFailure<'_>,
    ) -> HandlerResponse {
        let _ = (context, record, failure);
        HandlerResponse::fail()
    }
}

/// A record that the broker refused.
#[derive(Debug)]
#[non_exhaustive]
pub struct ProducedRecord<'a> {
    /// The topic it was meant for.
    pub topic: &'a str,
    /// Key bytes.
    pub key: Option<&'a [u8]>,
    /// Value bytes.
    pub value: Option<&'a [u8]>,
    /// In milliseconds.
    pub timestamp: Timestamp,
    /// Headers.
    pub headers: &'a Headers,
}

/// What a serde refused on its way to a topic.
#[derive(Debug)]
#[non_exhaustive]
pub struct SerializationFailure<'a> {
    /// The topic that the record was meant for.
    pub topic: &'a str,
    /// The part of the record.
    pub part: RecordPart,
    /// What the serde says.
    pub error: &'a SerdeError,
}

/// The part of a record that a serde refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordPart {
    /// The key.
    Key,
    /// The value.
    Value,
}

impl fmt::Display for RecordPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key => "key",
            Self::Value => "value",
        })
    }
}
