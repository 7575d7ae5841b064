//! The physical plan: nodes, stores, topics, and how they fall into sub-topologies.
//!
//! INVARIANT: in `nodes`, parents stand before their children.

mod config;
pub(crate) mod copartition;
mod describe;
pub(crate) mod fingerprint;
pub(crate) mod link;
mod pattern;
pub(crate) mod source_changelog;
mod subtopology;
pub(crate) mod timed_calls;

use std::collections::BTreeMap;
use std::fmt;

pub use config::{TopologyConfig, TopologyOptimization, UnknownOptimization};
pub use describe::TopologyDescription;
pub use subtopology::Subtopology;
pub(crate) use subtopology::assign as assign_subtopologies;

pub(crate) use pattern::TopicPattern;

use link::{NodeSupplier, StoreSupplier};
use source_changelog::SourceChangelog;
use timed_calls::TimedCalls;

/// A node of a topology, by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct NodeId(pub(crate) usize);

/// A store of a topology, by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct StoreId(pub(crate) usize);

/// Where a partition of a source topic is read from when the group has no offset for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AutoOffsetReset {
    /// From the oldest record.
    #[default]
    Earliest,
    /// From behind the newest record.
    Latest,
}

/// A topic as the plan names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TopicName {
    /// A topic of the user's: its name is its name.
    External(String),
    /// A topic of the application's own: its name follows the application id and a dash.
    Internal(String),
}

impl TopicName {
    /// The name in descriptions.
    pub(crate) fn bare(&self) -> &str {
        match self {
            Self::External(name) | Self::Internal(name) => name,
        }
    }

    /// The name at the broker.
    pub(crate) fn resolve(&self, application_id: &str) -> String {
        match self {
            Self::External(name) => name.clone(),
            Self::Internal(name) => format!("{application_id}-{name}"),
        }
    }
}

/// What a node does with topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NodeKind {
    /// With a pattern, `topics` are those that matched when the application started.
    Source {
        topics: Vec<TopicName>,
        pattern: Option<TopicPattern>,
        reset: AutoOffsetReset,
    },
    Processor,
    Sink {
        topic: TopicName,
    },
    /// Writes to the topic that each record names.
    RoutingSink {
        extractor: String,
    },
}

pub(crate) struct TopologyNode {
    pub(crate) name: String,
    pub(crate) kind: NodeKind,
    pub(crate) parents: Vec<NodeId>,
    pub(crate) children: Vec<NodeId>,
    pub(crate) stores: Vec<StoreId>,
    pub(crate) subtopology: u32,
    pub(crate) supplier: NodeSupplier,
}

/// How a store keeps its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoreType {
    /// In RocksDB, on disk.
    Persistent,
    /// In memory; rebuilt from the changelog whenever the task comes to a process.
    InMemory,
}

/// What kind of rows a store has; decides its changelog's cleanup policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreKind {
    KeyValue,
    Window { retention_ms: i64 },
    Session { retention_ms: i64 },
    Versioned { history_ms: i64 },
}

/// The sub-topology of a store that no node is connected to.
pub(crate) const UNCONNECTED: u32 = u32::MAX;

pub(crate) struct TopologyStore {
    pub(crate) name: String,
    pub(crate) kind: StoreKind,
    pub(crate) store_type: StoreType,
    /// Whether it has a changelog topic.
    pub(crate) logging: bool,
    /// Whether the record cache may hold its updates back.
    pub(crate) caching: bool,
    /// Configs of the changelog topic that the user set.
    pub(crate) topic_configs: BTreeMap<String, String>,
    pub(crate) subtopology: u32,
    pub(crate) supplier: StoreSupplier,
}

impl TopologyStore {
    /// The changelog topic, if the store has one.
    pub(crate) fn changelog(&self) -> Option<TopicName> {
        let logged = self.logging && self.subtopology != UNCONNECTED;
        logged.then(|| TopicName::Internal(format!("{}-changelog", self.name)))
    }
}

