//! What an application's own topics have to be like.

use std::collections::BTreeMap;

use super::TopicPlan;
use crate::config::StreamsConfig;
use crate::runtime::membership::{COORDINATION_CONFIGS, coordination_topic};
use crate::topology::{StoreKind, Topology, TopologyStore};

/// A topic of the application's own, as it has to be.
#[derive(Debug)]
pub(super) struct InternalTopic {
    pub(super) name: String,
    pub(super) partitions: i32,
    /// Why it has so many partitions, for messages.
    pub(super) because: String,
    /// What to do when it has another number.
    pub(super) remedy: &'static str,
    /// Ours, with the user's changes.
    pub(super) configs: BTreeMap<String, String>,
}

const START_ANEW: &str = "keys would be away from their state. Give the topics the numbers that they had, or start anew: \
                          with another application id, or after deleting the application's internal topics, its \
                          committed offsets and its local state";

/// The coordination topic, and the repartition topics and changelogs of a topology.
pub(super) fn internal_topics(
    topology: &Topology,
    config: &StreamsConfig,
    plan: &TopicPlan,
) -> Vec<InternalTopic> {
    let id = &config.application_id;
    let mut topics = vec![InternalTopic {
        name: coordination_topic(id),
        partitions: 1,
        because: "the members of the application agree in one".to_owned(),
        remedy: "stop all instances and delete it: it is made anew",
        configs: coordination_configs(config),
    }];
    for topic in &topology.repartition_topics {
        let name = topic.topic.resolve(id);
        let because = if topic.partitions.is_some() {
            "the topology asks for so many"
        } else {
            "the largest topic upstream has so many"
        };
        topics.push(InternalTopic {
            partitions: plan.partition_count(&name),
            because: because.to_owned(),
            remedy: START_ANEW,
            configs: repartition_configs(config),
            name,
        });
    }
    for store in &topology.stores {
        let Some(topic) = store.changelog() else { continue };
        let tasks = plan.tasks.iter().filter(|task| task.subtopology == store.subtopology).count();
        topics.push(InternalTopic {
            name: topic.resolve(id),
            partitions: i32::try_from(tasks).unwrap_or(i32::MAX),
            because: format!("sub-topology {} reads topics with so many", store.subtopology),
            remedy: START_ANEW,
            configs: changelog_configs(store, config),
        });
    }
    topics
}

/// What the user says about copies and the like; the rest is ours.
fn coordination_configs(config: &StreamsConfig) -> BTreeMap<String, String> {
    let mut configs = config.topic_configs.clone();
    configs.extend(owned(&COORDINATION_CONFIGS));
    configs
}

/// KAFKA: `RepartitionTopicConfig`: nothing is lost by age or size; what is committed is deleted by offset.
fn repartition_configs(config: &StreamsConfig) -> BTreeMap<String, String> {
    let ours = [
        ("cleanup.policy", "delete"),
        ("message.timestamp.type", "CreateTime"),
        ("retention.ms", "-1"),
        ("segment.bytes", "52428800"),
    ];
    let mut configs = owned(&ours);
    configs.extend(config.topic_configs.clone());
    configs
}

/// How long Kafka Streams keeps the changelog of a window beyond its retention
/// (`windowstore.changelog.additional.retention.ms`), and that of a version beyond the history.
const ADDITIONAL_RETENTION_MS: i64 = 24 * 60 * 60 * 1000;

/// KAFKA: library, then `topic.` of the application, then the store's own; but how long a window is needed
/// is for its store alone to say.
fn changelog_configs(store: &TopologyStore, config: &StreamsConfig) -> BTreeMap<String, String> {
    let mut configs = owned(&[("message.timestamp.type", "CreateTime")]);
    let (policy, needed) = match store.kind {
        StoreKind::KeyValue => ("compact", None),
        // Compaction must leave what a restore needs to tell the history.
        StoreKind::Versioned { history_ms } => {
            ("compact", Some(("min.compaction.lag.ms", history_ms)))
        }
        StoreKind::Window { retention_ms } | StoreKind::Session { retention_ms } => {
            ("compact,delete", Some(("retention.ms", retention_ms)))
        }
    };
    configs.insert("cleanup.policy".to_owned(), policy.to_owned());
    configs.extend(config.topic_configs.clone());
    if let Some((name, ms)) = needed {
        let ms = ms.saturating_add(ADDITIONAL_RETENTION_MS);
        configs.insert(name.to_owned(), ms.to_string());
    }
    configs.extend(store.topic_configs.clone());
    configs
}

fn owned(configs: &[(&str, &str)]) -> BTreeMap<String, String> {
    configs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
