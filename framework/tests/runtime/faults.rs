//! A broker that misbehaves when told to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kstream::TopicPartition;
use kstream::broker::memory::MemoryBroker;
use kstream::broker::{
    Admin, Broker, BrokerError, BrokerErrorKind, CommittedOffset, Consumer, ConsumerRole,
    GroupEvent, GroupMember, GroupMemberInfo, GroupMetadata, GroupSettings, NewTopic,
    OutgoingRecord, Producer, ProducerSettings, RecordBatch, Slot, StartOffset, TopicDescription,
    TopicHandle, UndeliveredRecord,
};
use kstream_test_support::wait_until;

use crate::app::SOON;

/// The value of records that may be refused when they have been taken.
pub(crate) const LATE_REFUSAL: &[u8] = b"refuse me";

/// What goes wrong; nothing at first.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Nothing is acknowledged.
    pub(crate) blocked: AtomicBool,
    /// Somebody waits in vain, for an acknowledgement or for the end of a commit.
    pub(crate) is_waiting: AtomicBool,
    /// So many commits of offsets are refused: the group has moved on.
    pub(crate) refused_commits: AtomicU32,
    /// So many commits of offsets are not answered.
    pub(crate) unanswered_commits: AtomicU32,
    /// So many records with the value [`LATE_REFUSAL`] are taken and then refused, where that is reported.
    pub(crate) late_refusals: AtomicU32,
    /// So many transactions are refused when they get their offsets: the group has moved on.
    pub(crate) refused_transactions: AtomicU32,
    /// So many producers are fenced when they commit their transaction.
    pub(crate) fenced_transactions: AtomicU32,
    /// So many transactions are committed, and their producers do not hear of it.
    pub(crate) unheard_commits: AtomicU32,
    /// Commits of transactions do not come back, whatever their timeout, and get to the broker later.
    pub(crate) hanging: AtomicBool,
    /// So many calls about transactions are not answered.
    pub(crate) unanswered_transactions: AtomicU32,
    /// So many questions for the ends of topics are not answered.
    pub(crate) unanswered_ends: AtomicU32,
    /// So many times the broker does not answer who wants to read from elsewhere on.
    pub(crate) unanswered_seeks: AtomicU32,
    /// Questions about topics get no answer.
    pub(crate) unanswered_topics: AtomicU32,
    /// So many fetches from repartition topics are answered with "no such offset".
    pub(crate) lost_positions: AtomicU32,
    /// Who asks for the end of this partition waits for as long as it is here.
    pub(crate) held_end: Mutex<Option<TopicPartition>>,
    /// What those who restore may still get.
    pub(crate) restorable: Restorable,
}

/// How many records those who restore may still get; all at first.
#[derive(Debug)]
pub(crate) struct Restorable(AtomicU64);

impl Default for Restorable {
    fn default() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }
}

impl Restorable {
    /// So many, and no more.
    pub(crate) fn limit(&self, records: u64) {
        self.0.store(records, Ordering::SeqCst);
    }

    fn left(&self) -> usize {
        usize::try_from(self.0.load(Ordering::SeqCst)).unwrap()
    }

    fn take(&self, records: usize) {
        self.0.fetch_sub(records as u64, Ordering::SeqCst);
    }
}

