//! Exactly once: whatever happens to transactions and processes, every record counts once.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use kstream::broker::memory::MemoryBroker;
use kstream::broker::{
    Broker, BrokerErrorKind, OutgoingRecord, ProducerSettings, TransactionSettings,
    partition_for_key,
};
use kstream::{Headers, ProcessingGuarantee, StoreType, StreamsConfig, TopicPartition};
use kstream_test_support::wait_until;

use crate::app::{
    CHANGELOG, INPUT, OUTPUT, PARTITIONS, SOON, broker, committed, config, counting,
    counting_by_value, counting_by_value_in, counts_in, counts_of, end, produce, produce_keys,
    produce_to, running, tasks, wait_until_committed,
};
use crate::faults::{Faults, FaultyBroker};

const KEYS: usize = 40;

/// Every count goes downstream.
fn exactly_once(folder: &Path) -> StreamsConfig {
    config(folder)
        .processing_guarantee(ProcessingGuarantee::ExactlyOnceV2)
        .statestore_cache_max_bytes(0)
}

/// The counts that readers of committed records have seen of each key, in order.
fn history(broker: &MemoryBroker) -> BTreeMap<String, Vec<i64>> {
    let mut history: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for partition in 0..PARTITIONS {
        for record in broker.records(OUTPUT, partition, 0).unwrap() {
            let key = String::from_utf8(record.key.unwrap()).unwrap();
            let count = i64::from_be_bytes(record.value.unwrap().try_into().unwrap());
            history.entry(key).or_default().push(count);
        }
    }
    history
}

/// What that has to be when each key has come so many times.
fn exact(keys: usize, times: i64) -> BTreeMap<String, Vec<i64>> {
    (0..keys).map(|key| (format!("key-{key}"), (1..=times).collect())).collect()
}

/// Waits until the input is committed, and nothing of it is in an open transaction.
#[track_caller]
fn wait_until_through(broker: &MemoryBroker, keys: usize, times: i64) {
    let is_through = || counts_in(broker, OUTPUT) == counts_of(0..keys, times);
    wait_until(SOON, "all counts", is_through).unwrap();
}

#[test]
fn nobody_sees_what_is_not_committed() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    // Nothing is committed by itself: half of the longest transaction is half an hour.
    let never = exactly_once(folder.path())
        .transaction_timeout(Duration::from_hours(1))
        .commit_interval(Duration::from_mins(30));
    let mut streams = running(counting(), never, broker.clone());
    produce_keys(&broker, 0..KEYS);
    let is_written = || {
        (0..PARTITIONS).map(|p| end(&broker, OUTPUT, p)).sum::<i64>()
            == i64::try_from(KEYS).unwrap()
    };
    wait_until(SOON, "output", is_written).unwrap();
    assert_eq!(history(&broker), BTreeMap::new());
    assert_eq!(committed(&broker, INPUT, 0), None);
    streams.close().unwrap();
    assert_eq!(history(&broker), exact(KEYS, 1));
    assert_eq!(counts_in(&broker, CHANGELOG), counts_of(0..KEYS, 1));
    wait_until_committed(&broker, INPUT);
}

/// Counts while one kind of fault strikes again and again, with counts on disk and in memory.
fn counts_through(fault: impl Fn(&Faults) -> &AtomicU32) {
    for store_type in [StoreType::Persistent, StoreType::InMemory] {
        counts_in_through(store_type, &fault);
    }
}

