//! From the logical to the physical plan: every DSL call becomes its nodes, duplicate sources become
//! one, and all that is wrong is reported together.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    GraphNode, GraphNodeId, GraphNodeKind, PatternSourceNode, Plan, RepartitionNode, SourceNode,
};
use crate::error::{TopologyError, TopologyErrors};
use crate::topology::link::NodeSupplier;
use crate::topology::{
    AutoOffsetReset, NodeId, NodeKind, RepartitionTopic, StoreId, TopicName, Topology,
    TopologyConfig, TopologyNode, assign_subtopologies,
};

/// A topology in the making.
struct Lowering {
    topology: Topology,
    /// For each node of the plan, the node that its children are behind.
    ends: Vec<Option<NodeId>>,
    /// The sources of global stores.
    global_sources: Vec<NodeId>,
    errors: Vec<TopologyError>,
}

/// One node to be added.
struct NewNode {
    name: String,
    kind: NodeKind,
    stores: Vec<StoreId>,
    supplier: NodeSupplier,
}

impl Plan {
    /// Makes the topology, or reports every mistake.
    pub(crate) fn lower(mut self, config: &TopologyConfig) -> Result<Topology, TopologyErrors> {
        self.resolve_connections();
        self.optimize(config.optimization);
        self.check_names(config.explicit_names);
        self.relax_null_keys();
        let copartitioned = self.copartition_groups();
        let topology = Topology {
            nodes: Vec::new(),
            stores: self.stores,
            source_changelogs: self.source_changelogs,
            store_formats: self.store_formats,
            repartition_topics: Vec::new(),
            copartition_groups: Vec::new(),
            subtopologies: Vec::new(),
            timed_calls: self.timed_calls,
        };
        let ends = vec![None; self.nodes.len()];
        let global_sources = Vec::new();
        let mut lowering = Lowering { topology, ends, global_sources, errors: self.errors };
        let mut seen = SeenTopics::new();
        let mut locations = Vec::new();
        let mut nodes: Vec<_> = self.nodes.into_iter().map(Some).collect();
        for id in self.order {
            let Some(node) = nodes.get_mut(id.0).and_then(Option::take) else { continue };
            let (location, end) = (node.location, lowering.add_planned(node, &mut seen));
            if let Some(place) = lowering.ends.get_mut(id.0) {
                *place = Some(end);
            }
            locations.resize(lowering.topology.nodes.len(), location);
        }
        lowering.add_copartition_groups(&copartitioned);
        lowering.check_names(&locations);
        lowering.check_patterns(&locations);
        if lowering.topology.nodes.is_empty() {
            lowering.errors.push(TopologyError {
                subject: "topology".to_owned(),
                problem: "it reads no topic; begin with StreamsBuilder::stream or table".to_owned(),
                location: None,
            });
        }
        if !lowering.errors.is_empty() {
            return Err(TopologyErrors(lowering.errors));
        }
        assign_subtopologies(&mut lowering.topology, &lowering.global_sources);
        Ok(lowering.topology)
    }
}

/// The source of each topic so far, with its types.
type SeenTopics = BTreeMap<String, (NodeId, std::any::TypeId)>;

impl Lowering {
    /// Adds what one node of the plan stands for; its children are behind the answer.
    fn add_planned(&mut self, node: GraphNode, seen: &mut SeenTopics) -> NodeId {
        let parents = self.ends_of(&node.parents);
        let location = node.location;
        let (name, kind, supplier, stores) = match node.kind {
            GraphNodeKind::Source(source) => return self.add_source(source, seen, location),
            GraphNodeKind::GlobalSource(source) => {
                return self.add_global_source(source, seen, location);
            }
            GraphNodeKind::Repartition(repartition) => {
                return self.add_repartition(&parents, repartition, location);
            }
            GraphNodeKind::Processor { name, supplier, stores } => {
                (name, NodeKind::Processor, supplier, stores)
            }
            GraphNodeKind::Sink { name, topic, supplier } => {
                let topic = TopicName::External(topic);
                (name, NodeKind::Sink { topic }, supplier, Vec::new())
            }
            GraphNodeKind::RoutingSink { name, extractor, supplier } => {
                (name, NodeKind::RoutingSink { extractor }, supplier, Vec::new())
            }
            GraphNodeKind::PatternSource(source) => {
                let PatternSourceNode { name, pattern, reset, supplier } = source;
                let (topics, pattern) = (Vec::new(), Some(pattern));
                (name, NodeKind::Source { topics, pattern, reset }, supplier, Vec::new())
            }
        };
        self.add(&parents, NewNode { name, kind, stores, supplier })
    }

