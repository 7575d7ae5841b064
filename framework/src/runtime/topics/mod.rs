//! The topics of an application at start: partition counts are agreed, internal topics created, and all
//! that is wrong is reported together, before any record is read.

use std::collections::{BTreeMap, BTreeSet};

use crate::broker::{Admin, BrokerErrorKind, NewTopic};
use crate::config::StreamsConfig;
use crate::error::{Error, ErrorKind};
use crate::ids::TaskId;
use crate::topology::{NodeKind, StoreKind, TopicName, Topology, TopologyStore};

/// What the application's topics look like at the broker.
#[derive(Debug, Clone, Default)]
pub(crate) struct TopicPlan {
    /// Partitions of each source topic.
    partitions: BTreeMap<String, i32>,
    /// Partitions of each topic of a global store.
    global: BTreeMap<String, i32>,
    /// Every task there is.
    tasks: Vec<TaskId>,
}

impl TopicPlan {
    /// The number of partitions of a source topic; 0 for any other.
    pub(crate) fn partition_count(&self, topic: &str) -> i32 {
        self.partitions.get(topic).copied().unwrap_or(0)
    }

    /// The number of partitions of a global store's topic; 0 for any other.
    pub(crate) fn global_partition_count(&self, topic: &str) -> i32 {
        self.global.get(topic).copied().unwrap_or(0)
    }

    /// The source topics, to subscribe to.
    pub(crate) fn source_topics(&self) -> Vec<String> {
        self.partitions.keys().cloned().collect()
    }

    /// Every task there is.
    pub(crate) fn tasks(&self) -> &[TaskId] {
        &self.tasks
    }
}

/// A topic of the application's own, as it has to be.
struct InternalTopic {
    name: String,
    partitions: i32,
    configs: BTreeMap<String, String>,
}

/// Lets sources with a pattern read the topics that match it now, but none of the application's own.
pub(crate) fn resolve_patterns(
    topology: &mut Topology,
    application_id: &str,
    admin: &dyn Admin,
) -> Result<(), Error> {
    if topology.patterns().next().is_none() {
        return Ok(());
    }
    let own = |topic: &String| {
        let internal = topic.strip_prefix(application_id).and_then(|name| name.strip_prefix('-'));
        internal.is_some_and(|name| name.ends_with("-changelog") || name.ends_with("-repartition"))
    };
    for topic in admin.topic_names()?.iter().filter(|topic| !own(topic)) {
        topology.add_matching_topic(topic);
    }
    let unmatched: Vec<_> = topology
        .unmatched_patterns()
        .map(|(source, pattern)| format!("source {source}: no topic matches `{pattern}`"))
        .collect();
    if unmatched.is_empty() {
        return Ok(());
    }
    let list = unmatched.join("\n  ");
    Err(Error::new(ErrorKind::Config, format!("the topics do not fit the topology:\n  {list}")))
}

/// Agrees on partition counts and creates what is missing.
pub(crate) fn prepare(
    topology: &Topology,
    config: &StreamsConfig,
    admin: &dyn Admin,
) -> Result<TopicPlan, Error> {
    let mut problems = Vec::new();
    let counts = external_counts(topology, config, admin, &mut problems)?;
    let counts = repartition_counts(topology, config, counts, &mut problems);
    let mut plan = TopicPlan::default();
    for subtopology in &topology.subtopologies {
        let sources = subtopology.sources.iter().map(|topic| topic.resolve(&config.application_id));
        let known: Vec<(String, i32)> =
            sources.filter_map(|name| counts.get(&name).map(|count| (name, *count))).collect();
        if subtopology.global {
            plan.global.extend(known);
            continue;
        }
        if known.iter().map(|(_, count)| count).collect::<BTreeSet<_>>().len() > 1 {
            let list: Vec<_> =
                known.iter().map(|(name, count)| format!("{name} has {count}")).collect();
            problems.push(format!(
                "sub-topology {} reads topics with different numbers of partitions ({}): the range \
                 strategy cannot keep their partitions on one member; give the topics the same number, \
                 or put repartition() in between",
                subtopology.id,
                list.join(", ")
            ));
        }
        let tasks = known.iter().map(|(_, count)| *count).max().unwrap_or(0);
        plan.tasks
            .extend((0..tasks).map(|partition| TaskId { subtopology: subtopology.id, partition }));
        plan.partitions.extend(known);
    }
    let internal = internal_topics(topology, config, &plan);
    if problems.is_empty() {
        create(&internal, config, admin, &mut problems)?;
    }
    if problems.is_empty() {
        return Ok(plan);
    }
    let list = problems.join("\n  ");
    Err(Error::new(ErrorKind::Config, format!("the topics do not fit the topology:\n  {list}")))
}

