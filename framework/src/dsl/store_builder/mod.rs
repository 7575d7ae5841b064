//! Stores for processors of one's own: [`Stores`] says where the rows are, a builder what they are.

mod builder;
mod supplier;

use std::time::Duration;

use crate::processor::Data;
use crate::serdes::{ArcSerde, DefaultSerde};
use crate::state::rows::RowHeaders;
use crate::state::{
    KeyValueStore, SessionStore, SessionStoreWithHeaders, TimestampedKeyValueStore,
    TimestampedKeyValueStoreWithHeaders, TimestampedWindowStore, TimestampedWindowStoreWithHeaders,
    VersionedKeyValueStore, WindowStore,
};
use crate::topology::StoreType;

pub use builder::StoreBuilder;
use supplier::Keep;
pub use supplier::{
    KeyValueBytesStoreSupplier, SessionBytesStoreSupplier, VersionedBytesStoreSupplier,
    WindowBytesStoreSupplier,
};

/// Makes stores: first where the rows are, then a builder with what they are.
///
/// # Source
/// `org.apache.kafka.streams.state.Stores`. There the kinds with timestamps and headers have suppliers
/// of their own, because their bytes on disk differ; here the builder alone decides.
#[derive(Debug, Clone, Copy)]
pub enum Stores {}

impl Stores {
    /// A key-value store on disk.
    pub fn persistent_key_value_store(name: impl Into<String>) -> KeyValueBytesStoreSupplier {
        let keep = Keep::All(StoreType::Persistent);
        KeyValueBytesStoreSupplier { name: name.into(), keep, ttl: None }
    }

    /// A key-value store in memory, rebuilt from the changelog at every start.
    pub fn in_memory_key_value_store(name: impl Into<String>) -> KeyValueBytesStoreSupplier {
        let keep = Keep::All(StoreType::InMemory);
        KeyValueBytesStoreSupplier { name: name.into(), keep, ttl: None }
    }

    /// A key-value store in memory that keeps the `max_entries` rows that were read or written last; the
    /// others are deleted, from the changelog too.
    pub fn lru_map(name: impl Into<String>, max_entries: usize) -> KeyValueBytesStoreSupplier {
        KeyValueBytesStoreSupplier {
            name: name.into(),
            keep: Keep::LastUsed(max_entries),
            ttl: None,
        }
    }

    /// A window store on disk. Windows span `window_size`, which only counts for the ends that are
    /// shown, and are kept for `retention` behind the highest window start.
    pub fn persistent_window_store(
        name: impl Into<String>,
        retention: Duration,
        window_size: Duration,
    ) -> WindowBytesStoreSupplier {
        window_supplier(name.into(), StoreType::Persistent, retention, window_size)
    }

    /// A window store in memory, rebuilt from the changelog at every start.
    pub fn in_memory_window_store(
        name: impl Into<String>,
        retention: Duration,
        window_size: Duration,
    ) -> WindowBytesStoreSupplier {
        window_supplier(name.into(), StoreType::InMemory, retention, window_size)
    }

    /// A session store on disk. Sessions are kept for `retention` behind the highest session end.
    pub fn persistent_session_store(
        name: impl Into<String>,
        retention: Duration,
    ) -> SessionBytesStoreSupplier {
        SessionBytesStoreSupplier {
            name: name.into(),
            store_type: StoreType::Persistent,
            retention,
        }
    }

    /// A session store in memory, rebuilt from the changelog at every start.
    pub fn in_memory_session_store(
        name: impl Into<String>,
        retention: Duration,
    ) -> SessionBytesStoreSupplier {
        SessionBytesStoreSupplier { name: name.into(), store_type: StoreType::InMemory, retention }
    }

    /// A versioned key-value store on disk that remembers `history_retention` of event time.
    pub fn persistent_versioned_key_value_store(
        name: impl Into<String>,
        history_retention: Duration,
    ) -> VersionedBytesStoreSupplier {
        VersionedBytesStoreSupplier {
            name: name.into(),
            store_type: StoreType::Persistent,
            history_retention,
        }
    }

