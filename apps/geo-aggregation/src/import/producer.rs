//! Sends lines to the topic of raw lines, each with its id as key.

use std::sync::Arc;
use std::time::Duration;

use kstream::Headers;
use kstream::broker::{
    Broker, BrokerError, OutgoingRecord, Producer, ProducerSettings, TopicHandle,
};

use super::LineSink;
use crate::model::{LineId, LineSource};

/// This many lines go to one partition before the next one's turn: enough for the client to build
/// batches, few enough to spread a small log.
const LINES_PER_PARTITION: u64 = 128;

/// How long the last lines may take to be acknowledged.
const FLUSH_TIMEOUT: Duration = Duration::from_mins(2);

/// A producer of raw lines. Partitions take turns, and every line gets the next number of its
/// partition, so that whoever counts can tell a repetition from a new line.
#[derive(Debug)]
pub struct ProducerSink {
    producer: Box<dyn Producer>,
    topic: TopicHandle,
    run: u64,
    /// The next number of each partition.
    numbers: Vec<u64>,
    sent: u64,
}

impl ProducerSink {
    /// A sink for this topic. `run` must grow from one run of an importer to the next.
    ///
    /// # Errors
    /// The broker is away, or the topic does not exist.
    pub fn new(broker: &Arc<dyn Broker>, topic: &str, run: u64) -> Result<Self, BrokerError> {
        let settings = ProducerSettings {
            client_id: "geo-aggregation-import".to_owned(),
            track_acks: false,
            transactions: None,
        };
        let mut producer = broker.producer(&settings)?;
        let topic = producer.topic(topic)?;
        let partitions = usize::try_from(producer.partition_count(topic)).unwrap_or(1).max(1);
        Ok(Self { producer, topic, run, numbers: vec![0; partitions], sent: 0 })
    }

    fn next_id(&mut self) -> LineId {
        let partitions = self.numbers.len() as u64;
        let partition = (self.sent / LINES_PER_PARTITION) % partitions;
        self.sent += 1;
        let slot = usize::try_from(partition).ok().and_then(|index| self.numbers.get_mut(index));
        let number = slot.map_or(0, |next| std::mem::replace(next, *next + 1));
        let source =
            LineSource { run: self.run, partition: u32::try_from(partition).unwrap_or(u32::MAX) };
        LineId { source, number }
    }
}

impl LineSink for ProducerSink {
    fn send(&mut self, line: &[u8]) -> Result<(), BrokerError> {
        let id = self.next_id();
        let record = OutgoingRecord {
            partition: i32::try_from(id.source.partition).unwrap_or(i32::MAX),
            key: Some(&id.to_bytes()),
            value: Some(line),
            timestamp: None,
            headers: &Headers::new(),
        };
        self.producer.send(self.topic, record)
    }

    fn poll(&mut self) -> Result<(), BrokerError> {
        self.producer.poll()
    }

    fn flush(&mut self) -> Result<(), BrokerError> {
        self.producer.flush(FLUSH_TIMEOUT)
    }
}
