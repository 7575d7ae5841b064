//! Which topic a record is written to.

use std::fmt;
use std::sync::Arc;

use crate::record::{Headers, RecordMetadata, Timestamp};

/// Names the topic of each record that a sink writes. The topics have to exist.
///
/// # Examples
/// See [`KStream::to_extracted`](crate::KStream::to_extracted).
///
/// # Source
/// `org.apache.kafka.streams.processor.TopicNameExtractor` (KIP-303).
pub struct TopicNameExtractor<K, V> {
    name: Arc<str>,
    extract: Arc<ExtractName<K, V>>,
}

type ExtractName<K, V> = dyn Fn(&K, &V, &RecordContext<'_>) -> String + Send + Sync;

/// Where a record came from, and what comes with it beside key and value.
#[derive(Debug)]
#[non_exhaustive]
pub struct RecordContext<'a> {
    /// Topic, partition and offset of the source record.
    pub metadata: RecordMetadata,
    /// The record's timestamp.
    pub timestamp: Timestamp,
    /// The record's headers.
    pub headers: &'a Headers,
}

impl<K, V> TopicNameExtractor<K, V> {
    /// What `extract` makes of key, value and the record's context; descriptions of the topology show
    /// `name`.
    pub fn new(
        name: &str,
        extract: impl Fn(&K, &V, &RecordContext<'_>) -> String + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), extract: Arc::new(extract) }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn extract(&self, key: &K, value: &V, context: &RecordContext<'_>) -> String {
        (self.extract)(key, value, context)
    }
}

impl<K, V> Clone for TopicNameExtractor<K, V> {
    fn clone(&self) -> Self {
        Self { name: Arc::clone(&self.name), extract: Arc::clone(&self.extract) }
    }
}

impl<K, V> fmt::Debug for TopicNameExtractor<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TopicNameExtractor").field(&self.name).finish()
    }
}