    /// A versioned key-value store in memory, rebuilt from the changelog at every start.
    pub fn in_memory_versioned_key_value_store(
        name: impl Into<String>,
        history_retention: Duration,
    ) -> VersionedBytesStoreSupplier {
        VersionedBytesStoreSupplier {
            name: name.into(),
            store_type: StoreType::InMemory,
            history_retention,
        }
    }
}

fn window_supplier(
    name: String,
    store_type: StoreType,
    retention: Duration,
    size: Duration,
) -> WindowBytesStoreSupplier {
    WindowBytesStoreSupplier { name, store_type, retention, size, retain_duplicates: false }
}

/// A builder with default serdes, and one with given serdes.
macro_rules! builders {
    ($(
        $(#[$doc:meta])*
        $builder:ident, $builder_with:ident: $supplier:ty => $store:ident,
        $make:expr;
    )*) => {
        impl Stores {$(
            $(#[$doc])*
            pub fn $builder<K, V>(supplier: $supplier) -> StoreBuilder<$store<K, V>>
            where
                K: Data + DefaultSerde,
                V: Data + DefaultSerde,
            {
                Self::$builder_with(supplier, K::default_serde(), V::default_serde())
            }

            $(#[$doc])*
            /// With these serdes.
            pub fn $builder_with<K: Data, V: Data>(
                supplier: $supplier,
                key_serde: ArcSerde<K>,
                value_serde: ArcSerde<V>,
            ) -> StoreBuilder<$store<K, V>> {
                $make(supplier, key_serde, value_serde)
            }
        )*}
    };
}

builders! {
    /// Builds a [`KeyValueStore`].
    key_value_store_builder, key_value_store_builder_with: KeyValueBytesStoreSupplier => KeyValueStore,
    |supplier, keys, values| builder::key_value(supplier, keys, values, RowHeaders::Dropped);

    /// Builds a [`TimestampedKeyValueStore`].
    timestamped_key_value_store_builder, timestamped_key_value_store_builder_with:
        KeyValueBytesStoreSupplier => TimestampedKeyValueStore,
    |supplier, keys, values| builder::key_value(supplier, keys, values, RowHeaders::Dropped);

    /// Builds a [`TimestampedKeyValueStoreWithHeaders`].
    timestamped_key_value_store_with_headers_builder, timestamped_key_value_store_with_headers_builder_with:
        KeyValueBytesStoreSupplier => TimestampedKeyValueStoreWithHeaders,
    |supplier, keys, values| builder::key_value(supplier, keys, values, RowHeaders::Kept);

    /// Builds a [`WindowStore`].
    window_store_builder, window_store_builder_with: WindowBytesStoreSupplier => WindowStore,
    |supplier, keys, values| builder::window(supplier, keys, values, RowHeaders::Dropped);

    /// Builds a [`TimestampedWindowStore`].
    timestamped_window_store_builder, timestamped_window_store_builder_with:
        WindowBytesStoreSupplier => TimestampedWindowStore,
    |supplier, keys, values| builder::window(supplier, keys, values, RowHeaders::Dropped);

    /// Builds a [`TimestampedWindowStoreWithHeaders`].
    timestamped_window_store_with_headers_builder, timestamped_window_store_with_headers_builder_with:
        WindowBytesStoreSupplier => TimestampedWindowStoreWithHeaders,
    |supplier, keys, values| builder::window(supplier, keys, values, RowHeaders::Kept);

    /// Builds a [`SessionStore`].
    session_store_builder, session_store_builder_with: SessionBytesStoreSupplier => SessionStore,
    |supplier, keys, values| builder::session(supplier, keys, values, RowHeaders::Dropped);

    /// Builds a [`SessionStoreWithHeaders`].
    session_store_with_headers_builder, session_store_with_headers_builder_with:
        SessionBytesStoreSupplier => SessionStoreWithHeaders,
    |supplier, keys, values| builder::session(supplier, keys, values, RowHeaders::Kept);

    /// Builds a [`VersionedKeyValueStore`].
    versioned_key_value_store_builder, versioned_key_value_store_builder_with:
        VersionedBytesStoreSupplier => VersionedKeyValueStore,
    builder::versioned;
}
