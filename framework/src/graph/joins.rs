//! What the plan has to know of joins: repartition topics that joins share, which sources have to be
//! partitioned alike, where null keys get through, and which joins are of a stream with itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{GraphNodeId, GraphNodeKind, Plan};
use crate::topology::link::NodeSupplier;
use crate::topology::{StoreId, StoreKind};

/// Whether a repartition lets null keys through; decided when the plan is complete, read when tasks are
/// linked.
#[derive(Debug, Clone, Default)]
pub(crate) struct NullKeys(Arc<AtomicBool>);

impl NullKeys {
    /// Whether they get through.
    pub(crate) fn pass(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn let_pass(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The nodes and stores of a stream-stream join, for the rewrite of a join of a stream with itself.
pub(crate) struct StreamJoinNodes {
    /// The nodes that keep the records of the left and of the right side.
    pub(crate) windowed: [GraphNodeId; 2],
    /// The nodes that look for matches of left and of right records.
    pub(crate) joins: [GraphNodeId; 2],
    pub(crate) merge: GraphNodeId,
    /// The stores of the left and of the right side.
    pub(crate) stores: [StoreId; 2],
    /// Both sides in one, to stand where `merge` stands, behind the first of `windowed` and with the first of
    /// `stores`; `None` where the sides have different types, or where it is no inner join.
    pub(crate) self_join: Option<NodeSupplier>,
}

/// What the DSL's join calls noted.
#[derive(Default)]
pub(crate) struct JoinPlan {
    /// For a node whose stream was repartitioned for a join, the last such repartition.
    repartitions: Vec<(GraphNodeId, GraphNodeId)>,
    /// Nodes whose sources have to have the same number of partitions.
    copartitioned: Vec<Vec<GraphNodeId>>,
    /// Nodes that take records with a null key.
    take_null_keys: Vec<GraphNodeId>,
    pub(crate) streams: Vec<StreamJoinNodes>,
}

impl Plan {
    /// How much history a versioned store keeps, in milliseconds; `None` for other stores.
    pub(crate) fn history_ms(&self, store: StoreId) -> Option<i64> {
        match self.stores.get(store.0)?.kind {
            StoreKind::Versioned { history_ms } => Some(history_ms),
            StoreKind::KeyValue | StoreKind::Window { .. } | StoreKind::Session { .. } => None,
        }
    }

    /// The last repartition of this node for a join.
    pub(crate) fn join_repartition(&self, node: GraphNodeId) -> Option<GraphNodeId> {
        let found = self.joins.repartitions.iter().rev().find(|(of, _)| *of == node);
        found.map(|(_, repartition)| *repartition)
    }

    /// Notes a repartition for a join.
    pub(crate) fn note_join_repartition(&mut self, of: GraphNodeId, repartition: GraphNodeId) {
        self.joins.repartitions.push((of, repartition));
    }

    /// Demands that what these nodes read is partitioned alike.
    pub(crate) fn copartition(&mut self, nodes: Vec<GraphNodeId>) {
        self.joins.copartitioned.push(nodes);
    }

    /// Notes that the node takes null keys: the repartitions before it let them through.
    pub(crate) fn take_null_keys(&mut self, node: GraphNodeId) {
        self.joins.take_null_keys.push(node);
    }

    /// Notes a stream-stream join.
    pub(crate) fn note_stream_join(&mut self, join: StreamJoinNodes) {
        self.joins.streams.push(join);
    }

    /// Lets null keys through where a later node takes them, however far behind.
    ///
    /// # Source
    /// `NodesWithRelaxedNullKeyJoinDownstream` (KIP-962).
    pub(crate) fn relax_null_keys(&self) {
        let mut open = self.joins.take_null_keys.clone();
        let mut seen = vec![false; self.nodes.len()];
        while let Some(id) = open.pop() {
            let (Some(node), Some(seen)) = (self.nodes.get(id.0), seen.get_mut(id.0)) else {
                continue;
            };
            if std::mem::replace(seen, true) {
                continue;
            }
            if let GraphNodeKind::Repartition(repartition) = &node.kind {
                repartition.null_keys.let_pass();
            }
            open.extend(&node.parents);
        }
    }

    /// The groups of nodes, each a source or a repartition, that have to be partitioned alike.
    pub(crate) fn copartition_groups(&self) -> Vec<Vec<GraphNodeId>> {
        self.joins.copartitioned.iter().map(|nodes| self.sources_of(nodes)).collect()
    }

    /// The sources and repartitions that these nodes get their records from.
    fn sources_of(&self, nodes: &[GraphNodeId]) -> Vec<GraphNodeId> {
        let mut open = nodes.to_vec();
        let mut sources = Vec::new();
        let mut seen = vec![false; self.nodes.len()];
        while let Some(id) = open.pop() {
            // What a rewrite has taken out has another node in its place.
            let id = self.replaced.get(&id).copied().unwrap_or(id);
            let (Some(node), Some(seen)) = (self.nodes.get(id.0), seen.get_mut(id.0)) else {
                continue;
            };
            if std::mem::replace(seen, true) {
                continue;
            }
            match node.kind {
                GraphNodeKind::Source(_)
                | GraphNodeKind::PatternSource(_)
                | GraphNodeKind::Repartition(_) => sources.push(id),
                // Every task reads all of a global source.
                GraphNodeKind::GlobalSource(_) => {}
                GraphNodeKind::Processor { .. }
                | GraphNodeKind::Sink { .. }
                | GraphNodeKind::RoutingSink { .. } => {
                    open.extend(&node.parents);
                }
            }
        }
        sources.sort_unstable_by_key(|id| id.0);
        sources
    }
}
