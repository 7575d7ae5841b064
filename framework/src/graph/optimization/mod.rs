//! Rewrites of the plan that save topics and stores: each in a file of its own, none by default.
//!
//! What always holds: a rewrite changes no result. Where Kafka Streams would refuse a topology or compute
//! something else, the topology stays as it is.

mod merge_repartitions;
mod reuse_source_topics;
mod self_join;

use std::any::TypeId;
use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::Arc;

use super::order::Place;
use super::{GraphNode, GraphNodeId, GraphNodeKind, Plan, RepartitionNames, RepartitionNode};
use crate::topology::TopologyOptimization;
pub(crate) use reuse_source_topics::TableSourceMark;

/// What rewrites have to know of operators.
#[derive(Default)]
pub(super) struct Marks {
    /// Operators that may change keys, and the type of the records that they forward.
    changes_key: BTreeMap<GraphNodeId, TypeId>,
    /// Operators that may change values, but not keys.
    changes_value: BTreeSet<GraphNodeId>,
    /// Merged streams, and the type of their records.
    merges: BTreeMap<GraphNodeId, TypeId>,
    tables: Vec<TableSourceMark>,
}

/// What makes a repartition one that may be merged with others.
#[derive(Clone)]
pub(crate) struct Mergeable {
    /// The key and value types.
    pub(crate) types: TypeId,
    /// Makes the same repartition with other names.
    pub(crate) with_names: Arc<dyn Fn(RepartitionNames) -> RepartitionNode>,
}

impl Plan {
    /// Notes that an operator may change keys; it forwards records of `T`, a key and a value type.
    pub(crate) fn mark_key_changing<T: 'static>(&mut self, node: GraphNodeId) {
        self.marks.changes_key.insert(node, TypeId::of::<T>());
    }

    /// Notes that an operator may change values.
    pub(crate) fn mark_value_changing(&mut self, node: GraphNodeId) {
        self.marks.changes_value.insert(node);
    }

    /// Notes that a node merges streams of `T`, a key and a value type.
    pub(crate) fn mark_merge<T: 'static>(&mut self, node: GraphNodeId) {
        self.marks.merges.insert(node, TypeId::of::<T>());
    }

    /// Notes a table that is read from a topic.
    pub(crate) fn mark_table_source(&mut self, table: TableSourceMark) {
        self.marks.tables.push(table);
    }

    /// Does the rewrites that are wanted.
    pub(super) fn optimize(&mut self, wanted: TopologyOptimization) {
        let marks = mem::take(&mut self.marks);
        if wanted.reuse_source_topics {
            self.reuse_source_topics(&marks.tables);
        }
        let mut rewriting = Rewriting::new(self);
        if wanted.merge_repartitions {
            rewriting.merge_repartitions(&marks);
        }
        if wanted.self_joins {
            let joins = mem::take(&mut rewriting.plan.joins.streams);
            rewriting.merge_self_joins(joins);
        }
        rewriting.finish();
    }
}

/// The plan while nodes are taken out and put between others. Ids stay as they are; what changes is the
/// order in which nodes are lowered.
struct Rewriting<'p> {
    plan: &'p mut Plan,
    /// Where the nodes stand.
    places: Vec<Place>,
}

impl<'p> Rewriting<'p> {
    fn new(plan: &'p mut Plan) -> Self {
        let places = plan.places();
        Self { plan, places }
    }

    fn node(&self, id: GraphNodeId) -> Option<&GraphNode> {
        self.plan.nodes.get(id.0)
    }

    fn parents(&self, id: GraphNodeId) -> &[GraphNodeId] {
        self.node(id).map_or(&[], |node| node.parents.as_slice())
    }

    /// Adds a node behind another, in front of all that comes later.
    fn insert_behind(&mut self, parent: GraphNodeId, kind: GraphNodeKind) -> Option<GraphNodeId> {
        let location = self.node(parent)?.location;
        let place = self.places.get(parent.0).copied()?;
        self.places.push(place);
        Some(self.plan.add_node(vec![parent], kind, location))
    }

    /// Puts `new` where `old` is among the parents of `node`.
    fn replace_parent(&mut self, node: GraphNodeId, old: GraphNodeId, new: &[GraphNodeId]) {
        let Some(node) = self.plan.nodes.get_mut(node.0) else { return };
        for parent in mem::take(&mut node.parents) {
            let put = if parent == old { new } else { &[parent][..] };
            for parent in put {
                if !node.parents.contains(parent) {
                    node.parents.push(*parent);
                }
            }
        }
    }

    /// Takes a node out: its children get its parents, and `by` does what it did.
    fn replace(&mut self, id: GraphNodeId, by: GraphNodeId) {
        let parents = self.parents(id).to_vec();
        for child in 0..self.plan.nodes.len() {
            self.replace_parent(GraphNodeId(child), id, &parents);
        }
        self.plan.replaced.insert(id, by);
    }

    fn finish(self) {
        self.plan.order_nodes(&self.places);
    }
}
