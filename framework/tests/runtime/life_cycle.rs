//! The life of an instance: its states, its threads, its pauses, and what its errors do to it.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kstream::broker::kafka::{KafkaBroker, KafkaSettings};
use kstream::broker::memory::MemoryBroker;
use kstream::{
    Error, ErrorKind, KStream, KafkaStreams, Materialized, ProcessingGuarantee, State,
    StreamsBuilder, Topology, UncaughtErrorResponse,
};
use kstream_test_support::wait_until;

use crate::app::{
    GUARANTEES, INPUT, OUTPUT, PARTITIONS, SOON, broker, config, counting, counting_by_value,
    counts_in, counts_of, end, page, produce, produce_bytes, produce_keys, running, tasks,
    wait_for, wait_until_committed,
};

use crate::faults::FaultyBroker;

const KEYS: usize = 40;

#[test]
fn a_listener_hears_of_each_state_in_order() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let heard: Arc<Mutex<Vec<(State, State)>>> = Arc::default();
    let mut streams = KafkaStreams::new(counting(), config(folder.path()), broker).unwrap();
    let listener = Arc::clone(&heard);
    streams.set_state_listener(move |now, before| listener.lock().unwrap().push((now, before)));
    streams.start().unwrap();
    wait_for(&streams, State::Running);
    streams.close().unwrap();
    let heard = heard.lock().unwrap();
    let states: Vec<State> = heard.iter().map(|(now, _)| *now).collect();
    assert_eq!(states.first(), Some(&State::Rebalancing));
    assert_eq!(states.last(), Some(&State::NotRunning));
    assert_eq!(states.get(states.len() - 2), Some(&State::PendingShutdown));
    // Each begins where the one before has ended.
    assert_eq!(heard[0].1, State::Created);
    assert!(heard.windows(2).all(|pair| pair[1].1 == pair[0].0), "{heard:?}");
}

#[test]
fn threads_come_and_go_while_records_are_counted() {
    GUARANTEES.into_iter().for_each(count_while_threads_come_and_go);
}

fn count_while_threads_come_and_go(guarantee: ProcessingGuarantee) {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let config = config(folder.path()).processing_guarantee(guarantee);
    let mut streams = running(counting_by_value(), config, broker.clone());
    let mut rounds = 0;
    let mut round = || {
        for key in 0..KEYS {
            produce(&broker, &format!("from-{key}"), &format!("key-{key}"));
        }
        rounds += 1;
        let is_through = || counts_in(&broker, OUTPUT) == counts_of(0..KEYS, rounds);
        wait_until(SOON, "all counts", is_through).unwrap();
    };
    round();
    assert_eq!(streams.add_stream_thread().unwrap(), "StreamThread-2");
    assert_eq!(streams.add_stream_thread().unwrap(), "StreamThread-3");
    round();
    assert_eq!(streams.remove_stream_thread().unwrap().as_deref(), Some("StreamThread-3"));
    round();
    assert_eq!(streams.remove_stream_thread().unwrap().as_deref(), Some("StreamThread-2"));
    assert_eq!(streams.remove_stream_thread().unwrap().as_deref(), Some("StreamThread-1"));
    assert_eq!(streams.remove_stream_thread().unwrap(), None);
    assert_eq!(streams.add_stream_thread().unwrap(), "StreamThread-1");
    round();
    assert_eq!(streams.restored_records(), 0, "state stays where it is");
    streams.close().unwrap();
    assert!(streams.add_stream_thread().unwrap_err().to_string().contains("not running"));
}

#[test]
fn a_paused_instance_keeps_its_tasks_and_processes_nothing() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let mut streams = KafkaStreams::new(counting(), config(folder.path()), broker.clone()).unwrap();
    streams.pause();
    streams.start().unwrap();
    wait_for(&streams, State::Running);
    assert!(streams.is_paused());
    produce_keys(&broker, 0..KEYS);
    assert_eq!(tasks(&streams).len(), 4);
    assert_eq!((0..PARTITIONS).map(|p| end(&broker, OUTPUT, p)).sum::<i64>(), 0);
    streams.resume();
    wait_until_committed(&broker, INPUT);
    streams.pause();
    streams.close().unwrap();
    assert_eq!(counts_in(&broker, OUTPUT), counts_of(0..KEYS, 1));
}

/// Counts, and fails at each record while `fails` says so.
fn failing(fails: impl Fn() -> bool + Send + Sync + 'static) -> Topology {
    let builder = StreamsBuilder::new();
    let records: KStream<String, String> = builder.stream(INPUT);
    records
        .peek(move |_, _| assert!(!fails(), "told to fail"))
        .group_by_key()
        .count_with("count", Materialized::named("counts"))
        .to_stream()
        .to(OUTPUT);
    builder.build().unwrap()
}

#[test]
fn a_thread_that_dies_is_replaced_if_the_handler_says_so() {
    GUARANTEES.into_iter().for_each(count_while_threads_die);
}

