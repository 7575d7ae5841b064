//! Reading topics, without anything of kstream.

use std::collections::BTreeSet;
use std::time::Duration;

use kstream_test_support::poll_until;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::ChaosError;
use crate::records::Entry;
use crate::wire::PARTITIONS;

/// How long a poll waits for records.
const POLL: Duration = Duration::from_millis(100);
/// How long a broker may take to answer.
const ANSWER: Duration = Duration::from_secs(30);
/// How long a transaction of somebody who died may stay open, generously.
const TRANSACTIONS: Duration = Duration::from_mins(3);
/// How long a topic may give nothing before it is given up.
const SILENCE: Duration = Duration::from_mins(1);

/// A consumer of all records of these topics from the beginning; only committed ones, or all.
pub(crate) fn consumer(
    bootstrap: &str,
    topics: &[&str],
    isolation: &str,
) -> Result<BaseConsumer, ChaosError> {
    let failed = || ChaosError::kafka(format!("read {}", topics.join(", ")));
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("client.id", "chaos-checker")
        .set("group.id", "chaos-checker")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .set("enable.partition.eof", "true")
        .set("isolation.level", isolation)
        .set("reconnect.backoff.max.ms", "1000")
        .create()
        .map_err(failed())?;
    let mut partitions = TopicPartitionList::new();
    for topic in topics {
        for partition in 0..PARTITIONS {
            let added = partitions.add_partition_offset(topic, partition, Offset::Beginning);
            added.map_err(failed())?;
        }
    }
    consumer.assign(&partitions).map_err(failed())?;
    Ok(consumer)
}

/// A record, the end of a partition, or nothing for now.
pub(crate) enum Polled {
    Record(String, Entry),
    End(i32),
    Nothing,
}

/// Takes the next record.
pub(crate) fn poll(consumer: &BaseConsumer) -> Result<Polled, ChaosError> {
    match consumer.poll(POLL) {
        Some(Ok(message)) => {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let entry = Entry {
                partition: message.partition(),
                offset: message.offset(),
                timestamp: message.timestamp().to_millis().unwrap_or(-1),
                key: message.key().map_or_else(|| "null".to_owned(), text),
                value: message.payload().map(text),
            };
            Ok(Polled::Record(message.topic().to_owned(), entry))
        }
        Some(Err(KafkaError::PartitionEOF(partition))) => Ok(Polled::End(partition)),
        Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => {
            Err(ChaosError::kafka("read records")(error))
        }
        // A broker that is away comes back; who waits has a deadline.
        None | Some(Err(_)) => Ok(Polled::Nothing),
    }
}

/// All committed records of a topic, up to the ends that it has now.
///
/// # Errors
/// When the topic cannot be read, or gives nothing for a minute.
pub fn read_topic(bootstrap: &str, topic: &str) -> Result<Vec<Entry>, ChaosError> {
    let consumer = consumer(bootstrap, &[topic], "read_committed")?;
    let mut entries = Vec::new();
    let mut open: BTreeSet<i32> = (0..PARTITIONS).collect();
    while !open.is_empty() {
        let mut failure = None;
        let polled = poll_until(SILENCE, topic, || {
            Ok(match poll(&consumer) {
                Ok(Polled::Nothing) => None,
                Ok(polled) => Some(polled),
                Err(error) => {
                    failure = Some(error);
                    Some(Polled::Nothing)
                }
            })
        })?;
        match (polled, failure) {
            (_, Some(error)) => return Err(error),
            (Polled::Record(_, entry), None) => entries.push(entry),
            (Polled::End(partition), None) => {
                open.remove(&partition);
            }
            (Polled::Nothing, None) => {}
        }
    }
    Ok(entries)
}

/// Waits until no transaction is open in these topics: what is read then is all there will be.
///
/// # Errors
/// When one stays open.
pub fn wait_until_closed(bootstrap: &str, topics: &[&str]) -> Result<(), ChaosError> {
    let committed = consumer(bootstrap, &[], "read_committed")?;
    let all = consumer(bootstrap, &[], "read_uncommitted")?;
    for topic in topics {
        for partition in 0..PARTITIONS {
            let end = |consumer: &BaseConsumer| {
                consumer.fetch_watermarks(topic, partition, ANSWER).ok().map(|(_, end)| end)
            };
            let what = format!("end of the transactions in {topic}, partition {partition}");
            poll_until(TRANSACTIONS, &what, || {
                let is_closed = end(&all).is_some_and(|it| Some(it) == end(&committed));
                Ok(is_closed.then_some(()))
            })?;
        }
    }
    Ok(())
}
