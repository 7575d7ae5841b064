//! The broker ports: the memory broker and Apache Kafka must agree on every case.
//!
//! A case makes its own topics and groups, named after it, so that all cases may share one broker
//! and run at the same time.

mod group;
mod log;
mod members;
mod topics;
mod transaction_offsets;
mod transactions;

use std::collections::BTreeMap;
use std::fmt;
use std::thread;
use std::time::Duration;

use kstream::broker::{
    Admin, Broker, BrokerError, BrokerErrorKind, Consumer, ConsumerRole, NewTopic, OutgoingRecord,
    Producer, ProducerSettings, Slot, StartOffset, TopicHandle,
};
use kstream::{Headers, Timestamp, TopicPartition};
use kstream_test_support::wait_until;

/// How long one sleep of a consumer or a member may take; a case looks again after each.
const TURN: Duration = Duration::from_millis(20);

/// A broker, and how time passes for it.
pub struct BrokerUnderTest<'a> {
    /// The broker.
    pub broker: &'a dyn Broker,
    /// The shortest session timeout it allows for.
    pub session_timeout: Duration,
    /// Lets time pass for a broker that does not live in real time.
    pub pass_time: &'a (dyn Fn(Duration) + Sync),
    /// The broker's time, in milliseconds.
    pub now_ms: &'a (dyn Fn() -> Timestamp + Sync),
    /// How long anything may take in real time before a case fails.
    pub deadline: Duration,
}

impl fmt::Debug for BrokerUnderTest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BrokerUnderTest").field(&self.broker).finish()
    }
}

/// A named case.
pub type Case = (&'static str, fn(&BrokerUnderTest<'_>));

/// All cases.
pub fn cases() -> Vec<Case> {
    [
        log::CASES,
        topics::CASES,
        group::CASES,
        members::CASES,
        transactions::CASES,
        transaction_offsets::CASES,
    ]
    .concat()
}

/// Runs all cases at once, each in a thread of its name; `run` gives each case its broker.
///
/// # Panics
/// When a case has failed; the message names all that have.
pub fn run_all(run: impl Fn(Case) + Sync) {
    let run = &run;
    let failed: Vec<&str> = thread::scope(|scope| {
        let start = |case: Case| {
            let thread = thread::Builder::new().name(case.0.to_owned());
            (case.0, thread.spawn_scoped(scope, move || run(case)).unwrap())
        };
        let running: Vec<_> = cases().into_iter().map(start).collect();
        let failed = |(name, running): (_, thread::ScopedJoinHandle<'_, ()>)| {
            running.join().is_err().then_some(name)
        };
        running.into_iter().filter_map(failed).collect()
    });
    assert!(failed.is_empty(), "these cases do not hold: {failed:?}");
}

/// A record as a case writes it down.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fetched {
    offset: i64,
    timestamp: Timestamp,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Headers,
}

impl BrokerUnderTest<'_> {
    fn admin(&self) -> Box<dyn Admin> {
        self.broker.admin().unwrap()
    }

    fn producer(&self, track_acks: bool) -> Box<dyn Producer> {
        let client_id = "conformance".to_owned();
        self.broker
            .producer(&ProducerSettings { client_id, track_acks, transactions: None })
            .unwrap()
    }

    fn consumer(&self) -> Box<dyn Consumer> {
        self.broker.consumer(ConsumerRole::Main, "conformance").unwrap()
    }

    fn create_topic(&self, name: &str, partitions: i32) {
        create_topic(&*self.admin(), name, partitions, &[]).unwrap();
    }

    /// Waits until `condition` holds.
    #[track_caller]
    fn wait_until(&self, what: &str, condition: impl FnMut() -> bool) {
        wait_until(self.deadline, what, condition).unwrap();
    }

    /// Sends values without keys to partition 0 of a topic and flushes.
    fn send_values(&self, topic: &str, values: &[&str]) {
        let mut producer = self.producer(false);
        let handle = producer.topic(topic).unwrap();
        for value in values {
            send(&mut *producer, handle, 0, value.as_bytes()).unwrap();
        }
        producer.flush(self.deadline).unwrap();
    }

    /// Fetches until there are `count` records.
    #[track_caller]
    fn fetch(&self, consumer: &mut dyn Consumer, slot: Slot, count: usize) -> Vec<Fetched> {
        let mut fetched = Vec::new();
        self.wait_until("the records", || {
            consumer.poll().unwrap();
            let at_most = count - fetched.len();
            while let Some(batch) = consumer.fetch(slot, at_most.max(1)).unwrap() {
                fetched.extend((0..batch.len()).map(|index| copy(&batch.record(index))));
                if fetched.len() >= count {
                    break;
                }
            }
            if fetched.len() < count {
                consumer.wait(TURN);
            }
            fetched.len() >= count
        });
        assert_eq!(fetched.len(), count, "a fetch gave more than was asked for");
        fetched
    }

    /// All records of a partition, of which there are `count`.
    #[track_caller]
    fn fetch_all(&self, topic: &str, partition: i32, count: usize) -> Vec<Fetched> {
        let mut consumer = self.consumer();
        let slot = assign(&mut *consumer, topic, partition, StartOffset::Earliest);
        self.fetch(&mut *consumer, slot, count)
    }

    /// What a fetch fails with in the end.
    #[track_caller]
    fn fetch_error(&self, consumer: &mut dyn Consumer, slot: Slot) -> BrokerErrorKind {
        let mut error = None;
        self.wait_until("an error", || {
            let result = consumer.poll().and_then(|()| consumer.fetch(slot, 1));
            assert!(!matches!(result, Ok(Some(_))), "fetched where there is nothing");
            error = result.err().map(|error| error.kind());
            if error.is_none() {
                consumer.wait(TURN);
            }
            error.is_some()
        });
        error.unwrap()
    }
}

fn copy(raw: &kstream::broker::RawRecord<'_>) -> Fetched {
    Fetched {
        offset: raw.offset,
        timestamp: raw.timestamp,
        key: raw.key.map(<[u8]>::to_vec),
        value: raw.value.map(<[u8]>::to_vec),
        headers: raw.headers.clone(),
    }
}

fn create_topic(
    admin: &dyn Admin,
    name: &str,
    partitions: i32,
    configs: &[(&str, &str)],
) -> Result<(), BrokerError> {
    let configs: BTreeMap<String, String> =
        configs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let topic = NewTopic { name: name.into(), partitions, replication_factor: 1, configs };
    admin.create_topics(&[topic]).unwrap().remove(0)
}

fn send(
    producer: &mut dyn Producer,
    topic: TopicHandle,
    partition: i32,
    value: &[u8],
) -> Result<(), BrokerError> {
    let (value, headers) = (Some(value), &Headers::new());
    producer
        .send(topic, OutgoingRecord { partition, key: None, value, timestamp: Some(0), headers })
}

fn assign(consumer: &mut dyn Consumer, topic: &str, partition: i32, start: StartOffset) -> Slot {
    consumer.assign(&[(TopicPartition::new(topic, partition), start)]).unwrap()[0]
}

fn values(records: &[Fetched]) -> Vec<&str> {
    records.iter().map(|record| str::from_utf8(record.value.as_deref().unwrap()).unwrap()).collect()
}