fn counts_in_through(store_type: StoreType, fault: impl Fn(&Faults) -> &AtomicU32) {
    const ROUNDS: i64 = 6;
    let (broker, folder) = (FaultyBroker::new(broker()), tempfile::tempdir().unwrap());
    let config = exactly_once(folder.path()).num_stream_threads(2);
    let mut streams = running(counting_by_value_in(store_type), config, broker.clone());
    for round in 1..=ROUNDS {
        fault(&broker.faults).store(2, Ordering::SeqCst);
        for key in 0..KEYS {
            produce(&broker.inner, &format!("from-{key}"), &format!("key-{key}"));
        }
        wait_until_through(&broker.inner, KEYS, round);
    }
    assert_eq!(fault(&broker.faults).load(Ordering::SeqCst), 0);
    assert_eq!(streams.restored_records(), 0, "stores have nothing to replay");
    streams.close().unwrap();
    assert_eq!(history(&broker.inner), exact(KEYS, ROUNDS));
    assert_eq!(counts_in(&broker.inner, CHANGELOG), counts_of(0..KEYS, ROUNDS));
}

#[test]
fn refused_offsets_abort_the_transaction_and_its_work_is_done_again() {
    counts_through(|faults| &faults.refused_transactions);
}

#[test]
fn a_fenced_producer_is_replaced_and_its_work_is_done_again() {
    counts_through(|faults| &faults.fenced_transactions);
}

#[test]
fn a_position_that_a_repartition_topic_does_not_have_is_asked_for_anew() {
    counts_through(|faults| &faults.lost_positions);
}

#[test]
fn records_that_somebody_deletes_from_a_repartition_topic_are_passed_over_and_the_rest_counts_once()
{
    const TOPIC: &str = "app-counts-repartition";
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let mut streams = running(counting_by_value(), exactly_once(folder.path()), broker.clone());
    for key in 0..KEYS {
        produce(&broker, &format!("from-{key}"), &format!("key-{key}"));
    }
    wait_until_through(&broker, KEYS, 1);
    streams.close().unwrap();

    let produce_all = || {
        for key in (0..KEYS).map(|key| format!("key-{key}")) {
            let partition = partition_for_key(key.as_bytes(), PARTITIONS);
            let record = (partition, Some(key.as_bytes()), Some(&b"value"[..]));
            produce_to(&broker, TOPIC, record);
        }
    };
    produce_all();
    for partition in 0..PARTITIONS {
        let keep_from = end(&broker, TOPIC, partition);
        assert!(committed(&broker, TOPIC, partition).unwrap() < keep_from);
        broker.delete_records(&TopicPartition::new(TOPIC, partition), keep_from).unwrap();
    }
    produce_all();
    let mut streams = running(counting_by_value(), exactly_once(folder.path()), broker.clone());
    wait_until_through(&broker, KEYS, 2);
    streams.close().unwrap();
    assert_eq!(history(&broker), exact(KEYS, 2));
}

#[test]
fn calls_without_an_answer_are_made_again() {
    counts_through(|faults| &faults.unanswered_transactions);
}

#[test]
fn a_commit_whose_outcome_nobody_heard_of_counts_once() {
    const ROUNDS: i64 = 6;
    let (broker, folder) = (FaultyBroker::new(broker()), tempfile::tempdir().unwrap());
    let config = exactly_once(folder.path()).num_stream_threads(2);
    let mut streams = running(counting_by_value(), config, broker.clone());
    for round in 1..=ROUNDS {
        broker.faults.unheard_commits.store(2, Ordering::SeqCst);
        for key in 0..KEYS {
            produce(&broker.inner, &format!("from-{key}"), &format!("key-{key}"));
        }
        wait_until_through(&broker.inner, KEYS, round);
    }
    streams.close().unwrap();
    assert_eq!(history(&broker.inner), exact(KEYS, ROUNDS));
    assert_eq!(counts_in(&broker.inner, CHANGELOG), counts_of(0..KEYS, ROUNDS));
}

