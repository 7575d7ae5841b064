//! Topics and offsets as the port asks for them; the requests themselves are in `requests`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::client::{Client, Deadline};
use super::client_config::ClientConfig;
use super::groups::GroupLookup;
use super::partitions;
use super::requests::{OffsetSpec, Requests, TopicState};
use super::roles::{AdminRole, Reader};
use super::topic_names::topic_names;
use crate::broker::{
    Admin, BrokerError, BrokerErrorKind, CommittedOffset, GroupMemberInfo, NewTopic,
    TopicDescription,
};
use crate::ids::TopicPartition;

/// How long brokers may take to show what the controller has done.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(30);
const SETTLE_STEP: Duration = Duration::from_millis(20);
/// How long a coordinator may take to answer, open transactions included.
const GROUP_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a group is asked before its error is reported, and the pause in between.
const GROUP_ATTEMPTS: u32 = 25;
const GROUP_PAUSE: Duration = Duration::from_millis(200);

/// How long it is believed what a topic's number of partitions is. KAFKA: a producer's `metadata.max.age.ms`.
const KNOWN_FOR: Duration = Duration::from_mins(5);

/// A handle to the process's one admin client.
#[derive(Debug, Clone)]
pub(super) struct KafkaAdmin {
    requests: Requests,
    /// For a client that asks for a group's offsets.
    observer: ClientConfig,
    groups: Arc<GroupLookup>,
    known: Arc<Mutex<KnownCounts>>,
}

/// The partitions of topics, and how long that is believed.
type KnownCounts = BTreeMap<String, (i32, Deadline)>;

impl KafkaAdmin {
    pub(super) fn new(
        client: Arc<Client<AdminRole>>,
        observer: ClientConfig,
        groups: ClientConfig,
    ) -> Self {
        let groups = Arc::new(GroupLookup::new(groups));
        Self { requests: Requests::new(client), observer, groups, known: Arc::default() }
    }

    /// How many partitions a topic has, without asking if brokers have said so lately. For those who send: producers
    /// come and go, and every one begins with its topics.
    pub(super) fn known_partition_count(&self, topic: &str) -> Result<Option<i32>, BrokerError> {
        let known = self.known().get(topic).copied();
        if let Some((partitions, _)) = known.filter(|(_, until)| !until.passed()) {
            return Ok(Some(partitions));
        }
        let found = self.partition_counts(&[topic])?.pop().flatten();
        let mut known = self.known();
        if let Some(partitions) = found {
            known.insert(topic.to_owned(), (partitions, Deadline::after(KNOWN_FOR)));
        } else {
            known.remove(topic);
        }
        Ok(found)
    }

    fn known(&self) -> MutexGuard<'_, KnownCounts> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until metadata shows these topics as `is_settled` wants them.
    fn settle(
        &self,
        topics: &[&str],
        is_settled: impl Fn(Option<&TopicState>) -> bool,
    ) -> Result<(), BrokerError> {
        if topics.is_empty() {
            return Ok(());
        }
        let deadline = Deadline::after(SETTLE_TIMEOUT);
        loop {
            let states = self.requests.topics(topics)?;
            let open = topics.iter().find(|topic| !is_settled(states.get(**topic)));
            let Some(name) = open else { return Ok(()) };
            let state = states.get(*name);
            if deadline.passed() {
                let message = format!(
                    "topic {name} is still {state:?} {SETTLE_TIMEOUT:?} after the change: the \
                     brokers may be overloaded or too few"
                );
                return Err(BrokerError::new(BrokerErrorKind::Retriable, message));
            }
            self.requests.pause(SETTLE_STEP);
        }
    }

    fn offsets(
        &self,
        partitions: &[TopicPartition],
        spec: OffsetSpec,
    ) -> Result<Vec<i64>, BrokerError> {
        self.check_exist(partitions)?;
        let offsets = self.requests.offsets(partitions, spec)?;
        partitions
            .iter()
            .map(|partition| offsets.get(partition).copied().ok_or_else(|| unanswered(partition)))
            .collect()
    }

    /// Fails for a partition that does not exist. librdkafka itself would ask for its leader again and
    /// again, in silence.
    fn check_exist(&self, partitions: &[TopicPartition]) -> Result<(), BrokerError> {
        let missing = self.missing(partitions)?.into_iter().next();
        missing.map_or(Ok(()), |partition| Err(does_not_exist(partition)))
    }

    /// Those of the partitions that do not exist.
    fn missing<'a>(
        &self,
        partitions: impl IntoIterator<Item = &'a TopicPartition> + Clone,
    ) -> Result<BTreeSet<&'a TopicPartition>, BrokerError> {
        let names: BTreeSet<&str> = partitions.clone().into_iter().map(|p| &*p.topic).collect();
        let states = self.requests.topics(&names.into_iter().collect::<Vec<_>>())?;
        let exists = |partition: &TopicPartition| match states.get(&*partition.topic) {
            Some(state) => (0..state.description.partitions).contains(&partition.partition),
            None => false,
        };
        Ok(partitions.into_iter().filter(|partition| !exists(partition)).collect())
    }
}