/// Partition counts of the user's topics; a missing one is a problem.
fn external_counts(
    topology: &Topology,
    config: &StreamsConfig,
    admin: &dyn Admin,
    problems: &mut Vec<String>,
) -> Result<BTreeMap<String, i32>, Error> {
    let mut names: BTreeSet<&str> = config.dead_letter_topic.iter().map(String::as_str).collect();
    for node in &topology.nodes {
        let external = |topic: &TopicName| matches!(topic, TopicName::External(_));
        match &node.kind {
            NodeKind::Source { topics, .. } => {
                names.extend(topics.iter().filter(|topic| external(topic)).map(TopicName::bare));
            }
            NodeKind::Sink { topic } if external(topic) => {
                names.insert(topic.bare());
            }
            NodeKind::Sink { .. } | NodeKind::RoutingSink { .. } | NodeKind::Processor => {}
        }
    }
    let names: Vec<&str> = names.into_iter().collect();
    let found = admin.partition_counts(&names)?;
    let mut counts = BTreeMap::new();
    for (name, count) in names.iter().zip(found) {
        match count {
            Some(count) => drop(counts.insert((*name).to_owned(), count)),
            None => problems.push(format!("topic {name} does not exist; create it")),
        }
    }
    Ok(counts)
}

/// Adds the counts of the repartition topics: what the user asked for, or the largest upstream.
fn repartition_counts(
    topology: &Topology,
    config: &StreamsConfig,
    mut counts: BTreeMap<String, i32>,
    problems: &mut Vec<String>,
) -> BTreeMap<String, i32> {
    let id = &config.application_id;
    let mut open: Vec<_> = topology.repartition_topics.iter().collect();
    // A topic can be settled when those upstream are; each round settles at least one.
    for _ in 0..=topology.repartition_topics.len() {
        open.retain(|topic| {
            let upstream = topology
                .subtopologies
                .iter()
                .filter(|subtopology| subtopology.sinks.contains(&topic.topic))
                .flat_map(|subtopology| &subtopology.sources)
                .filter_map(|source| counts.get(&source.resolve(id)))
                .max()
                .copied();
            let Some(partitions) = topic.partitions.or(upstream) else { return true };
            counts.insert(topic.topic.resolve(id), partitions);
            false
        });
    }
    for topic in open {
        problems.push(format!(
            "repartition topic {}: its number of partitions is unknown, because no topic upstream has one",
            topic.topic.resolve(id)
        ));
    }
    topology.agree_on_partitions(id, &mut counts, problems);
    counts
}

fn internal_topics(
    topology: &Topology,
    config: &StreamsConfig,
    plan: &TopicPlan,
) -> Vec<InternalTopic> {
    let id = &config.application_id;
    let mut topics = Vec::new();
    for topic in &topology.repartition_topics {
        let name = topic.topic.resolve(id);
        let configs = [
            ("cleanup.policy", "delete"),
            ("retention.ms", "-1"),
            ("segment.bytes", "52428800"),
            ("message.timestamp.type", "CreateTime"),
        ];
        topics.push(InternalTopic {
            partitions: plan.partition_count(&name),
            configs: owned(&configs),
            name,
        });
    }
    for store in &topology.stores {
        let Some(topic) = store.changelog() else { continue };
        let partitions =
            plan.tasks.iter().filter(|task| task.subtopology == store.subtopology).count();
        topics.push(InternalTopic {
            name: topic.resolve(id),
            partitions: i32::try_from(partitions).unwrap_or(i32::MAX),
            configs: changelog_configs(store),
        });
    }
    topics
}

