//! The in-process broker: a faithful log for tests, demos and embedded use.
//!
//! - `segment`, `log`, `compaction`: the records of one partition, as plain data;
//! - `isolation`: what of it is open, committed or aborted;
//! - `partition`, `topic`, `configs`: what clients share, behind short locks;
//! - `transactions`: the coordinator of transactions;
//! - `range`, `group`, `offsets`: the coordinator of a consumer group, a plain state machine;
//! - `consumer`, `producer`, `admin`, `member`: the ports, one file each.
//!
//! What always holds: time comes from the clock passed in, and nothing but retention and the expiry
//! of sessions and transactions needs it to move; whoever waits is woken by whoever brings what it waits
//! for; consumers see committed records only, and a record once seen is never taken back. A record
//! costs its bytes and 32 more until retention drops it, which happens in
//! [`MemoryBroker::run_retention`] and [`MemoryBroker::delete_records`] only.

mod admin;
mod compaction;
mod configs;
mod consumer;
mod group;
mod isolation;
mod log;
mod member;
mod offsets;
mod partition;
mod producer;
mod range;
mod segment;
#[cfg(test)]
mod tests;
mod topic;
mod transactions;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::admin::MemoryAdmin;
use self::consumer::MemoryConsumer;
use self::group::Group;
use self::member::MemoryMember;
use self::partition::Partition;
use self::producer::MemoryProducer;
use self::topic::Topics;
use self::transactions::Transactions;
use crate::broker::{
    Admin, Broker, BrokerError, CommittedOffset, Consumer, ConsumerRole, GroupMember,
    GroupMemberInfo, GroupSettings, NewTopic, OutgoingRecord, Producer, ProducerSettings,
    RawRecord, RecordBatch,
};
use crate::ids::TopicPartition;
use crate::record::{Headers, Timestamp};
use crate::time::Clock;

/// A broker in this process. Clones are handles to the same broker.
#[derive(Debug, Clone)]
pub struct MemoryBroker {
    shared: Arc<Shared>,
}

/// What all clients of one broker share.
#[derive(Debug)]
struct Shared {
    clock: Arc<dyn Clock>,
    topics: Arc<Topics>,
    /// Guards the map only; whoever uses a group takes it out first.
    groups: Mutex<BTreeMap<String, Arc<Group>>>,
    transactions: Transactions,
    /// Held by the one that runs retention: nobody else compacts meanwhile.
    cleaning: Mutex<()>,
}

/// A record of the log, copied out of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// Its offset.
    pub offset: i64,
    /// Its timestamp in milliseconds.
    pub timestamp: Timestamp,
    /// Key bytes; `None` is null.
    pub key: Option<Vec<u8>>,
    /// Value bytes; `None` is null.
    pub value: Option<Vec<u8>>,
    /// Headers.
    pub headers: Headers,
}

impl From<RawRecord<'_>> for StoredRecord {
    fn from(raw: RawRecord<'_>) -> Self {
        let RawRecord { offset, timestamp, key, value, headers } = raw;
        let (key, value) = (key.map(<[u8]>::to_vec), value.map(<[u8]>::to_vec));
        Self { offset, timestamp, key, value, headers }
    }
}

impl MemoryBroker {
    /// An empty broker that lives by `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let shared = Shared {
            clock,
            topics: Arc::default(),
            groups: Mutex::default(),
            transactions: Transactions::default(),
            cleaning: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Creates a topic with the default configs.
    pub fn create_topic(&self, name: &str, partitions: i32) -> Result<(), BrokerError> {
        let (name, configs) = (name.to_owned(), BTreeMap::new());
        self.shared.topics.create(&NewTopic { name, partitions, replication_factor: -1, configs })
    }

    /// Appends a record and gives its offset.
    pub fn produce(&self, topic: &str, record: OutgoingRecord<'_>) -> Result<i64, BrokerError> {
        self.shared.topics.get(topic)?.append(record, &*self.shared.clock)
    }

    /// Appends a record at this offset or, if the log is longer, at its end: a gap before it is what
    /// compaction leaves, too. The record has to have a timestamp.
    #[cfg(any(test, feature = "__test-utils"))]
    pub(crate) fn produce_at(
        &self,
        topic: &str,
        offset: i64,
        record: OutgoingRecord<'_>,
    ) -> Result<i64, BrokerError> {
        let OutgoingRecord { partition, key, value, timestamp, headers } = record;
        let timestamp = timestamp.unwrap_or_else(|| self.shared.clock.now_ms());
        let partition = self.shared.topics.partition(&TopicPartition::new(topic, partition))?;
        partition.append_at(offset, segment::NewRecord { timestamp, key, value, headers })
    }