fn does_not_exist(partition: &TopicPartition) -> BrokerError {
    let message = format!("{partition} does not exist");
    BrokerError::new(BrokerErrorKind::UnknownTopicOrPartition, message)
}

fn unanswered(partition: &TopicPartition) -> BrokerError {
    BrokerError::new(BrokerErrorKind::Retriable, format!("no answer about {partition}"))
}

impl Admin for KafkaAdmin {
    fn group_members(&self, group: &str) -> Result<Vec<GroupMemberInfo>, BrokerError> {
        self.groups.members(group)
    }
    fn delete_records(
        &self,
        before: &[(TopicPartition, i64)],
    ) -> Result<Vec<Result<(), BrokerError>>, BrokerError> {
        let missing = self.missing(before.iter().map(|(partition, _)| partition))?;
        let wanted = before.iter().filter(|(partition, _)| !missing.contains(partition));
        let wanted = wanted.map(|(partition, offset)| (partition, *offset)).collect();
        let mut results = self.requests.delete_records(&wanted)?;
        let result = |(partition, _): &(TopicPartition, i64)| {
            if missing.contains(partition) {
                return Err(does_not_exist(partition));
            }
            results.remove(partition).unwrap_or_else(|| Err(unanswered(partition)))
        };
        Ok(before.iter().map(result).collect())
    }
    fn topic_names(&self) -> Result<Vec<String>, BrokerError> {
        topic_names(self.requests.client())
    }

    fn describe_topics(
        &self,
        topics: &[&str],
    ) -> Result<Vec<Option<TopicDescription>>, BrokerError> {
        let states = self.requests.topics(topics)?;
        Ok(topics.iter().map(|name| Some(states.get(*name)?.description)).collect())
    }

    fn topic_configs(&self, topic: &str) -> Result<BTreeMap<String, String>, BrokerError> {
        self.requests.configs(topic)
    }

    fn create_topics(
        &self,
        topics: &[NewTopic],
    ) -> Result<Vec<Result<(), BrokerError>>, BrokerError> {
        let mut results = self.requests.create(topics)?;
        let created: Vec<&str> = topics
            .iter()
            .filter(|topic| matches!(results.get(&topic.name), Some(Ok(()))))
            .map(|topic| topic.name.as_str())
            .collect();
        self.settle(&created, |state| state.is_some_and(|state| state.led))?;
        Ok(in_order(topics.iter().map(|topic| topic.name.as_str()), &mut results))
    }

    fn delete_topics(&self, topics: &[&str]) -> Result<Vec<Result<(), BrokerError>>, BrokerError> {
        let mut results = self.requests.delete(topics)?;
        let deleted: Vec<&str> = topics
            .iter()
            .copied()
            .filter(|topic| matches!(results.get(*topic), Some(Ok(()))))
            .collect();
        self.settle(&deleted, |state| state.is_none())?;
        Ok(in_order(topics.iter().copied(), &mut results))
    }

    fn end_offsets(&self, partitions: &[TopicPartition]) -> Result<Vec<i64>, BrokerError> {
        self.offsets(partitions, OffsetSpec::Latest)
    }

    fn beginning_offsets(&self, partitions: &[TopicPartition]) -> Result<Vec<i64>, BrokerError> {
        self.offsets(partitions, OffsetSpec::Earliest)
    }

    fn group_offsets(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<Vec<Option<CommittedOffset>>, BrokerError> {
        // Not by librdkafka's ListConsumerGroupOffsets: version 2.12 crashes when the coordinator moves
        // meanwhile.
        let mut config = self.observer.clone();
        config.set("group.id", group);
        let client = Client::new(&config, Reader)?;
        // A group whose coordinator has just moved, or is being chosen, answers on a later try.
        for _ in 1..GROUP_ATTEMPTS {
            match partitions::committed(&client, group, partitions, GROUP_TIMEOUT) {
                Err(error) if error.is_retriable() => std::thread::park_timeout(GROUP_PAUSE),
                result => return result,
            }
        }
        partitions::committed(&client, group, partitions, GROUP_TIMEOUT)
    }
}

/// The results in the order of the names; each name is asked once.
fn in_order<'a>(
    names: impl Iterator<Item = &'a str>,
    results: &mut BTreeMap<String, Result<(), BrokerError>>,
) -> Vec<Result<(), BrokerError>> {
    names
        .map(|name| {
            results.remove(name).unwrap_or_else(|| {
                let message = format!("no answer about topic {name}");
                Err(BrokerError::new(BrokerErrorKind::Retriable, message))
            })
        })
        .collect()
}
