//! The producer: appends at once, so that a record sent is a record acknowledged.

use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use super::topic::Topic;
use crate::broker::{
    BrokerError, BrokerErrorKind, OutgoingRecord, Producer, ProducerSettings, TopicHandle,
};

/// KAFKA: a record that is refused is refused by its own `send`, and the producer goes on. No
/// failure can show later, because nothing is under way.
#[derive(Debug)]
pub(super) struct MemoryProducer {
    shared: Arc<Shared>,
    track_acks: bool,
    topics: Vec<Target>,
}

#[derive(Debug)]
struct Target {
    topic: Arc<Topic>,
    name: String,
    /// The last offset per partition; empty unless acknowledgements are tracked.
    acked: Vec<Option<i64>>,
}

impl MemoryProducer {
    pub(super) fn new(shared: Arc<Shared>, settings: &ProducerSettings) -> Self {
        Self { shared, track_acks: settings.track_acks, topics: Vec::new() }
    }
}

impl Producer for MemoryProducer {
    fn topic(&mut self, name: &str) -> Result<TopicHandle, BrokerError> {
        let topic = self.shared.topics.get(name)?;
        let tracked = if self.track_acks { topic.partitions().len() } else { 0 };
        let target = Target { topic, name: name.to_owned(), acked: vec![None; tracked] };
        let Some(known) = self.topics.iter().position(|target| target.name == name) else {
            self.topics.push(target);
            return Ok(TopicHandle(self.topics.len() - 1));
        };
        // A topic that was deleted and created again is another one under the same handle.
        if let Some(old) =
            self.topics.get_mut(known).filter(|old| !Arc::ptr_eq(&old.topic, &target.topic))
        {
            *old = target;
        }
        Ok(TopicHandle(known))
    }

    fn partition_count(&self, topic: TopicHandle) -> i32 {
        self.topics.get(topic.0).map_or(0, |target| target.topic.partition_count())
    }

    fn send(&mut self, topic: TopicHandle, record: OutgoingRecord<'_>) -> Result<(), BrokerError> {
        let target = self.topics.get_mut(topic.0).ok_or_else(|| {
            BrokerError::new(BrokerErrorKind::Invalid, format!("no topic has handle {}", topic.0))
        })?;
        let offset = target.topic.append(record, &*self.shared.clock)?;
        let partition = usize::try_from(record.partition).ok();
        if let Some(acked) = partition.and_then(|index| target.acked.get_mut(index)) {
            *acked = Some(offset);
        }
        Ok(())
    }

    fn poll(&mut self) -> Result<(), BrokerError> {
        Ok(())
    }

    fn flush(&mut self, _timeout: Duration) -> Result<(), BrokerError> {
        Ok(())
    }

    fn last_acked(&self, topic: TopicHandle, partition: i32) -> Option<i64> {
        let index = usize::try_from(partition).ok()?;
        self.topics.get(topic.0)?.acked.get(index).copied().flatten()
    }
}
