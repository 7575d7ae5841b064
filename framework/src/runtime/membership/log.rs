//! The coordination log at the broker: its topic, a reader and a writer.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::messages::Key;
use super::view::View;
use crate::broker::{
    Admin, Broker, BrokerError, BrokerErrorKind, Consumer, ConsumerRole, OutgoingRecord, Producer,
    ProducerSettings, Slot, StartOffset, TopicHandle,
};
use crate::error::{Error, ErrorKind};
use crate::ids::TopicPartition;
use crate::record::Headers;

/// Records are taken so many at a time.
const FETCH_RECORDS: usize = 500;
/// How long one wait for the first records lasts, and how many there are before a start fails.
const READ_STEP: Duration = Duration::from_millis(20);
const READ_STEPS: u32 = 1500;
/// The topic of the log, which has one partition.
pub(crate) fn coordination_topic(application_id: &str) -> String {
    format!("{application_id}-coordination")
}

/// The configs that the topic cannot do without. Compaction leaves the last segment alone, which is what a start has to
/// read.
pub(crate) const COORDINATION_CONFIGS: [(&str, &str); 3] = [
    ("cleanup.policy", "compact"),
    ("message.timestamp.type", "CreateTime"),
    ("segment.bytes", "4194304"),
];

/// The partition that is the log.
pub(super) fn partition_of(application_id: &str) -> TopicPartition {
    TopicPartition::new(coordination_topic(application_id), 0)
}

/// Makes the topic.
#[cfg(test)]
pub(super) fn create(admin: &dyn Admin, application_id: &str) {
    let configs = COORDINATION_CONFIGS.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let topic = crate::broker::NewTopic {
        name: coordination_topic(application_id),
        partitions: 1,
        replication_factor: -1,
        configs: configs.into(),
    };
    admin.create_topics(&[topic]).unwrap().pop().unwrap().unwrap();
}

/// Reads the log from its beginning on; records of aborted transactions are not seen.
#[derive(Debug)]
pub(super) struct LogReader {
    consumer: Box<dyn Consumer>,
    slot: Slot,
    /// The offset behind the last record that was taken.
    next: i64,
}

impl LogReader {
    pub(super) fn open(
        broker: &dyn Broker,
        log: &TopicPartition,
        client_id: &str,
    ) -> Result<Self, Error> {
        let mut consumer = broker.consumer(ConsumerRole::Main, client_id)?;
        let slots = consumer.assign(&[(log.clone(), StartOffset::Earliest)])?;
        let slot = slots.first().copied().unwrap_or(Slot(0));
        Ok(Self { consumer, slot, next: 0 })
    }

    /// Takes what has arrived into the view, without waiting; the answer is what it was about.
    pub(super) fn read(&mut self, view: &mut View) -> Result<Vec<Key>, Error> {
        self.consumer.poll()?;
        let mut keys = Vec::new();
        loop {
            let batch = match self.consumer.fetch(self.slot, FETCH_RECORDS) {
                Ok(Some(batch)) => batch,
                Ok(None) => return Ok(keys),
                Err(error) if error.is_retriable() => return Ok(keys),
                // It was made a moment ago, and not every broker has heard of it.
                Err(error)
                    if error.kind() == BrokerErrorKind::UnknownTopicOrPartition
                        && self.consumer.reached_end(self.slot).is_none() =>
                {
                    return Ok(keys);
                }
                Err(error) => return Err(lost(error)),
            };
            for index in 0..batch.len() {
                let record = batch.record(index);
                keys.extend(view.apply(record.key, record.value)?);
                self.next = record.offset + 1;
            }
        }
    }

    /// Whether all records before this offset have been taken.
    pub(super) fn has_read_to(&self, end: i64) -> bool {
        self.next >= end || self.consumer.reached_end(self.slot).is_some_and(|seen| seen >= end)
    }

    pub(super) fn next_offset(&self) -> i64 {
        self.next
    }

    /// Reads until there is nothing more to read now. A transaction that a dead leader has left open ends
    /// it earlier; what is behind it the next leader will see.
    pub(super) fn read_what_there_is(&mut self, view: &mut View) -> Result<(), Error> {
        for _ in 0..READ_STEPS {
            self.read(view)?;
            if self.consumer.reached_end(self.slot).is_some() {
                return Ok(());
            }
            self.consumer.wait(READ_STEP);
        }
        let message = "the coordination topic could not be read to its end";
        Err(Error::new(ErrorKind::Retriable, message))
    }
}

