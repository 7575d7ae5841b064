//! A crash at every step of a commit, and what is found afterwards.

mod buffered;
mod exactly_once;
mod world;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use self::world::{
    COMMITTED, Instance, KEYS, LazyProducer, Limit, OUTPUT, PROCESSED, RECORDS, STORES, State,
    Unsent, World, key_of,
};
use super::{CommitStep, flush};
use crate::broker::{
    Broker, BrokerError, BrokerErrorKind, OutgoingRecord, Producer, ProducerSettings, TopicHandle,
};
use crate::error::ErrorKind;
use crate::processor::collector::SharedProducer;
use crate::record::Headers;

const STEPS: [CommitStep; 5] = [
    CommitStep::CachesFlushed,
    CommitStep::ChangelogsSent,
    CommitStep::Acknowledged,
    CommitStep::StoresWritten,
    CommitStep::OffsetsCommitted,
];

/// The first topic that a task looks up.
const OUTPUT_HANDLE: TopicHandle = TopicHandle(0);

/// How many of these records each key has.
fn counts(records: std::ops::Range<usize>) -> State {
    let mut counts = State::new();
    for record in records {
        *counts.entry(key_of(record).into_bytes()).or_default() += 1;
    }
    counts
}

/// Counts of all records, with those of `again` twice.
fn counts_with(again: std::ops::Range<usize>) -> State {
    let mut counts_twice = counts(0..RECORDS);
    for (key, count) in counts(again) {
        *counts_twice.get_mut(&key).unwrap() += count;
    }
    counts_twice
}

/// The changelog has nothing of the commit: as if it had never begun.
const NOTHING: std::ops::Range<usize> = 0..0;
/// The changelog has all of the commit, but its input is processed again.
const AGAIN: std::ops::Range<usize> = COMMITTED..PROCESSED;

/// Crashes, recovers, goes on, and compares with the counts expected.
fn check(step: CommitStep, delivered: usize, on_disk: [bool; 2], again: std::ops::Range<usize>) {
    let mut world = World::new();
    let instance = world.stopped_at(step, ErrorKind::Fatal);
    let left = instance.crash(&world, delivered, &on_disk);
    let mut instance = world.recover(&left);
    world.finish(&mut instance);
    let expected = counts_with(again);
    let case = format!("{step:?}, {delivered} delivered, on disk {on_disk:?}");
    assert_eq!(instance.state("counts"), expected, "{case}");
    assert_eq!(world.logged(STORES[0].1, i64::MAX), expected, "{case}");
    assert_eq!(world.outputs(), expected, "{case}");
    let total = |state: State| state.values().sum::<i64>();
    assert_eq!(total(instance.state("windows")), total(expected), "{case}");
}

const ON_DISK: [[bool; 2]; 4] = [[false, false], [true, false], [false, true], [true, true]];

#[test]
fn a_crash_before_anything_is_acknowledged_repeats_nothing_in_the_state() {
    for step in [CommitStep::CachesFlushed, CommitStep::ChangelogsSent] {
        for on_disk in ON_DISK {
            check(step, 0, on_disk, NOTHING);
        }
    }
}

#[test]
fn a_crash_behind_the_flushed_caches_has_at_most_given_out_results_early() {
    check(CommitStep::CachesFlushed, usize::MAX, [false, false], NOTHING);
}

#[test]
fn a_crash_with_the_changelogs_under_way_loses_nothing_wherever_they_are_cut() {
    let under_way = {
        let mut world = World::new();
        let instance = world.stopped_at(CommitStep::ChangelogsSent, ErrorKind::Fatal);
        let unsent = instance.unsent.lock().unwrap();
        unsent.len()
    };
    let (truth, at_most) = (counts_with(NOTHING), counts_with(AGAIN));
    for delivered in 0..=under_way {
        let mut world = World::new();
        let instance = world.stopped_at(CommitStep::ChangelogsSent, ErrorKind::Fatal);
        let left = instance.crash(&world, delivered, &[false, false]);
        let mut instance = world.recover(&left);
        world.finish(&mut instance);
        // Each key is as if its row had been committed or not.
        for (key, count) in instance.state("counts") {
            assert!(count == truth[&key] || count == at_most[&key], "{delivered}: {key:?} {count}");
        }
        assert_eq!(world.outputs(), instance.state("counts"), "{delivered}");
    }
    check(CommitStep::ChangelogsSent, usize::MAX, [false, false], AGAIN);
}

#[test]
fn a_crash_between_acknowledgement_and_offsets_repeats_the_input_of_one_commit() {
    for step in [CommitStep::Acknowledged, CommitStep::StoresWritten] {
        for on_disk in ON_DISK {
            check(step, usize::MAX, on_disk, AGAIN);
        }
    }
}

#[test]
fn a_crash_behind_the_offsets_repeats_nothing() {
    for on_disk in ON_DISK {
        check(CommitStep::OffsetsCommitted, usize::MAX, on_disk, NOTHING);
    }
}