/// How long Kafka Streams keeps the changelog of a window beyond its retention
/// (`windowstore.changelog.additional.retention.ms`), and that of a version beyond the history.
const ADDITIONAL_RETENTION_MS: i64 = 24 * 60 * 60 * 1000;

fn changelog_configs(store: &TopologyStore) -> BTreeMap<String, String> {
    let mut configs = match store.kind {
        StoreKind::KeyValue => owned(&[("cleanup.policy", "compact")]),
        // Compaction must leave what a restore needs to tell the history.
        StoreKind::Versioned { history_ms } => {
            let lag = history_ms.saturating_add(ADDITIONAL_RETENTION_MS).to_string();
            owned(&[("cleanup.policy", "compact"), ("min.compaction.lag.ms", &lag)])
        }
        StoreKind::Window { retention_ms } | StoreKind::Session { retention_ms } => {
            let retention = retention_ms.saturating_add(ADDITIONAL_RETENTION_MS).to_string();
            owned(&[("cleanup.policy", "compact,delete"), ("retention.ms", &retention)])
        }
    };
    configs.insert("message.timestamp.type".to_owned(), "CreateTime".to_owned());
    configs.extend(store.topic_configs.clone());
    configs
}

fn owned(configs: &[(&str, &str)]) -> BTreeMap<String, String> {
    configs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Creates the topics that do not exist and checks those that do; another instance may be doing the
/// same.
fn create(
    topics: &[InternalTopic],
    config: &StreamsConfig,
    admin: &dyn Admin,
    problems: &mut Vec<String>,
) -> Result<(), Error> {
    let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
    let found = admin.partition_counts(&names)?;
    let missing: Vec<&InternalTopic> = topics
        .iter()
        .zip(&found)
        .filter(|(_, count)| count.is_none())
        .map(|(topic, _)| topic)
        .collect();
    let new: Vec<NewTopic> = missing
        .iter()
        .map(|topic| NewTopic {
            name: topic.name.clone(),
            partitions: topic.partitions,
            replication_factor: config.replication_factor,
            configs: topic.configs.clone(),
        })
        .collect();
    for (topic, created) in missing.iter().zip(admin.create_topics(&new)?) {
        match created {
            Ok(()) => {
                tracing::info!(topic = topic.name, topic.partitions, "internal topic created");
            }
            Err(error) if error.kind() == BrokerErrorKind::TopicExists => {}
            Err(error) => problems.push(format!("topic {} cannot be created: {error}", topic.name)),
        }
    }
    let found = admin.partition_counts(&names)?;
    for (topic, count) in topics.iter().zip(found) {
        if let Some(count) = count
            && count != topic.partitions
        {
            problems.push(format!(
                "topic {} has {count} partitions, but {} are needed; if the application may start anew, \
                 delete it and the local state",
                topic.name, topic.partitions
            ));
        }
        check_cleanup(topic, admin, problems)?;
    }
    Ok(())
}

/// A changelog that is not compacted, or a repartition topic that is, would lose rows or records.
fn check_cleanup(
    topic: &InternalTopic,
    admin: &dyn Admin,
    problems: &mut Vec<String>,
) -> Result<(), Error> {
    const POLICY: &str = "cleanup.policy";
    let configs = match admin.topic_configs(&topic.name) {
        Ok(configs) => configs,
        Err(error) if error.kind() == BrokerErrorKind::UnknownTopicOrPartition => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let parts =
        |text: &str| text.split(',').map(|part| part.trim().to_owned()).collect::<BTreeSet<_>>();
    if let (Some(wanted), Some(found)) = (topic.configs.get(POLICY), configs.get(POLICY))
        && parts(wanted) != parts(found)
    {
        problems.push(format!("topic {} has {POLICY}={found}, but needs {wanted}", topic.name));
    }
    Ok(())
}
