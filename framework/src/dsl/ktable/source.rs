//! A topic or a stream as a table.

use std::cell::Cell;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use super::origin::{LateStore, SendOld, SourceTable};
use super::{KTable, Table};
use crate::dsl::options::Materialized;
use crate::dsl::stores::add_table_store;
use crate::graph::{GraphNodeId, GraphNodeKind, SharedPlan};
use crate::processor::Data;
use crate::processor::operators::table_source::{TableSource, TableStore};
use crate::processor::value_getter::plain_store_key;
use crate::serdes::ArcSerde;
use crate::topology::link::flushing_node;

/// The node that turns records into updates of a table.
pub(crate) struct TableSourceSpec<K, V> {
    pub(crate) name: String,
    pub(crate) parent: GraphNodeId,
    pub(crate) key_serde: ArcSerde<K>,
    /// It has a name by now: the user's, or a generated one.
    pub(crate) materialized: Materialized<K, V>,
    /// Whether the user asked for the store.
    pub(crate) queryable: bool,
}

/// Adds the node; records have values of type `I`. Without a store that the user asked for, the table gets
/// one when somebody reads it.
pub(crate) fn add_table_source<K: Data, I: Data + Into<Option<V>>, V: Data>(
    plan: &SharedPlan,
    spec: TableSourceSpec<K, V>,
    location: &'static Location<'static>,
) -> KTable<K, V> {
    let TableSourceSpec { name, parent, key_serde, materialized, queryable } = spec;
    let (store, send_old) = (LateStore::default(), SendOld::default());
    let (linked_store, linked_send_old) = (Arc::clone(&store), send_old.clone());
    let (node_name, node_serde) = (name.clone(), Arc::clone(&key_serde));
    let caching = materialized.caching;
    let supplier = flushing_node::<K, I, _>(move |linker| {
        let store = match linked_store.get() {
            Some(id) => Some(TableStore {
                rows: linker.table_rows::<V>(*id)?,
                caching: caching && linker.record_cache(),
                send_old: linked_send_old.is_enabled(),
            }),
            None => None,
        };
        Ok(TableSource {
            name: node_name.clone(),
            key_serde: Arc::clone(&node_serde),
            store,
            next: linker.outlet()?,
            key_bytes: Vec::new(),
        })
    });
    let kind = GraphNodeKind::Processor { name, supplier, stores: Vec::new() };
    let node = plan.borrow_mut().add_node(vec![parent], kind, location);
    let value_serde = Arc::clone(&materialized.value_serde);
    let store_name = materialized.name.clone().filter(|_| queryable);
    let versioned = queryable && materialized.history.is_some();
    let store_serde = Arc::clone(&key_serde);
    let make_store =
        Box::new(move |plan: &mut _| add_table_store(plan, materialized, &store_serde, location));
    let make_store = Cell::new(Some(make_store as _));
    let store_key = plain_store_key(&key_serde);
    let origin = Rc::new(SourceTable { node, store, make_store, store_key, send_old });
    if queryable {
        origin.materialize(&mut plan.borrow_mut());
    }
    let table = Table::new(origin, key_serde)
        .with_value_serde(value_serde)
        .with_store_name(store_name.as_deref())
        .with_history(versioned);
    KTable::new(Rc::clone(plan), node, table)
}
