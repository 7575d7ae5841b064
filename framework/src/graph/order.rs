//! The order in which nodes are lowered: parents before children, and else the order of the calls. Children
//! and sub-topologies are numbered by it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{GraphNodeId, Plan};

/// Where a node wants to stand: the number of a call, and before or with it.
pub(super) type Place = (usize, bool);

impl Plan {
    /// Notes that the next call uses a node again.
    ///
    /// KAFKA: a repartition that several aggregations share stands where the last of them asked for it.
    pub(crate) fn use_again(&mut self, node: GraphNodeId) {
        self.used_again.insert(node, (self.nodes.len(), false));
    }

    /// Where the nodes want to stand by their calls.
    pub(super) fn places(&self) -> Vec<Place> {
        let place = |number| {
            let again = self.used_again.get(&GraphNodeId(number));
            again.copied().unwrap_or((number, true))
        };
        (0..self.nodes.len()).map(place).collect()
    }

    /// Puts the nodes in order: of those whose parents are there, the one with the lowest place is next.
    pub(super) fn order_nodes(&mut self, places: &[Place]) {
        let mut children = vec![Vec::new(); self.nodes.len()];
        let mut waits_for = vec![0_usize; self.nodes.len()];
        let mut ready = BinaryHeap::new();
        let place = |node: usize| Reverse((places.get(node).copied(), node));
        for (number, node) in self.nodes.iter().enumerate() {
            if self.replaced.contains_key(&GraphNodeId(number)) {
                continue;
            }
            let parents = node.parents.iter().filter(|id| !self.replaced.contains_key(id));
            let Some(waiting) = waits_for.get_mut(number) else { continue };
            for parent in parents {
                if let Some(children) = children.get_mut(parent.0) {
                    children.push(number);
                    *waiting += 1;
                }
            }
            if *waiting == 0 {
                ready.push(place(number));
            }
        }
        while let Some(Reverse((_, node))) = ready.pop() {
            self.order.push(GraphNodeId(node));
            for child in children.get(node).into_iter().flatten() {
                let Some(count) = waits_for.get_mut(*child) else { continue };
                *count -= 1;
                if *count == 0 {
                    ready.push(place(*child));
                }
            }
        }
    }
}