/// Whether this time it goes wrong.
fn strikes(times: &AtomicU32) -> bool {
    times.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

fn unanswered() -> BrokerError {
    BrokerError::new(BrokerErrorKind::Retriable, "no answer")
}

/// An in-process broker with faults.
#[derive(Debug, Clone)]
pub(crate) struct FaultyBroker {
    pub(crate) inner: MemoryBroker,
    pub(crate) faults: Arc<Faults>,
}

impl FaultyBroker {
    pub(crate) fn new(inner: MemoryBroker) -> Self {
        Self { inner, faults: Arc::default() }
    }
}

impl Broker for FaultyBroker {
    fn name(&self) -> &'static str {
        "faulty"
    }

    fn admin(&self) -> Result<Box<dyn Admin>, BrokerError> {
        let (inner, faults) = (self.inner.admin()?, Arc::clone(&self.faults));
        Ok(Box::new(FaultyAdmin { inner, faults }))
    }

    fn consumer(
        &self,
        role: ConsumerRole,
        client_id: &str,
    ) -> Result<Box<dyn Consumer>, BrokerError> {
        let (inner, faults) = (self.inner.consumer(role, client_id)?, Arc::clone(&self.faults));
        Ok(Box::new(FaultyConsumer { role, inner, faults, repartitioned: BTreeSet::new() }))
    }

    fn producer(&self, settings: &ProducerSettings) -> Result<Box<dyn Producer>, BrokerError> {
        let (inner, faults) = (self.inner.producer(settings)?, Arc::clone(&self.faults));
        let (topics, undelivered, reports) = (BTreeMap::new(), Vec::new(), false);
        let at_its_end = false;
        Ok(Box::new(FaultyProducer { at_its_end, inner, faults, topics, undelivered, reports }))
    }

    fn group_member(&self, settings: &GroupSettings) -> Result<Arc<dyn GroupMember>, BrokerError> {
        let (inner, faults) = (self.inner.group_member(settings)?, Arc::clone(&self.faults));
        Ok(Arc::new(FaultyMember { inner, faults }))
    }
}

#[derive(Debug)]
struct FaultyConsumer {
    role: ConsumerRole,
    inner: Box<dyn Consumer>,
    faults: Arc<Faults>,
    /// The slots of partitions of repartition topics.
    repartitioned: BTreeSet<Slot>,
}

impl Consumer for FaultyConsumer {
    fn assign(
        &mut self,
        partitions: &[(TopicPartition, StartOffset)],
    ) -> Result<Vec<Slot>, BrokerError> {
        let slots = self.inner.assign(partitions)?;
        for (slot, (partition, _)) in slots.iter().zip(partitions) {
            if partition.topic.ends_with("-repartition") {
                self.repartitioned.insert(*slot);
            } else {
                self.repartitioned.remove(slot);
            }
        }
        Ok(slots)
    }
    fn seek(&mut self, slot: Slot, start: StartOffset) -> Result<(), BrokerError> {
        if strikes(&self.faults.unanswered_seeks) {
            return Err(unanswered());
        }
        self.inner.seek(slot, start)
    }
    fn unassign(&mut self, slots: &[Slot]) -> Result<(), BrokerError> {
        self.inner.unassign(slots)
    }
    fn fetch(
        &mut self,
        slot: Slot,
        max_records: usize,
    ) -> Result<Option<Box<dyn RecordBatch>>, BrokerError> {
        if self.repartitioned.contains(&slot) && strikes(&self.faults.lost_positions) {
            return Err(BrokerError::new(BrokerErrorKind::OffsetOutOfRange, "no such offset"));
        }
        if self.role == ConsumerRole::Main {
            return self.inner.fetch(slot, max_records);
        }
        let left = self.faults.restorable.left();
        if left == 0 {
            return Ok(None);
        }
        let batch = self.inner.fetch(slot, max_records.min(left))?;
        self.faults.restorable.take(batch.as_ref().map_or(0, |batch| batch.len()));
        Ok(batch)
    }
    fn wait(&mut self, timeout: Duration) {
        self.inner.wait(timeout);
    }
    fn poll(&mut self) -> Result<(), BrokerError> {
        self.inner.poll()
    }
    fn end_offset(&self, slot: Slot) -> Option<i64> {
        self.inner.end_offset(slot)
    }
    fn reached_end(&self, slot: Slot) -> Option<i64> {
        self.inner.reached_end(slot)
    }
}

#[derive(Debug)]
struct FaultyAdmin {
    inner: Box<dyn Admin>,
    faults: Arc<Faults>,
}

