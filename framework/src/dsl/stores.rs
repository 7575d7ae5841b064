//! From `Materialized` to a store of the plan, with the handle that processors get.

use std::any::Any;
use std::cell::RefCell;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::options::Materialized;
use crate::config::DslStoreFormat;
use crate::error::Error;
use crate::graph::Plan;
use crate::processor::Data;
use crate::serdes::ArcSerde;
use crate::state::key_layout::KeyLayout;
use crate::state::rows::{ManagedStore, RowHeaders, Rows, RowsOptions, TimeToLive};
use crate::state::stores::{StoreCore, WindowOptions};
use crate::state::versioned::VersionedRows;
use crate::state::{
    RowStore, SessionStore, StateStoreHandle, TimestampedKeyValueStore, TimestampedWindowStore,
    VersionedKeyValueStore,
};
use crate::topology::link::{BuiltStore, StoreSettings, StoreSupplier};
use crate::topology::{StoreId, StoreKind, StoreType, TopologyStore};

/// Adds the store that the options describe to the plan; they have a name by now. Processors get a handle
/// if the options know the key serde.
pub(crate) fn add_store<K: Data, V: Data>(
    plan: &mut Plan,
    materialized: Materialized<K, V>,
    mut kind: StoreKind,
    location: &'static Location<'static>,
) -> StoreId {
    let key = materialized.key_serde.as_ref().and_then(|serde| serde.format());
    let value = materialized.value_serde.format();
    let name = materialized.name.unwrap_or_default();
    let by_time = materialized.store_type == StoreType::InMemory;
    let (key_serde, value_serde) = (materialized.key_serde, materialized.value_serde);
    let mut caching = materialized.caching;
    let is_table = kind == StoreKind::KeyValue;
    for (option, is_set) in
        [("a history", materialized.history.is_some()), ("a TTL", materialized.ttl.is_some())]
    {
        if is_set && !is_table {
            let problem = format!("{option} is for stores of tables without windows; remove it");
            plan.report(format!("store {name}"), problem, location);
        }
    }
    if materialized.history.is_some() && materialized.ttl.is_some() {
        let problem =
            "it has both a history and a TTL; a history forgets by itself, remove the TTL";
        plan.report(format!("store {name}"), problem.to_owned(), location);
    }
    let supplier = if let Some(history) = materialized.history.filter(|_| is_table) {
        kind = StoreKind::Versioned { history_ms: milliseconds(history) };
        // KAFKA: a history is not held back.
        caching = false;
        versioned_supplier(&name, milliseconds(history), key_serde, value_serde)
    } else {
        let ttl_ms = materialized.ttl.filter(|_| is_table).map(milliseconds);
        let rows = RowKind { store: kind, headers: RowHeaders::default(), ttl_ms };
        let window_ms = materialized.window_ms;
        let parts = StoreParts { name: name.as_str().into(), rows, window_ms, by_time };
        supplier(parts, key_serde, value_serde)
    };
    let store = TopologyStore {
        name,
        kind,
        store_type: materialized.store_type,
        logging: materialized.logging,
        caching,
        topic_configs: materialized.topic_configs,
        subtopology: 0,
        supplier,
    };
    let id = plan.add_store(store, location);
    plan.note_formats(id, key, value);
    id
}

/// [`add_store`] of a table without windows whose keys have this serde.
pub(crate) fn add_table_store<K: Data, V: Data>(
    plan: &mut Plan,
    mut materialized: Materialized<K, V>,
    key_serde: &ArcSerde<K>,
    location: &'static Location<'static>,
) -> StoreId {
    materialized.key_serde.get_or_insert_with(|| Arc::clone(key_serde));
    add_store(plan, materialized, StoreKind::KeyValue, location)
}

/// What kind of rows a store has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowKind {
    pub(crate) store: StoreKind,
    pub(crate) headers: RowHeaders,
    pub(crate) ttl_ms: Option<i64>,
}

/// What a table's store is made of, beside its serdes.
struct StoreParts {
    name: Arc<str>,
    rows: RowKind,
    /// How long its windows are, if it has any.
    window_ms: i64,
    by_time: bool,
}

