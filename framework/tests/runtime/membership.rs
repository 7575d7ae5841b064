//! What a group may do to its member, and what the member makes of it.

use std::sync::atomic::Ordering;

use kstream_test_support::wait_until;

use crate::app::{
    CHANGELOG, INPUT, OUTPUT, SOON, broker, config, counting, counts_in, counts_of, produce_keys,
    running, tasks, wait_until_committed,
};
use crate::faults::FaultyBroker;

const KEYS: usize = 100;

#[test]
fn tasks_come_back_when_a_commit_is_refused_and_the_group_does_not_rebalance() {
    let (broker, folder) = (FaultyBroker::new(broker()), tempfile::tempdir().unwrap());
    let mut streams = running(counting(), config(folder.path()), broker.clone());
    broker.faults.refused_commits.store(1, Ordering::SeqCst);
    produce_keys(&broker.inner, 0..KEYS);
    wait_until_committed(&broker.inner, INPUT);
    wait_until(SOON, "all tasks", || tasks(&streams).len() == 4).unwrap();
    assert_eq!(broker.faults.refused_commits.load(Ordering::SeqCst), 0);
    streams.close().unwrap();
    // Rows were written before the refusal: counted once or twice, and none lost.
    let counts = counts_in(&broker.inner, OUTPUT);
    assert_eq!(counts.len(), KEYS);
    assert!(counts.values().all(|count| (1..=2).contains(count)), "{counts:?}");
}

#[test]
fn a_commit_without_an_answer_is_tried_again_and_counts_nothing_twice() {
    let (broker, folder) = (FaultyBroker::new(broker()), tempfile::tempdir().unwrap());
    let mut streams = running(counting(), config(folder.path()), broker.clone());
    for round in 1..4 {
        broker.faults.unanswered_commits.store(3, Ordering::SeqCst);
        produce_keys(&broker.inner, 0..KEYS);
        wait_until_committed(&broker.inner, INPUT);
        assert_eq!(counts_in(&broker.inner, OUTPUT), counts_of(0..KEYS, round));
    }
    streams.close().unwrap();
    assert_eq!(counts_in(&broker.inner, CHANGELOG), counts_of(0..KEYS, 3));
}

#[test]
fn no_task_is_forgotten_when_the_broker_does_not_answer_while_they_start() {
    let (broker, folder) = (FaultyBroker::new(broker()), tempfile::tempdir().unwrap());
    produce_keys(&broker.inner, 0..KEYS);
    broker.faults.unanswered_ends.store(7, Ordering::SeqCst);
    let mut streams = running(counting(), config(folder.path()), broker.clone());
    assert_eq!(tasks(&streams).len(), 4);
    wait_until_committed(&broker.inner, INPUT);
    streams.close().unwrap();
    assert_eq!(counts_in(&broker.inner, OUTPUT), counts_of(0..KEYS, 1));
}
