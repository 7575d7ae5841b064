//! Sub-topologies: nodes that are connected by edges or stores run in one task.

use super::{NodeId, NodeKind, TopicName, Topology};

/// A connected part of a topology; its tasks are one per partition of its source topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subtopology {
    /// Its number, from 0.
    pub id: u32,
    /// Whether it fills global stores: it has no tasks, each process runs it once for all partitions.
    pub(crate) global: bool,
    pub(crate) nodes: Vec<NodeId>,
    pub(crate) sources: Vec<TopicName>,
    pub(crate) sinks: Vec<TopicName>,
    pub(crate) stores: Vec<super::StoreId>,
}

impl Subtopology {
    /// Whether it fills global stores: it has no tasks, each process runs it once.
    pub fn is_global(&self) -> bool {
        self.global
    }

    /// The topics it reads; internal ones without the application id.
    pub fn source_topics(&self) -> impl Iterator<Item = &str> {
        self.sources.iter().map(TopicName::bare)
    }

    /// The topics it writes; internal ones without the application id.
    pub fn sink_topics(&self) -> impl Iterator<Item = &str> {
        self.sinks.iter().map(TopicName::bare)
    }
}

/// Gives every node and store its sub-topology. They are numbered in the order of their first nodes, as in
/// Kafka Streams.
pub(crate) fn assign(topology: &mut Topology, global_sources: &[NodeId]) {
    let mut group: Vec<usize> = (0..topology.nodes.len()).collect();
    for (index, node) in topology.nodes.iter().enumerate() {
        for child in &node.children {
            join(&mut group, index, child.0);
        }
    }
    for (store, _) in topology.stores.iter().enumerate() {
        let mut users = topology
            .nodes
            .iter()
            .enumerate()
            .filter(|(_, node)| node.stores.iter().any(|id| id.0 == store))
            .map(|(index, _)| index);
        if let Some(first) = users.next() {
            for user in users {
                join(&mut group, first, user);
            }
        }
    }
    let mut roots: Vec<usize> = Vec::new();
    for node in 0..topology.nodes.len() {
        let root = root_of(&group, node);
        if !roots.contains(&root) {
            roots.push(root);
        }
    }
    for (number, root) in roots.iter().enumerate() {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let members: Vec<NodeId> = (0..topology.nodes.len())
            .filter(|index| root_of(&group, *index) == *root)
            .map(NodeId)
            .collect();
        let mut subtopology = collect(topology, number, members);
        subtopology.global = subtopology.nodes.iter().any(|node| global_sources.contains(node));
        topology.subtopologies.push(subtopology);
    }
}

fn collect(topology: &mut Topology, id: u32, nodes: Vec<NodeId>) -> Subtopology {
    let mut subtopology = Subtopology {
        id,
        global: false,
        nodes,
        sources: Vec::new(),
        sinks: Vec::new(),
        stores: Vec::new(),
    };
    for node_id in &subtopology.nodes {
        let Some(node) = topology.nodes.get_mut(node_id.0) else { continue };
        node.subtopology = id;
        match &node.kind {
            NodeKind::Source { topics, .. } => subtopology.sources.extend(topics.iter().cloned()),
            NodeKind::Sink { topic } => subtopology.sinks.push(topic.clone()),
            NodeKind::Processor | NodeKind::RoutingSink { .. } => {}
        }
        for store in &node.stores {
            if let Some(store) = topology.stores.get_mut(store.0) {
                store.subtopology = id;
            }
            if !subtopology.stores.contains(store) {
                subtopology.stores.push(*store);
            }
        }
    }
    subtopology.sources.sort();
    subtopology.sources.dedup();
    subtopology
}

fn root_of(group: &[usize], mut node: usize) -> usize {
    while let Some(&parent) = group.get(node) {
        if parent == node {
            break;
        }
        node = parent;
    }
    node
}

fn join(group: &mut [usize], a: usize, b: usize) {
    let (a, b) = (root_of(group, a), root_of(group, b));
    let (low, high) = (a.min(b), a.max(b));
    if let Some(parent) = group.get_mut(high) {
        *parent = low;
    }
}
