//! Restores beside running tasks: who goes on, what is shown, and where a restore that was cut off begins again.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use kstream::broker::memory::MemoryBroker;
use kstream::broker::{
    Broker, NewTopic, OutgoingRecord, ProducerSettings, TransactionSettings, partition_for_key,
};
use kstream::{Headers, KafkaStreams, State, StateRestoreListener, StreamsConfig, TopicPartition};
use kstream_test_support::wait_until;

use crate::app::{
    CHANGELOG, INPUT, OUTPUT, PARTITIONS, SOON, broker, config, copy, counting, counts_in, end,
    page, produce, running, wait_for, wait_until_committed,
};
use crate::faults::FaultyBroker;

/// Rows of the changelog that is restored; enough for RocksDB to write some to disk before the last.
const ROWS: u64 = 60_000;
/// The task that has them.
const TASK: i32 = 1;

/// Notes what it is told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notes {
    told: Arc<Mutex<Vec<String>>>,
    records: Arc<AtomicU64>,
}

impl Notes {
    fn note(&self, text: String) {
        self.told.lock().unwrap().push(text);
    }

    pub(crate) fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }
}

impl StateRestoreListener for Notes {
    fn on_restore_start(&self, partition: &TopicPartition, store: &str, start: i64, end: i64) {
        self.note(format!("start {partition} {store} {start}..{end}"));
    }
    fn on_batch_restored(&self, _: &TopicPartition, _: &str, _batch_end: i64, records: u64) {
        self.records.fetch_add(records, Ordering::SeqCst);
    }
    fn on_restore_end(&self, partition: &TopicPartition, store: &str, total: u64) {
        self.note(format!("end {partition} {store} {total}"));
    }
    fn on_restore_suspended(&self, partition: &TopicPartition, store: &str, total: u64) {
        self.note(format!("suspended {partition} {store} {total}"));
    }
}

/// Fails at every call.
#[derive(Debug)]
struct Panicking;

impl StateRestoreListener for Panicking {
    fn on_restore_start(&self, _: &TopicPartition, _: &str, _: i64, _: i64) {
        panic!("at the start");
    }
    fn on_batch_restored(&self, _: &TopicPartition, _: &str, _: i64, _: u64) {
        panic!("at a batch");
    }
    fn on_restore_end(&self, _: &TopicPartition, _: &str, _: u64) {
        panic!("at the end");
    }
}

fn create_changelog(broker: &MemoryBroker, configs: &[(&str, &str)]) {
    let configs = configs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let topic = NewTopic {
        name: CHANGELOG.to_owned(),
        partitions: PARTITIONS,
        replication_factor: -1,
        configs: configs.collect(),
    };
    broker.admin().unwrap().create_topics(&[topic]).unwrap().pop().unwrap().unwrap();
}

fn log(broker: &MemoryBroker, key: &str, count: Option<i64>) {
    let value = count.map(i64::to_be_bytes);
    let record = OutgoingRecord {
        partition: TASK,
        key: Some(key.as_bytes()),
        value: value.as_ref().map(|value| &value[..]),
        timestamp: Some(1000),
        headers: &Headers::new(),
    };
    broker.produce(CHANGELOG, record).unwrap();
}

/// Keys of a partition of the input.
fn keys(partition: i32) -> impl Iterator<Item = String> {
    let long = "long-key-".repeat(10);
    (0..)
        .map(move |number| format!("{long}{number}"))
        .filter(move |key| partition_for_key(key.as_bytes(), PARTITIONS) == partition)
}

fn rows() -> usize {
    usize::try_from(ROWS).unwrap()
}

/// A broker on which one task has much to restore: each key was counted seven times.
fn with_rows() -> MemoryBroker {
    let broker = broker();
    create_changelog(&broker, &[("cleanup.policy", "compact")]);
    for key in keys(TASK).take(rows()) {
        log(&broker, &key, Some(7));
    }
    broker
}

