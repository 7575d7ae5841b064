//! The topics of the bench: filled once, updated by a trickle, and watched.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use kstream::broker::kafka::{KafkaBroker, KafkaSettings};
use kstream::broker::{
    Admin, Broker, Consumer, ConsumerRole, NewTopic, OutgoingRecord, Producer, ProducerSettings,
    Slot, StartOffset, TopicHandle, partition_for_key,
};
use kstream::time::{Clock, SystemClock};
use kstream::{Headers, TopicPartition};

use crate::Failure;
use crate::apps::APP_ID;

const INPUT: &str = "bench-in";
const OUTPUT: &str = "bench-out";
const PARTITIONS: i32 = 4;
const VALUE_BYTES: usize = 1000;
const FLUSH: Duration = Duration::from_mins(5);
const TURN: Duration = Duration::from_millis(5);
const SEED: u64 = 7;

fn partitions(topic: &str) -> Vec<TopicPartition> {
    (0..PARTITIONS).map(|partition| TopicPartition::new(topic, partition)).collect()
}

pub(crate) struct Topics {
    broker: KafkaBroker,
    admin: Box<dyn Admin>,
}

impl Topics {
    pub(crate) fn create(bootstrap: &str) -> Result<Self, Failure> {
        let broker = KafkaBroker::new(bootstrap, KafkaSettings::default())?;
        let admin = broker.admin()?;
        let new = [INPUT, OUTPUT].map(|name| NewTopic {
            name: name.to_owned(),
            partitions: PARTITIONS,
            replication_factor: -1,
            configs: BTreeMap::new(),
        });
        for created in admin.create_topics(&new)? {
            created?;
        }
        Ok(Self { broker, admin })
    }

    /// Sends so many MiB of values, one for each key; says how many.
    pub(crate) fn fill(&self, mib: u64) -> Result<u64, Failure> {
        let rows = (mib << 20) / VALUE_BYTES as u64;
        let mut sender = Sender::new(&self.broker)?;
        for row in 0..rows {
            sender.send(row, 0)?;
        }
        sender.finish()?;
        Ok(rows)
    }

    pub(crate) fn input_end(&self) -> Result<i64, Failure> {
        Ok(self.admin.end_offsets(&partitions(INPUT))?.into_iter().sum())
    }

    /// How much of the input the application has committed; nothing, while nobody answers.
    pub(crate) fn committed(&self) -> i64 {
        let committed = self.admin.group_offsets(APP_ID, &partitions(INPUT)).unwrap_or_default();
        committed.into_iter().flatten().map(|committed| committed.offset).sum()
    }
}

/// Sends rows: a mark, then bytes that cannot be compressed.
struct Sender {
    producer: Box<dyn Producer>,
    topic: TopicHandle,
    rng: fastrand::Rng,
    value: Vec<u8>,
}

impl Sender {
    fn new(broker: &dyn Broker) -> Result<Self, Failure> {
        let client_id = "recovery".to_owned();
        let settings = ProducerSettings { client_id, track_acks: false, transactions: None };
        let mut producer = broker.producer(&settings)?;
        let topic = producer.topic(INPUT)?;
        Ok(Self {
            producer,
            topic,
            rng: fastrand::Rng::with_seed(SEED),
            value: vec![0; VALUE_BYTES],
        })
    }

    fn send(&mut self, row: u64, mark: u64) -> Result<(), Failure> {
        self.rng.fill(&mut self.value);
        self.value.splice(..8, mark.to_be_bytes());
        let key = format!("key-{row:010}");
        let record = OutgoingRecord {
            partition: partition_for_key(key.as_bytes(), PARTITIONS),
            key: Some(key.as_bytes()),
            value: Some(&self.value),
            timestamp: None,
            headers: &Headers::new(),
        };
        Ok(self.producer.send(self.topic, record)?)
    }

    fn finish(&mut self) -> Result<(), Failure> {
        Ok(self.producer.flush(FLUSH)?)
    }
}

/// Updates of random rows at a steady rate, marked 1, 2, …
pub(crate) struct Trickle {
    stop: Arc<AtomicBool>,
    last: Arc<AtomicU64>,
    thread: JoinHandle<Result<(), String>>,
}

impl Trickle {
    pub(crate) fn start(bootstrap: &str, rate: u64, rows: u64) -> Result<Self, Failure> {
        let (stop, last): (Arc<AtomicBool>, Arc<AtomicU64>) = Default::default();
        let broker = KafkaBroker::new(bootstrap, KafkaSettings::default())?;
        let mut sender = Sender::new(&broker)?;
        let (is_stopped, sent) = (Arc::clone(&stop), Arc::clone(&last));
        let thread = thread::spawn(move || {
            let clock = SystemClock::new();
            let mut mark = 0;
            while !is_stopped.load(Ordering::SeqCst) {
                let due = u64::try_from(clock.monotonic().as_millis()).unwrap_or(0) * rate / 1000;
                while mark < due {
                    mark += 1;
                    let row = sender.rng.u64(..rows);
                    sender.send(row, mark).map_err(|error| error.to_string())?;
                }
                sent.store(mark, Ordering::SeqCst);
                sender.producer.poll().map_err(|error| error.to_string())?;
                thread::park_timeout(TURN);
            }
            sender.finish().map_err(|error| error.to_string())
        });
        Ok(Self { stop, last, thread })
    }

    /// The mark that was sent last.
    pub(crate) fn last(&self) -> u64 {
        self.last.load(Ordering::SeqCst)
    }

    pub(crate) fn stop(self) -> Result<(), Failure> {
        self.stop.store(true, Ordering::SeqCst);
        Ok(self.thread.join().unwrap_or_else(|_panic| Err("the trickle panicked".into()))?)
    }
}

/// Reads the committed output: the highest mark of each partition.
pub(crate) struct Output {
    consumer: Box<dyn Consumer>,
    marks: Vec<(Slot, u64)>,
}

impl Output {
    pub(crate) fn read(bootstrap: &str) -> Result<Self, Failure> {
        let broker = KafkaBroker::new(bootstrap, KafkaSettings::default())?;
        let mut consumer = broker.consumer(ConsumerRole::Main, "recovery")?;
        let partitions = partitions(OUTPUT);
        let ends = broker.admin()?.end_offsets(&partitions)?;
        let starts: Vec<_> =
            partitions.into_iter().zip(ends.into_iter().map(StartOffset::At)).collect();
        let marks = consumer.assign(&starts)?.into_iter().map(|slot| (slot, 0)).collect();
        Ok(Self { consumer, marks })
    }

    /// Takes what has arrived. A broker that does not answer has nothing.
    pub(crate) fn poll(&mut self) {
        const BATCH: usize = 10_000;
        for (slot, mark) in &mut self.marks {
            while let Ok(Some(batch)) = self.consumer.fetch(*slot, BATCH) {
                let values = (0..batch.len()).filter_map(|index| {
                    let value = batch.record(index).value?;
                    Some(u64::from_be_bytes(value.try_into().ok()?))
                });
                *mark = values.chain([*mark]).max().unwrap_or(0);
            }
        }
        // The next fetch tells what it could not.
        self.consumer.poll().unwrap_or_default();
    }

    /// Whether every partition has a later mark.
    pub(crate) fn is_beyond(&self, mark: u64) -> bool {
        self.marks.iter().all(|(_, last)| *last > mark)
    }
}
