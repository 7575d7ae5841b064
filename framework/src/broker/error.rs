//! What can go wrong at a broker, named by how the caller reacts.

use std::error::Error as StdError;

use crate::error::{Error, ErrorKind};

/// How the caller reacts to a [`BrokerError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BrokerErrorKind {
    /// Try the same call again after a pause: broker away, timed out, leader moving.
    Retriable,
    /// The topic or partition does not exist: create it, or report it.
    UnknownTopicOrPartition,
    /// The topic exists already: check that it fits.
    TopicExists,
    /// The log does not have the offset: reset the position, or rebuild the state.
    OffsetOutOfRange,
    /// The group no longer counts this member: drop what is uncommitted and rejoin.
    NotAMember,
    /// The group is between two generations and the member still counts: try again when it has settled.
    Rebalancing,
    /// The open transaction will not be committed: abort it, and do its work again.
    TransactionAborted,
    /// A newer producer has this transactional id, or the broker has aborted the transaction for its age:
    /// drop the producer and what is uncommitted, and make another one.
    Fenced,
    /// A record with a lifetime was not acknowledged in it, and is given up: send it again if it is still to
    /// be sent.
    Expired,
    /// The record is larger than the broker takes: a bad record.
    RecordTooLarge,
    /// A right is missing; the message says which.
    Authorization,
    /// The request or the configuration is wrong: fix it.
    Invalid,
    /// The client cannot go on: drop it.
    Fatal,
}

/// A failed call to a broker.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct BrokerError {
    kind: BrokerErrorKind,
    message: String,
    #[source]
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl BrokerError {
    /// An error of this kind; `message` names the topic, partition, group or server concerned.
    pub fn new(kind: BrokerErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// The same with the error that led to it.
    #[must_use]
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// How to react.
    pub fn kind(&self) -> BrokerErrorKind {
        self.kind
    }

    /// Whether trying again may help.
    pub fn is_retriable(&self) -> bool {
        self.kind == BrokerErrorKind::Retriable
    }
}

impl From<BrokerError> for Error {
    fn from(error: BrokerError) -> Self {
        let kind = match error.kind() {
            BrokerErrorKind::Retriable
            | BrokerErrorKind::Rebalancing
            | BrokerErrorKind::Expired => ErrorKind::Retriable,
            BrokerErrorKind::TransactionAborted | BrokerErrorKind::Fenced => {
                ErrorKind::TransactionAborted
            }
            BrokerErrorKind::NotAMember => ErrorKind::TaskMigrated,
            BrokerErrorKind::RecordTooLarge => ErrorKind::BadRecord,
            BrokerErrorKind::UnknownTopicOrPartition
            | BrokerErrorKind::TopicExists
            | BrokerErrorKind::Authorization
            | BrokerErrorKind::Invalid => ErrorKind::Config,
            BrokerErrorKind::OffsetOutOfRange | BrokerErrorKind::Fatal => ErrorKind::Fatal,
        };
        Self::new(kind, "the broker refused a call").with_source(error)
    }
}