impl Admin for FaultyAdmin {
    fn group_members(&self, group: &str) -> Result<Vec<GroupMemberInfo>, BrokerError> {
        self.inner.group_members(group)
    }
    fn delete_records(
        &self,
        before: &[(TopicPartition, i64)],
    ) -> Result<Vec<Result<(), BrokerError>>, BrokerError> {
        self.inner.delete_records(before)
    }
    fn topic_names(&self) -> Result<Vec<String>, BrokerError> {
        self.inner.topic_names()
    }
    fn describe_topics(
        &self,
        topics: &[&str],
    ) -> Result<Vec<Option<TopicDescription>>, BrokerError> {
        if strikes(&self.faults.unanswered_topics) {
            return Err(unanswered());
        }
        self.inner.describe_topics(topics)
    }
    fn topic_configs(&self, topic: &str) -> Result<BTreeMap<String, String>, BrokerError> {
        self.inner.topic_configs(topic)
    }
    fn create_topics(
        &self,
        topics: &[NewTopic],
    ) -> Result<Vec<Result<(), BrokerError>>, BrokerError> {
        self.inner.create_topics(topics)
    }
    fn delete_topics(&self, topics: &[&str]) -> Result<Vec<Result<(), BrokerError>>, BrokerError> {
        self.inner.delete_topics(topics)
    }
    fn end_offsets(&self, partitions: &[TopicPartition]) -> Result<Vec<i64>, BrokerError> {
        if strikes(&self.faults.unanswered_ends) {
            return Err(unanswered());
        }
        let is_held = || {
            let held = self.faults.held_end.lock().unwrap();
            held.as_ref().is_some_and(|held| partitions.contains(held))
        };
        wait_until(SOON, "the answer about ends", || !is_held()).unwrap();
        self.inner.end_offsets(partitions)
    }
    fn beginning_offsets(&self, partitions: &[TopicPartition]) -> Result<Vec<i64>, BrokerError> {
        self.inner.beginning_offsets(partitions)
    }
    fn group_offsets(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<Vec<Option<CommittedOffset>>, BrokerError> {
        self.inner.group_offsets(group, partitions)
    }
}

#[derive(Debug)]
struct FaultyProducer {
    /// It has been fenced, or has failed.
    at_its_end: bool,
    inner: Box<dyn Producer>,
    faults: Arc<Faults>,
    /// The names of the topics, by handle.
    topics: BTreeMap<TopicHandle, String>,
    undelivered: Vec<UndeliveredRecord>,
    reports: bool,
}

impl Producer for FaultyProducer {
    fn topic(&mut self, name: &str) -> Result<TopicHandle, BrokerError> {
        let handle = self.inner.topic(name)?;
        self.topics.insert(handle, name.to_owned());
        Ok(handle)
    }
    fn partition_count(&self, topic: TopicHandle) -> i32 {
        self.inner.partition_count(topic)
    }
    fn send(&mut self, topic: TopicHandle, record: OutgoingRecord<'_>) -> Result<(), BrokerError> {
        let OutgoingRecord { partition, key, value, timestamp, headers } = record;
        let refused = value == Some(LATE_REFUSAL) && strikes(&self.faults.late_refusals);
        if !refused || !self.reports {
            return self.inner.send(topic, record);
        }
        self.undelivered.push(UndeliveredRecord {
            partition: TopicPartition::new(self.topics[&topic].as_str(), partition),
            key: key.map(<[u8]>::to_vec),
            value: value.map(<[u8]>::to_vec),
            timestamp: timestamp.unwrap_or(-1),
            headers: headers.clone(),
            error: unanswered(),
        });
        Ok(())
    }
    fn report_undelivered(&mut self) {
        self.reports = true;
    }
    fn take_undelivered(&mut self) -> Vec<UndeliveredRecord> {
        std::mem::take(&mut self.undelivered)
    }
    fn poll(&mut self) -> Result<(), BrokerError> {
        self.inner.poll()
    }
    fn flush(&mut self, timeout: Duration) -> Result<(), BrokerError> {
        if self.faults.blocked.load(Ordering::SeqCst) {
            self.faults.is_waiting.store(true, Ordering::SeqCst);
            let is_back = || !self.faults.blocked.load(Ordering::SeqCst);
            wait_until(timeout, "acknowledgements", is_back)
                .map_err(|timeout| unanswered().with_source(timeout))?;
        }
        self.inner.flush(timeout)
    }
    fn last_acked(&self, topic: TopicHandle, partition: i32) -> Option<i64> {
        self.inner.last_acked(topic, partition)
    }
    fn init_transactions(&mut self, timeout: Duration) -> Result<(), BrokerError> {
        self.answer()?;
        self.inner.init_transactions(timeout)
    }
    fn begin_transaction(&mut self) -> Result<(), BrokerError> {
        self.inner.begin_transaction()
    }
    fn send_offsets(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        member: &GroupMetadata,
        timeout: Duration,
    ) -> Result<(), BrokerError> {
        self.answer()?;
        // Not the leader's, which are fenced by an offset of the coordination topic.
        let is_of_tasks =
            offsets.iter().any(|(partition, _)| !partition.topic.ends_with("-coordination"));
        if is_of_tasks && strikes(&self.faults.refused_transactions) {
            let kind = BrokerErrorKind::TransactionAborted;
            return Err(BrokerError::new(kind, "refused by the test"));
        }
        self.inner.send_offsets(offsets, member, timeout)
    }
    fn commit_transaction(&mut self, timeout: Duration) -> Result<(), BrokerError> {
        self.answer()?;
        if self.faults.hanging.load(Ordering::SeqCst) {
            self.faults.is_waiting.store(true, Ordering::SeqCst);
            let is_over = || !self.faults.hanging.load(Ordering::SeqCst);
            wait_until(SOON, "the end of a commit", is_over).unwrap();
        }
        if strikes(&self.faults.fenced_transactions) {
            self.at_its_end = true;
            return Err(BrokerError::new(BrokerErrorKind::Fenced, "fenced by the test"));
        }
        self.inner.commit_transaction(timeout)?;
        if strikes(&self.faults.unheard_commits) {
            self.at_its_end = true;
            return Err(BrokerError::new(BrokerErrorKind::Fatal, "broken by the test"));
        }
        Ok(())
    }
    fn abort_transaction(&mut self, timeout: Duration) -> Result<(), BrokerError> {
        self.answer()?;
        if self.at_its_end {
            return Err(BrokerError::new(BrokerErrorKind::Fenced, "fenced by the test"));
        }
        self.inner.abort_transaction(timeout)
    }
}

impl FaultyProducer {
    fn answer(&self) -> Result<(), BrokerError> {
        if strikes(&self.faults.unanswered_transactions) { Err(unanswered()) } else { Ok(()) }
    }
}

#[derive(Debug)]
struct FaultyMember {
    inner: Arc<dyn GroupMember>,
    faults: Arc<Faults>,
}

impl GroupMember for FaultyMember {
    fn subscribe(&self, topics: &[String]) -> Result<(), BrokerError> {
        self.inner.subscribe(topics)
    }
    fn poll(&self, timeout: Duration) -> Result<Option<GroupEvent>, BrokerError> {
        self.inner.poll(timeout)
    }
    fn acknowledge(&self) -> Result<(), BrokerError> {
        self.inner.acknowledge()
    }
    fn commit(&self, offsets: &[(TopicPartition, CommittedOffset)]) -> Result<(), BrokerError> {
        if strikes(&self.faults.refused_commits) {
            return Err(BrokerError::new(BrokerErrorKind::NotAMember, "refused by the test"));
        }
        if strikes(&self.faults.unanswered_commits) {
            return Err(unanswered());
        }
        self.inner.commit(offsets)
    }
    fn committed(
        &self,
        partitions: &[TopicPartition],
        timeout: Duration,
    ) -> Result<Vec<Option<CommittedOffset>>, BrokerError> {
        self.inner.committed(partitions, timeout)
    }
    fn metadata(&self) -> Option<GroupMetadata> {
        self.inner.metadata()
    }
    fn leave(&self) -> Result<(), BrokerError> {
        self.inner.leave()
    }
}