    /// Copies the records of a partition from the first at or above `from_offset` to the end, as a consumer
    /// sees them: without aborted ones, and up to the first that is not committed yet.
    pub fn records(
        &self,
        topic: &str,
        partition: i32,
        from_offset: i64,
    ) -> Result<Vec<StoredRecord>, BrokerError> {
        let partition = self.shared.topics.partition(&TopicPartition::new(topic, partition))?;
        let mut records = Vec::new();
        self.shared.expire_transactions(&partition);
        let mut position = from_offset;
        loop {
            let fetched = partition.read(position, usize::MAX)?;
            position = fetched.position;
            let Some(batch) = fetched.batch else { return Ok(records) };
            records.extend((0..batch.len()).map(|index| batch.record(index).into()));
        }
    }

    /// Drops the records of a partition before `offset`, for good.
    ///
    /// # Errors
    /// `OffsetOutOfRange` when the log does not reach to `offset`; one that it has dropped already is
    /// fine.
    pub fn delete_records(
        &self,
        partition: &TopicPartition,
        offset: i64,
    ) -> Result<(), BrokerError> {
        self.shared.topics.partition(partition)?.truncate_before(offset)
    }

    /// Does what `cleanup.policy` says in every topic, at the clock's time: deletes what is beyond
    /// `retention.ms` and `retention.bytes`, and compacts. Offsets stay as they are and keep their
    /// gaps.
    ///
    /// KAFKA: deletion goes by whole segments, which are 1 MiB here or smaller. Compaction does not
    /// wait for the active segment to roll nor for `min.cleanable.dirty.ratio`.
    pub fn run_retention(&self) {
        let _alone = lock(&self.shared.cleaning);
        let now = self.shared.clock.now_ms();
        for topic in self.shared.topics.all() {
            for partition in topic.partitions() {
                partition.clean(topic.configs(), now);
            }
        }
    }
}

impl Broker for MemoryBroker {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn admin(&self) -> Result<Box<dyn Admin>, BrokerError> {
        Ok(Box::new(MemoryAdmin::new(Arc::clone(&self.shared))))
    }

    fn consumer(
        &self,
        _role: ConsumerRole,
        _client_id: &str,
    ) -> Result<Box<dyn Consumer>, BrokerError> {
        Ok(Box::new(MemoryConsumer::new(Arc::clone(&self.shared))))
    }

    fn producer(&self, settings: &ProducerSettings) -> Result<Box<dyn Producer>, BrokerError> {
        Ok(Box::new(MemoryProducer::new(Arc::clone(&self.shared), settings)))
    }

    fn group_member(&self, settings: &GroupSettings) -> Result<Arc<dyn GroupMember>, BrokerError> {
        Ok(Arc::new(MemoryMember::new(Arc::clone(&self.shared), settings)))
    }
}

impl Shared {
    /// Aborts open transactions of the partition that are too old. The clock is read only while there are
    /// open ones.
    fn expire_transactions(&self, partition: &Partition) {
        if let Some(deadline) = partition.transaction_deadline() {
            let now = self.clock.monotonic();
            if deadline <= now {
                self.transactions.expire(now);
            }
        }
    }

    /// The group of that name, which is there from the first time somebody asks.
    fn group(&self, name: &str) -> Arc<Group> {
        let mut groups = lock(&self.groups);
        let new = || Arc::new(Group::new(name, Arc::clone(&self.topics)));
        Arc::clone(groups.entry(name.to_owned()).or_insert_with(new))
    }

    fn group_offsets(
        &self,
        name: &str,
        partitions: &[TopicPartition],
    ) -> Vec<Option<CommittedOffset>> {
        let group = lock(&self.groups).get(name).cloned();
        group.map_or_else(
            || vec![None; partitions.len()],
            |group| group.step(|state| state.committed(partitions)),
        )
    }

    /// The members of a group, without those whose time is over.
    fn group_members(&self, name: &str) -> Vec<GroupMemberInfo> {
        let group = lock(&self.groups).get(name).cloned();
        let now = self.clock.monotonic();
        group.map_or_else(Vec::new, |group| {
            group.step(|state| {
                state.expire(now);
                state.members()
            })
        })
    }

    fn delete_topic(&self, name: &str) -> Result<(), BrokerError> {
        self.topics.delete(name)?;
        let groups: Vec<_> = lock(&self.groups).values().cloned().collect();
        for group in groups {
            group.step(|state| state.forget_topic(name));
        }
        Ok(())
    }
}

/// Takes a lock. What it guards is right even after a panic, since no user code runs under it and no
/// invariant is open in the middle of a step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
