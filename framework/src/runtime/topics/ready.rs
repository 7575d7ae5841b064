//! Creates the internal topics that do not exist, and checks those that do. Other instances may be doing the
//! same at the same moment.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Duration;

use super::internal::InternalTopic;
use crate::broker::{Admin, BrokerError, BrokerErrorKind, NewTopic, TopicDescription};
use crate::error::Error;

/// How often a topic is looked for that another instance makes, or that a broker still deletes, and the
/// pause in between: half a minute in all.
const ATTEMPTS: usize = 150;
const PAUSE: Duration = Duration::from_millis(200);

/// Makes all topics be there, unless there are problems, and notes what does not fit. An existing topic is never
/// changed.
pub(super) fn make_ready(
    topics: &[InternalTopic],
    replication_factor: i32,
    admin: &dyn Admin,
    problems: &mut Vec<String>,
) -> Result<(), Error> {
    let wanted = (replication_factor > 0).then_some(replication_factor);
    // What is missing upstream decides on partition counts.
    let counts_are_known = problems.is_empty();
    problems.extend(topics.iter().filter_map(|topic| {
        let (copies, needed) = too_few_copies(wanted?, &topic.configs)?;
        Some(format!(
            "topic {} would have {copies} copies, but {MIN_IN_SYNC}={needed}: set \
             StreamsConfig::replication_factor to at least that, better one more",
            topic.name
        ))
    }));
    let described = if problems.is_empty() {
        create(topics, replication_factor, admin, problems)?
    } else {
        existing(topics, admin)?
    };
    for topic in topics {
        // If nothing stands against making it, a topic without a description is among the problems already.
        let Some(found) = described.get(&*topic.name) else { continue };
        if counts_are_known && found.partitions != topic.partitions {
            problems.push(wrong_count(topic, found.partitions));
        }
        if wanted.is_some_and(|wanted| found.replication_factor < wanted) {
            tracing::warn!(
                topic = topic.name,
                "internal topic has {} copies, the settings say {replication_factor}; it is left as it is",
                found.replication_factor
            );
        }
        check_configs(topic, found.replication_factor, admin, problems)?;
    }
    Ok(())
}

/// How many copies a write has to have before it is acknowledged.
const MIN_IN_SYNC: &str = "min.insync.replicas";

/// How many copies there are, and how many writes need, if there are too few.
fn too_few_copies(copies: i32, configs: &BTreeMap<String, String>) -> Option<(i32, i32)> {
    let needed: i32 = configs.get(MIN_IN_SYNC)?.parse().ok()?;
    (copies < needed).then_some((copies, needed))
}

/// Those of the topics that are there, by name.
fn existing<'a>(
    topics: &'a [InternalTopic],
    admin: &dyn Admin,
) -> Result<BTreeMap<&'a str, TopicDescription>, Error> {
    let names: Vec<&str> = topics.iter().map(|topic| &*topic.name).collect();
    let found = names.iter().copied().zip(admin.describe_topics(&names)?);
    Ok(found.filter_map(|(name, found)| Some((name, found?))).collect())
}

/// Creates what is missing and waits until everything is there; what is there by name.
fn create<'a>(
    topics: &'a [InternalTopic],
    replication_factor: i32,
    admin: &dyn Admin,
    problems: &mut Vec<String>,
) -> Result<BTreeMap<&'a str, TopicDescription>, Error> {
    let mut described = BTreeMap::new();
    let mut missing: Vec<&InternalTopic> = topics.iter().collect();
    let mut reasons: BTreeMap<&str, BrokerError> = BTreeMap::new();
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            thread::park_timeout(PAUSE);
        }
        let names: Vec<&str> = missing.iter().map(|topic| &*topic.name).collect();
        for (name, found) in names.iter().zip(admin.describe_topics(&names)?) {
            described.extend(found.map(|found| (*name, found)));
        }
        missing.retain(|topic| !described.contains_key(&*topic.name));
        if missing.is_empty() {
            return Ok(described);
        }
        let new: Vec<_> =
            missing.iter().map(|topic| new_topic(topic, replication_factor)).collect();
        let mut hopeless = BTreeSet::new();
        for (topic, created) in missing.iter().zip(admin.create_topics(&new)?) {
            match created {
                Ok(()) => {
                    tracing::info!(topic = topic.name, topic.partitions, "internal topic created");
                }
                // Another instance has just made it, or a broker still deletes one of this name.
                Err(error)
                    if error.is_retriable() || error.kind() == BrokerErrorKind::TopicExists =>
                {
                    reasons.insert(&topic.name, error);
                }
                Err(error) => {
                    problems.push(cannot_be_created(topic, &error));
                    hopeless.insert(&*topic.name);
                }
            }
        }
        missing.retain(|topic| !hopeless.contains(&*topic.name));
    }
    for topic in missing {
        problems.push(match reasons.get(&*topic.name) {
            Some(error) => cannot_be_created(topic, error),
            None => format!("topic {} was created, but no broker shows it", topic.name),
        });
    }
    Ok(described)
}

fn new_topic(topic: &InternalTopic, replication_factor: i32) -> NewTopic {
    let InternalTopic { name, partitions, configs, .. } = topic;
    NewTopic {
        name: name.clone(),
        partitions: *partitions,
        replication_factor,
        configs: configs.clone(),
    }
}

