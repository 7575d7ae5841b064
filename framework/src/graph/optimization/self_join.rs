//! Self-joins: a stream that is joined with itself is kept once, and one node finds both sides' matches.
//!
//! KAFKA: `single.store.self.join`. There left and outer joins are rewritten too, and lose records without a
//! key, and windows that exclude a record from its own join, which then meets itself; here they stay as
//! they are.

use super::Rewriting;
use crate::graph::joins::StreamJoinNodes;
use crate::graph::{GraphNodeId, GraphNodeKind};
use crate::topology::UNCONNECTED;

impl Rewriting<'_> {
    pub(super) fn merge_self_joins(&mut self, joins: Vec<StreamJoinNodes>) {
        for join in joins {
            if self.is_self_join(&join) {
                self.merge_sides(join);
            }
        }
    }

    /// Whether both sides are the same stream; a topic that is read twice with the same types is.
    fn is_self_join(&self, join: &StreamJoinNodes) -> bool {
        let [left, right] = join.windowed;
        let (&[left], &[right]) = (self.parents(left), self.parents(right)) else { return false };
        left == right || self.is_same_source(left, right)
    }

    fn is_same_source(&self, left: GraphNodeId, right: GraphNodeId) -> bool {
        let kind = |id| self.node(id).map(|node| &node.kind);
        match (kind(left), kind(right)) {
            (Some(GraphNodeKind::Source(left)), Some(GraphNodeKind::Source(right))) => {
                left.topics.len() == 1 && left.topics == right.topics && left.types == right.types
            }
            _ => false,
        }
    }

    fn merge_sides(&mut self, join: StreamJoinNodes) {
        let StreamJoinNodes { windowed, joins, merge, stores: [kept, dropped], self_join } = join;
        let ([keep, drop], Some(self_join)) = (windowed, self_join) else { return };
        let Some(node) = self.plan.nodes.get_mut(merge.0) else { return };
        let GraphNodeKind::Processor { supplier, stores, .. } = &mut node.kind else { return };
        *supplier = self_join;
        *stores = vec![kept];
        node.parents = vec![keep];
        for gone in [drop].into_iter().chain(joins) {
            self.plan.replaced.insert(gone, merge);
        }
        if let Some(store) = self.plan.stores.get_mut(dropped.0) {
            store.subtopology = UNCONNECTED;
            store.logging = false;
        }
    }
}
