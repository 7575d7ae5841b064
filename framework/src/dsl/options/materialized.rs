//! How a table's rows are kept.

use std::collections::BTreeMap;
use std::time::Duration;

use super::debug_by_name;
use crate::serdes::{ArcSerde, DefaultSerde};
use crate::topology::StoreType;

/// How a table is kept: the store's name, type and serdes, its changelog, and whether the record cache
/// holds updates back.
///
/// # Source
/// `org.apache.kafka.streams.kstream.Materialized`.
#[derive(Clone)]
pub struct Materialized<K, V> {
    pub(crate) name: Option<String>,
    pub(crate) key_serde: Option<ArcSerde<K>>,
    pub(crate) value_serde: ArcSerde<V>,
    pub(crate) store_type: StoreType,
    pub(crate) logging: bool,
    pub(crate) topic_configs: BTreeMap<String, String>,
    pub(crate) caching: bool,
    pub(crate) retention: Option<Duration>,
}

debug_by_name!(Materialized<K, V> { name, store_type, logging, topic_configs, caching, retention });

impl<K, V: DefaultSerde> Materialized<K, V> {
    /// A generated store name, the group's key serde, and the value's default serde.
    pub fn new() -> Self {
        Self::with_value_serde(V::default_serde())
    }

    /// This store name; the changelog is `<application id>-<name>-changelog`.
    pub fn named(name: impl Into<String>) -> Self {
        Self::new().with_name(name)
    }
}

impl<K, V: DefaultSerde> Default for Materialized<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> Materialized<K, V> {
    /// These serdes.
    pub fn with(key_serde: ArcSerde<K>, value_serde: ArcSerde<V>) -> Self {
        Self { key_serde: Some(key_serde), ..Self::with_value_serde(value_serde) }
    }

    /// The group's key serde and this value serde.
    pub fn with_value_serde(value_serde: ArcSerde<V>) -> Self {
        Self {
            name: None,
            key_serde: None,
            value_serde,
            store_type: StoreType::Persistent,
            logging: true,
            topic_configs: BTreeMap::new(),
            caching: true,
            retention: None,
        }
    }

    /// Names the store.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Keeps rows on disk or in memory; on disk by default.
    #[must_use]
    pub fn with_store_type(mut self, store_type: StoreType) -> Self {
        self.store_type = store_type;
        self
    }

    /// Has a changelog topic with these configs beside the usual ones; this is the default, without
    /// further configs.
    #[must_use]
    pub fn with_logging_enabled<N: Into<String>, T: Into<String>>(
        mut self,
        topic_configs: impl IntoIterator<Item = (N, T)>,
    ) -> Self {
        self.logging = true;
        self.topic_configs =
            topic_configs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        self
    }

    /// Has no changelog: rows are lost with the local disk, and a task that moves starts empty.
    #[must_use]
    pub fn with_logging_disabled(mut self) -> Self {
        self.logging = false;
        self.topic_configs.clear();
        self
    }

    /// Forwards every update at once, even when the record cache is on.
    #[must_use]
    pub fn with_caching_disabled(mut self) -> Self {
        self.caching = false;
        self
    }

    /// How long a window's rows are kept behind stream time, counted from the window's start; by default
    /// the window's size and grace, which is also the least that is allowed.
    #[must_use]
    pub fn with_retention(mut self, retention: Duration) -> Self {
        self.retention = Some(retention);
        self
    }
}