/// The log is gone, or it is another one.
fn lost(error: BrokerError) -> Error {
    use BrokerErrorKind::{OffsetOutOfRange, UnknownTopicOrPartition};
    if matches!(error.kind(), OffsetOutOfRange | UnknownTopicOrPartition) {
        let message = "the coordination topic was deleted while the application ran; start all instances anew";
        return Error::new(ErrorKind::Config, message).with_source(error);
    }
    error.into()
}

/// Writes what a member says. A write that fails is forgotten: whoever wanted it looks for it in the log and
/// writes again.
pub(super) struct LogWriter {
    broker: Arc<dyn Broker>,
    log: TopicPartition,
    client_id: String,
    producer: Option<(Box<dyn Producer>, TopicHandle)>,
}

impl fmt::Debug for LogWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogWriter").field("log", &self.log).finish_non_exhaustive()
    }
}

impl LogWriter {
    pub(super) fn new(broker: Arc<dyn Broker>, log: TopicPartition, client_id: String) -> Self {
        Self { broker, log, client_id, producer: None }
    }

    /// Sends a record.
    pub(super) fn put(&mut self, key: Key, value: &[u8]) -> Result<(), Error> {
        let sent = self.try_put(key, value);
        self.settle(sent)
    }

    fn try_put(&mut self, key: Key, value: &[u8]) -> Result<(), BrokerError> {
        if self.producer.is_none() {
            let mut producer = self.broker.producer(&ProducerSettings {
                client_id: self.client_id.clone(),
                track_acks: false,
                transactions: None,
            })?;
            let topic = producer.topic(&self.log.topic)?;
            self.producer = Some((producer, topic));
        }
        let Some((producer, topic)) = &mut self.producer else { return Ok(()) };
        producer.send(*topic, record(&key.text(), Some(value), &Headers::new()))
    }

    /// Sends what is queued at once, and waits for the acknowledgements for a moment.
    pub(super) fn flush(&mut self, timeout: Duration) -> Result<(), Error> {
        let Some((producer, _)) = &mut self.producer else { return Ok(()) };
        let flushed = producer.flush(timeout);
        match flushed {
            Err(error) if error.is_retriable() => Ok(()),
            result => self.settle(result),
        }
    }

    /// Serves acknowledgements.
    pub(super) fn poll(&mut self) -> Result<(), Error> {
        let Some((producer, _)) = &mut self.producer else { return Ok(()) };
        let polled = producer.poll();
        self.settle(polled)
    }

    /// A producer that has failed is replaced, unless another would fail the same way.
    fn settle(&mut self, result: Result<(), BrokerError>) -> Result<(), Error> {
        use BrokerErrorKind::{Authorization, Invalid, RecordTooLarge};
        let Err(error) = result else { return Ok(()) };
        self.producer = None;
        if matches!(error.kind(), Authorization | Invalid | RecordTooLarge) {
            return Err(error.into());
        }
        tracing::warn!(%error, "a coordination record was not written; it is written again");
        Ok(())
    }
}

/// A record of the log.
pub(super) fn record<'a>(
    key: &'a str,
    value: Option<&'a [u8]>,
    headers: &'a Headers,
) -> OutgoingRecord<'a> {
    OutgoingRecord { partition: 0, key: Some(key.as_bytes()), value, timestamp: None, headers }
}

/// The numbers of partitions that source topics have to have, against those that they have.
pub(super) fn changed_topics(
    expected: &BTreeMap<String, i32>,
    admin: &dyn Admin,
) -> Result<Vec<String>, BrokerError> {
    let names: Vec<&str> = expected.keys().map(String::as_str).collect();
    let counts = admin.partition_counts(&names)?;
    let changed = expected.iter().zip(counts).filter_map(|((name, expected), count)| {
        let count = count.filter(|count| count != expected)?;
        Some(format!("topic {name} had {expected} partitions and has {count} now"))
    });
    Ok(changed.collect())
}
