//! How a stream is joined with a table.

use std::time::Duration;

use super::debug_by_name;
use crate::serdes::{ArcSerde, DefaultSerde};

/// How a stream is joined with a table: serdes of the stream, for its repartition topic and its buffer, a
/// name, and a grace period.
///
/// # Source
/// `org.apache.kafka.streams.kstream.Joined`; the table's value serde, which nothing needs, is left out.
#[derive(Clone)]
pub struct Joined<K, V> {
    pub(crate) key_serde: ArcSerde<K>,
    pub(crate) value_serde: ArcSerde<V>,
    pub(crate) name: Option<String>,
    pub(crate) grace: Option<Duration>,
}

debug_by_name!(Joined<K, V> { name, grace });

impl<K: DefaultSerde, V: DefaultSerde> Joined<K, V> {
    /// Default serdes.
    pub fn new() -> Self {
        Self::with(K::default_serde(), V::default_serde())
    }

    /// Default serdes, and a name for the node; a repartition topic, where one is needed, is
    /// `<application id>-<name>-repartition`.
    pub fn named(name: impl Into<String>) -> Self {
        Self::new().with_name(name)
    }
}

impl<K: DefaultSerde, V: DefaultSerde> Default for Joined<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> Joined<K, V> {
    /// These serdes of the stream's keys and values.
    pub fn with(key_serde: ArcSerde<K>, value_serde: ArcSerde<V>) -> Self {
        Self { key_serde, value_serde, name: None, grace: None }
    }

    /// Names the node and what is named after it.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Joins each record only when stream time is `grace` past it, so that the table's updates may come
    /// late; the table must be versioned and keep at least so much history.
    ///
    /// # Source
    /// `Joined.withGracePeriod` (KIP-923).
    #[must_use]
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = Some(grace);
        self
    }
}
