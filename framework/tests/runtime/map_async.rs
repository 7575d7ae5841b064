//! Calls in flight in a whole instance: what is committed while they are, and what becomes of them when tasks are
//! given up. Where a test takes a guarantee, it holds for both.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use kstream::ProcessingGuarantee::{self, AtLeastOnce, ExactlyOnceV2};
use kstream::broker::Broker;
use kstream::broker::memory::MemoryBroker;
use kstream::{
    AsyncCalls, CallOrder, KStream, KafkaStreams, Materialized, StreamsBuilder, StreamsConfig,
    Topology,
};
use kstream_test_support::wait_until;
use tokio::sync::watch;

use crate::app::{
    APPLICATION, OUTPUT, PARTITIONS, SOON, broker, committed, config, end, page, produce_bytes,
    produce_to, running, tasks, wait_until_committed,
};
use crate::faults::{Faults, FaultyBroker};

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
        Self { is_open, asked: Arc::default(), alive: Arc::default() }
    }

    fn call(&self, value: String) -> impl Future<Output = Result<String, String>> + Send + use<> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.alive.fetch_add(1, Ordering::SeqCst);
        let (alive, mut is_open) = (Alive(Arc::clone(&self.alive)), self.is_open.subscribe());
        async move {
            if value.ends_with(SLOW) {
                is_open.wait_for(|is_open| *is_open).await.unwrap();
            }
            drop(alive);
            Ok(value)
        }
    }

    /// Counts records by key, asks about each, and counts the answers by key: `<seen> <answered>`.
    fn topology(&self, calls: AsyncCalls<String>) -> Topology {
        let builder = StreamsBuilder::new();
        let records: KStream<String, String> = builder.stream("in");
        let service = self.clone();
        let seen = records.group_by_key().aggregate(String::new, |_, value: String, state| {
            format!("{} {value}", word(&state, 0) + 1)
        });
        let answers = seen.to_stream().map_values_async_with(
            move |_, seen: Option<String>| service.call(seen.unwrap()),
            calls,
        );
        let answered = answers.group_by_key().aggregate(String::new, |_, seen: String, state| {
            format!("{} {}", word(&seen, 0), word(&state, 1) + 1)
        });
        answered.to_stream().to(OUTPUT);
        builder.build().unwrap()
    }

    fn open(&self) {
        self.is_open.send_replace(true);
    }

    #[track_caller]
    fn wait_until_alive(&self, calls: usize) {
        let is_so = || self.alive.load(Ordering::SeqCst) == calls;
        wait_until(SOON, "calls that are alive", is_so).unwrap();
    }
}

/// A number among words; 0 where there is none.
fn word(text: &str, place: usize) -> i64 {
    text.split(' ').nth(place).and_then(|word| word.parse().ok()).unwrap_or(0)
}

fn patient() -> AsyncCalls<String> {
    AsyncCalls::new().with_order(CallOrder::Unordered).with_timeout(HOUR)
}

/// Every update goes on at once.
fn uncached(folder: &Path, guarantee: ProcessingGuarantee) -> StreamsConfig {
    // Calls that wait for the test fit into a transaction.
    config(folder)
        .processing_guarantee(guarantee)
        .transaction_timeout(HOUR * 3)
        .statestore_cache_max_bytes(0)
}

/// Ten records in a partition, of which those at some places are slow.
fn produce_ten(broker: &MemoryBroker, partition: i32, slow: &[usize]) {
    for place in 0..10 {
        let key = format!("{partition}-{place}");
        let value = if slow.contains(&place) { SLOW } else { "fast" };
        produce_bytes(broker, partition, Some(key.as_bytes()), Some(value.as_bytes()));
    }
}

/// The results of each key that are there for everybody, in order.
fn history(broker: &MemoryBroker) -> BTreeMap<String, Vec<String>> {
    let mut history: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for partition in 0..PARTITIONS {
        for record in broker.records(OUTPUT, partition, 0).unwrap() {
            let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.unwrap()).unwrap();
            history.entry(text(record.key)).or_default().push(text(record.value));
        }
    }
    history
}

/// What that has to be when everything in these partitions has come so many times: how often the record was seen
/// before its call, and its answer behind it.
fn exact(partitions: i32, times: i64) -> BTreeMap<String, Vec<String>> {
    let keys = (0..partitions).flat_map(|p| (0..10).map(move |place| format!("{p}-{place}")));
    let counts: Vec<String> = (1..=times).map(|n| format!("{n} {n}")).collect();
    keys.map(|key| (key, counts.clone())).collect()
}

/// Waits until so many results are written, committed or not.
#[track_caller]
fn wait_until_written(broker: &MemoryBroker, results: i64) {
    let written = || (0..PARTITIONS).map(|p| end(broker, OUTPUT, p)).sum::<i64>();
    wait_until(SOON, "results", || written() >= results).unwrap();
}

