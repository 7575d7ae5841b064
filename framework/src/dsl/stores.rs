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
pub(crate) fn add_store<K, V: Data>(
    plan: &mut Plan,
    materialized: Materialized<K, V>,
    kind: StoreKind,
    location: &'static Location<'static>,
) -> StoreId {
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
    plan.add_store(store, location)
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
