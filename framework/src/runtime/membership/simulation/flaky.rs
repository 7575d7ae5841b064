//! A memory broker whose producers fail now and then: records are refused, transactions are aborted, or left
//! open by a leader that is cut off, or committed without an answer.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::RngExt as _;
use proptest::test_runner::TestRng;

use crate::broker::memory::MemoryBroker;
use crate::broker::{
    Admin, Broker, BrokerError, BrokerErrorKind, CommittedOffset, Consumer, ConsumerRole,
    GroupMember, GroupMetadata, GroupSettings, OutgoingRecord, Producer, ProducerSettings,
    TopicHandle,
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
}

impl Broker for FlakyBroker {
    fn name(&self) -> &'static str {
        "flaky"
    }
    fn admin(&self) -> Result<Box<dyn Admin>, BrokerError> {
        self.memory.admin()
    }
    fn consumer(&self, role: ConsumerRole, id: &str) -> Result<Box<dyn Consumer>, BrokerError> {
        self.memory.consumer(role, id)
    }
    fn producer(&self, settings: &ProducerSettings) -> Result<Box<dyn Producer>, BrokerError> {
        let producer = self.memory.producer(settings)?;
        Ok(Box::new(FlakyProducer { producer, faults: self.faults.clone() }))
    }
    fn group_member(&self, settings: &GroupSettings) -> Result<Arc<dyn GroupMember>, BrokerError> {
        self.memory.group_member(settings)
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
