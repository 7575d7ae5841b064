//! How a topic is written.

use super::debug_by_name;
use crate::processor::stream_partitioner::StreamPartitioner;
use crate::serdes::{ArcSerde, DefaultSerde};

/// How a sink writes its topic: serdes, name, and the choice of partitions.
///
/// # Source
/// `org.apache.kafka.streams.kstream.Produced`.
#[derive(Clone)]
pub struct Produced<K, V> {
    pub(crate) key_serde: ArcSerde<K>,
    pub(crate) value_serde: ArcSerde<V>,
    pub(crate) name: Option<String>,
    pub(crate) partitioner: Option<StreamPartitioner<K, V>>,
}

debug_by_name!(Produced < K, V > { name });

impl<K: DefaultSerde, V: DefaultSerde> Produced<K, V> {
    /// Default serdes.
    pub fn new() -> Self {
        Self::with(K::default_serde(), V::default_serde())
    }

    /// Default serdes, and a name for the sink node.
    pub fn named(name: impl Into<String>) -> Self {
        Self::new().with_name(name)
    }
}

impl<K: DefaultSerde, V: DefaultSerde> Default for Produced<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> Produced<K, V> {
    /// These serdes.
    pub fn with(key_serde: ArcSerde<K>, value_serde: ArcSerde<V>) -> Self {
        Self { key_serde, value_serde, name: None, partitioner: None }
    }

    /// Names the sink node.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Chooses the partitions of each record; by default the one that Java's default partitioner gives the
    /// key.
    #[must_use]
    pub fn with_stream_partitioner(mut self, partitioner: StreamPartitioner<K, V>) -> Self {
        self.partitioner = Some(partitioner);
        self
    }
}
