//! What a group may do to its member, and what the member makes of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kstream::broker::GroupEvent::{Assigned, Lost, Revoked};
use kstream::{KStream, KafkaStreams, Materialized, State, StreamsBuilder, Topology};
use kstream_test_support::wait_until;

use crate::app::{
    CHANGELOG, INPUT, OUTPUT, SOON, broker, config, counting, counts_in, counts_of, length,
    produce_bytes, produce_keys, running, tasks, wait_for, wait_until_committed,
};
use crate::faults::{FaultyBroker, GroupOffsets, Script, inputs};

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

/// Starts an instance whose group is scripted.
fn scripted(
    topology: Topology,
    config: kstream::StreamsConfig,
    broker: &FaultyBroker,
) -> KafkaStreams {
    let mut streams = KafkaStreams::new(topology, config, broker.clone()).unwrap();
    streams.start().unwrap();
    streams
}

/// One record of one key in partition 0, so many times.
fn produce_to_first(broker: &FaultyBroker, records: usize) {
    for _ in 0..records {
        produce_bytes(&broker.inner, 0, Some(b"key"), Some(b"value"));
    }
}

#[track_caller]
fn wait_until_first_is_committed(script: &Script, offset: i64) {
    let is_committed = || script.committed_input(0) == Some(offset);
    wait_until(SOON, "commit of partition 0", is_committed).unwrap();
}

#[test]
fn a_kept_task_that_ran_elsewhere_meanwhile_goes_on_with_what_was_done_there() {
    let offsets = GroupOffsets::default();
    let (here, there) = (Script::new(&offsets), Script::new(&offsets));
    let broker_here = FaultyBroker::with_script(broker(), &here);
    let broker_there = FaultyBroker::with_script(broker_here.inner.clone(), &there);
    let folders = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());

    let mut first = scripted(counting(), config(folders.0.path()), &broker_here);
    here.say(Assigned(inputs(&[0])));
    produce_to_first(&broker_here, 10);
    wait_until_first_is_committed(&here, 10);
    here.say(Revoked(inputs(&[0])));

    let mut second = scripted(counting(), config(folders.1.path()), &broker_there);
    there.say(Assigned(inputs(&[0])));
    produce_to_first(&broker_here, 10);
    wait_until_first_is_committed(&there, 20);
    second.close().unwrap();

    here.say(Assigned(inputs(&[0])));
    produce_to_first(&broker_here, 10);
    wait_until_first_is_committed(&here, 30);
    first.close().unwrap();
    assert_eq!(counts_in(&broker_here.inner, OUTPUT).get("key"), Some(&30));
    assert!(first.restored_records() > 0);
}

#[test]
fn a_kept_task_goes_on_without_replaying_when_nobody_else_had_it() {
    let script = Script::new(&GroupOffsets::default());
    let (broker, folder) =
        (FaultyBroker::with_script(broker(), &script), tempfile::tempdir().unwrap());
    let mut streams = scripted(counting(), config(folder.path()), &broker);
    for round in 1..5 {
        script.say(Assigned(inputs(&[0, 1, 2, 3])));
        produce_to_first(&broker, 10);
        wait_until_first_is_committed(&script, round * 10);
        script.say(Revoked(inputs(&[0, 1, 2, 3])));
    }
    streams.close().unwrap();
    assert_eq!(counts_in(&broker.inner, OUTPUT).get("key"), Some(&40));
    assert_eq!(streams.restored_records(), 0);
}

