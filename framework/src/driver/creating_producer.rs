//! The driver's producer: a topic that records name themselves exists as soon as one does,
//! and every partition is the first.

use std::time::Duration;

use crate::broker::memory::MemoryBroker;
use crate::broker::{BrokerError, BrokerErrorKind, OutgoingRecord, Producer, TopicHandle};

/// Makes topics that do not exist, with one partition.
#[derive(Debug)]
pub(super) struct CreatingProducer {
    broker: MemoryBroker,
    inner: Box<dyn Producer>,
}

impl CreatingProducer {
    pub(super) fn new(broker: MemoryBroker, inner: Box<dyn Producer>) -> Self {
        Self { broker, inner }
    }
}

impl Producer for CreatingProducer {
    fn topic(&mut self, name: &str) -> Result<TopicHandle, BrokerError> {
        match self.inner.topic(name) {
            Err(error) if error.kind() == BrokerErrorKind::UnknownTopicOrPartition => {
                self.broker.create_topic(name, 1)?;
                self.inner.topic(name)
            }
            found => found,
        }
    }

    fn partition_count(&self, topic: TopicHandle) -> i32 {
        self.inner.partition_count(topic)
    }

    fn send(&mut self, topic: TopicHandle, record: OutgoingRecord<'_>) -> Result<(), BrokerError> {
        // Topics have one partition here, whatever number of them a partitioner reckons with.
        self.inner.send(topic, OutgoingRecord { partition: 0, ..record })
    }

    fn poll(&mut self) -> Result<(), BrokerError> {
        self.inner.poll()
    }

    fn flush(&mut self, timeout: Duration) -> Result<(), BrokerError> {
        self.inner.flush(timeout)
    }

    fn last_acked(&self, topic: TopicHandle, partition: i32) -> Option<i64> {
        self.inner.last_acked(topic, partition)
    }
}
