//! How a topic is read.

use std::sync::Arc;

use super::debug_by_name;
use crate::processor::handler::DeserializationHandler;
use crate::processor::timestamp_extractor::TimestampExtractor;
use crate::serdes::{ArcSerde, DefaultSerde};
use crate::topology::AutoOffsetReset;

/// How a source reads its topics: serdes, name, and where it starts.
///
/// # Source
/// `org.apache.kafka.streams.kstream.Consumed`.
#[derive(Clone)]
pub struct Consumed<K, V> {
    pub(crate) key_serde: ArcSerde<K>,
    pub(crate) value_serde: ArcSerde<V>,
    pub(crate) name: Option<String>,
    pub(crate) reset: AutoOffsetReset,
    /// `None`: as the settings say.
    pub(crate) timestamps: Option<TimestampExtractor<K, V>>,
    /// `None`: the application's.
    pub(crate) handler: Option<Arc<dyn DeserializationHandler>>,
}

debug_by_name!(Consumed<K, V> { name, reset });

impl<K: DefaultSerde, V: DefaultSerde> Consumed<K, V> {
    /// Default serdes.
    pub fn new() -> Self {
        Self::with(K::default_serde(), V::default_serde())
    }

    /// Default serdes, and a name for the source node.
    pub fn named(name: impl Into<String>) -> Self {
        Self::new().with_name(name)
    }
}

impl<K: DefaultSerde, V: DefaultSerde> Default for Consumed<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> Consumed<K, V> {
    /// These serdes.
    pub fn with(key_serde: ArcSerde<K>, value_serde: ArcSerde<V>) -> Self {
        Self {
            key_serde,
            value_serde,
            name: None,
            reset: AutoOffsetReset::default(),
            timestamps: None,
            handler: None,
        }
    }

    /// Names the source node.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Where to start in a partition that the group has no offset for; the oldest record by default.
    #[must_use]
    pub fn with_offset_reset(mut self, reset: AutoOffsetReset) -> Self {
        self.reset = reset;
        self
    }

    /// Where records get their timestamps from; by default as
    /// [the settings](crate::StreamsConfig::default_timestamp_extractor) say.
    #[must_use]
    pub fn with_timestamp_extractor(
        mut self,
        timestamps: impl Into<TimestampExtractor<K, V>>,
    ) -> Self {
        self.timestamps = Some(timestamps.into());
        self
    }

    /// Decides about this source's records that cannot be read; by default the application's
    /// [handler](crate::StreamsConfig::deserialization_handler) does. (Kafka Streams has one handler only.)
    #[must_use]
    pub fn with_deserialization_handler(mut self, handler: impl DeserializationHandler) -> Self {
        self.handler = Some(Arc::new(handler));
        self
    }
}