fn all_records_are_answered_once(guarantee: ProcessingGuarantee) {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let service = Service::new();
    service.open();
    // Results of one key have to stay in order.
    let few = AsyncCalls::new().with_max_in_flight(7);
    let two_threads = uncached(folder.path(), guarantee).num_stream_threads(2);
    let mut streams = running(service.topology(few), two_threads, broker.clone());
    for _ in 0..20 {
        (0..PARTITIONS).for_each(|partition| produce_ten(&broker, partition, &[3, 4]));
    }
    wait_until_committed(&broker, "in");
    streams.close().unwrap();
    assert_eq!(history(&broker), exact(PARTITIONS, 20));
    assert_eq!(service.asked.load(Ordering::SeqCst), 800);
}

#[test]
fn all_records_are_answered_once_at_least_once() {
    all_records_are_answered_once(AtLeastOnce);
}

#[test]
fn all_records_are_answered_once_exactly_once() {
    all_records_are_answered_once(ExactlyOnceV2);
}

#[test]
fn a_slow_call_holds_up_neither_other_results_nor_other_tasks() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let service = Service::new();
    // Nothing is to be committed meanwhile: a commit would wait, and the tasks with it.
    let never = uncached(folder.path(), AtLeastOnce).commit_interval(HOUR);
    let full = patient().with_max_in_flight(10);
    let mut streams = running(service.topology(full), never, broker.clone());
    produce_ten(&broker, 0, &[0, 1, 2]);
    wait_until_written(&broker, 7);
    // The first task can take no more than seven of these.
    produce_ten(&broker, 0, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    service.wait_until_alive(10);
    produce_ten(&broker, 1, &[]);
    produce_ten(&broker, 1, &[]);
    wait_until_written(&broker, 27);
    assert_eq!(service.alive.load(Ordering::SeqCst), 10);
    service.open();
    wait_until_written(&broker, 40);
    streams.close().unwrap();
    wait_until_committed(&broker, "in");
}

/// A commit is due and waits for a call: tasks of the thread that make none go on as far as memory allows.
#[test]
fn tasks_that_wait_for_others_calls_take_no_more_memory_than_they_may() {
    const RECORDS: usize = 30_000;
    const LIMIT: usize = 200_000;
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    broker.create_topic("others", PARTITIONS).unwrap();
    let (service, counted) = (Service::new(), Arc::new(AtomicUsize::new(0)));
    let topology = {
        let (service, counted) = (service.clone(), Arc::clone(&counted));
        let builder = StreamsBuilder::new();
        let records: KStream<String, String> = builder.stream("in");
        let call = move |_: String, value: String| service.call(value);
        records.map_values_async_with(call, patient()).to(OUTPUT);
        let others: KStream<String, String> = builder.stream("others");
        let others = others.peek(move |_, _| {
            counted.fetch_add(1, Ordering::SeqCst);
        });
        others.group_by_key().count_with("count", Materialized::named("counts"));
        builder.build().unwrap()
    };
    let config = config(folder.path()).statestore_uncommitted_max_bytes(LIMIT);
    let mut streams = running(topology, config, broker.clone());
    produce_bytes(&broker, 0, Some(b"key"), Some(SLOW.as_bytes()));
    service.wait_until_alive(1);
    for number in 0..RECORDS {
        let key = format!("key-{number}");
        produce_to(&broker, "others", (0, Some(key.as_bytes()), Some(&b"value"[..])));
    }
    let is_full = || {
        let metrics = page(&streams, "/metrics").1;
        let series = "kstream_store_uncommitted_bytes{store=\"counts\",task=\"1_0\"} ";
        let bytes = metrics.lines().find_map(|line| line.strip_prefix(series)?.parse().ok());
        bytes.is_some_and(|bytes: usize| bytes > LIMIT)
    };
    wait_until(SOON, "full memory", is_full).unwrap();
    assert!(counted.load(Ordering::SeqCst) < RECORDS);
    service.open();
    wait_until_committed(&broker, "in");
    wait_until(SOON, "the rest", || counted.load(Ordering::SeqCst) == RECORDS).unwrap();
    streams.close().unwrap();
    assert_eq!(committed(&broker, "others", 0), i64::try_from(RECORDS).ok());
}

/// An instance with ten records of partition 0, of which one waits for its answer.
fn with_one_waiting(
    service: &Service,
    config: StreamsConfig,
    broker: &MemoryBroker,
) -> KafkaStreams {
    let streams = running(service.topology(patient()), config, broker.clone());
    produce_ten(broker, 0, &[3]);
    wait_until_written(broker, 9);
    service.wait_until_alive(1);
    streams
}

/// A commit is due all the time, and nine of ten results are written, when the instance is told to stop; it gives up
/// on the last one.
fn what_is_not_finished_comes_again(guarantee: ProcessingGuarantee) -> MemoryBroker {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let service = Service::new();
    let hasty = uncached(folder.path(), guarantee).close_timeout(Duration::from_secs(4));
    let mut streams = with_one_waiting(&service, hasty.clone(), &broker);
    streams.close().unwrap();
    service.wait_until_alive(0);
    assert_eq!(committed(&broker, "in", 0), None);

    service.open();
    let mut streams = running(service.topology(patient()), hasty, broker.clone());
    wait_until_committed(&broker, "in");
    streams.close().unwrap();
    assert_eq!(committed(&broker, "in", 0), Some(10));
    assert_eq!(service.asked.load(Ordering::SeqCst), 20);
    broker
}