fn count_while_threads_die(guarantee: ProcessingGuarantee) {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let failures = Arc::new(AtomicU32::new(3));
    let left = Arc::clone(&failures);
    let fails = move || {
        let one_less = |left: u32| left.checked_sub(1);
        left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok()
    };
    let asked = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&asked);
    let config = config(folder.path()).processing_guarantee(guarantee);
    let config = config.uncaught_error_handler(move |error: &Error| {
        assert!(error.to_string().contains("told to fail"), "{error}");
        counted.fetch_add(1, Ordering::SeqCst);
        UncaughtErrorResponse::ReplaceThread
    });
    let mut streams = running(failing(fails), config, broker.clone());
    produce_keys(&broker, 0..KEYS);
    wait_until_committed(&broker, INPUT);
    assert_eq!(asked.load(Ordering::SeqCst), 3);
    let (_, metrics) = page(&streams, "/metrics");
    assert!(metrics.contains("kstream_client_replaced_threads_total 3"), "{metrics}");
    streams.close().unwrap();
    assert_eq!(counts_in(&broker, OUTPUT), counts_of(0..KEYS, 1));
}

#[test]
fn an_instance_stops_at_an_error_and_says_by_its_exit_code_what_kind_it_was() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let mut streams = running(failing(|| true), config(folder.path()), broker.clone());
    produce_keys(&broker, 0..1);
    wait_for(&streams, State::Error);
    let error = streams.close().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fatal);
    assert_eq!(error.exit_code(), ExitCode::from(70));
}

#[test]
fn a_record_that_cannot_be_read_has_an_exit_code_of_its_own() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let mut streams = running(counting(), config(folder.path()), broker.clone());
    produce_bytes(&broker, 0, Some(b"key"), Some(b"\xff is no text"));
    wait_for(&streams, State::Error);
    let error = streams.close().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadRecord);
    assert_eq!(error.exit_code(), ExitCode::from(65));
}

#[test]
fn a_start_asks_brokers_again_that_do_not_answer_at_first() {
    let (broker, folder) = (FaultyBroker::new(broker()), tempfile::tempdir().unwrap());
    broker.faults.unanswered_topics.store(3, Ordering::SeqCst);
    let mut streams = running(counting(), config(folder.path()), broker.clone());
    assert_eq!(broker.faults.unanswered_topics.load(Ordering::SeqCst), 0);
    streams.close().unwrap();
}

#[test]
fn a_broker_that_does_not_answer_has_an_exit_code_of_its_own() {
    let settings =
        KafkaSettings { connect_timeout: Duration::from_millis(1), ..KafkaSettings::default() };
    let error = Error::from(KafkaBroker::new("127.0.0.1:1", settings).unwrap_err());
    assert_eq!(error.exit_code(), ExitCode::from(69));
}

/// An instance with a thread that waits inside of the user's code.
fn stuck(broker: &MemoryBroker, folder: &std::path::Path) -> (KafkaStreams, Arc<AtomicBool>) {
    let busy = Arc::new(AtomicBool::new(true));
    let topology = {
        let busy = Arc::clone(&busy);
        failing(move || {
            wait_until(SOON, "end of work", || !busy.load(Ordering::SeqCst)).unwrap();
            false
        })
    };
    let impatient = config(folder)
        .session_timeout(Duration::from_millis(1500))
        .max_poll_interval(Duration::from_millis(1500));
    let streams = running(topology, impatient, broker.clone());
    (streams, busy)
}

#[test]
fn a_thread_without_progress_is_reported_and_its_tasks_go_elsewhere() {
    let broker = broker();
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut first, busy) = stuck(&broker, here.path());
    produce_keys(&broker, 0..KEYS);
    let reported = || page(&first, "/health/live").1.contains("makes no progress");
    wait_until(SOON, "a report", reported).unwrap();
    let mut second = running(counting(), config(there.path()), broker.clone());
    wait_until(SOON, "all tasks", || tasks(&second).len() == 4).unwrap();
    wait_until_committed(&broker, INPUT);
    busy.store(false, Ordering::SeqCst);
    let is_back = || tasks(&first).len() == 2 && tasks(&second).len() == 2;
    wait_until(SOON, "two tasks each", is_back).unwrap();
    wait_until(SOON, "the end of the report", || !reported()).unwrap();
    first.close().unwrap();
    second.close().unwrap();
    // What the stuck thread had in hand is not committed by it.
    assert_eq!(counts_in(&broker, OUTPUT), counts_of(0..KEYS, 1));
}

#[test]
fn one_instance_can_stop_them_all() {
    let broker = broker();
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut first = running(counting(), config(here.path()), broker.clone());
    let stopping = config(there.path())
        .uncaught_error_handler(|_: &Error| UncaughtErrorResponse::ShutdownApplication);
    let mut second = running(failing(|| true), stopping, broker.clone());
    wait_until(SOON, "two tasks each", || tasks(&second).len() == 2).unwrap();
    produce_keys(&broker, 0..KEYS);
    wait_for(&second, State::Error);
    wait_for(&first, State::Error);
    assert!(second.close().unwrap_err().to_string().contains("told to fail"));
    assert!(first.close().unwrap_err().to_string().contains("asked all instances to stop"));
    // Who is started later is not meant.
    let mut third = running(counting(), config(here.path()), broker.clone());
    wait_until_committed(&broker, INPUT);
    third.close().unwrap();
}