#[test]
fn tasks_move_between_the_threads_of_a_process() {
    let script = Script::new(&GroupOffsets::default());
    let (broker, folder) =
        (FaultyBroker::with_script(broker(), &script), tempfile::tempdir().unwrap());
    let two = config(folder.path()).num_stream_threads(2);
    let mut streams = scripted(counting(), two, &broker);
    let mut total = 0;
    // Each leaves one thread with both tasks that stay, of which one has to move.
    for partitions in [&[0, 1, 2, 3][..], &[0, 2], &[0, 1, 2, 3], &[1, 3], &[0, 1]] {
        script.say(Assigned(inputs(partitions)));
        wait_until(SOON, "tasks", || tasks(&streams).len() == partitions.len()).unwrap();
        wait_for(&streams, State::Running);
        if partitions.contains(&0) {
            produce_to_first(&broker, 10);
            total += 10;
            wait_until_first_is_committed(&script, total);
        }
        script.say(Revoked(inputs(partitions)));
    }
    streams.close().unwrap();
    assert_eq!(counts_in(&broker.inner, OUTPUT).get("key"), Some(&total));
}

#[test]
fn what_a_lost_member_has_not_committed_is_dropped_and_done_again() {
    let script = Script::new(&GroupOffsets::default());
    let (broker, folder) =
        (FaultyBroker::with_script(broker(), &script), tempfile::tempdir().unwrap());
    let never = config(folder.path()).commit_interval(Duration::from_hours(1));
    let seen = Arc::new(Mutex::new(0));
    let mut streams = scripted(counting_and(&seen), never, &broker);
    script.say(Assigned(inputs(&[0])));
    produce_to_first(&broker, 10);
    wait_until(SOON, "ten records", || *seen.lock().unwrap() == 10).unwrap();
    script.say(Lost(inputs(&[0])));
    assert_eq!(script.committed_input(0), None);
    assert_eq!(length(&broker.inner, CHANGELOG), 0);
    script.say(Assigned(inputs(&[0])));
    wait_until(SOON, "ten records again", || *seen.lock().unwrap() == 20).unwrap();
    streams.close().unwrap();
    assert_eq!(script.committed_input(0), Some(10));
    assert_eq!(counts_in(&broker.inner, OUTPUT).get("key"), Some(&10));
}

/// [`counting`], with a look at each record.
fn counting_and(seen: &Arc<Mutex<u32>>) -> Topology {
    let seen = Arc::clone(seen);
    watched(move || *seen.lock().unwrap() += 1)
}

fn watched(look: impl Fn() + Send + Sync + 'static) -> Topology {
    let builder = StreamsBuilder::new();
    let records: KStream<String, String> = builder.stream(INPUT);
    let counts = Materialized::named("counts");
    records
        .peek(move |_, _| look())
        .group_by_key()
        .count_with("count", counts)
        .to_stream()
        .to(OUTPUT);
    builder.build().unwrap()
}

#[test]
fn a_thread_that_was_busy_while_the_group_moved_on_commits_nothing() {
    let script = Script::new(&GroupOffsets::default());
    let (broker, folder) =
        (FaultyBroker::with_script(broker(), &script), tempfile::tempdir().unwrap());
    let (busy, entered) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
    let topology = {
        let (busy, entered) = (Arc::clone(&busy), Arc::clone(&entered));
        watched(move || {
            entered.store(true, Ordering::SeqCst);
            wait_until(SOON, "end of work", || !busy.load(Ordering::SeqCst)).unwrap();
        })
    };
    let impatient = config(folder.path())
        .session_timeout(Duration::from_millis(150))
        .max_poll_interval(Duration::from_millis(150));
    let mut streams = scripted(topology, impatient, &broker);
    script.say(Assigned(inputs(&[0])));
    produce_to_first(&broker, 1);
    wait_until(SOON, "work", || entered.load(Ordering::SeqCst)).unwrap();
    // Answered when the patience is at its end, although the thread is busy.
    script.say(Revoked(inputs(&[0])));
    script.say(Assigned(Vec::new()));
    busy.store(false, Ordering::SeqCst);
    // Answered when the thread is through with all of the above.
    script.say(Revoked(Vec::new()));
    assert_eq!(script.committed_input(0), None);
    assert_eq!(length(&broker.inner, CHANGELOG), 0);
    script.say(Assigned(inputs(&[0])));
    wait_until_first_is_committed(&script, 1);
    streams.close().unwrap();
    assert_eq!(counts_in(&broker.inner, OUTPUT).get("key"), Some(&1));
}
