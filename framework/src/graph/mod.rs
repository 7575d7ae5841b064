//! The logical plan: what the DSL calls asked for, in the order of the calls, and what was wrong with
//! them.
//!
//! The plan knows names and edges, and keeps operators as opaque suppliers; types stay in the DSL.

mod joins;
mod lower;
mod names;
mod naming;
mod optimization;
mod order;
mod user_stores;

use std::any::TypeId;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::Location;
use std::rc::Rc;

use crate::error::TopologyError;
use crate::topology::link::NodeSupplier;
use crate::topology::source_changelog::SourceChangelog;
use crate::topology::timed_calls::TimedCalls;
use crate::topology::{AutoOffsetReset, StoreFormats, StoreId, TopicPattern, TopologyStore};
pub(crate) use joins::{NullKeys, StreamJoinNodes};
use names::GeneratedNames;
pub(crate) use naming::RepartitionNames;
pub(crate) use optimization::{Mergeable, TableSourceMark};
pub use user_stores::AnyStoreBuilder;
use user_stores::Connection;
pub(crate) use user_stores::UserStores;

/// The plan as the DSL's handles share it.
pub(crate) type SharedPlan = Rc<RefCell<Plan>>;

/// A node of the plan, by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GraphNodeId(usize);

/// A node of the plan: one DSL call, or the repartition that it needs.
pub(crate) struct GraphNode {
    pub(crate) parents: Vec<GraphNodeId>,
    pub(crate) kind: GraphNodeKind,
    pub(crate) location: &'static Location<'static>,
}

/// What a node of the plan becomes.
pub(crate) enum GraphNodeKind {
    Source(SourceNode),
    /// The source of a global store.
    GlobalSource(SourceNode),
    Processor {
        name: String,
        supplier: NodeSupplier,
        stores: Vec<StoreId>,
    },
    Repartition(RepartitionNode),
    Sink {
        name: String,
        topic: String,
        supplier: NodeSupplier,
    },
    /// A sink that asks for each record's topic; `extractor` is what describes it.
    RoutingSink {
        name: String,
        extractor: String,
        supplier: NodeSupplier,
    },
    /// A source of all topics whose names match.
    PatternSource(PatternSourceNode),
}

/// A source node.
pub(crate) struct SourceNode {
    pub(crate) name: String,
    pub(crate) topics: Vec<String>,
    pub(crate) reset: AutoOffsetReset,
    /// The key and value types, for a topic that is read twice.
    pub(crate) types: TypeId,
    pub(crate) supplier: NodeSupplier,
}

/// A source node of topics that are known when the application starts.
pub(crate) struct PatternSourceNode {
    pub(crate) name: String,
    pub(crate) pattern: TopicPattern,
    pub(crate) reset: AutoOffsetReset,
    pub(crate) supplier: NodeSupplier,
}

/// A repartition: a filter, if records without a key come, and a sink in one sub-topology, a source in the
/// next.
pub(crate) struct RepartitionNode {
    pub(crate) names: RepartitionNames,
    pub(crate) partitions: Option<i32>,
    pub(crate) null_keys: NullKeys,
    pub(crate) filter: Option<NodeSupplier>,
    pub(crate) sink: NodeSupplier,
    pub(crate) source: NodeSupplier,
    /// Whether it may be merged with others; `None` where the user asked for this very topic.
    pub(crate) mergeable: Option<Mergeable>,
}

/// What the DSL calls of one builder asked for.
#[derive(Default)]
pub(crate) struct Plan {
    /// The next number of a generated name.
    counter: u32,
    nodes: Vec<GraphNode>,
    stores: Vec<TopologyStore>,
    joins: joins::JoinPlan,
    /// The lines of code that asked for the stores.
    store_locations: Vec<&'static Location<'static>>,
    generated: GeneratedNames,
    /// What rewrites have to know.
    marks: optimization::Marks,
    /// Stores that are restored from a source topic.
    source_changelogs: Vec<SourceChangelog>,
    store_formats: StoreFormats,
    /// Where nodes stand that calls have used again.
    used_again: BTreeMap<GraphNodeId, order::Place>,
    /// The order in which nodes are lowered, when the plan is complete.
    order: Vec<GraphNodeId>,
    /// Nodes that rewrites have taken out, and which ones do their work.
    replaced: BTreeMap<GraphNodeId, GraphNodeId>,
    /// Stores that all tasks share.
    global_stores: Vec<StoreId>,
    /// The names of stores that suppliers have brought along.
    brought: BTreeSet<String>,
    connections: Vec<Connection>,
    /// How long calls of asynchronous operators may take.
    pub(crate) timed_calls: Vec<TimedCalls>,
    errors: Vec<TopologyError>,
}

impl Plan {
    /// Adds a node behind its parents.
    pub(crate) fn add_node(
        &mut self,
        parents: Vec<GraphNodeId>,
        kind: GraphNodeKind,
        location: &'static Location<'static>,
    ) -> GraphNodeId {
        self.nodes.push(GraphNode { parents, kind, location });
        GraphNodeId(self.nodes.len() - 1)
    }

    /// What a node is called; the source's name for a repartition.
    pub(crate) fn node_name(&self, node: GraphNodeId) -> &str {
        self.nodes.get(node.0).map_or("", |node| match &node.kind {
            GraphNodeKind::Source(source) | GraphNodeKind::GlobalSource(source) => &source.name,
            GraphNodeKind::PatternSource(source) => &source.name,
            GraphNodeKind::Repartition(repartition) => &repartition.names.source,
            GraphNodeKind::Processor { name, .. }
            | GraphNodeKind::Sink { name, .. }
            | GraphNodeKind::RoutingSink { name, .. } => name,
        })
    }

    /// Adds a store; a name that is taken is reported by `build`.
    pub(crate) fn add_store(
        &mut self,
        store: TopologyStore,
        location: &'static Location<'static>,
    ) -> StoreId {
        if self.stores.iter().any(|other| other.name == store.name) {
            let problem = "another store has this name; name one of them differently".to_owned();
            self.report(format!("store {}", store.name), problem, location);
        }
        self.store_locations.push(location);
        self.stores.push(store);
        StoreId(self.stores.len() - 1)
    }

    /// Notes what a store writes its keys and values as, where the serdes say so.
    pub(crate) fn note_formats(
        &mut self,
        store: StoreId,
        key: Option<String>,
        value: Option<String>,
    ) {
        self.store_formats.insert(store, (key, value));
    }

    /// Has all tasks share a store.
    pub(crate) fn share_store(&mut self, store: StoreId) {
        self.global_stores.push(store);
    }

    /// Connects a processor that is there already to a store.
    pub(crate) fn connect_store(&mut self, node: GraphNodeId, store: StoreId) {
        if let Some(GraphNode { kind: GraphNodeKind::Processor { stores, .. }, .. }) =
            self.nodes.get_mut(node.0)
            && !stores.contains(&store)
        {
            stores.push(store);
        }
    }

    /// Notes a mistake; `build` returns all of them.
    pub(crate) fn report(
        &mut self,
        subject: String,
        problem: String,
        location: &'static Location<'static>,
    ) {
        self.errors.push(TopologyError { subject, problem, location: Some(location) });
    }
}
