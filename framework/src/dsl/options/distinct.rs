//! What counts as a repeat.

use std::time::Duration;

use super::debug_by_name;
use crate::serdes::{ArcSerde, DefaultSerde};
use crate::topology::StoreType;

/// When a record is a repeat of another, and how the records that were let through are remembered. `I` is
/// what has to be equal beside the key.
#[derive(Clone)]
pub struct Distinct<K, V, I> {
    pub(crate) key_serde: ArcSerde<K>,
    pub(crate) value_serde: ArcSerde<V>,
    pub(crate) id_serde: ArcSerde<I>,
    pub(crate) within: Duration,
    pub(crate) grace: Duration,
    pub(crate) name: Option<String>,
    pub(crate) store_name: Option<String>,
    pub(crate) store_type: StoreType,
    pub(crate) logging: bool,
}

debug_by_name!(Distinct<K, V, I> { within, grace, name, store_name, store_type, logging });

impl<K: DefaultSerde, V: DefaultSerde, I: DefaultSerde> Distinct<K, V, I> {
    /// A record is a repeat if it is less than `within` apart from an equal one that was let through; with
    /// default serdes.
    pub fn within(within: Duration) -> Self {
        Self::with(K::default_serde(), V::default_serde(), I::default_serde(), within)
    }
}

impl<K, V, I> Distinct<K, V, I> {
    /// [`Distinct::within`] with these serdes: of keys and values, for a repartition topic where one is
    /// needed, and of what has to be equal.
    pub fn with(
        key_serde: ArcSerde<K>,
        value_serde: ArcSerde<V>,
        id_serde: ArcSerde<I>,
        within: Duration,
    ) -> Self {
        Self {
            key_serde,
            value_serde,
            id_serde,
            within,
            grace: Duration::ZERO,
            name: None,
            store_name: None,
            store_type: StoreType::Persistent,
            logging: true,
        }
    }

    /// How late records may come: those that are `within` and this behind stream time are dropped.
    #[must_use]
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Names the node, and the repartition topic where one is needed.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Names the store and its changelog.
    #[must_use]
    pub fn with_store_name(mut self, store_name: impl Into<String>) -> Self {
        self.store_name = Some(store_name.into());
        self
    }

    /// Keeps rows on disk or in memory; on disk by default.
    #[must_use]
    pub fn with_store_type(mut self, store_type: StoreType) -> Self {
        self.store_type = store_type;
        self
    }

    /// Has no changelog: what was let through is forgotten with the local disk.
    #[must_use]
    pub fn with_logging_disabled(mut self) -> Self {
        self.logging = false;
        self
    }
}
