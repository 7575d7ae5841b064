//! What an instance finds when it comes back, and what it replays.

use std::sync::atomic::Ordering;

use kstream::TopicPartition;
use kstream_test_support::wait_until;

use crate::app::{
    CHANGELOG, INPUT, OUTPUT, PARTITIONS, SOON, broker, committed, config, copy, counting,
    counts_in, counts_of, end, length, produce_keys, running, tasks, wait_until_committed,
};
use crate::faults::FaultyBroker;

const FIRST: usize = 300;
const ALL: usize = 450;

#[test]
fn clean_stop_and_restart_replay_nothing() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    produce_keys(&broker, 0..FIRST);
    let mut streams = running(counting(), config(folder.path()), broker.clone());
    wait_until_committed(&broker, INPUT);
    streams.close().unwrap();
    assert_eq!(length(&broker, CHANGELOG), FIRST as u64);

    let mut streams = running(counting(), config(folder.path()), broker.clone());
    assert_eq!(streams.restored_records(), 0);
    produce_keys(&broker, 0..FIRST);
    wait_until_committed(&broker, INPUT);
    streams.close().unwrap();
    assert_eq!(streams.restored_records(), 0);
    assert_eq!(counts_in(&broker, OUTPUT), counts_of(0..FIRST, 2));
    assert_eq!(counts_in(&broker, CHANGELOG), counts_of(0..FIRST, 2));
}

#[test]
fn what_is_in_hand_at_the_stop_is_committed() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let never = config(folder.path()).commit_interval(std::time::Duration::from_hours(1));
    let mut streams = running(counting(), never, broker.clone());
    produce_keys(&broker, 0..FIRST);
    let processed = || {
        let metrics = streams.metrics().text().unwrap();
        let lines =
            metrics.lines().filter(|line| line.starts_with("kstream_task_process_records_total{"));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>()
    };
    let all = u32::try_from(FIRST).unwrap();
    wait_until(SOON, "all records", || processed() >= f64::from(all)).unwrap();
    assert_eq!(length(&broker, OUTPUT), 0, "the record cache holds all back");
    streams.close().unwrap();
    wait_until_committed(&broker, INPUT);
    assert_eq!(counts_in(&broker, OUTPUT), counts_of(0..FIRST, 1));
}

#[test]
fn an_instance_that_died_replays_only_the_tail() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    produce_keys(&broker, 0..FIRST);
    let mut streams = running(counting(), config(folder.path()), broker.clone());
    wait_until_committed(&broker, INPUT);
    streams.close().unwrap();

    let mut streams = running(counting(), config(folder.path()), broker.clone());
    produce_keys(&broker, FIRST..ALL);
    wait_until_committed(&broker, INPUT);
    // What a kill would leave: rows of the second run are in memory only.
    let left = tempfile::tempdir().unwrap();
    copy(folder.path(), left.path());
    streams.close().unwrap();

    let mut streams = running(counting(), config(left.path()), broker.clone());
    assert_eq!(length(&broker, CHANGELOG), ALL as u64);
    assert_eq!(streams.restored_records(), (ALL - FIRST) as u64);
    produce_keys(&broker, 0..ALL);
    wait_until_committed(&broker, INPUT);
    streams.close().unwrap();
    assert_eq!(counts_in(&broker, OUTPUT), counts_of(0..ALL, 2));
}

#[test]
fn a_lost_state_folder_is_restored_whole() {
    let broker = broker();
    produce_keys(&broker, 0..FIRST);
    for run in 1..4 {
        let folder = tempfile::tempdir().unwrap();
        let mut streams = running(counting(), config(folder.path()), broker.clone());
        let expected = length(&broker, CHANGELOG);
        // The process before keeps its tasks for a moment: it might come back.
        wait_until(SOON, "all tasks", || tasks(&streams).len() == 4).unwrap();
        if run > 1 {
            assert_eq!(streams.restored_records(), expected);
            produce_keys(&broker, 0..FIRST);
        }
        wait_until_committed(&broker, INPUT);
        streams.close().unwrap();
        assert_eq!(counts_in(&broker, OUTPUT), counts_of(0..FIRST, run));
    }
}

#[test]
fn damaged_state_is_deleted_and_restored() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    produce_keys(&broker, 0..FIRST);
    let mut streams = running(counting(), config(folder.path()), broker.clone());
    wait_until_committed(&broker, INPUT);
    streams.close().unwrap();
    for task in 0..PARTITIONS {
        let current = format!("app/0_{task}/rocksdb/CURRENT");
        std::fs::write(folder.path().join(current), "nonsense").unwrap();
    }
    let mut streams = running(counting(), config(folder.path()), broker);
    assert_eq!(streams.restored_records(), FIRST as u64);
    streams.close().unwrap();
}

#[test]
fn a_position_that_retention_has_taken_is_reset_as_the_topology_says() {
    const DELETED: usize = 30;
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    produce_keys(&broker, 0..FIRST);
    let mut streams = running(counting(), config(folder.path()), broker.clone());
    wait_until_committed(&broker, INPUT);
    streams.close().unwrap();

    // Records come while nobody reads, and the log forgets the first of them in each partition.
    produce_keys(&broker, 0..FIRST);
    let mut forgotten = 0;
    for partition in 0..PARTITIONS {
        let place = TopicPartition::new(INPUT, partition);
        let read_to = committed(&broker, INPUT, partition).unwrap();
        let keep_from =
            end(&broker, INPUT, partition).min(read_to + i64::try_from(DELETED).unwrap());
        broker.delete_records(&place, keep_from).unwrap();
        forgotten += keep_from - read_to;
    }
    let faulty = FaultyBroker::new(broker.clone());
    faulty.faults.unanswered_seeks.store(3, Ordering::SeqCst);
    let mut streams = running(counting(), config(folder.path()), faulty.clone());
    wait_until_committed(&broker, INPUT);
    streams.close().unwrap();
    assert_eq!(faulty.faults.unanswered_seeks.load(Ordering::SeqCst), 0);
    let counted: i64 = counts_in(&broker, OUTPUT).values().sum();
    let all = i64::try_from(2 * FIRST).unwrap();
    assert!(forgotten > 0);
    assert_eq!(counted, all - forgotten);
}
