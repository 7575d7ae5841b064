//! Stores that are built to be attached to processors.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

use super::supplier::{
    Keep, KeyValueBytesStoreSupplier, SessionBytesStoreSupplier, VersionedBytesStoreSupplier,
    WindowBytesStoreSupplier,
};
use crate::dsl::AnyStoreBuilder;
use crate::dsl::stores::{RowKind, build_rows, built, milliseconds, versioned_supplier};
use crate::processor::Data;
use crate::serdes::ArcSerde;
use crate::state::rows::{RowHeaders, Rows};
use crate::state::stores::{KeyValueRows, LruRows, StoreCore, WindowOptions};
use crate::state::{
    KeyValueStore, MemoryRows, SessionStore, StateStoreHandle, StoredAs, VersionedKeyValueStore,
    WindowStore,
};
use crate::topology::link::StoreSupplier;
use crate::topology::{StoreKind, StoreType, TopologyStore};

/// A store to be added to a topology: its name, type and serdes, its changelog, and whether the record cache
/// holds its updates back. `S` is the handle that processors get.
///
/// Without further ado the store has a changelog and no cache. [`Stores`](super::Stores) makes builders.
///
/// # Source
/// `org.apache.kafka.streams.state.StoreBuilder`.
pub struct StoreBuilder<S> {
    name: String,
    kind: StoreKind,
    store_type: StoreType,
    logging: bool,
    caching: bool,
    topic_configs: BTreeMap<String, String>,
    problem: Option<String>,
    supplier: StoreSupplier,
    handle: PhantomData<fn() -> S>,
}

impl<S: StateStoreHandle> StoreBuilder<S> {
    /// The store's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Lets the record cache hold updates back until the task commits: the changelog then gets the latest per
    /// key.
    #[must_use]
    pub fn with_caching_enabled(mut self) -> Self {
        self.caching = true;
        self
    }

    /// Does not use the record cache; this is the default.
    #[must_use]
    pub fn with_caching_disabled(mut self) -> Self {
        self.caching = false;
        self
    }

    /// Has a changelog topic with these configs beside the usual ones; this is the default, without further
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

    /// Has no changelog: rows are lost with the local disk, and a task that moves starts empty.
    #[must_use]
    pub fn with_logging_disabled(mut self) -> Self {
        self.logging = false;
        self.topic_configs.clear();
        self
    }

    fn new(head: Head, supplier: StoreSupplier) -> Self {
        let Head { name, kind, store_type, mut problem } = head;
        if name.is_empty() {
            problem.get_or_insert_with(|| "it needs a name".to_owned());
        }
        Self {
            name,
            kind,
            store_type,
            logging: true,
            caching: false,
            topic_configs: BTreeMap::new(),
            problem,
            supplier,
            handle: PhantomData,
        }
    }
}

impl<S> From<StoreBuilder<S>> for AnyStoreBuilder {
    fn from(builder: StoreBuilder<S>) -> Self {
        let store = TopologyStore {
            name: builder.name,
            kind: builder.kind,
            store_type: builder.store_type,
            logging: builder.logging,
            caching: builder.caching,
            topic_configs: builder.topic_configs,
            subtopology: 0,
            supplier: builder.supplier,
        };
        Self { store, problem: builder.problem }
    }
}

impl<S> Clone for StoreBuilder<S> {
    fn clone(&self) -> Self {
        Self {
            name: self.name.clone(),
            kind: self.kind,
            store_type: self.store_type,
            logging: self.logging,
            caching: self.caching,
            topic_configs: self.topic_configs.clone(),
            problem: self.problem.clone(),
            supplier: Arc::clone(&self.supplier),
            handle: PhantomData,
        }
    }
}

impl<S> std::fmt::Debug for StoreBuilder<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreBuilder")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("store_type", &self.store_type)
            .field("logging", &self.logging)
            .field("caching", &self.caching)
            .finish_non_exhaustive()
    }
}

/// What a builder knows of its store, whatever its types.
struct Head {
    name: String,
    kind: StoreKind,
    store_type: StoreType,
    problem: Option<String>,
}

