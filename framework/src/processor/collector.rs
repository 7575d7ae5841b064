//! The way out of a task: partitioning, sending, and counting what was sent.

use std::cell::RefCell;
use std::rc::Rc;

use crate::broker::{OutgoingRecord, Producer, TopicHandle, partition_for_key};
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
        Self { producer, keyless: 0, dead_letter_topic, produced: 0 }
    }

    /// Looks a topic up; done once per sink. Waits for a broker that is away, as sending does: a record in
    /// the middle of the topology cannot be tried again without counting it twice.
    pub(crate) fn topic(&self, name: &str) -> Result<TopicHandle, Error> {
        loop {
            match self.producer.borrow_mut().topic(name) {
                Err(error) if error.is_retriable() => {
                    tracing::warn!(topic = name, %error, "the topic cannot be looked up yet; waiting");
                }
                result => return Ok(result?),
            }
        }
    }

    /// Sends to the partition that Java's default partitioner gives the key.
    pub(crate) fn send(&mut self, topic: TopicHandle, record: Outgoing<'_>) -> Result<(), Error> {
        let partitions = self.producer.borrow().partition_count(topic).max(1);
        let partition = if let Some(key) = record.key {
            partition_for_key(key, partitions)
        } else {
            self.keyless = self.keyless.wrapping_add(1);
            (self.keyless / STICKY_RECORDS).cast_signed().rem_euclid(partitions)
        };
        self.send_to(topic, partition, record)
    }

    /// Sends to a given partition.
    pub(crate) fn send_to(
        &mut self,
        topic: TopicHandle,
        partition: i32,
        record: Outgoing<'_>,
    ) -> Result<(), Error> {
        let Outgoing { key, value, timestamp, headers } = record;
        self.produced += 1;
        self.producer.borrow_mut().send(
            topic,
            OutgoingRecord { partition, key, value, timestamp: Some(timestamp), headers },
        )?;
        Ok(())
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

    /// Sends a bad record to the dead-letter topic, if there is one.
    pub(crate) fn send_dead_letter(&mut self, record: Outgoing<'_>) -> Result<(), Error> {
        let Some(name) = &self.dead_letter_topic else { return Ok(()) };
        let topic = self.topic(name)?;
        self.send(topic, record)
    }
}