#[test]
fn what_is_not_finished_is_not_lost_at_least_once() {
    let broker = what_is_not_finished_comes_again(AtLeastOnce);
    // State is as if the first try had not been; its results are there, and come again.
    let mut expected = exact(1, 1);
    for (key, results) in &mut expected {
        if key != "0-3" {
            results.push("1 1".to_owned());
        }
    }
    assert_eq!(history(&broker), expected);
}

#[test]
fn what_is_not_finished_does_not_come_twice_exactly_once() {
    let broker = what_is_not_finished_comes_again(ExactlyOnceV2);
    assert_eq!(history(&broker), exact(1, 1));
}

#[test]
fn a_stop_finishes_the_calls_in_flight() {
    for guarantee in [AtLeastOnce, ExactlyOnceV2] {
        let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
        let service = Service::new();
        let config = uncached(folder.path(), guarantee);
        let mut streams = with_one_waiting(&service, config, &broker);
        let closing = std::thread::spawn(move || streams.close());
        service.open();
        closing.join().unwrap().unwrap();
        assert_eq!(committed(&broker, "in", 0), Some(10));
        assert_eq!(history(&broker), exact(1, 1));
        assert_eq!(service.asked.load(Ordering::SeqCst), 10);
    }
}

/// Tasks move to an instance that comes while each of them waits for an answer.
fn tasks_that_move_finish_their_calls_first(guarantee: ProcessingGuarantee) {
    let broker = broker();
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let service = Service::new();
    let start = |folder: usize| {
        let config = uncached(folders[folder].path(), guarantee);
        let mut streams =
            KafkaStreams::new(service.topology(patient()), config, broker.clone()).unwrap();
        streams.start().unwrap();
        streams
    };
    let mut first = start(0);
    (0..PARTITIONS).for_each(|partition| produce_ten(&broker, partition, &[3]));
    wait_until_written(&broker, 36);
    service.wait_until_alive(4);
    let mut second = start(1);
    let members = || broker.admin().unwrap().group_members(APPLICATION).unwrap().len();
    wait_until(SOON, "two members", || members() == 2).unwrap();
    assert_eq!(committed(&broker, "in", 0), None);
    service.open();
    let shared = || tasks(&first).len() == 2 && tasks(&second).len() == 2;
    wait_until(SOON, "two tasks each", shared).unwrap();
    (0..PARTITIONS).for_each(|partition| produce_ten(&broker, partition, &[3]));
    wait_until_committed(&broker, "in");
    first.close().unwrap();
    second.close().unwrap();
    assert_eq!(history(&broker), exact(PARTITIONS, 2));
    assert_eq!(service.asked.load(Ordering::SeqCst), 80);
}

#[test]
fn tasks_that_move_finish_their_calls_first_at_least_once() {
    tasks_that_move_finish_their_calls_first(AtLeastOnce);
}

#[test]
fn tasks_that_move_finish_their_calls_first_exactly_once() {
    tasks_that_move_finish_their_calls_first(ExactlyOnceV2);
}

/// Exactly once, while one kind of fault strikes again and again.
fn results_are_exact_through(fault: impl Fn(&Faults) -> &AtomicU32) {
    const ROUNDS: i64 = 5;
    let (broker, folder) = (FaultyBroker::new(broker()), tempfile::tempdir().unwrap());
    let service = Service::new();
    service.open();
    let few = AsyncCalls::new().with_max_in_flight(3);
    let config = uncached(folder.path(), ExactlyOnceV2).num_stream_threads(2);
    let mut streams = running(service.topology(few), config, broker.clone());
    for round in 1..=ROUNDS {
        fault(&broker.faults).store(2, Ordering::SeqCst);
        (0..PARTITIONS).for_each(|partition| produce_ten(&broker.inner, partition, &[3]));
        let is_through = || history(&broker.inner) == exact(PARTITIONS, round);
        wait_until(SOON, "exact results", is_through).unwrap();
    }
    assert_eq!(fault(&broker.faults).load(Ordering::SeqCst), 0);
    streams.close().unwrap();
    assert_eq!(history(&broker.inner), exact(PARTITIONS, ROUNDS));
}

#[test]
fn results_are_exact_through_aborted_transactions() {
    results_are_exact_through(|faults| &faults.refused_transactions);
}

#[test]
fn results_are_exact_through_fenced_producers() {
    results_are_exact_through(|faults| &faults.fenced_transactions);
}

#[test]
fn results_are_exact_through_commits_that_nobody_heard_of() {
    results_are_exact_through(|faults| &faults.unheard_commits);
}

#[test]
fn a_call_that_may_outlast_its_transaction_is_refused() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let config = uncached(folder.path(), ExactlyOnceV2).transaction_timeout(SOON);
    let topology = Service::new().topology(patient().with_name("ask").with_timeout(SOON));
    let mut streams = KafkaStreams::new(topology, config, broker).unwrap();
    let error = streams.start().unwrap_err();
    let message = error.to_string();
    assert!(message.contains("transaction_timeout") && message.contains("ask"), "{message}");
}