pub(super) fn key_value<K: Data, V: Data, F: StoredAs<V>>(
    supplier: KeyValueBytesStoreSupplier,
    key_serde: ArcSerde<K>,
    value_serde: ArcSerde<V>,
    headers: RowHeaders,
) -> StoreBuilder<KeyValueStore<K, V, F>> {
    let KeyValueBytesStoreSupplier { name, keep, ttl } = supplier;
    let ttl_ms = ttl.map(milliseconds);
    let store_type = keep.store_type();
    let shared_name: Arc<str> = name.as_str().into();
    let problem = keep.problem();
    let kind = RowKind { store: StoreKind::KeyValue, headers, ttl_ms };
    let make: StoreSupplier = Arc::new(move |backing, settings| {
        let backing = match keep {
            Keep::All(_) => backing,
            // The order of use is not among the rows: only the changelog brings both back.
            Keep::LastUsed(_) => Box::new(MemoryRows::new()),
        };
        let rows = build_rows(backing, &value_serde, kind, &settings)?;
        let core = StoreCore::new(Arc::clone(&shared_name), Arc::clone(&key_serde), settings.clock);
        let Keep::LastUsed(max_rows) = keep else {
            let rows = Rc::new(RefCell::new(rows));
            let shared: Rc<RefCell<dyn KeyValueRows<V>>> = Rc::<RefCell<Rows<V>>>::clone(&rows);
            return Ok(built(rows, KeyValueStore::<K, V, F>::new(core, shared)));
        };
        let rows = Rc::new(RefCell::new(LruRows::new(rows, Arc::clone(&value_serde), max_rows)));
        let shared: Rc<RefCell<dyn KeyValueRows<V>>> = Rc::<RefCell<LruRows<V>>>::clone(&rows);
        Ok(built(rows, KeyValueStore::<K, V, F>::new(core, shared)))
    });
    StoreBuilder::new(Head { name, kind: kind.store, store_type, problem }, make)
}

pub(super) fn window<K: Data, V: Data, F: StoredAs<V>>(
    supplier: WindowBytesStoreSupplier,
    key_serde: ArcSerde<K>,
    value_serde: ArcSerde<V>,
    headers: RowHeaders,
) -> StoreBuilder<WindowStore<K, V, F>> {
    let problem = supplier.problem();
    let WindowBytesStoreSupplier { name, store_type, retention, size, retain_duplicates } =
        supplier;
    let shared_name: Arc<str> = name.as_str().into();
    let store = StoreKind::Window { retention_ms: milliseconds(retention) };
    let kind = RowKind { store, headers, ttl_ms: None };
    let by_time = store_type == StoreType::InMemory;
    let options = WindowOptions { size_ms: milliseconds(size), retain_duplicates, by_time };
    let make: StoreSupplier = Arc::new(move |backing, settings| {
        let rows = build_rows(backing, &value_serde, kind, &settings)?;
        let rows = Rc::new(RefCell::new(rows));
        let core = StoreCore::new(Arc::clone(&shared_name), Arc::clone(&key_serde), settings.clock);
        let handle = WindowStore::<K, V, F>::new(core, Rc::clone(&rows), options);
        Ok(built(rows, handle))
    });
    StoreBuilder::new(Head { name, kind: store, store_type, problem }, make)
}

pub(super) fn session<K: Data, V: Data, F: StoredAs<V>>(
    supplier: SessionBytesStoreSupplier,
    key_serde: ArcSerde<K>,
    value_serde: ArcSerde<V>,
    headers: RowHeaders,
) -> StoreBuilder<SessionStore<K, V, F>> {
    let SessionBytesStoreSupplier { name, store_type, retention } = supplier;
    let shared_name: Arc<str> = name.as_str().into();
    let by_time = store_type == StoreType::InMemory;
    let store = StoreKind::Session { retention_ms: milliseconds(retention) };
    let kind = RowKind { store, headers, ttl_ms: None };
    let make: StoreSupplier = Arc::new(move |backing, settings| {
        let rows = build_rows(backing, &value_serde, kind, &settings)?;
        let rows = Rc::new(RefCell::new(rows));
        let core = StoreCore::new(Arc::clone(&shared_name), Arc::clone(&key_serde), settings.clock);
        let handle = SessionStore::<K, V, F>::new(core, Rc::clone(&rows), by_time);
        Ok(built(rows, handle))
    });
    StoreBuilder::new(Head { name, kind: store, store_type, problem: None }, make)
}

pub(super) fn versioned<K: Data, V: Data>(
    supplier: VersionedBytesStoreSupplier,
    key_serde: ArcSerde<K>,
    value_serde: ArcSerde<V>,
) -> StoreBuilder<VersionedKeyValueStore<K, V>> {
    let VersionedBytesStoreSupplier { name, store_type, history_retention } = supplier;
    let history_ms = milliseconds(history_retention);
    let supplier = versioned_supplier(&name, history_ms, Some(key_serde), value_serde);
    let kind = StoreKind::Versioned { history_ms };
    StoreBuilder::new(Head { name, kind, store_type, problem: None }, supplier)
}
