//! Stores that the user connects to nodes by name: looked up when all calls have been made.

use std::panic::Location;

use super::{GraphNodeId, GraphNodeKind, Plan};
use crate::topology::source_changelog::{SourceChangelog, raw_row};
use crate::topology::{StoreId, TopicName, TopologyStore, UNCONNECTED};

/// A store builder of any kind: what [`StreamsBuilder::add_state_store`](crate::StreamsBuilder::add_state_store) takes, and what a supplier brings
/// along. Made from a store builder with `into()`.
///
/// # Source
/// `org.apache.kafka.streams.state.StoreBuilder<?>`.
pub struct AnyStoreBuilder {
    pub(crate) store: TopologyStore,
    /// What is wrong with it; `build` says so.
    pub(crate) problem: Option<String>,
}

impl AnyStoreBuilder {
    /// The store's name.
    pub fn name(&self) -> &str {
        &self.store.name
    }
}

impl std::fmt::Debug for AnyStoreBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AnyStoreBuilder").field("name", &self.store.name).finish_non_exhaustive()
    }
}

/// The stores that a processor uses.
pub(crate) struct UserStores {
    names: Vec<String>,
    brought: Vec<AnyStoreBuilder>,
}

impl UserStores {
    /// Stores by name, and those that the processor's supplier brings along.
    pub(crate) fn new(names: &[&str], brought: Vec<AnyStoreBuilder>) -> Self {
        Self { names: names.iter().map(|&name| name.to_owned()).collect(), brought }
    }
}

/// A store's name beside a node.
pub(super) struct Connection {
    node: Result<GraphNodeId, String>,
    store: String,
    location: &'static Location<'static>,
}

impl Plan {
    /// Connects a node to the stores that it uses.
    pub(crate) fn connect(
        &mut self,
        node: GraphNodeId,
        stores: UserStores,
        location: &'static Location<'static>,
    ) {
        let brought = stores.brought.into_iter().map(|store| {
            let name = store.name().to_owned();
            self.add_brought(store, location);
            name
        });
        let brought: Vec<_> = brought.collect();
        for store in brought.into_iter().chain(stores.names) {
            self.connections.push(Connection { node: Ok(node), store, location });
        }
    }

    /// Has a store restored from the topic that fills it: its rows are the topic's records.
    pub(crate) fn restore_from_source(&mut self, store: StoreId, topic: &str) {
        let topic = TopicName::External(topic.to_owned());
        self.source_changelogs.push(SourceChangelog { store, topic, read: raw_row() });
    }

    /// Connects the node of this name, which may come later, to a store.
    pub(crate) fn connect_by_name(
        &mut self,
        node: &str,
        store: &str,
        location: &'static Location<'static>,
    ) {
        let (node, store) = (Err(node.to_owned()), store.to_owned());
        self.connections.push(Connection { node, store, location });
    }

    /// Adds a store that a builder describes, which belongs to no node yet.
    pub(crate) fn add_built(
        &mut self,
        builder: AnyStoreBuilder,
        location: &'static Location<'static>,
    ) -> StoreId {
        let AnyStoreBuilder { store, problem } = builder;
        if let Some(problem) = problem {
            self.report(format!("store {}", store.name), problem, location);
        }
        self.add_unconnected(store, location)
    }

    /// Adds a store that belongs to no node yet; one that never does is left out.
    pub(crate) fn add_unconnected(
        &mut self,
        store: TopologyStore,
        location: &'static Location<'static>,
    ) -> StoreId {
        self.add_store(TopologyStore { subtopology: UNCONNECTED, ..store }, location)
    }

    /// Adds a store that a supplier brings along. Suppliers that bring the same one share it.
    fn add_brought(&mut self, builder: AnyStoreBuilder, location: &'static Location<'static>) {
        let brought = self.brought.contains(builder.name());
        if brought && self.stores.iter().any(|other| same_store(other, &builder.store)) {
            return;
        }
        self.brought.insert(builder.name().to_owned());
        self.add_built(builder, location);
    }

    /// Looks up what has been connected by name.
    pub(super) fn resolve_connections(&mut self) {
        for connection in std::mem::take(&mut self.connections) {
            let Connection { node, store, location } = connection;
            let node = node.or_else(|name| self.node_named(&name).ok_or(name));
            let found = self.stores.iter().position(|other| other.name == store);
            match (node, found) {
                (Err(node), _) => {
                    let problem = "there is no processor of this name to connect to a store";
                    self.report(format!("node {node}"), problem.to_owned(), location);
                }
                (Ok(_), None) => {
                    let problem = "there is no store of this name to connect to; add it with add_state_store, \
                                   or name the table's store";
                    self.report(format!("store {store}"), problem.to_owned(), location);
                }
                (Ok(node), Some(found)) => self.connect_found(node, StoreId(found), location),
            }
        }
    }

    fn connect_found(
        &mut self,
        node: GraphNodeId,
        store: StoreId,
        location: &'static Location<'static>,
    ) {
        let global = self.global_stores.contains(&store);
        if let Some(found) = self.stores.get(store.0).filter(|_| global) {
            let subject = format!("store {}", found.name);
            let problem = "every processor can use a global store; leave out its name".to_owned();
            return self.report(subject, problem, location);
        }
        let node = self.nodes.get_mut(node.0).map(|node| &mut node.kind);
        if let Some(GraphNodeKind::Processor { stores, .. }) = node
            && !stores.contains(&store)
        {
            stores.push(store);
        }
    }

    fn node_named(&self, wanted: &str) -> Option<GraphNodeId> {
        let place = self.nodes.iter().position(
            |node| matches!(&node.kind, GraphNodeKind::Processor { name, .. } if name == wanted),
        );
        place.map(GraphNodeId)
    }
}

/// Whether two stores are made alike.
fn same_store(a: &TopologyStore, b: &TopologyStore) -> bool {
    (&a.name, a.kind, a.store_type, a.logging, a.caching, &a.topic_configs)
        == (&b.name, b.kind, b.store_type, b.logging, b.caching, &b.topic_configs)
}
