//! A memory broker that fails now and then: records are refused or come late, transactions are aborted, or left
//! open by a leader that is cut off, or committed without an answer.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::RngExt as _;
use proptest::test_runner::TestRng;

use crate::broker::memory::MemoryBroker;
use crate::broker::{
    Admin, Broker, BrokerError, BrokerErrorKind, CommittedOffset, Consumer, ConsumerRole,
    GroupEvent, GroupMember, GroupMetadata, GroupSettings, OutgoingRecord, Producer,
    ProducerSettings, RecordBatch, Slot, StartOffset, TopicHandle,
};
use crate::ids::TopicPartition;

/// When calls fail; shared by all clients.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults(Arc<Mutex<Option<TestRng>>>);

impl Faults {
    /// From now on about one in twenty calls fails, or none.
    pub(super) fn set(&self, rng: Option<TestRng>) {
        *self.0.lock().unwrap() = rng;
    }

    fn strikes(&self) -> bool {
        self.0.lock().unwrap().as_mut().is_some_and(|rng| rng.random_range(0..20) == 0)
    }

    fn check(&self, kind: BrokerErrorKind) -> Result<(), BrokerError> {
        if self.strikes() { Err(BrokerError::new(kind, "bad luck")) } else { Ok(()) }
    }
}

#[derive(Debug, Clone)]
pub(super) struct FlakyBroker {
    pub(super) memory: MemoryBroker,
    pub(super) faults: Faults,
    /// Members say that this is who they are.
    pub(super) impostor: Arc<Mutex<Option<String>>>,
}

impl Broker for FlakyBroker {
    fn name(&self) -> &'static str {
        "flaky"
    }
    fn admin(&self) -> Result<Box<dyn Admin>, BrokerError> {
        self.memory.admin()
    }
    fn consumer(&self, role: ConsumerRole, id: &str) -> Result<Box<dyn Consumer>, BrokerError> {
        let consumer = self.memory.consumer(role, id)?;
        Ok(Box::new(SlowConsumer { consumer, faults: self.faults.clone() }))
    }
    fn producer(&self, settings: &ProducerSettings) -> Result<Box<dyn Producer>, BrokerError> {
        let producer = self.memory.producer(settings)?;
        Ok(Box::new(FlakyProducer { producer, faults: self.faults.clone() }))
    }
    fn group_member(&self, settings: &GroupSettings) -> Result<Arc<dyn GroupMember>, BrokerError> {
        let member = self.memory.group_member(settings)?;
        Ok(Arc::new(Impostor { member, id: Arc::clone(&self.impostor) }))
    }
}

/// A member whose client has joined anew behind its back.
#[derive(Debug)]
struct Impostor {
    member: Arc<dyn GroupMember>,
    id: Arc<Mutex<Option<String>>>,
}

impl GroupMember for Impostor {
    fn subscribe(&self, topics: &[String]) -> Result<(), BrokerError> {
        self.member.subscribe(topics)
    }
    fn poll(&self, timeout: Duration) -> Result<Option<GroupEvent>, BrokerError> {
        self.member.poll(timeout)
    }
    fn acknowledge(&self) -> Result<(), BrokerError> {
        self.member.acknowledge()
    }
    fn commit(&self, offsets: &[(TopicPartition, CommittedOffset)]) -> Result<(), BrokerError> {
        self.member.commit(offsets)
    }
    fn committed(
        &self,
        partitions: &[TopicPartition],
        timeout: Duration,
    ) -> Result<Vec<Option<CommittedOffset>>, BrokerError> {
        self.member.committed(partitions, timeout)
    }
    fn metadata(&self) -> Option<GroupMetadata> {
        let metadata = self.member.metadata()?;
        let member_id = self.id.lock().unwrap().clone().unwrap_or(metadata.member_id);
        Some(GroupMetadata { member_id, ..metadata })
    }
    fn leave(&self) -> Result<(), BrokerError> {
        self.member.leave()
    }
}

/// A consumer to which records come late.
#[derive(Debug)]
struct SlowConsumer {
    consumer: Box<dyn Consumer>,
    faults: Faults,
}

impl Consumer for SlowConsumer {
    fn assign(
        &mut self,
        partitions: &[(TopicPartition, StartOffset)],
    ) -> Result<Vec<Slot>, BrokerError> {
        self.consumer.assign(partitions)
    }
    fn seek(&mut self, slot: Slot, start: StartOffset) -> Result<(), BrokerError> {
        self.consumer.seek(slot, start)
    }
    fn unassign(&mut self, slots: &[Slot]) -> Result<(), BrokerError> {
        self.consumer.unassign(slots)
    }
    fn fetch(
        &mut self,
        slot: Slot,
        max_records: usize,
    ) -> Result<Option<Box<dyn RecordBatch>>, BrokerError> {
        // Not even every second look finds something.
        let late = (0..10).any(|_| self.faults.strikes());
        if late { Ok(None) } else { self.consumer.fetch(slot, max_records) }
    }
    fn wait(&mut self, timeout: Duration) {
        self.consumer.wait(timeout);
    }
    fn poll(&mut self) -> Result<(), BrokerError> {
        self.consumer.poll()
    }
    fn end_offset(&self, slot: Slot) -> Option<i64> {
        self.consumer.end_offset(slot)
    }
    fn reached_end(&self, slot: Slot) -> Option<i64> {
        self.consumer.reached_end(slot)
    }
}

#[derive(Debug)]
struct FlakyProducer {
    producer: Box<dyn Producer>,
    faults: Faults,
}

impl Producer for FlakyProducer {
    fn topic(&mut self, name: &str) -> Result<TopicHandle, BrokerError> {
        self.producer.topic(name)
    }
    fn partition_count(&self, topic: TopicHandle) -> i32 {
        self.producer.partition_count(topic)
    }
    fn send(&mut self, topic: TopicHandle, record: OutgoingRecord<'_>) -> Result<(), BrokerError> {
        self.faults.check(BrokerErrorKind::Fatal)?;
        self.producer.send(topic, record)
    }
    fn poll(&mut self) -> Result<(), BrokerError> {
        self.producer.poll()
    }
    fn flush(&mut self, timeout: Duration) -> Result<(), BrokerError> {
        self.faults.check(BrokerErrorKind::Retriable)?;
        self.producer.flush(timeout)
    }
    fn last_acked(&self, topic: TopicHandle, partition: i32) -> Option<i64> {
        self.producer.last_acked(topic, partition)
    }
    fn init_transactions(&mut self, timeout: Duration) -> Result<(), BrokerError> {
        self.faults.check(BrokerErrorKind::Retriable)?;
        self.producer.init_transactions(timeout)
    }
    fn begin_transaction(&mut self) -> Result<(), BrokerError> {
        self.producer.begin_transaction()
    }
    fn send_offsets(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        member: &GroupMetadata,
        timeout: Duration,
    ) -> Result<(), BrokerError> {
        self.faults.check(BrokerErrorKind::TransactionAborted)?;
        self.producer.send_offsets(offsets, member, timeout)
    }
    fn commit_transaction(&mut self, timeout: Duration) -> Result<(), BrokerError> {
        self.faults.check(BrokerErrorKind::Retriable)?;
        // Left open.
        self.faults.check(BrokerErrorKind::Fatal)?;
        self.producer.commit_transaction(timeout)?;
        // Done, and nobody knows.
        self.faults.check(BrokerErrorKind::Fatal)
    }
    fn abort_transaction(&mut self, timeout: Duration) -> Result<(), BrokerError> {
        self.faults.check(BrokerErrorKind::Fatal)?;
        self.producer.abort_transaction(timeout)
    }
}
