//! How two streams are joined.

use std::collections::BTreeMap;

use super::debug_by_name;
use crate::serdes::{ArcSerde, DefaultSerde};
use crate::topology::StoreType;

/// The store of one side, as the user chose it.
#[derive(Debug, Clone)]
pub(crate) struct JoinStore {
    pub(crate) name: String,
    pub(crate) store_type: StoreType,
}

/// How two streams are joined: serdes, names of nodes, topics and stores, and how the stores keep rows.
///
/// With a name, the nodes are `<name>-this-windowed`, `<name>-this-join`, `<name>-merge` and so on, and
/// repartition topics, where they are needed, `<application id>-<name>-left-repartition` and `-right-`. With
/// a store name, the stores are `<store name>-this-join-store`, `<store name>-other-join-store`, and for left
/// and outer joins `<store name>-left-shared-join-store` or `-outer-shared-join-store`.
///
/// # Source
/// `org.apache.kafka.streams.kstream.StreamJoined`. Where Kafka Streams takes window store suppliers, whose
/// retention has to be that of the windows, [`StreamJoined::with_this_store`] takes name and type alone.
#[derive(Clone)]
pub struct StreamJoined<K, V, VO> {
    pub(crate) key_serde: ArcSerde<K>,
    pub(crate) value_serde: ArcSerde<V>,
    pub(crate) other_value_serde: ArcSerde<VO>,
    pub(crate) name: Option<String>,
    pub(crate) store_name: Option<String>,
    pub(crate) store_type: StoreType,
    pub(crate) this_store: Option<JoinStore>,
    pub(crate) other_store: Option<JoinStore>,
    pub(crate) logging: bool,
    pub(crate) topic_configs: BTreeMap<String, String>,
}

debug_by_name!(StreamJoined<K, V, VO> { name, store_name, store_type, this_store, other_store, logging, topic_configs });

impl<K: DefaultSerde, V: DefaultSerde, VO: DefaultSerde> StreamJoined<K, V, VO> {
    /// Default serdes.
    pub fn new() -> Self {
        Self::with(K::default_serde(), V::default_serde(), VO::default_serde())
    }

    /// Default serdes, and a name for the nodes and repartition topics.
    pub fn named(name: impl Into<String>) -> Self {
        Self::new().with_name(name)
    }
}

impl<K: DefaultSerde, V: DefaultSerde, VO: DefaultSerde> Default for StreamJoined<K, V, VO> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V, VO> StreamJoined<K, V, VO> {
    /// These serdes: of the keys, of the left values, of the right values.
    pub fn with(
        key_serde: ArcSerde<K>,
        value_serde: ArcSerde<V>,
        other_value_serde: ArcSerde<VO>,
    ) -> Self {
        Self {
            key_serde,
            value_serde,
            other_value_serde,
            name: None,
            store_name: None,
            store_type: StoreType::Persistent,
            this_store: None,
            other_store: None,
            logging: true,
            topic_configs: BTreeMap::new(),
        }
    }

    /// Names the nodes and the repartition topics.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Names the stores and their changelogs.
    #[must_use]
    pub fn with_store_name(mut self, store_name: impl Into<String>) -> Self {
        self.store_name = Some(store_name.into());
        self
    }

    /// Keeps all the join's rows on disk or in memory; on disk by default.
    #[must_use]
    pub fn with_store_type(mut self, store_type: StoreType) -> Self {
        self.store_type = store_type;
        self
    }

    /// Names the store of the left stream as it stands, and says where its rows are; the rows of unmatched
    /// records are kept in the same way.
    #[must_use]
    pub fn with_this_store(mut self, name: impl Into<String>, store_type: StoreType) -> Self {
        self.this_store = Some(JoinStore { name: name.into(), store_type });
        self
    }

    /// Names the store of the right stream as it stands, and says where its rows are.
    #[must_use]
    pub fn with_other_store(mut self, name: impl Into<String>, store_type: StoreType) -> Self {
        self.other_store = Some(JoinStore { name: name.into(), store_type });
        self
    }

    /// Has changelog topics with these configs beside the usual ones; this is the default, without further
    /// configs.
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

    /// Has no changelogs: rows are lost with the local disk, and a task that moves starts empty.
    #[must_use]
    pub fn with_logging_disabled(mut self) -> Self {
        self.logging = false;
        self.topic_configs.clear();
        self
    }
}