/// An instance with a listener, on its way.
fn started(config: StreamsConfig, broker: impl Broker, listener: &Notes) -> KafkaStreams {
    let mut streams = KafkaStreams::new(counting(), config, broker).unwrap();
    streams.set_global_state_restore_listener(listener.clone()).unwrap();
    streams.start().unwrap();
    streams
}

/// Produces one record for so many keys of a partition, and waits until they are committed.
#[track_caller]
fn count_in(broker: &MemoryBroker, partition: i32, records: usize) {
    for key in keys(partition).take(records) {
        produce(broker, &key, "value");
    }
    let all = end(broker, INPUT, partition);
    let is_done = || crate::app::committed(broker, INPUT, partition) == Some(all);
    wait_until(SOON, "commit of a partition", is_done).unwrap();
}

fn health(streams: &KafkaStreams) -> serde_json::Value {
    serde_json::from_str(&page(streams, "/health/ready").1).unwrap()
}

fn metric(streams: &KafkaStreams, series: &str) -> i64 {
    let text = page(streams, "/metrics").1;
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series}")).parse().unwrap()
}

#[test]
fn tasks_run_while_another_of_their_thread_is_restored_and_its_progress_shows() {
    const HALF: u64 = ROWS / 2;
    let (broker, folder, notes) = (with_rows(), tempfile::tempdir().unwrap(), Notes::default());
    let stalling = FaultyBroker::new(broker.clone());
    let faults = Arc::clone(&stalling.faults);
    faults.restorable.limit(HALF);
    let mut streams = started(config(folder.path()), stalling, &notes);
    wait_until(SOON, "half of the rows", || streams.restored_records() == HALF).unwrap();
    for partition in [0, 2, 3] {
        count_in(&broker, partition, 500);
    }
    assert_eq!(streams.state(), State::Rebalancing);
    let series = format!("{{store=\"counts\",task=\"0_{TASK}\"}}");
    let shown = || streams.restore_progress().first().map(|progress| progress.restored_records);
    wait_until(SOON, "progress", || shown() == Some(HALF)).unwrap();
    let ready = health(&streams);
    assert_eq!((&ready["healthy"], &ready["states"]["0_1"]), (&false.into(), &"restoring".into()));
    let restoring = &ready["restoring"][0];
    assert_eq!(restoring["store"], "counts");
    assert_eq!(restoring["partition"], format!("{CHANGELOG}-{TASK}"));
    assert_eq!(
        (&restoring["restored_records"], &restoring["remaining_records"]),
        (&HALF.into(), &HALF.into())
    );
    let half = i64::try_from(HALF).unwrap();
    assert_eq!(metric(&streams, &format!("kstream_restore_records_total{series}")), half);
    assert_eq!(metric(&streams, &format!("kstream_restore_remaining_records{series}")), half);
    assert_eq!(metric(&streams, "kstream_client_restoring_stores"), 1);
    assert_eq!(metric(&streams, "kstream_client_restore_remaining_records"), half);
    let log = format!("{CHANGELOG}-{TASK} counts");
    assert_eq!(notes.told(), [format!("start {log} 0..{ROWS}")]);

    faults.restorable.limit(ROWS);
    wait_for(&streams, State::Running);
    assert_eq!(notes.told(), [format!("start {log} 0..{ROWS}"), format!("end {log} {ROWS}")]);
    assert_eq!((notes.records.load(Ordering::SeqCst), streams.restored_records()), (ROWS, ROWS));
    assert!(streams.restore_progress().is_empty() && health(&streams)["restoring"].is_null());
    for (name, value) in [
        ("records_total", i64::try_from(ROWS).unwrap()),
        ("remaining_records", 0),
        ("rate_records", 0),
        ("eta_seconds", 0),
    ] {
        assert_eq!(metric(&streams, &format!("kstream_restore_{name}{series}")), value, "{name}");
    }
    assert_eq!(
        metric(&streams, "kstream_client_restore_records_total"),
        i64::try_from(ROWS).unwrap()
    );
    assert_eq!(metric(&streams, "kstream_client_restoring_stores"), 0);
    count_in(&broker, TASK, 100);
    streams.close().unwrap();
    assert_eq!(exact_counts(&broker, TASK, 100), [(8, 100)].into());
}