/// What stores write their keys and values as: names that serdes give.
pub(crate) type StoreFormats = BTreeMap<StoreId, (Option<String>, Option<String>)>;

/// A repartition topic of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RepartitionTopic {
    pub(crate) topic: TopicName,
    /// The number of partitions the user asked for; otherwise the largest of the topics upstream.
    pub(crate) partitions: Option<i32>,
}

/// A checked topology, ready to run any number of times.
///
/// Made by [`StreamsBuilder::build`](crate::StreamsBuilder::build); given to
/// [`KafkaStreams`](crate::KafkaStreams) or to a test driver.
///
/// # Source
/// `org.apache.kafka.streams.Topology`.
pub struct Topology {
    pub(crate) nodes: Vec<TopologyNode>,
    pub(crate) stores: Vec<TopologyStore>,
    /// Stores that are restored from a source topic and have no changelog of their own.
    pub(crate) source_changelogs: Vec<SourceChangelog>,
    /// What stores write their keys and values as, where the serdes say so.
    pub(crate) store_formats: StoreFormats,
    pub(crate) repartition_topics: Vec<RepartitionTopic>,
    pub(crate) copartition_groups: Vec<copartition::CopartitionGroup>,
    pub(crate) subtopologies: Vec<Subtopology>,
    pub(crate) timed_calls: Vec<TimedCalls>,
}

impl Topology {
    pub(crate) fn node(&self, id: NodeId) -> &TopologyNode {
        #[expect(clippy::indexing_slicing, reason = "a NodeId is made with its node")]
        &self.nodes[id.0]
    }

    pub(crate) fn store(&self, id: StoreId) -> &TopologyStore {
        #[expect(clippy::indexing_slicing, reason = "a StoreId is made with its store")]
        &self.stores[id.0]
    }

    /// The source topic that a store is restored from, if it is.
    pub(crate) fn source_changelog(&self, store: StoreId) -> Option<&SourceChangelog> {
        self.source_changelogs.iter().find(|source| source.store == store)
    }

    /// Whether all tasks share the store, which has no task of its own.
    pub(crate) fn is_global(&self, store: StoreId) -> bool {
        self.global_subtopology(self.store(store).subtopology)
    }

    /// Whether a sub-topology fills global stores.
    pub(crate) fn global_subtopology(&self, id: u32) -> bool {
        self.subtopologies.iter().any(|subtopology| subtopology.id == id && subtopology.global)
    }

    /// Whether a source node reads the topic of this name at the broker.
    pub(crate) fn reads(&self, node: NodeId, application_id: &str, topic: &str) -> bool {
        match &self.node(node).kind {
            NodeKind::Source { topics, .. } => {
                topics.iter().any(|name| name.resolve(application_id) == topic)
            }
            NodeKind::Processor | NodeKind::Sink { .. } | NodeKind::RoutingSink { .. } => false,
        }
    }

    /// Where the source of this topic starts when the group has committed nothing.
    pub(crate) fn reset_of(&self, application_id: &str, topic: &str) -> AutoOffsetReset {
        self.nodes
            .iter()
            .find_map(|node| match &node.kind {
                NodeKind::Source { topics, reset, .. } => topics
                    .iter()
                    .any(|name| name.resolve(application_id) == topic)
                    .then_some(*reset),
                NodeKind::Processor | NodeKind::Sink { .. } | NodeKind::RoutingSink { .. } => None,
            })
            .unwrap_or_default()
    }

    /// The sub-topologies, in order of their number.
    pub fn subtopologies(&self) -> &[Subtopology] {
        &self.subtopologies
    }

    /// The nodes, stores and topics, as data; prints as Kafka Streams prints it.
    pub fn describe(&self) -> TopologyDescription {
        TopologyDescription::of(self)
    }
}

impl fmt::Debug for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topology")
            .field("nodes", &self.nodes.iter().map(|node| &node.name).collect::<Vec<_>>())
            .field("stores", &self.stores.iter().map(|store| &store.name).collect::<Vec<_>>())
            .field("subtopologies", &self.subtopologies)
            .finish_non_exhaustive()
    }
}
