//! Keeps the application busy: there is always something waiting, and never so much that the broker
//! deletes it before it is read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use kstream::broker::kafka::{KafkaBroker, KafkaSettings};
use kstream::broker::{
    Admin, Broker, NewTopic, OutgoingRecord, ProducerSettings, partition_for_key,
};
use kstream::time::{Clock, SystemClock};
use kstream::{Headers, TopicPartition};

use crate::Failure;
use crate::app::{APP_ID, INPUT, OUTPUT, PARTITIONS, REPARTITION};

/// So many records wait for the application.
const BACKLOG: i64 = 200_000;
const BATCH: i64 = 5000;
const VALUE_BYTES: usize = 100;
const TURN: Duration = Duration::from_millis(50);
const FLUSH: Duration = Duration::from_mins(1);
const SEED: u64 = 11;

/// The thread that sends.
pub(crate) struct Feed {
    stop: Arc<AtomicBool>,
    processed: Arc<AtomicI64>,
    thread: JoinHandle<Result<(), String>>,
}

impl Feed {
    /// Creates the topics and begins to send records of so many keys.
    pub(crate) fn start(bootstrap: &str, keys: u64) -> Result<Self, Failure> {
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
        let (stop, processed): (Arc<AtomicBool>, Arc<AtomicI64>) = Default::default();
        let (is_stopped, seen) = (Arc::clone(&stop), Arc::clone(&processed));
        let thread = thread::spawn(move || {
            feed(&broker, &*admin, keys, &is_stopped, &seen).map_err(|error| error.to_string())
        });
        Ok(Self { stop, processed, thread })
    }

    /// How many records of the input the application has committed.
    pub(crate) fn processed(&self) -> i64 {
        self.processed.load(Ordering::SeqCst)
    }

    pub(crate) fn stop(self) -> Result<(), Failure> {
        self.stop.store(true, Ordering::SeqCst);
        Ok(self.thread.join().unwrap_or_else(|_panic| Err("the feed panicked".into()))?)
    }
}

fn feed(
    broker: &dyn Broker,
    admin: &dyn Admin,
    keys: u64,
    stop: &AtomicBool,
    processed: &AtomicI64,
) -> Result<(), Failure> {
    let settings =
        ProducerSettings { client_id: "feed".to_owned(), track_acks: false, transactions: None };
    let mut producer = broker.producer(&settings)?;
    let topic = producer.topic(INPUT)?;
    let mut rng = fastrand::Rng::with_seed(SEED);
    let clock = SystemClock::new();
    let headers = Headers::new();
    let of = |topic| (0..PARTITIONS).map(|it| TopicPartition::new(topic, it)).collect::<Vec<_>>();
    let (partitions, between) = (of(INPUT), of(REPARTITION));
    let value = "v".repeat(VALUE_BYTES);
    let mut sent = 0;
    while !stop.load(Ordering::SeqCst) {
        let committed = committed(admin, &partitions);
        processed.fetch_max(committed, Ordering::SeqCst);
        if lag(admin, &between) > BACKLOG {
            // Tasks behind the repartition topic have to come along, or it fills the disk.
            thread::park_timeout(TURN);
            continue;
        }
        while sent - processed.load(Ordering::SeqCst) < BACKLOG {
            let timestamp = Some(clock.now_ms());
            for _ in 0..BATCH {
                let key = format!("key-{:08}", rng.u64(..keys));
                let record = OutgoingRecord {
                    partition: partition_for_key(key.as_bytes(), PARTITIONS),
                    key: Some(key.as_bytes()),
                    value: Some(value.as_bytes()),
                    timestamp,
                    headers: &headers,
                };
                producer.send(topic, record)?;
            }
            sent += BATCH;
        }
        producer.poll()?;
        thread::park_timeout(TURN);
    }
    Ok(producer.flush(FLUSH)?)
}

/// How many records of these partitions the application has not committed; 0 before they are there.
fn lag(admin: &dyn Admin, partitions: &[TopicPartition]) -> i64 {
    let ends: i64 = admin.end_offsets(partitions).unwrap_or_default().into_iter().sum();
    ends - committed(admin, partitions)
}

/// Up to where the application has committed these partitions, in all.
fn committed(admin: &dyn Admin, partitions: &[TopicPartition]) -> i64 {
    let committed = admin.group_offsets(APP_ID, partitions).unwrap_or_default();
    committed.into_iter().flatten().map(|it| it.offset).sum()
}
