//! The way out of a task: partitioning, sending, and counting what was sent.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::handler::DeadLetter;
use crate::broker::{BrokerError, OutgoingRecord, Producer, TopicHandle, partition_for_key};
use crate::error::Error;
use crate::record::{Headers, Timestamp};
use crate::state::rows::ChangelogRecord;

/// The producer of a stream thread, shared by its tasks.
pub(crate) type SharedProducer = Rc<RefCell<Box<dyn Producer>>>;

/// How many records without a key go to one partition before the next takes its turn: enough to
/// fill batches, few enough to spread load.
const STICKY_RECORDS: u32 = 100;

/// Sends what a task's sinks and stores put out.
pub(crate) struct RecordCollector {
    producer: SharedProducer,
    /// Records without a key sent so far: their partition is this count over [`STICKY_RECORDS`].
    keyless: u32,
    dead_letter_topic: Option<String>,
    /// See [`Self::with_row_lifetime`].
    row_lifetime: Option<Duration>,
    /// Records sent since the counter was last taken.
    pub(crate) produced: u64,
}

/// One record on its way out.
#[derive(Clone, Copy)]
pub(crate) struct Outgoing<'a> {
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) timestamp: Timestamp,
    pub(crate) headers: &'a Headers,
}

impl RecordCollector {
    pub(crate) fn new(producer: SharedProducer, dead_letter_topic: Option<String>) -> Self {
        Self { producer, keyless: 0, dead_letter_topic, row_lifetime: None, produced: 0 }
    }

    /// Rows of stores are given up when they are not acknowledged after this time: their task may be somebody
    /// else's by then. In a transaction they need not be, and live as long as it.
    #[must_use]
    pub(crate) fn with_row_lifetime(mut self, lifetime: Option<Duration>) -> Self {
        self.row_lifetime = lifetime;
        self
    }

    /// Looks a topic up; done once per sink.
    pub(crate) fn topic(&self, name: &str) -> Result<TopicHandle, Error> {
        self.look_up(name, |producer| producer.topic(name))
    }

    /// Looks a changelog up; done once per store.
    pub(crate) fn changelog(&self, name: &str) -> Result<TopicHandle, Error> {
        self.look_up(name, |producer| match self.row_lifetime {
            Some(lifetime) => producer.topic_with_lifetime(name, lifetime),
            None => producer.topic(name),
        })
    }

    /// Waits for a broker that is away, as sending does: a record in the middle of the topology cannot be tried
    /// again without counting it twice.
    fn look_up(
        &self,
        name: &str,
        ask: impl Fn(&mut dyn Producer) -> Result<TopicHandle, BrokerError>,
    ) -> Result<TopicHandle, Error> {
        loop {
            match ask(&mut **self.producer.borrow_mut()) {
                Err(error) if error.is_retriable() => {
                    tracing::warn!(topic = name, %error, "the topic cannot be looked up yet; waiting");
                }
                result => return Ok(result?),
            }
        }
    }

    /// Where letters about failures go, unless a handler names a topic.
    pub(crate) fn dead_letter_topic(&self) -> Option<&str> {
        self.dead_letter_topic.as_deref()
    }

    /// The number of a topic's partitions.
    pub(crate) fn partition_count(&self, topic: TopicHandle) -> i32 {
        self.producer.borrow().partition_count(topic).max(1)
    }

    /// The partition that Java's default partitioner gives the key.
    pub(crate) fn default_partition(&mut self, topic: TopicHandle, key: Option<&[u8]>) -> i32 {
        let partitions = self.partition_count(topic);
        if let Some(key) = key {
            return partition_for_key(key, partitions);
        }
        self.keyless = self.keyless.wrapping_add(1);
        (self.keyless / STICKY_RECORDS).cast_signed().rem_euclid(partitions)
    }

    /// Sends to a given partition.
    pub(crate) fn send_to(
        &mut self,
        topic: TopicHandle,
        partition: i32,
        record: Outgoing<'_>,
    ) -> Result<(), BrokerError> {
        let Outgoing { key, value, timestamp, headers } = record;
        self.producer.borrow_mut().send(
            topic,
            OutgoingRecord { partition, key, value, timestamp: Some(timestamp), headers },
        )?;
        self.produced += 1;
        Ok(())
    }

    /// Sends a letter about a failure.
    pub(crate) fn send_letter(&mut self, letter: &DeadLetter) -> Result<(), Error> {
        let DeadLetter { topic, key, value, timestamp, headers } = letter;
        let topic = self.topic(topic)?;
        let (key, value) = (key.as_deref(), value.as_deref());
        let partition = self.default_partition(topic, key);
        let record = Outgoing { key, value, timestamp: *timestamp, headers };
        Ok(self.send_to(topic, partition, record)?)
    }

    /// Sends a row to its changelog partition.
    pub(crate) fn send_changelog(
        &mut self,
        topic: TopicHandle,
        partition: i32,
        record: ChangelogRecord<'_>,
    ) -> Result<(), Error> {
        let ChangelogRecord { key, value, timestamp, headers } = record;
        self.produced += 1;
        let record = OutgoingRecord { partition, key: Some(key), value, timestamp, headers };
        self.producer.borrow_mut().send(topic, record)?;
        Ok(())
    }
}
