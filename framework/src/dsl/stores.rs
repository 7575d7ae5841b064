//! From `Materialized` to a store of the plan.

use std::any::Any;
use std::cell::RefCell;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use super::options::Materialized;
use crate::graph::Plan;
use crate::processor::Data;
use crate::serdes::ArcSerde;
use crate::state::key_layout::KeyLayout;
use crate::state::rows::{ManagedStore, RowHeaders, Rows, RowsOptions};
use crate::state::stores::{KeyValueRows, StoreCore};
use crate::state::{SessionStore, TimestampedKeyValueStore};
use crate::topology::link::{BuiltStore, StoreSupplier};
use crate::topology::{StoreId, StoreKind, TopologyStore};

/// Adds the store that the options describe to the plan; they have a name by now, and a key serde if
/// processors can ask for the store.
pub(crate) fn add_store<K: Data, V: Data>(
    plan: &mut Plan,
    materialized: Materialized<K, V>,
    kind: StoreKind,
    location: &'static Location<'static>,
) -> StoreId {
    let key = materialized.key_serde.as_ref().and_then(|serde| serde.format());
    let value = materialized.value_serde.format();
    let name = materialized.name.unwrap_or_default();
    let supplier = supplier(&name, materialized.key_serde, materialized.value_serde, kind);
    let store = TopologyStore {
        name,
        kind,
        store_type: materialized.store_type,
        logging: materialized.logging,
        caching: materialized.caching,
        topic_configs: materialized.topic_configs,
        subtopology: 0,
        supplier,
    };
    let id = plan.add_store(store, location);
    plan.note_formats(id, key, value);
    id
}

fn supplier<K: Data, V: Data>(
    name: &str,
    key_serde: Option<ArcSerde<K>>,
    value_serde: ArcSerde<V>,
    kind: StoreKind,
) -> StoreSupplier {
    let name: Arc<str> = name.into();
    Arc::new(move |backing, settings| {
        let layout = match kind {
            StoreKind::KeyValue => KeyLayout::Plain,
            StoreKind::Window { retention_ms } => KeyLayout::windowed(retention_ms),
            StoreKind::Session { retention_ms } => KeyLayout::sessions(retention_ms),
        };
        let options = RowsOptions {
            layout,
            budget: settings.budget,
            headers: RowHeaders::default(),
            log_every_update: settings.log_every_update,
        };
        let rows = Rc::new(RefCell::new(Rows::new(backing, Arc::clone(&value_serde), options)?));
        let handle = key_serde.as_ref().and_then(|key_serde| {
            let key_serde = Arc::clone(key_serde);
            let core = StoreCore::new(Arc::clone(&name), key_serde, settings.clock.clone());
            table_handle(core, &rows, kind)
        });
        let managed: Rc<RefCell<dyn ManagedStore>> = Rc::<RefCell<Rows<V>>>::clone(&rows);
        Ok(BuiltStore { managed, rows: Box::new(rows), handle })
    })
}

/// What a processor gets that asks for a table's store by name. Of windowed tables the size of the windows is not
/// known here.
fn table_handle<K: Data, V: Data>(
    core: StoreCore<K>,
    rows: &Rc<RefCell<Rows<V>>>,
    kind: StoreKind,
) -> Option<Rc<dyn Any>> {
    match kind {
        StoreKind::KeyValue => {
            let shared: Rc<RefCell<dyn KeyValueRows<V>>> = Rc::<RefCell<Rows<V>>>::clone(rows);
            Some(Rc::new(TimestampedKeyValueStore::<K, V>::new(core, shared)))
        }
        StoreKind::Session { .. } => {
            Some(Rc::new(SessionStore::<K, V>::new(core, Rc::clone(rows), false)))
        }
        StoreKind::Window { .. } => None,
    }
}