/// How many keys have which count in a partition of the output.
fn exact_counts(broker: &MemoryBroker, partition: i32, keys_in_it: usize) -> BTreeMap<i64, usize> {
    let counts = counts_in(broker, OUTPUT);
    let mut found = BTreeMap::new();
    for key in keys(partition).take(keys_in_it) {
        *found.entry(counts[&key]).or_default() += 1;
    }
    found
}

#[test]
fn a_limit_holds_restoring_up_and_nobody_else() {
    let (broker, folder, notes) = (with_rows(), tempfile::tempdir().unwrap(), Notes::default());
    let slow = config(folder.path()).restore_max_bytes_per_second(1);
    let mut streams = started(slow, broker.clone(), &notes);
    count_in(&broker, 0, 500);
    wait_until(SOON, "the first row", || streams.restored_records() > 0).unwrap();
    assert!(streams.restored_records() < ROWS / 100, "{}", streams.restored_records());
    streams.close().unwrap();
    let first = streams.restored_records();
    let log = format!("{CHANGELOG}-{TASK} counts");
    let expected = [format!("start {log} 0..{ROWS}"), format!("suspended {log} {first}")];
    assert_eq!(notes.told(), expected);

    // A clean stop keeps what there is.
    let mut streams = running(counting(), config(folder.path()), broker);
    assert_eq!(streams.restored_records(), ROWS - first);
    streams.close().unwrap();
}

#[test]
fn a_restore_that_was_killed_goes_on_from_what_is_on_disk() {
    const STEP: u64 = ROWS / 16;
    const THREE_QUARTERS: u64 = ROWS / 4 * 3;
    let (broker, folder) = (with_rows(), tempfile::tempdir().unwrap());
    let stalling = FaultyBroker::new(broker.clone());
    let faults = Arc::clone(&stalling.faults);
    faults.restorable.limit(STEP);
    // Little memory, so that rows are written to disk soon.
    let small = |folder: &Path| config(folder).rocksdb_memory_bytes(1 << 20);
    let mut streams = started(small(folder.path()), stalling, &Notes::default());
    // In steps, so that RocksDB writes several files, however fast rows come.
    for restored in (STEP..=THREE_QUARTERS).step_by(usize::try_from(STEP).unwrap()) {
        let is_stalled = || streams.restored_records() == restored;
        wait_until(SOON, "some of the rows", is_stalled).unwrap();
        if restored < THREE_QUARTERS {
            faults.restorable.limit(STEP);
        }
    }
    // What a kill leaves: rows in memory are not among it.
    let database = |folder: &Path| folder.join(format!("app/0_{TASK}/rocksdb"));
    // A file of rows counts once RocksDB has noted it, which it has when it begins the next one.
    let has_rows = || {
        let files = std::fs::read_dir(database(folder.path())).unwrap();
        let paths = files.map(|file| file.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|e| e == "sst")).count() > 1
    };
    wait_until(SOON, "rows on disk", has_rows).unwrap();
    let killed = tempfile::tempdir().unwrap();
    copy(folder.path(), killed.path());
    streams.close().unwrap();

    let mut streams = running(counting(), small(killed.path()), broker.clone());
    let again = streams.restored_records();
    assert!((ROWS - THREE_QUARTERS..ROWS).contains(&again), "{again} of {ROWS}");
    count_in(&broker, TASK, rows());
    streams.close().unwrap();
    assert_eq!(exact_counts(&broker, TASK, rows()), [(8, rows())].into());
}