#[test]
fn a_commit_tried_again_by_the_same_task_repeats_nothing() {
    for step in STEPS {
        let mut world = World::new();
        let mut instance = world.stopped_at(step, ErrorKind::Retriable);
        assert!(instance.task.needs_commit(), "{step:?}");
        world.commit(&mut instance, &mut |_| Ok(())).unwrap();
        assert!(!instance.task.needs_commit(), "{step:?}");
        assert_eq!(world.committed, Some(i64::try_from(PROCESSED).unwrap()), "{step:?}");
        world.finish(&mut instance);
        assert_eq!(instance.state("counts"), counts(0..RECORDS), "{step:?}");
        assert_eq!(world.logged(STORES[0].1, i64::MAX), counts(0..RECORDS), "{step:?}");
        assert_eq!(world.outputs(), counts(0..RECORDS), "{step:?}");
    }
}

#[test]
fn records_processed_between_two_tries_of_a_commit_are_committed_by_the_second() {
    for step in STEPS {
        let mut world = World::new();
        let mut instance = world.stopped_at(step, ErrorKind::Retriable);
        instance.process(RECORDS - PROCESSED);
        world.commit(&mut instance, &mut |_| Ok(())).unwrap();
        assert_eq!(world.committed, Some(i64::try_from(RECORDS).unwrap()), "{step:?}");
        assert_eq!(instance.state("counts"), counts(0..RECORDS), "{step:?}");
        let left = instance.crash(&world, 0, &[false, false]);
        let recovered = world.recover(&left);
        assert_eq!(recovered.state("counts"), counts(0..RECORDS), "{step:?}");
    }
}

#[test]
fn rows_that_were_given_up_on_their_way_are_sent_again() {
    let rows_under_way = |instance: &Instance| {
        let unsent = instance.unsent.lock().unwrap();
        unsent.iter().filter(|sent| sent.topic != OUTPUT_HANDLE).count()
    };
    let all = {
        let instance = World::new().stopped_at(CommitStep::ChangelogsSent, ErrorKind::Retriable);
        rows_under_way(&instance)
    };
    assert!(all > KEYS, "rows of both stores");
    for arrived in 0..=all {
        let mut world = World::new();
        let mut instance = world.stopped_at(CommitStep::ChangelogsSent, ErrorKind::Retriable);
        let mut rows = 0;
        instance.unsent.lock().unwrap().retain(|sent| {
            let is_row = sent.topic != OUTPUT_HANDLE;
            rows += usize::from(is_row);
            !is_row || rows <= arrived
        });
        // Some rows change before they are sent again.
        instance.process(RECORDS - PROCESSED);
        world.commit(&mut instance, &mut |_| Ok(())).unwrap();
        assert_eq!(rows_under_way(&instance), 0);
        let left = instance.crash(&world, 0, &[false, false]);
        let recovered = world.recover(&left);
        assert_eq!(recovered.state("counts"), counts(0..RECORDS), "{arrived}");
        assert_eq!(world.outputs(), counts(0..RECORDS), "{arrived}");
        let total = |state: State| state.values().sum::<i64>();
        assert_eq!(total(recovered.state("windows")), total(counts(0..RECORDS)), "{arrived}");
    }
}

#[test]
fn a_flush_that_times_out_is_waited_for() {
    #[derive(Debug)]
    struct Slow(LazyProducer, u32);
    impl Producer for Slow {
        fn topic(&mut self, name: &str) -> Result<TopicHandle, BrokerError> {
            self.0.topic(name)
        }
        fn partition_count(&self, topic: TopicHandle) -> i32 {
            self.0.partition_count(topic)
        }
        fn send(
            &mut self,
            topic: TopicHandle,
            record: OutgoingRecord<'_>,
        ) -> Result<(), BrokerError> {
            self.0.send(topic, record)
        }
        fn poll(&mut self) -> Result<(), BrokerError> {
            self.0.poll()
        }
        fn flush(&mut self, timeout: Duration) -> Result<(), BrokerError> {
            self.1 += 1;
            if self.1 < 3 {
                return Err(BrokerError::new(BrokerErrorKind::Retriable, "not yet"));
            }
            self.0.flush(timeout)
        }
        fn last_acked(&self, topic: TopicHandle, partition: i32) -> Option<i64> {
            self.0.last_acked(topic, partition)
        }
    }
    let world = World::new();
    let settings =
        ProducerSettings { client_id: "test".to_owned(), track_acks: true, transactions: None };
    let inner = world.broker.producer(&settings).unwrap();
    let limit = Limit::new(usize::MAX.into());
    let lazy = LazyProducer { inner, unsent: Unsent::default(), limit };
    let producer: SharedProducer = Rc::new(RefCell::new(Box::new(Slow(lazy, 0))));
    let topic = producer.borrow_mut().topic(OUTPUT).unwrap();
    let record = OutgoingRecord {
        partition: 0,
        key: None,
        value: None,
        timestamp: None,
        headers: &Headers::new(),
    };
    producer.borrow_mut().send(topic, record).unwrap();
    flush(&producer, &|| ()).unwrap();
    assert_eq!(world.broker.records(OUTPUT, 0, 0).unwrap().len(), 1);
}
