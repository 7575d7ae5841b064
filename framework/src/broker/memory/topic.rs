//! Topics: their partitions, and the registry in which clients find them by name.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use uuid::Uuid;

use super::configs::{TimestampType, TopicConfigs};
use super::partition::{Partition, unknown_partition};
use super::segment::NewRecord;
use crate::broker::{BrokerError, BrokerErrorKind, NewTopic, OutgoingRecord, TopicDescription};
use crate::ids::{TopicId, TopicPartition};
use crate::time::Clock;

/// What a batch of one record costs in Kafka's format beside key, value and headers: 61 bytes of
/// batch header and at most this many of record framing.
const RECORD_OVERHEAD_BYTES: usize = 61 + 21;

/// What a header costs beside its name and value, at most.
const HEADER_OVERHEAD_BYTES: usize = 10;

/// A topic; it lives on in clients' hands after its deletion, but takes and gives nothing any more.
#[derive(Debug)]
pub(super) struct Topic {
    name: Arc<str>,
    description: TopicDescription,
    configs: TopicConfigs,
    partitions: Vec<Arc<Partition>>,
}

impl Topic {
    fn new(new: &NewTopic) -> Result<Self, BrokerError> {
        check_name(&new.name)?;
        let configs = TopicConfigs::new(&new.name, &new.configs)?;
        // KAFKA: −1 stands for the broker's defaults. Copies are accepted as if there were brokers
        // enough, so that a program keeps its settings when it runs embedded.
        let count = if new.partitions == -1 { 1 } else { new.partitions };
        if count < 1 || (new.replication_factor < 1 && new.replication_factor != -1) {
            let (name, replicas) = (&new.name, new.replication_factor);
            return Err(invalid(format!(
                "topic {name}: {count} partitions in {replicas} copies are not possible"
            )));
        }
        let name: Arc<str> = new.name.as_str().into();
        let partition = |number| {
            Arc::new(Partition::new(TopicPartition { topic: Arc::clone(&name), partition: number }))
        };
        let partitions = (0..count).map(partition).collect();
        // A random UUID is never all zeros.
        let id = TopicId::from_bytes(Uuid::new_v4().into_bytes())
            .ok_or_else(|| invalid(format!("topic {name} got no id")))?;
        let replication_factor = match new.replication_factor {
            // As many as writes need.
            -1 => configs.min_insync_replicas(),
            copies => copies,
        };
        let description = TopicDescription { partitions: count, replication_factor, id: Some(id) };
        Ok(Self { name, description, configs, partitions })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn description(&self) -> TopicDescription {
        self.description
    }

    pub(super) fn configs(&self) -> &TopicConfigs {
        &self.configs
    }

    pub(super) fn partitions(&self) -> &[Arc<Partition>] {
        &self.partitions
    }

    pub(super) fn partition_count(&self) -> i32 {
        self.description.partitions
    }

    pub(super) fn partition(&self, number: i32) -> Result<&Arc<Partition>, BrokerError> {
        usize::try_from(number).ok().and_then(|index| self.partitions.get(index)).ok_or_else(|| {
            unknown_partition(&TopicPartition { topic: Arc::clone(&self.name), partition: number })
        })
    }

    /// Appends a record and gives its offset. The clock is read only for a record that needs it.
    pub(super) fn append(
        &self,
        record: OutgoingRecord<'_>,
        clock: &dyn Clock,
    ) -> Result<i64, BrokerError> {
        let (partition, record) = self.prepare(record, clock)?;
        partition.append(record)
    }

    /// The partition of a record, and the record as it takes it, if it does.
    pub(super) fn prepare<'a>(
        &self,
        record: OutgoingRecord<'a>,
        clock: &dyn Clock,
    ) -> Result<(&Arc<Partition>, NewRecord<'a>), BrokerError> {
        let partition = self.partition(record.partition)?;
        self.check_record(record)?;
        let timestamp = match (self.configs.timestamps(), record.timestamp) {
            (TimestampType::CreateTime, Some(timestamp)) => timestamp,
            (TimestampType::CreateTime, None) | (TimestampType::LogAppendTime, _) => clock.now_ms(),
        };
        let OutgoingRecord { key, value, headers, .. } = record;
        Ok((partition, NewRecord { timestamp, key, value, headers }))
    }

    fn check_record(&self, record: OutgoingRecord<'_>) -> Result<(), BrokerError> {
        let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        let mut size = RECORD_OVERHEAD_BYTES + length(record.key) + length(record.value);
        for header in record.headers {
            size += HEADER_OVERHEAD_BYTES + header.name.len() + length(header.value.as_deref());
        }
        if size > self.configs.max_message_bytes() {
            let max = self.configs.max_message_bytes();
            return Err(BrokerError::new(
                BrokerErrorKind::RecordTooLarge,
                format!("topic {}: a record of {size} bytes is above {max}", self.name),
            ));
        }
        if record.key.is_none() && self.configs.is_compacting() {
            return Err(invalid(format!("compacted topic {} takes no null keys", self.name)));
        }
        Ok(())
    }
}

/// KAFKA: letters, digits, `.`, `_` and `-`, at most 249 of them, and neither `.` nor `..`.
fn check_name(name: &str) -> Result<(), BrokerError> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let fits = (1..=249).contains(&name.len()) && name != "." && name != "..";
    if fits && name.bytes().all(legal) {
        Ok(())
    } else {
        Err(invalid(format!("invalid topic name {name:?}")))
    }
}

fn invalid(message: String) -> BrokerError {
    BrokerError::new(BrokerErrorKind::Invalid, message)
}

/// The error for a topic that does not exist.
pub(super) fn unknown_topic(name: &str) -> BrokerError {
    BrokerError::new(
        BrokerErrorKind::UnknownTopicOrPartition,
        format!("topic {name} does not exist"),
    )
}

/// All topics by name.
#[derive(Debug, Default)]
pub(super) struct Topics {
    /// Guards the map only; whoever uses a topic takes it out first.
    by_name: RwLock<BTreeMap<Arc<str>, Arc<Topic>>>,
    /// Grows whenever a topic comes or goes.
    version: AtomicU64,
}

impl Topics {
    pub(super) fn find(&self, name: &str) -> Option<Arc<Topic>> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    pub(super) fn get(&self, name: &str) -> Result<Arc<Topic>, BrokerError> {
        self.find(name).ok_or_else(|| unknown_topic(name))
    }

    pub(super) fn partition(&self, name: &TopicPartition) -> Result<Arc<Partition>, BrokerError> {
        let topic = self.find(&name.topic).ok_or_else(|| unknown_partition(name))?;
        topic.partition(name.partition).cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<Topic>> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::SeqCst)
    }

    pub(super) fn create(&self, new: &NewTopic) -> Result<(), BrokerError> {
        let topic = Topic::new(new)?;
        let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        if by_name.contains_key(&topic.name) {
            return Err(BrokerError::new(
                BrokerErrorKind::TopicExists,
                format!("topic {} exists already", topic.name),
            ));
        }
        by_name.insert(Arc::clone(&topic.name), Arc::new(topic));
        self.version.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    pub(super) fn delete(&self, name: &str) -> Result<(), BrokerError> {
        let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        let topic = by_name.remove(name).ok_or_else(|| unknown_topic(name))?;
        self.version.fetch_add(1, Ordering::SeqCst);
        drop(by_name);
        for partition in topic.partitions() {
            partition.delete();
        }
        Ok(())
    }
}
