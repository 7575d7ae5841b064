//! The description of a topology: as data, as Kafka Streams' text, and as JSON.

use std::fmt;

use serde::Serialize;

use super::{NodeId, NodeKind, Topology};

/// What a topology consists of.
///
/// Its `Display` is the text of Kafka Streams' `Topology.describe()`. Internal topics are named without the
/// application id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TopologyDescription {
    /// The sub-topologies, in order of their number.
    pub subtopologies: Vec<SubtopologyDescription>,
}

/// One sub-topology.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SubtopologyDescription {
    /// Its number.
    pub id: u32,
    /// Whether it fills global stores: it has no tasks, each process runs it once.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub global: bool,
    /// Its nodes: those with most nodes behind them first, then by name.
    pub nodes: Vec<NodeDescription>,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeDescription {
    /// Its name.
    pub name: String,
    /// What it is.
    #[serde(flatten)]
    pub kind: NodeDescriptionKind,
    /// The names of its children.
    pub successors: Vec<String>,
    /// The names of its parents.
    pub predecessors: Vec<String>,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum NodeDescriptionKind {
    /// Reads topics.
    Source {
        /// The topics; none where it has a pattern.
        topics: Vec<String>,
        /// The pattern of the topics' names.
        #[serde(skip_serializing_if = "Option::is_none")]
        pattern: Option<String>,
    },
    /// Works on records.
    Processor {
        /// The stores it is connected to.
        stores: Vec<String>,
    },
    /// Writes a topic.
    Sink {
        /// The topic.
        topic: String,
    },
    /// Writes to the topic that each record names.
    RoutingSink {
        /// What names the topics.
        extractor: String,
    },
}

impl TopologyDescription {
    pub(crate) fn of(topology: &Topology) -> Self {
        let sizes = sizes(topology);
        let size = |id: NodeId| sizes.get(id.0).copied().unwrap_or(0);
        let sorted = |mut ids: Vec<NodeId>| {
            ids.sort_by(|a, b| {
                let by_name = || topology.node(*a).name.cmp(&topology.node(*b).name);
                size(*b).cmp(&size(*a)).then_with(by_name)
            });
            ids.dedup();
            ids
        };
        let names = |ids: &[NodeId]| {
            sorted(ids.to_vec()).iter().map(|id| topology.node(*id).name.clone()).collect()
        };
        let describe = |id: NodeId| {
            let node = topology.node(id);
            let kind = match &node.kind {
                NodeKind::Source { pattern: Some(pattern), .. } => NodeDescriptionKind::Source {
                    topics: Vec::new(),
                    pattern: Some(pattern.text().to_owned()),
                },
                NodeKind::Source { topics, pattern: None, .. } => NodeDescriptionKind::Source {
                    topics: topics.iter().map(|topic| topic.bare().to_owned()).collect(),
                    pattern: None,
                },
                NodeKind::RoutingSink { extractor } => {
                    NodeDescriptionKind::RoutingSink { extractor: extractor.clone() }
                }
                NodeKind::Sink { topic } => {
                    NodeDescriptionKind::Sink { topic: topic.bare().to_owned() }
                }
                NodeKind::Processor => {
                    let mut stores: Vec<String> =
                        node.stores.iter().map(|id| topology.store(*id).name.clone()).collect();
                    stores.sort();
                    NodeDescriptionKind::Processor { stores }
                }
            };
            NodeDescription {
                name: node.name.clone(),
                kind,
                successors: names(&node.children),
                predecessors: names(&node.parents),
            }
        };
        let subtopologies = topology
            .subtopologies
            .iter()
            .map(|subtopology| SubtopologyDescription {
                id: subtopology.id,
                global: subtopology.global,
                nodes: sorted(subtopology.nodes.clone()).into_iter().map(describe).collect(),
            })
            .collect();
        Self { subtopologies }
    }
}

/// For each node one more than the nodes behind it, counted once per path: Kafka Streams' order.
fn sizes(topology: &Topology) -> Vec<usize> {
    let mut sizes = vec![1_usize; topology.nodes.len()];
    for (index, node) in topology.nodes.iter().enumerate().rev() {
        let behind: usize = node.children.iter().filter_map(|child| sizes.get(child.0)).sum();
        if let Some(size) = sizes.get_mut(index) {
            *size += behind;
        }
    }
    sizes
}

impl fmt::Display for TopologyDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Topologies:\n ")?;
        for subtopology in &self.subtopologies {
            let global =
                if subtopology.global { " for global store (will not generate tasks)" } else { "" };
            writeln!(f, "  Sub-topology: {}{global}", subtopology.id)?;
            for node in &subtopology.nodes {
                write!(f, "    {node}")?;
            }
            if !subtopology.global {
                f.write_str("\n")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for NodeDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |names: &[String]| {
            if names.is_empty() { "none".to_owned() } else { names.join(", ") }
        };
        let successors = list(&self.successors);
        let predecessors = list(&self.predecessors);
        match &self.kind {
            NodeDescriptionKind::Source { topics, pattern } => {
                let listed = || format!("[{}]", topics.join(", "));
                let topics = pattern.clone().unwrap_or_else(listed);
                writeln!(f, "Source: {} (topics: {topics})", self.name)?;
                writeln!(f, "      --> {successors}")
            }
            NodeDescriptionKind::Processor { stores } => {
                writeln!(f, "Processor: {} (stores: [{}])", self.name, stores.join(", "))?;
                writeln!(f, "      --> {successors}")?;
                writeln!(f, "      <-- {predecessors}")
            }
            NodeDescriptionKind::RoutingSink { extractor } => {
                writeln!(f, "Sink: {} (extractor class: {extractor})", self.name)?;
                writeln!(f, "      <-- {predecessors}")
            }
            NodeDescriptionKind::Sink { topic } => {
                writeln!(f, "Sink: {} (topic: {topic})", self.name)?;
                writeln!(f, "      <-- {predecessors}")
            }
        }
    }
}
