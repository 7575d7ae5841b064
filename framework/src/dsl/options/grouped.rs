//! How a stream is grouped.

use super::debug_by_name;
use crate::serdes::{ArcSerde, DefaultSerde};

/// How records are grouped: serdes of the groups' keys and values, and a name for the repartition topic,
/// if one is needed. A named group is repartitioned once for all its aggregations.
///
/// # Source
/// `org.apache.kafka.streams.kstream.Grouped`.
#[derive(Clone)]
pub struct Grouped<K, V> {
    pub(crate) key_serde: ArcSerde<K>,
    pub(crate) value_serde: ArcSerde<V>,
    pub(crate) name: Option<String>,
}

debug_by_name!(Grouped < K, V > { name });

impl<K: DefaultSerde, V: DefaultSerde> Grouped<K, V> {
    /// Default serdes.
    pub fn new() -> Self {
        Self::with(K::default_serde(), V::default_serde())
    }

    /// Default serdes, and the repartition topic `<application id>-<name>-repartition`.
    pub fn named(name: impl Into<String>) -> Self {
        Self::new().with_name(name)
    }
}

impl<K: DefaultSerde, V: DefaultSerde> Default for Grouped<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> Grouped<K, V> {
    /// These serdes.
    pub fn with(key_serde: ArcSerde<K>, value_serde: ArcSerde<V>) -> Self {
        Self { key_serde, value_serde, name: None }
    }

    /// Names the repartition topic, if one is needed.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}
