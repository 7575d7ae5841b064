//! Merging repartition topics: behind an operator that changes keys, one topic serves all that would have
//! one of their own. What stood between the operator and the topics moves behind the topic.
//!
//! KAFKA: `merge.repartition.topics`. There a repartition behind a merge of streams, of which only some
//! have new keys, may end up behind the operator instead of behind the merge; here it never does.

use std::any::TypeId;
use std::collections::BTreeMap;

use super::{Marks, Mergeable, Rewriting};
use crate::graph::{GraphNodeId, GraphNodeKind, RepartitionNode};

impl Rewriting<'_> {
    pub(super) fn merge_repartitions(&mut self, marks: &Marks) {
        // Anchors in the order of their operators, each with its repartitions in order.
        let mut groups: BTreeMap<GraphNodeId, Vec<GraphNodeId>> = BTreeMap::new();
        for number in 0..self.plan.nodes.len() {
            let repartition = GraphNodeId(number);
            if let Some(anchor) = self.anchor_of(repartition, marks) {
                groups.entry(anchor).or_default().push(repartition);
            }
        }
        for (anchor, repartitions) in groups {
            self.merge_behind(anchor, &repartitions);
        }
    }

    fn mergeable(&self, id: GraphNodeId) -> Option<&Mergeable> {
        match &self.node(id)?.kind {
            GraphNodeKind::Repartition(RepartitionNode { mergeable, .. }) => mergeable.as_ref(),
            GraphNodeKind::Source(_)
            | GraphNodeKind::GlobalSource(_)
            | GraphNodeKind::Processor { .. }
            | GraphNodeKind::Sink { .. }
            | GraphNodeKind::RoutingSink { .. }
            | GraphNodeKind::PatternSource(_) => None,
        }
    }

    /// The node that a repartition may stand right behind: the operator that changed the key, or a merge
    /// below it, if only operators without state that keep key and value are in between.
    fn anchor_of(&self, repartition: GraphNodeId, marks: &Marks) -> Option<GraphNodeId> {
        let types = self.mergeable(repartition)?.types;
        if !self.is_eligible(repartition, marks) {
            return None;
        }
        let fits = |found: Option<&TypeId>| found == Some(&types);
        let mut node = repartition;
        loop {
            let [parent] = self.parents(node) else { return None };
            node = *parent;
            if fits(marks.changes_key.get(&node)) || fits(marks.merges.get(&node)) {
                return Some(node);
            }
            let GraphNodeKind::Processor { stores, .. } = &self.node(node)?.kind else {
                return None;
            };
            let is_marked = marks.changes_key.contains_key(&node)
                || marks.changes_value.contains(&node)
                || marks.merges.contains_key(&node);
            if is_marked || !stores.is_empty() {
                return None;
            }
        }
    }

    /// Whether the nearest operator above that changes anything is one that changes keys, the nearest being
    /// the one that Kafka Streams finds.
    fn is_eligible(&self, repartition: GraphNodeId, marks: &Marks) -> bool {
        let key = |node| marks.changes_key.contains_key(&node);
        let any = |node| key(node) || marks.changes_value.contains(&node);
        let found = self.find_above(repartition, &any);
        found.is_some() && found == self.find_above(repartition, &key)
    }

    /// KAFKA: the parents in order; one that matches is the answer, or else what the last has above it.
    fn find_above(
        &self,
        node: GraphNodeId,
        matches: &dyn Fn(GraphNodeId) -> bool,
    ) -> Option<GraphNodeId> {
        if matches(node) {
            return Some(node);
        }
        let mut found = None;
        for parent in self.parents(node) {
            if matches(*parent) {
                return Some(*parent);
            }
            found = self.find_above(*parent, matches);
        }
        found
    }

    fn merge_behind(&mut self, anchor: GraphNodeId, repartitions: &[GraphNodeId]) {
        let first = repartitions.first().copied();
        let Some(GraphNodeKind::Repartition(node)) =
            first.and_then(|first| self.node(first)).map(|node| &node.kind)
        else {
            return;
        };
        let Some(Mergeable { with_names, .. }) = node.mergeable.clone() else { return };
        let topic = node.names.topic.clone();
        let names = self.plan.repartition_names(&topic);
        let merged = GraphNodeKind::Repartition(with_names(names));
        let Some(merged) = self.insert_behind(anchor, merged) else { return };
        for repartition in repartitions {
            let mut top = *repartition;
            while let [parent] = self.parents(top)
                && *parent != anchor
                && *parent != merged
            {
                top = *parent;
            }
            self.replace_parent(top, anchor, &[merged]);
            self.replace(*repartition, merged);
        }
    }
}
