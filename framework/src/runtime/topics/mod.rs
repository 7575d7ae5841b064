//! The topics of an application at start: partition counts are agreed, internal topics created, and all
//! that is wrong is reported together, before any record is read.

mod internal;
mod ready;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use self::internal::internal_topics;
use self::ready::make_ready;
use crate::broker::Admin;
use crate::config::StreamsConfig;
use crate::error::{Error, ErrorKind};
use crate::ids::TaskId;
use crate::runtime::membership::coordination_topic;
use crate::topology::{NodeKind, TopicName, Topology};

/// What the application's topics look like at the broker.
#[derive(Debug, Clone, Default)]
pub(crate) struct TopicPlan {
    /// Partitions of each source topic.
    partitions: BTreeMap<String, i32>,
    /// Partitions of each topic of a global store.
    global: BTreeMap<String, i32>,
    /// The repartition topics, by their full names.
    repartition: Vec<String>,
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

    /// The repartition topics of the application.
    pub(crate) fn repartition_topics(&self) -> &[String] {
        &self.repartition
    }

    /// What has happened to the topics since and nobody else notices: deleted ones, and topics of global stores
    /// with more partitions, which nobody reads. Each with what to do. More partitions of other topics are a
    /// matter of the group.
    pub(crate) fn changes(&self, admin: &dyn Admin) -> Result<Vec<String>, Error> {
        let planned: Vec<_> = self.partitions.iter().chain(&self.global).collect();
        let names: Vec<&str> = planned.iter().map(|(name, _)| name.as_str()).collect();
        let found = admin.partition_counts(&names)?;
        let change = |((name, planned), found): (&(&String, &i32), Option<i32>)| match found {
            None => Some(format!(
                "topic {name} is gone; create it again, with {planned} partitions, and start anew: the \
                 offsets committed for it mean nothing any more"
            )),
            Some(found) if found != **planned && self.global.contains_key(*name) => Some(format!(
                "topic {name} has {found} partitions now, and had {planned} at the start; records of the \
                 new ones are not in the global store until all instances are started anew"
            )),
            Some(_) => None,
        };
        Ok(planned.iter().zip(found).filter_map(change).collect())
    }

    /// Every task there is.
    pub(crate) fn tasks(&self) -> &[TaskId] {
        &self.tasks
    }
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
    let coordination = coordination_topic(application_id);
    let own = |topic: &String| {
        let internal = topic.strip_prefix(application_id).and_then(|name| name.strip_prefix('-'));
        let is_internal =
            |name: &str| name.ends_with("-changelog") || name.ends_with("-repartition");
        *topic == coordination || internal.is_some_and(is_internal)
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
    Err(do_not_fit(&unmatched))
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
    let repartition = topology.repartition_topics.iter();
    let repartition =
        repartition.map(|topic| topic.topic.resolve(&config.application_id)).collect();
    let mut plan = TopicPlan { repartition, ..TopicPlan::default() };
    for subtopology in &topology.subtopologies {
        let sources = subtopology.sources.iter().map(|topic| topic.resolve(&config.application_id));
        let known: Vec<(String, i32)> =
            sources.filter_map(|name| counts.get(&name).map(|count| (name, *count))).collect();
        if subtopology.global {
            plan.global.extend(known);
            continue;
        }
        let tasks = known.iter().map(|(_, count)| *count).max().unwrap_or(0);
        plan.tasks
            .extend((0..tasks).map(|partition| TaskId { subtopology: subtopology.id, partition }));
        plan.partitions.extend(known);
    }
    let internal = internal_topics(topology, config, &plan);
    make_ready(&internal, config.replication_factor, admin, &mut problems)?;
    if problems.is_empty() {
        return Ok(plan);
    }
    Err(do_not_fit(&problems))
}

fn do_not_fit(problems: &[String]) -> Error {
    let list = problems.join("\n  ");
    Error::new(ErrorKind::Config, format!("the topics do not fit the topology:\n  {list}"))
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