fn supplier<K: Data, V: Data>(
    parts: StoreParts,
    key_serde: Option<ArcSerde<K>>,
    value_serde: ArcSerde<V>,
) -> StoreSupplier {
    let StoreParts { name, rows: kind, window_ms, by_time } = parts;
    Arc::new(move |backing, settings| {
        let headers = match settings.dsl_format {
            DslStoreFormat::Default => RowHeaders::Dropped,
            DslStoreFormat::Headers => RowHeaders::OfDeletions,
        };
        let kind = RowKind { headers, ..kind };
        let rows = build_rows(backing, &value_serde, kind, &settings)?;
        let Some(key_serde) = &key_serde else { return Ok(BuiltStore::of_rows(rows)) };
        let rows = Rc::new(RefCell::new(rows));
        let core = StoreCore::new(Arc::clone(&name), Arc::clone(key_serde), settings.clock);
        let shared = Rc::clone(&rows);
        Ok(match kind.store {
            StoreKind::KeyValue | StoreKind::Versioned { .. } => {
                built(rows, TimestampedKeyValueStore::<K, V>::new(core, shared))
            }
            StoreKind::Window { .. } => {
                let options =
                    WindowOptions { size_ms: window_ms, retain_duplicates: false, by_time };
                built(rows, TimestampedWindowStore::<K, V>::new(core, shared, options))
            }
            StoreKind::Session { .. } => {
                built(rows, SessionStore::<K, V>::new(core, shared, by_time))
            }
        })
    })
}

/// The rows of a store in its task.
pub(crate) fn build_rows<V: Data>(
    backing: Box<dyn RowStore>,
    value_serde: &ArcSerde<V>,
    kind: RowKind,
    settings: &StoreSettings,
) -> Result<Rows<V>, Error> {
    let layout = match kind.store {
        StoreKind::KeyValue | StoreKind::Versioned { .. } => KeyLayout::Plain,
        StoreKind::Window { retention_ms } => KeyLayout::windowed(retention_ms),
        StoreKind::Session { retention_ms } if settings.cached => {
            KeyLayout::sessions(retention_ms).behind_cache()
        }
        StoreKind::Session { retention_ms } => KeyLayout::sessions(retention_ms),
    };
    let options = RowsOptions {
        layout,
        budget: settings.budget,
        headers: kind.headers,
        log_every_update: settings.log_every_update,
    };
    let rows = Rows::new(backing, Arc::clone(value_serde), options)?;
    Ok(match kind.ttl_ms {
        Some(ttl_ms) => {
            rows.with_time_to_live(TimeToLive { ttl_ms, clock: settings.clock.clone() })
        }
        None => rows,
    })
}

/// A store that is linked, with the handle for its processors.
pub(crate) fn built<R: ManagedStore + 'static, S: StateStoreHandle>(
    rows: Rc<RefCell<R>>,
    handle: S,
) -> BuiltStore {
    let managed: Rc<RefCell<dyn ManagedStore>> = Rc::<RefCell<R>>::clone(&rows);
    BuiltStore { managed, rows: Box::new(rows), handle: Some(Rc::new(handle)) }
}

/// Builds a versioned store, with a handle if its key serde is known.
pub(crate) fn versioned_supplier<K: Data, V: Data>(
    name: &str,
    history_ms: i64,
    key_serde: Option<ArcSerde<K>>,
    value_serde: ArcSerde<V>,
) -> StoreSupplier {
    let name: Arc<str> = name.into();
    Arc::new(move |backing, settings| {
        let rows =
            VersionedRows::new(backing, Arc::clone(&value_serde), history_ms, settings.budget)?;
        let rows = Rc::new(RefCell::new(rows));
        let managed: Rc<RefCell<dyn ManagedStore>> = Rc::<RefCell<VersionedRows<V>>>::clone(&rows);
        let handle = key_serde.as_ref().map(|key_serde| {
            let core = StoreCore::new(Arc::clone(&name), Arc::clone(key_serde), settings.clock);
            Rc::new(VersionedKeyValueStore::new(core, Rc::clone(&rows))) as Rc<dyn Any>
        });
        Ok(BuiltStore { managed, rows: Box::new(rows), handle })
    })
}

/// Milliseconds, as far as they fit.
pub(crate) fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
