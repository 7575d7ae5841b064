//! How a stream is repartitioned.

use super::debug_by_name;
use crate::processor::stream_partitioner::StreamPartitioner;
use crate::serdes::{ArcSerde, DefaultSerde};

/// How a stream goes through a topic of its own: serdes, the topic's name and number of partitions,
/// and the choice of partitions.
///
/// # Source
/// `org.apache.kafka.streams.kstream.Repartitioned` (KIP-221).
#[derive(Clone)]
pub struct Repartitioned<K, V> {
    pub(crate) key_serde: ArcSerde<K>,
    pub(crate) value_serde: ArcSerde<V>,
    pub(crate) name: Option<String>,
    pub(crate) partitions: Option<i32>,
    pub(crate) partitioner: Option<StreamPartitioner<K, V>>,
}

debug_by_name!(Repartitioned<K, V> { name, partitions });

impl<K: DefaultSerde, V: DefaultSerde> Repartitioned<K, V> {
    /// Default serdes.
    pub fn new() -> Self {
        Self::with(K::default_serde(), V::default_serde())
    }

    /// Default serdes, and the topic `<application id>-<name>-repartition`.
    pub fn named(name: impl Into<String>) -> Self {
        Self::new().with_name(name)
    }
}

impl<K: DefaultSerde, V: DefaultSerde> Default for Repartitioned<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> Repartitioned<K, V> {
    /// These serdes.
    pub fn with(key_serde: ArcSerde<K>, value_serde: ArcSerde<V>) -> Self {
        Self { key_serde, value_serde, name: None, partitions: None, partitioner: None }
    }

    /// Names the topic.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The topic's number of partitions; by default the largest of the topics upstream.
    #[must_use]
    pub fn with_number_of_partitions(mut self, partitions: i32) -> Self {
        self.partitions = Some(partitions);
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