/// Writes a count for each of these keys in one transaction, and ends it.
fn log_in_transaction(broker: &MemoryBroker, keys: &[String], count: i64, commit: bool) {
    let transactions =
        Some(TransactionSettings { transactional_id: "test".to_owned(), timeout: SOON });
    let settings =
        ProducerSettings { client_id: "test".to_owned(), track_acks: false, transactions };
    let mut producer = broker.producer(&settings).unwrap();
    producer.init_transactions(SOON).unwrap();
    producer.begin_transaction().unwrap();
    let topic = producer.topic(CHANGELOG).unwrap();
    for key in keys {
        let record = OutgoingRecord {
            partition: TASK,
            key: Some(key.as_bytes()),
            value: Some(&count.to_be_bytes()),
            timestamp: Some(1000),
            headers: &Headers::new(),
        };
        producer.send(topic, record).unwrap();
    }
    producer.flush(SOON).unwrap();
    if commit {
        producer.commit_transaction(SOON).unwrap();
    } else {
        producer.abort_transaction(SOON).unwrap();
    }
}

#[test]
fn a_restore_ends_behind_markers_and_aborted_records_and_does_not_read_them_again() {
    let keys: Vec<String> = keys(TASK).take(10).collect();
    for aborted in [0, 1, 10] {
        let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
        create_changelog(&broker, &[("cleanup.policy", "compact")]);
        log_in_transaction(&broker, &keys, 3, true);
        if aborted > 0 {
            log_in_transaction(&broker, &keys[..aborted], 100, false);
        }
        let visible = broker.records(CHANGELOG, TASK, 0).unwrap();
        assert!(end(&broker, CHANGELOG, TASK) > visible.last().unwrap().offset + 1);
        for (restored, count) in [(10, 4), (0, 5)] {
            let notes = Notes::default();
            let mut streams = started(config(folder.path()), broker.clone(), &notes);
            wait_for(&streams, State::Running);
            assert_eq!(streams.restored_records(), restored);
            let told = notes.told().len();
            assert_eq!(told, if restored > 0 { 2 } else { 0 }, "{:?}", notes.told());
            count_in(&broker, TASK, 10);
            streams.close().unwrap();
            assert_eq!(exact_counts(&broker, TASK, 10), [(count, 10)].into());
        }
    }
}

#[test]
fn tasks_run_while_the_brokers_are_asked_about_another() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let faulty = FaultyBroker::new(broker.clone());
    let held = Arc::clone(&faulty.faults);
    *held.held_end.lock().unwrap() = Some(TopicPartition::new(CHANGELOG, TASK));
    let mut streams = started(config(folder.path()), faulty, &Notes::default());
    for partition in [0, 2, 3] {
        count_in(&broker, partition, 100);
    }
    assert_eq!(streams.state(), State::Rebalancing);
    assert_eq!(health(&streams)["states"]["0_1"], "restoring");
    *held.held_end.lock().unwrap() = None;
    count_in(&broker, TASK, 100);
    wait_for(&streams, State::Running);
    streams.close().unwrap();
}

#[test]
fn a_listener_that_panics_changes_nothing() {
    let (broker, folder) = (with_rows(), tempfile::tempdir().unwrap());
    let mut streams = KafkaStreams::new(counting(), config(folder.path()), broker).unwrap();
    streams.set_global_state_restore_listener(Panicking).unwrap();
    streams.start().unwrap();
    wait_for(&streams, State::Running);
    assert_eq!(streams.restored_records(), ROWS);
    assert!(streams.set_global_state_restore_listener(Panicking).is_err(), "it is too late");
    streams.close().unwrap();
}

#[test]
fn state_that_is_up_to_date_is_no_restore() {
    let (broker, folder, notes) = (broker(), tempfile::tempdir().unwrap(), Notes::default());
    for _ in 0..2 {
        let mut streams = started(config(folder.path()), broker.clone(), &notes);
        produce(&broker, "key", "value");
        wait_until_committed(&broker, INPUT);
        streams.close().unwrap();
    }
    assert_eq!(notes.told(), Vec::<String>::new());
}
