//! The fingerprint of a topology: what one application id can have only one of. Two topologies with
//! different nodes, but the same fingerprint, can take turns.
//!
//! It is a versioned JSON text. What always holds: a text of this version can be read by every later one,
//! and a text of a later version is recognised as such.

mod changes;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{NodeKind, StoreId, StoreKind, Subtopology, TopicName, Topology};
use crate::ids::TaskId;
pub(crate) use changes::{Change, ChangeKind};

/// The version that this program writes.
const VERSION: u32 = 1;

/// A text of up to this size goes with every committed offset.
const SMALL_BYTES: usize = 1000;

/// The largest text that goes with a committed offset. Brokers take 4096 bytes
/// (`offset.metadata.max.bytes`).
const MAX_BYTES: usize = 3000;

/// What makes two topologies incompatible on one application id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    version: u32,
    /// The sub-topologies that have stores or repartition topics, by number.
    subtopologies: BTreeMap<u32, Part>,
}

/// A sub-topology.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Part {
    /// The topics of the user's that it reads, and patterns of topics: `pattern …`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    sources: BTreeSet<String>,
    /// The repartition topics that it reads, with the number of partitions that was asked for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    repartitions: BTreeMap<String, Option<i32>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    stores: BTreeMap<String, StorePrint>,
}

/// A store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct StorePrint {
    kind: String,
    changelog: ChangelogPrint,
    /// What keys and values are written as, where their serdes say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    /// How long rows are kept: it decides how they lie on disk, but not in the changelog.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retention_ms: Option<i64>,
}

/// Where a store is restored from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ChangelogPrint {
    Own,
    Source(String),
    None,
}

/// Why a text is no fingerprint.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// It was never meant to be one.
    Foreign,
    /// It is one of a later version.
    Later(u32),
}

impl Fingerprint {
    pub(crate) fn of(topology: &Topology) -> Self {
        // Global stores are read anew by each process.
        let parts = topology.subtopologies.iter().filter(|part| !part.global);
        let parts = parts.map(|part| (part.id, Part::of(topology, part)));
        let stateful = |part: &Part| !part.stores.is_empty() || !part.repartitions.is_empty();
        Self { version: VERSION, subtopologies: parts.filter(|(_, part)| stateful(part)).collect() }
    }

    /// The whole text.
    pub(crate) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The text that goes with the committed offsets of a task: all of it if it is small, and otherwise as
    /// much as is allowed, what concerns the task first.
    pub(crate) fn offset_metadata(&self, task: TaskId) -> String {
        let whole = self.text();
        let limit = if task.partition == 0 { MAX_BYTES } else { SMALL_BYTES };
        if whole.len() <= limit {
            return whole;
        }
        let mut shown = Self { version: self.version, subtopologies: BTreeMap::new() };
        let Some(part) = self.subtopologies.get(&task.subtopology) else { return shown.text() };
        shown.subtopologies.insert(task.subtopology, part.clone());
        loop {
            let text = shown.text();
            if text.len() <= MAX_BYTES {
                return text;
            }
            let Some(part) = shown.subtopologies.get_mut(&task.subtopology) else { return text };
            if part.stores.pop_last().is_none() && part.sources.pop_last().is_none() {
                return String::new();
            }
        }
    }

    /// Reads a text back.
    pub(crate) fn read(text: &str) -> Result<Self, Unreadable> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let Versioned { version } =
            serde_json::from_str(text).map_err(|_not_json| Unreadable::Foreign)?;
        if version > VERSION {
            return Err(Unreadable::Later(version));
        }
        serde_json::from_str(text).map_err(|_other_json| Unreadable::Foreign)
    }

    /// The topics that it reads, at the broker.
    pub(crate) fn topics(&self, application_id: &str) -> BTreeSet<String> {
        let internal = |topic: &String| TopicName::Internal(topic.clone()).resolve(application_id);
        let parts = self.subtopologies.values();
        let topics = parts.flat_map(|part| {
            part.sources.iter().cloned().chain(part.repartitions.keys().map(internal))
        });
        topics.collect()
    }
}

impl Part {
    fn of(topology: &Topology, part: &Subtopology) -> Self {
        let mut result = Self::default();
        let mut by_pattern = BTreeSet::new();
        for node in &part.nodes {
            // Which topics match is no business of the topology's.
            if let NodeKind::Source { topics, pattern: Some(pattern), .. } =
                &topology.node(*node).kind
            {
                result.sources.insert(format!("pattern {pattern}"));
                by_pattern.extend(topics);
            }
        }
        for topic in part.sources.iter().filter(|topic| !by_pattern.contains(topic)) {
            match topic {
                TopicName::External(name) => drop(result.sources.insert(name.clone())),
                TopicName::Internal(name) => {
                    let mut topics = topology.repartition_topics.iter();
                    let asked = topics.find(|repartition| repartition.topic == *topic);
                    let partitions = asked.and_then(|repartition| repartition.partitions);
                    result.repartitions.insert(name.clone(), partitions);
                }
            }
        }
        for id in &part.stores {
            let name = topology.store(*id).name.clone();
            result.stores.insert(name, StorePrint::of(topology, *id));
        }
        result
    }
}

impl StorePrint {
    fn of(topology: &Topology, id: StoreId) -> Self {
        let store = topology.store(id);
        let changelog = match topology.source_changelog(id) {
            Some(source) => ChangelogPrint::Source(source.topic.bare().to_owned()),
            None if store.logging => ChangelogPrint::Own,
            None => ChangelogPrint::None,
        };
        let (kind, retention_ms) = match store.kind {
            StoreKind::KeyValue => ("key-value", None),
            StoreKind::Window { retention_ms } => ("window", Some(retention_ms)),
            StoreKind::Session { retention_ms } => ("session", Some(retention_ms)),
            StoreKind::Versioned { history_ms } => ("versioned", Some(history_ms)),
        };
        let (key, value) = topology.store_formats.get(&id).cloned().unwrap_or_default();
        Self { kind: kind.to_owned(), changelog, key, value, retention_ms }
    }
}

/// Whether a node reads a topic of the user's; kept beside the fingerprint, which leaves stateless parts
/// out.
pub(crate) fn source_topics(topology: &Topology, application_id: &str) -> BTreeSet<String> {
    let mut topics = BTreeSet::new();
    for node in &topology.nodes {
        if let NodeKind::Source { topics: sources, .. } = &node.kind {
            topics.extend(sources.iter().map(|topic| topic.resolve(application_id)));
        }
    }
    topics
}

#[cfg(test)]
mod tests;
