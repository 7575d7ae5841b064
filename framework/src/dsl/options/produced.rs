//! How a topic is written.

use super::debug_by_name;
use crate::serdes::{ArcSerde, DefaultSerde};

/// How a sink writes its topic: serdes and name.
///
/// # Source
/// `org.apache.kafka.streams.kstream.Produced`.
#[derive(Clone)]
pub struct Produced<K, V> {
    pub(crate) key_serde: ArcSerde<K>,
    pub(crate) value_serde: ArcSerde<V>,
    pub(crate) name: Option<String>,
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
        Self { key_serde, value_serde, name: None }
    }

    /// Names the sink node.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}
