//! Calls in flight in a whole instance: what is committed while they are, and what becomes of them when tasks are
//! given up.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kstream::broker::memory::MemoryBroker;
use kstream::{
    AsyncCalls, CallOrder, KStream, Materialized, StreamsBuilder, StreamsConfig, Topology,
};
use kstream_test_support::wait_until;
use tokio::sync::watch;

use crate::app::{
    OUTPUT, PARTITIONS, SOON, broker, config, length, produce_bytes, running, wait_until_committed,
};

/// The value of records whose calls wait.
const SLOW: &str = "slow";
/// Longer than anybody would wait.
const HOUR: Duration = Duration::from_hours(1);

/// A service that answers at once, except for what is slow.
#[derive(Debug, Clone)]
struct Service {
    is_open: Arc<watch::Sender<bool>>,
    asked: Arc<AtomicUsize>,
    alive: Arc<AtomicUsize>,
    /// What came by before the calls.
    seen: Arc<Mutex<BTreeMap<String, usize>>>,
}

/// Counts a call while its future is alive.
struct Alive(Arc<AtomicUsize>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Service {
    fn new() -> Self {
        let is_open = Arc::new(watch::Sender::new(false));
        Self { is_open, asked: Arc::default(), alive: Arc::default(), seen: Arc::default() }
    }

    fn call(&self, value: String) -> impl Future<Output = Result<String, String>> + Send + use<> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.alive.fetch_add(1, Ordering::SeqCst);
        let (alive, mut is_open) = (Alive(Arc::clone(&self.alive)), self.is_open.subscribe());
        async move {
            if value == SLOW {
                is_open.wait_for(|is_open| *is_open).await.unwrap();
            }
            drop(alive);
            Ok(value)
        }
    }

    /// Counts records by key, asks about each, and counts the answers by key.
    fn topology(&self, calls: AsyncCalls<String>) -> Topology {
        let builder = StreamsBuilder::new();
        let records: KStream<String, String> = builder.stream("in");
        let (service, seen) = (self.clone(), Arc::clone(&self.seen));
        records
            .peek(move |key, _| *seen.lock().unwrap().entry(key.clone()).or_default() += 1)
            .map_values_async_with(move |_, value| service.call(value), calls)
            .group_by_key()
            .count_with("count", Materialized::named("counts"))
            .to_stream()
            .to(OUTPUT);
        builder.build().unwrap()
    }

    fn open(&self) {
        self.is_open.send_replace(true);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    #[track_caller]
    fn wait_until_alive(&self, calls: usize) {
        let is_so = || self.alive.load(Ordering::SeqCst) == calls;
        wait_until(SOON, "calls that are alive", is_so).unwrap();
    }
}

fn patient() -> AsyncCalls<String> {
    AsyncCalls::new().with_order(CallOrder::Unordered).with_timeout(HOUR)
}

/// Every update goes on at once.
fn uncached(folder: &Path) -> StreamsConfig {
    config(folder).statestore_cache_max_bytes(0)
}

/// Ten records in a partition, of which those at some places are slow.
fn produce_ten(broker: &MemoryBroker, partition: i32, slow: &[usize]) {
    for place in 0..10 {
        let key = format!("{partition}-{place}");
        let value = if slow.contains(&place) { SLOW } else { "fast" };
        produce_bytes(broker, partition, Some(key.as_bytes()), Some(value.as_bytes()));
    }
}

/// How often each key has been counted.
fn counts(broker: &MemoryBroker) -> Vec<i64> {
    let mut counts = BTreeMap::new();
    for partition in 0..PARTITIONS {
        for record in broker.records(OUTPUT, partition, 0).unwrap() {
            let count = i64::from_be_bytes(record.value.unwrap().try_into().unwrap());
            counts.insert(record.key.unwrap(), count);
        }
    }
    counts.into_values().collect()
}

#[track_caller]
fn wait_for_results(broker: &MemoryBroker, results: u64) {
    wait_until(SOON, "results", || length(broker, OUTPUT) == results).unwrap();
}

#[test]
fn all_records_are_answered_once_and_committed() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let service = Service::new();
    service.open();
    let few = AsyncCalls::new().with_max_in_flight(7);
    let two_threads = uncached(folder.path()).num_stream_threads(2);
    let mut streams = running(service.topology(few), two_threads, broker.clone());
    for _ in 0..20 {
        (0..PARTITIONS).for_each(|partition| produce_ten(&broker, partition, &[3, 4]));
    }
    wait_until_committed(&broker, "in");
    streams.close().unwrap();
    assert_eq!(counts(&broker), vec![20; 40]);
    assert_eq!(length(&broker, OUTPUT), 800);
    assert_eq!(service.asked(), 800);
}

#[test]
fn a_slow_call_holds_up_neither_other_results_nor_other_tasks() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let service = Service::new();
    // Nothing is to be committed meanwhile: a commit would wait, and the tasks with it.
    let never = uncached(folder.path()).commit_interval(HOUR);
    let full = patient().with_max_in_flight(10);
    let mut streams = running(service.topology(full), never, broker.clone());
    produce_ten(&broker, 0, &[0, 1, 2]);
    wait_for_results(&broker, 7);
    // The first task can take no more than these.
    produce_ten(&broker, 0, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    service.wait_until_alive(10);
    produce_ten(&broker, 1, &[]);
    produce_ten(&broker, 1, &[]);
    wait_for_results(&broker, 27);
    assert_eq!(service.alive.load(Ordering::SeqCst), 10);
    service.open();
    wait_for_results(&broker, 40);
    streams.close().unwrap();
    wait_until_committed(&broker, "in");
}

#[test]
fn a_stop_finishes_the_calls_in_flight() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let service = Service::new();
    let never = uncached(folder.path()).commit_interval(HOUR);
    let mut streams = running(service.topology(patient()), never, broker.clone());
    produce_ten(&broker, 0, &[9]);
    wait_for_results(&broker, 9);
    let (opener, asked) = (service.clone(), service.asked());
    let closing = std::thread::spawn(move || streams.close());
    opener.open();
    closing.join().unwrap().unwrap();
    assert_eq!((asked, counts(&broker)), (10, vec![1; 10]));
    wait_until_committed(&broker, "in");
}

#[test]
fn a_stop_ends_in_time_with_calls_that_do_not() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let service = Service::new();
    let config = uncached(folder.path()).close_timeout(Duration::from_secs(2));
    let mut streams = running(service.topology(patient()), config.clone(), broker.clone());
    produce_ten(&broker, 0, &[3]);
    wait_for_results(&broker, 9);
    streams.close().unwrap();
    service.wait_until_alive(0);
    // Whoever comes next finds everything.
    service.open();
    let mut streams = running(service.topology(patient()), config, broker.clone());
    wait_until_committed(&broker, "in");
    streams.close().unwrap();
    assert_eq!(counts(&broker), vec![1; 10]);
}
