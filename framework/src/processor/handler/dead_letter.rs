//! Records about records that failed.

use std::error::Error as StdError;

use super::ErrorContext;
use crate::record::{Headers, Timestamp};

/// A record that a handler has written about one that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The topic; it has to exist.
    pub topic: String,
    /// Key bytes.
    pub key: Option<Vec<u8>>,
    /// Value bytes.
    pub value: Option<Vec<u8>>,
    /// In milliseconds.
    pub timestamp: Timestamp,
    /// Headers.
    pub headers: Headers,
}

impl DeadLetter {
    /// The usual letter: the source record's bytes, with the timestamp and headers that the record had at the
    /// failing node, and headers about the failure under Kafka's names:
    ///
    /// | header | value |
    /// |---|---|
    /// | `__streams.errors.exception` | the error's type |
    /// | `__streams.errors.message` | the error's text |
    /// | `__streams.errors.stacktrace` | the error and what led to it, a line each |
    /// | `__streams.errors.topic` | the source record's topic; null in a punctuation |
    /// | `__streams.errors.partition` | its partition |
    /// | `__streams.errors.offset` | its offset |
    ///
    /// # Source
    /// KIP-1034.
    pub fn usual(
        topic: impl Into<String>,
        context: &ErrorContext<'_>,
        error: &(dyn StdError + Send + Sync + 'static),
    ) -> Self {
        default_letter(topic.into(), context, "dyn std::error::Error", error)
    }

    /// The same without headers about the failure and with these bytes.
    pub fn new(topic: impl Into<String>, key: Option<Vec<u8>>, value: Option<Vec<u8>>) -> Self {
        Self { topic: topic.into(), key, value, timestamp: 0, headers: Headers::new() }
    }

    /// The same with this timestamp.
    #[must_use]
    pub fn with_timestamp(mut self, timestamp: Timestamp) -> Self {
        self.timestamp = timestamp;
        self
    }
}

/// The usual letter; `type_name` says what kind of error it is.
pub(crate) fn default_letter(
    topic: String,
    context: &ErrorContext<'_>,
    type_name: &str,
    error: &(dyn StdError + 'static),
) -> DeadLetter {
    let mut headers = context.headers.clone();
    let mut add = |name: &str, value: Option<&str>| {
        headers.add(&format!("__streams.errors.{name}"), value.map(str::as_bytes));
    };
    add("exception", Some(type_name));
    add("message", Some(&error.to_string()));
    add("stacktrace", Some(&causes(error)));
    add("topic", context.metadata.topic.as_deref());
    add("partition", Some(&context.metadata.partition.to_string()));
    add("offset", Some(&context.metadata.offset.to_string()));
    DeadLetter {
        topic,
        key: context.raw_key.map(<[u8]>::to_vec),
        value: context.raw_value.map(<[u8]>::to_vec),
        timestamp: context.timestamp,
        headers,
    }
}

fn causes(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str("\ncaused by: ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