    fn ends_of(&self, nodes: &[GraphNodeId]) -> Vec<NodeId> {
        nodes.iter().filter_map(|node| self.ends.get(node.0).copied().flatten()).collect()
    }

    fn add(&mut self, parents: &[NodeId], new: NewNode) -> NodeId {
        let id = NodeId(self.topology.nodes.len());
        for parent in parents {
            if let Some(parent) = self.topology.nodes.get_mut(parent.0) {
                parent.children.push(id);
            }
        }
        self.topology.nodes.push(TopologyNode {
            name: new.name,
            kind: new.kind,
            parents: parents.to_vec(),
            children: Vec::new(),
            stores: new.stores,
            subtopology: 0,
            supplier: new.supplier,
        });
        id
    }

    /// The topic of a global store has no other source: the process reads it, not the group's members.
    fn add_global_source(
        &mut self,
        source: SourceNode,
        seen: &mut SeenTopics,
        location: &'static std::panic::Location<'static>,
    ) -> NodeId {
        // No source of this type exists, so that it is never taken for another.
        let source = SourceNode { types: std::any::TypeId::of::<Self>(), ..source };
        let node = self.add_source(source, seen, location);
        self.global_sources.push(node);
        node
    }

    /// A topic that is read twice with the same types has one source node.
    fn add_source(
        &mut self,
        source: SourceNode,
        seen: &mut SeenTopics,
        location: &'static std::panic::Location<'static>,
    ) -> NodeId {
        let SourceNode { name, topics, reset, types, supplier } = source;
        if let [topic] = topics.as_slice()
            && let Some((node, seen_types)) = seen.get(topic)
            && *seen_types == types
            && matches!(&self.topology.node(*node).kind, NodeKind::Source { topics, .. } if topics.len() == 1)
            && !self.global_sources.contains(node)
        {
            let node = *node;
            self.check_reset(node, &name, reset, location);
            return node;
        }
        let taken: Vec<&str> =
            topics.iter().filter(|topic| seen.contains_key(*topic)).map(String::as_str).collect();
        if !taken.is_empty() {
            self.errors.push(TopologyError {
                subject: format!("source {name}"),
                problem: format!(
                    "topic {} is read by another source with other types or topics; read it once and share the stream",
                    taken.join(", ")
                ),
                location: Some(location),
            });
        }
        let id = NodeId(self.topology.nodes.len());
        for topic in &topics {
            seen.insert(topic.clone(), (id, types));
        }
        let topics = topics.into_iter().map(TopicName::External).collect();
        let kind = NodeKind::Source { topics, pattern: None, reset };
        self.add(&[], NewNode { name, kind, stores: Vec::new(), supplier })
    }

    /// A topic that is read twice starts at one place.
    fn check_reset(
        &mut self,
        node: NodeId,
        name: &str,
        reset: AutoOffsetReset,
        location: &'static std::panic::Location<'static>,
    ) {
        let first = self.topology.node(node);
        let NodeKind::Source { topics, reset: first_reset, .. } = &first.kind else { return };
        if *first_reset != reset {
            let topics: Vec<_> = topics.iter().map(TopicName::bare).collect();
            self.errors.push(TopologyError {
                subject: format!("source {name}"),
                problem: format!(
                    "topic {} is read from {reset:?} here and from {first_reset:?} by source {}; give both the \
                     same offset reset, or read it once and share the stream",
                    topics.join(", "),
                    first.name
                ),
                location: Some(location),
            });
        }
    }