#[test]
fn a_commit_that_hangs_loses_to_whoever_takes_the_tasks_over() {
    let broker = FaultyBroker::new(broker());
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let impatient = exactly_once(here.path())
        .session_timeout(Duration::from_millis(1500))
        .max_poll_interval(Duration::from_millis(1500))
        .transaction_timeout(Duration::from_hours(1));
    let mut first = running(counting(), impatient, broker.clone());
    produce_keys(&broker.inner, 0..KEYS);
    wait_until_through(&broker.inner, KEYS, 1);
    // From here it has its offsets in the transaction, and has written its records.
    broker.faults.hanging.store(true, Ordering::SeqCst);
    produce_keys(&broker.inner, 0..KEYS);
    let is_waiting = || broker.faults.is_waiting.load(Ordering::SeqCst);
    wait_until(SOON, "a commit", is_waiting).unwrap();
    let mut second = running(counting(), exactly_once(there.path()), broker.inner.clone());
    wait_until(SOON, "all tasks", || tasks(&second).len() == 4).unwrap();
    wait_until_through(&broker.inner, KEYS, 2);
    broker.faults.hanging.store(false, Ordering::SeqCst);
    let is_back = || tasks(&first).len() == 2 && tasks(&second).len() == 2;
    wait_until(SOON, "two tasks each", is_back).unwrap();
    produce_keys(&broker.inner, 0..KEYS);
    wait_until_through(&broker.inner, KEYS, 3);
    first.close().unwrap();
    second.close().unwrap();
    assert_eq!(history(&broker.inner), exact(KEYS, 3));
    assert_eq!(counts_in(&broker.inner, CHANGELOG), counts_of(0..KEYS, 3));
}

#[test]
fn a_restarted_process_ends_what_it_has_left_open() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let config = exactly_once(folder.path()).transaction_timeout(Duration::from_hours(1));
    let mut streams = running(counting(), config.clone(), broker.clone());
    produce_keys(&broker, 0..KEYS);
    wait_until_through(&broker, KEYS, 1);
    streams.close().unwrap();
    // What a kill leaves: an open transaction of the same thread of the same process.
    let process_id = std::fs::read_to_string(folder.path().join("app").join("process-id")).unwrap();
    let mut dead = broker
        .producer(&ProducerSettings {
            client_id: "dead".to_owned(),
            track_acks: false,
            transactions: Some(TransactionSettings {
                transactional_id: format!("app-{}-StreamThread-1", process_id.trim()),
                timeout: Duration::from_hours(1),
            }),
        })
        .unwrap();
    dead.init_transactions(SOON).unwrap();
    dead.begin_transaction().unwrap();
    let topic = dead.topic(CHANGELOG).unwrap();
    let record = OutgoingRecord {
        partition: 0,
        key: Some(b"key-0"),
        value: Some(&99_i64.to_be_bytes()),
        timestamp: Some(1000),
        headers: &Headers::new(),
    };
    dead.send(topic, record).unwrap();
    let mut streams = running(counting(), config, broker.clone());
    produce_keys(&broker, 0..KEYS);
    wait_until_through(&broker, KEYS, 2);
    streams.close().unwrap();
    assert_eq!(history(&broker), exact(KEYS, 2));
    let error = dead.commit_transaction(SOON).unwrap_err();
    assert_eq!(error.kind(), BrokerErrorKind::Fenced);
}

#[test]
fn counts_are_exact_through_clean_rebalances() {
    const ROUNDS: i64 = 30;
    let broker = broker();
    let folders: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let start = |folder: usize| {
        let config = exactly_once(folders[folder].path()).num_stream_threads(2);
        running(counting_by_value(), config, broker.clone())
    };
    let round = |round: i64| {
        for key in 0..KEYS {
            produce(&broker, &format!("from-{round}-{key}"), &format!("key-{key}"));
        }
    };
    let mut first = start(0);
    (0..10).for_each(round);
    let mut second = start(1);
    (10..20).for_each(round);
    first.close().unwrap();
    let mut third = start(2);
    (20..ROUNDS).for_each(round);
    second.close().unwrap();
    wait_until(SOON, "all tasks", || tasks(&third).len() == 2 * 4).unwrap();
    wait_until_through(&broker, KEYS, ROUNDS);
    third.close().unwrap();
    assert_eq!(history(&broker), exact(KEYS, ROUNDS));
}
