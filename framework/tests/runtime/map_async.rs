//! Calls in flight in a whole instance: what is committed while they are, and what becomes of them when tasks are
//! given up.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kstream::broker::GroupEvent::{Assigned, Lost, Revoked};
use kstream::broker::memory::MemoryBroker;
use kstream::{
    AsyncCalls, CallOrder, KStream, KafkaStreams, Materialized, State, StreamsBuilder,
    StreamsConfig, Topology,
};
use kstream_test_support::wait_until;
use tokio::sync::watch;

use crate::app::{
    OUTPUT, PARTITIONS, SOON, broker, config, length, produce_bytes, running, wait_for,
    wait_until_committed,
};
use crate::faults::{FaultyBroker, GroupOffsets, Script, inputs};

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

/// An instance whose group is scripted, with a task of partition 0 and calls that wait.
fn waiting(
    service: &Service,
    calls: AsyncCalls<String>,
    config: StreamsConfig,
    (broker, script): (&FaultyBroker, &Script),
) -> KafkaStreams {
    let topology = service.topology(calls);
    let mut streams = KafkaStreams::new(topology, config, broker.clone()).unwrap();
    streams.start().unwrap();
    script.say(Assigned(inputs(&[0])));
    wait_for(&streams, State::Running);
    produce_ten(&broker.inner, 0, &[3]);
    wait_for_results(&broker.inner, 9);
    service.wait_until_alive(1);
    streams
}

#[test]
fn what_was_in_flight_when_the_tasks_were_lost_is_done_again() {
    let script = Script::new(&GroupOffsets::default());
    let (broker, folder) =
        (FaultyBroker::with_script(broker(), &script), tempfile::tempdir().unwrap());
    let service = Service::new();
    let config = uncached(folder.path());
    let mut streams = waiting(&service, patient(), config, (&broker, &script));
    script.say(Lost(inputs(&[0])));
    service.wait_until_alive(0);
    // A commit was due all the time, and nine of ten results were out.
    assert_eq!(script.committed_input(0), None);
    service.open();
    script.say(Assigned(inputs(&[0])));
    let is_committed = || script.committed_input(0) == Some(10);
    wait_until(SOON, "commit", is_committed).unwrap();
    streams.close().unwrap();
    // At least once, and nothing of what was not committed is in the counts.
    assert_eq!(counts(&broker.inner), vec![1; 10]);
    assert_eq!(service.asked(), 20);
    assert!(service.seen.lock().unwrap().values().all(|times| *times == 2));
}

#[test]
fn tasks_that_are_revoked_finish_their_calls_first() {
    let script = Script::new(&GroupOffsets::default());
    let (broker, folder) =
        (FaultyBroker::with_script(broker(), &script), tempfile::tempdir().unwrap());
    let service = Service::new();
    let config = uncached(folder.path());
    let mut streams = waiting(&service, patient(), config, (&broker, &script));
    script.post(Revoked(inputs(&[0])));
    assert_eq!(script.committed_input(0), None);
    service.open();
    wait_until(SOON, "commit", || script.committed_input(0) == Some(10)).unwrap();
    script.say(Assigned(inputs(&[0])));
    produce_ten(&broker.inner, 0, &[]);
    wait_until(SOON, "commit", || script.committed_input(0) == Some(20)).unwrap();
    streams.close().unwrap();
    assert_eq!(counts(&broker.inner), vec![2; 10]);
    assert_eq!((length(&broker.inner, OUTPUT), service.asked()), (20, 20));
}

#[test]
fn calls_that_take_longer_than_a_revocation_may_are_dropped() {
    let script = Script::new(&GroupOffsets::default());
    let (broker, folder) =
        (FaultyBroker::with_script(broker(), &script), tempfile::tempdir().unwrap());
    let service = Service::new();
    let impatient = uncached(folder.path())
        .session_timeout(Duration::from_millis(150))
        .max_poll_interval(Duration::from_millis(150));
    let mut streams = waiting(&service, patient(), impatient, (&broker, &script));
    script.say(Revoked(inputs(&[0])));
    service.wait_until_alive(0);
    assert_eq!(script.committed_input(0), None);
    service.open();
    script.say(Assigned(inputs(&[0])));
    wait_until(SOON, "commit", || script.committed_input(0) == Some(10)).unwrap();
    streams.close().unwrap();
    assert_eq!(counts(&broker.inner), vec![1; 10]);
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
