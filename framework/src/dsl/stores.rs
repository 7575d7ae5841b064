//! From `Materialized` to a store of the plan.

use std::panic::Location;
use std::sync::Arc;

use super::options::Materialized;
use crate::graph::Plan;
use crate::processor::Data;
use crate::serdes::ArcSerde;
use crate::state::key_layout::KeyLayout;
use crate::state::rows::{RowHeaders, Rows, RowsOptions};
use crate::topology::link::{BuiltStore, StoreSupplier};
use crate::topology::{StoreId, StoreKind, TopologyStore};

/// Adds the store that the options describe to the plan; they have a name by now.
pub(crate) fn add_store<K: 'static, V: Data>(
    plan: &mut Plan,
    materialized: Materialized<K, V>,
    kind: StoreKind,
    location: &'static Location<'static>,
) -> StoreId {
    let key = materialized.key_serde.as_ref().and_then(|serde| serde.format());
    let value = materialized.value_serde.format();
    let store = TopologyStore {
        name: materialized.name.unwrap_or_default(),
        kind,
        store_type: materialized.store_type,
        logging: materialized.logging,
        caching: materialized.caching,
        topic_configs: materialized.topic_configs,
        subtopology: 0,
        supplier: supplier(materialized.value_serde, kind),
    };
    let id = plan.add_store(store, location);
    plan.note_formats(id, key, value);
    id
}

fn supplier<V: Data>(value_serde: ArcSerde<V>, kind: StoreKind) -> StoreSupplier {
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
        Ok(BuiltStore::of_rows(Rows::new(backing, Arc::clone(&value_serde), options)?))
    })
}