fn cannot_be_created(topic: &InternalTopic, error: &BrokerError) -> String {
    let wanted: Vec<_> =
        topic.configs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    // The source has the broker's own code, the message its reason.
    format!(
        "topic {} cannot be created: {error}; an administrator may create it, with {} partitions and {}",
        topic.name,
        topic.partitions,
        wanted.join(" ")
    )
}

fn wrong_count(topic: &InternalTopic, found: i32) -> String {
    let InternalTopic { name, partitions, because, remedy, .. } = topic;
    format!(
        "topic {name} has {found} partitions, but {partitions} are needed, because {because}; {remedy}"
    )
}

/// Notes configs of an existing topic with which rows or records would be lost, or times be wrong.
///
/// KAFKA: `InternalTopicManager.validate`, and the type of the timestamps besides.
fn check_configs(
    topic: &InternalTopic,
    copies: i32,
    admin: &dyn Admin,
    problems: &mut Vec<String>,
) -> Result<(), Error> {
    let found = match configs_of(topic, admin) {
        Ok(configs) => configs,
        Err(error) if error.kind() == BrokerErrorKind::Authorization => {
            problems.push(format!("topic {} cannot be checked: {error}", topic.name));
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let deletes = found.get(POLICY).is_some_and(|policy| parts(policy).contains("delete"));
    let keeps = |name, enough: fn(i64, i64) -> bool| {
        let (wanted, found) = (topic.configs.get(name), found.get(name)?);
        let number = |text: &String| text.parse::<i64>().ok();
        let wanted = match (wanted, name) {
            (Some(wanted), _) => number(wanted)?,
            // By size nothing may be lost, unless the user says so.
            (None, RETENTION_BYTES) => -1,
            (None, _) => return None,
        };
        (!enough(number(found)?, wanted)).then(|| (name, found.clone(), wanted.to_string()))
    };
    let at_least_kept = |found, wanted| found == -1 || (wanted != -1 && found >= wanted);
    let by_age_and_size =
        [keeps(RETENTION_MS, at_least_kept), keeps(RETENTION_BYTES, at_least_kept)];
    let wrong = [
        unlike(topic, &found, POLICY, |found, wanted| parts(found).is_subset(&parts(wanted))),
        unlike(topic, &found, TIMESTAMPS, |found, wanted| found == wanted),
        keeps(COMPACTION_LAG, |found, wanted| found >= wanted),
    ];
    let by_age_and_size = by_age_and_size.into_iter().flatten().filter(|_| deletes);
    for (name, found, wanted) in wrong.into_iter().flatten().chain(by_age_and_size) {
        problems.push(format!(
            "topic {0} has {name}={found}, but needs {wanted}; change it: kafka-configs.sh --alter \
             --entity-type topics --entity-name {0} --add-config {name}=[{wanted}]",
            topic.name
        ));
    }
    if let Some((copies, needed)) = too_few_copies(copies, &found) {
        // KAFKA: brokers from 3.7 on ask for no more copies than there are (`Partition.effectiveMinIsr`).
        tracing::warn!(
            topic = topic.name,
            "internal topic has {copies} copies, fewer than {MIN_IN_SYNC}={needed}: the loss of a broker may lose \
             it, and brokers before Kafka 3.7 acknowledge no write; give it more copies by \
             kafka-reassign-partitions.sh, or set StreamsConfig::replication_factor before it is made"
        );
    }
    warn_of_differences(topic, &found);
    Ok(())
}

/// The configs of a topic that is there. Another instance may have made it a moment ago, and not every broker has heard of
/// it.
fn configs_of(
    topic: &InternalTopic,
    admin: &dyn Admin,
) -> Result<BTreeMap<String, String>, BrokerError> {
    for _ in 1..ATTEMPTS {
        match admin.topic_configs(&topic.name) {
            Err(error) if error.kind() == BrokerErrorKind::UnknownTopicOrPartition => {
                thread::park_timeout(PAUSE);
            }
            answer => return answer,
        }
    }
    admin.topic_configs(&topic.name)
}

const POLICY: &str = "cleanup.policy";
const RETENTION_MS: &str = "retention.ms";
const RETENTION_BYTES: &str = "retention.bytes";
const COMPACTION_LAG: &str = "min.compaction.lag.ms";
const TIMESTAMPS: &str = "message.timestamp.type";
/// What is checked above.
const CHECKED: [&str; 5] = [POLICY, RETENTION_MS, RETENTION_BYTES, COMPACTION_LAG, TIMESTAMPS];

/// The parts of a cleanup policy.
fn parts(policy: &str) -> BTreeSet<&str> {
    policy.split(',').map(str::trim).collect()
}

/// A config that is there and does not fit what is wanted, if anything is.
fn unlike(
    topic: &InternalTopic,
    found: &BTreeMap<String, String>,
    name: &'static str,
    fits: fn(&str, &str) -> bool,
) -> Option<(&'static str, String, String)> {
    let (wanted, found) = (topic.configs.get(name)?, found.get(name)?);
    (!fits(found, wanted)).then(|| (name, found.clone(), wanted.clone()))
}

/// What is not worth refusing a start for, such as another size of segments.
fn warn_of_differences(topic: &InternalTopic, found: &BTreeMap<String, String>) {
    for (name, wanted) in topic.configs.iter().filter(|(name, _)| !CHECKED.contains(&name.as_str()))
    {
        let differs = found.get(name).filter(|found| *found != wanted);
        if let Some(found) = differs {
            tracing::warn!(
                topic = topic.name,
                "internal topic has {name}={found}, the settings say {wanted}; it is left as it is"
            );
        }
    }
}