    fn add_repartition(
        &mut self,
        parents: &[NodeId],
        node: RepartitionNode,
        location: &'static std::panic::Location<'static>,
    ) -> NodeId {
        let RepartitionNode { names, partitions, filter, sink, source, .. } = node;
        let topic = TopicName::Internal(names.topic);
        if partitions.is_some_and(|partitions| partitions < 1) {
            self.errors.push(TopologyError {
                subject: format!("repartition topic {}", topic.bare()),
                problem: "the number of partitions must be at least 1".to_owned(),
                location: Some(location),
            });
        }
        let processor = |name, supplier| NewNode {
            name,
            kind: NodeKind::Processor,
            stores: Vec::new(),
            supplier,
        };
        let parents = match filter {
            Some(filter) => vec![self.add(parents, processor(names.filter, filter))],
            None => parents.to_vec(),
        };
        let kind = NodeKind::Sink { topic: topic.clone() };
        self.add(&parents, NewNode { name: names.sink, kind, stores: Vec::new(), supplier: sink });
        self.topology
            .repartition_topics
            .push(RepartitionTopic { topic: topic.clone(), partitions });
        let topics = vec![topic];
        let kind = NodeKind::Source { topics, pattern: None, reset: AutoOffsetReset::default() };
        self.add(&[], NewNode { name: names.source, kind, stores: Vec::new(), supplier: source })
    }

    /// A topic is read by one source: none that is named may match a pattern.
    fn check_patterns(&mut self, locations: &[&'static std::panic::Location<'static>]) {
        let named = |node: &TopologyNode| match &node.kind {
            NodeKind::Source { topics, .. } => topics.clone(),
            NodeKind::Processor | NodeKind::Sink { .. } | NodeKind::RoutingSink { .. } => {
                Vec::new()
            }
        };
        let named: Vec<TopicName> = self.topology.nodes.iter().flat_map(named).collect();
        for (index, node) in self.topology.nodes.iter().enumerate() {
            let NodeKind::Source { pattern: Some(pattern), .. } = &node.kind else { continue };
            for topic in named.iter().filter(|topic| pattern.matches(topic.bare())) {
                self.errors.push(TopologyError {
                    subject: format!("source {}", node.name),
                    problem: format!(
                        "its pattern `{pattern}` matches topic {}, which another source reads; let only one of \
                         them read it",
                        topic.bare()
                    ),
                    location: locations.get(index).copied(),
                });
            }
        }
    }

    /// Groups with a single topic say nothing.
    fn add_copartition_groups(&mut self, groups: &[Vec<GraphNodeId>]) {
        for group in groups {
            let nodes = self.ends_of(group);
            let topics = nodes.iter().flat_map(|node| match &self.topology.node(*node).kind {
                NodeKind::Source { topics, .. } => topics.as_slice(),
                NodeKind::Processor | NodeKind::Sink { .. } | NodeKind::RoutingSink { .. } => &[],
            });
            let topics: BTreeSet<TopicName> = topics.cloned().collect();
            if topics.len() > 1 {
                self.topology.copartition_groups.push(topics.into_iter().collect());
            }
        }
        self.errors.extend(self.topology.copartition_problems());
    }

    fn check_names(&mut self, locations: &[&'static std::panic::Location<'static>]) {
        let mut names = BTreeMap::new();
        for (index, node) in self.topology.nodes.iter().enumerate() {
            if names.insert(node.name.as_str(), index).is_some() {
                self.errors.push(TopologyError {
                    subject: format!("node {}", node.name),
                    problem: "another node has this name; name one of them differently".to_owned(),
                    location: locations.get(index).copied(),
                });
            }
        }
    }
}
