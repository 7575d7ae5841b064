//! What a membership may tell a process, and what its threads make of it: real threads and stores on the
//! in-process broker, and a membership that says what the test makes it say.

mod calls;
mod expired;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use kstream_test_support::wait_until;

use crate::broker::memory::MemoryBroker;
use crate::broker::{CommittedOffset, GroupMetadata, OutgoingRecord, partition_for_key};
use crate::config::StreamsConfig;
use crate::dsl::{KStream, Materialized, StreamsBuilder};
use crate::error::{Error, ErrorKind};
use crate::http::StatusSource;
use crate::ids::{TaskId, TopicPartition};
use crate::record::Headers;
use crate::runtime::commit::Offsets;
use crate::runtime::membership::{Assignment, MemberReport, Membership, MembershipEvent};
use crate::runtime::{KafkaStreams, State};
use crate::time::{Clock, ManualClock, SystemClock};
use crate::topology::Topology;

const INPUT: &str = "in";
const OUTPUT: &str = "out";
const CHANGELOG: &str = "app-counts-changelog";
const PARTITIONS: i32 = 4;
const SOON: Duration = Duration::from_mins(1);

/// The group's offsets, which outlive its members.
type GroupOffsets = Arc<Mutex<BTreeMap<TopicPartition, CommittedOffset>>>;

#[derive(Debug, Default)]
struct Script {
    events: Mutex<VecDeque<MembershipEvent>>,
    more: Condvar,
    released: Mutex<BTreeSet<TaskId>>,
    rejoined: AtomicU32,
    polls: AtomicU32,
    commits: AtomicU32,
    /// Commits are refused until the process joins again.
    expelled: AtomicBool,
    /// So much time passes in each commit, on this clock.
    slow_commits: Mutex<Option<(Arc<ManualClock>, Duration)>>,
    offsets: GroupOffsets,
}

impl Script {
    fn new(offsets: &GroupOffsets) -> Arc<Self> {
        Arc::new(Self { offsets: Arc::clone(offsets), ..Self::default() })
    }

    fn say(&self, event: MembershipEvent) {
        self.events.lock().unwrap().push_back(event);
        self.more.notify_all();
    }

    fn assign(&self, partitions: &[i32]) {
        let active = tasks(partitions);
        self.say(MembershipEvent::Assigned(Assignment { active, ..Assignment::default() }));
    }

    /// Takes tasks away, and waits until they are released.
    #[track_caller]
    fn revoke(&self, partitions: &[i32]) {
        self.released.lock().unwrap().clear();
        self.say(MembershipEvent::Revoked(tasks(partitions)));
        let is_released = || *self.released.lock().unwrap() == tasks(partitions);
        wait_until(SOON, "release of tasks", is_released).unwrap();
    }

    /// Tells the process that all is lost, and waits until it has given its tasks up; its threads may still have some.
    #[track_caller]
    fn lose_and_go_on(&self) {
        self.say(MembershipEvent::Lost);
        let is_read = || self.events.lock().unwrap().is_empty();
        wait_until(SOON, "the loss", is_read).unwrap();
        let polls = self.polls.load(Ordering::SeqCst);
        let is_done = || self.polls.load(Ordering::SeqCst) > polls;
        wait_until(SOON, "the next question", is_done).unwrap();
    }

    #[track_caller]
    fn lose(&self) {
        let before = self.rejoined.load(Ordering::SeqCst);
        self.say(MembershipEvent::Lost);
        let is_back = || self.rejoined.load(Ordering::SeqCst) > before;
        wait_until(SOON, "the process's return", is_back).unwrap();
    }

    /// The committed offset of a partition of the input.
    fn committed_input(&self, partition: i32) -> Option<i64> {
        let offsets = self.offsets.lock().unwrap();
        Some(offsets.get(&TopicPartition::new(INPUT, partition))?.offset)
    }

    #[track_caller]
    fn wait_until_committed(&self, offset: i64) {
        let is_committed = || self.committed_input(0) == Some(offset);
        wait_until(SOON, "commit of partition 0", is_committed).unwrap();
    }
}

impl Membership for Script {
    fn poll(&self, timeout: Duration) -> Result<Option<MembershipEvent>, Error> {
        self.polls.fetch_add(1, Ordering::SeqCst);
        let events = self.events.lock().unwrap();
        let (mut events, _) =
            self.more.wait_timeout_while(events, timeout, |events| events.is_empty()).unwrap();
        Ok(events.pop_front())
    }
    fn release(&self, tasks: &BTreeSet<TaskId>) -> Result<(), Error> {
        self.released.lock().unwrap().extend(tasks);
        Ok(())
    }
    fn rejoin(&self) -> Result<(), Error> {
        self.expelled.store(false, Ordering::SeqCst);
        self.rejoined.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
    fn report(&self, _report: &MemberReport) -> Result<(), Error> {
        Ok(())
    }
    fn shut_down_application(&self) -> Result<(), Error> {
        Ok(())
    }
    fn metadata(&self) -> Option<GroupMetadata> {
        let (group_id, member_id) = ("app".to_owned(), "scripted".to_owned());
        Some(GroupMetadata { group_id, generation: 1, member_id })
    }
    fn commit(&self, offsets: &Offsets) -> Result<(), Error> {
        if self.expelled.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::TaskMigrated, "expelled by the test"));
        }
        self.commits.fetch_add(1, Ordering::SeqCst);
        if let Some((clock, time)) = &*self.slow_commits.lock().unwrap() {
            clock.advance(*time);
        }
        self.offsets.lock().unwrap().extend(offsets.iter().cloned());
        Ok(())
    }
    fn committed(
        &self,
        partitions: &[TopicPartition],
        _timeout: Duration,
    ) -> Result<Vec<Option<CommittedOffset>>, Error> {
        let offsets = self.offsets.lock().unwrap();
        Ok(partitions.iter().map(|partition| offsets.get(partition).cloned()).collect())
    }
    fn leave(&self) -> Result<(), Error> {
        Ok(())
    }
}

fn tasks(partitions: &[i32]) -> BTreeSet<TaskId> {
    partitions.iter().map(|partition| TaskId { subtopology: 0, partition: *partition }).collect()
}

fn broker() -> MemoryBroker {
    let broker = MemoryBroker::new(Arc::new(SystemClock::new()));
    broker.create_topic(INPUT, PARTITIONS).unwrap();
    broker.create_topic(OUTPUT, PARTITIONS).unwrap();
    broker
}

/// Counts by key, and looks at each record.
fn counting(look: impl Fn() + Send + Sync + 'static) -> Topology {
    let builder = StreamsBuilder::new();
    let records: KStream<String, String> = builder.stream(INPUT);
    records
        .peek(move |_, _| look())
        .group_by_key()
        .count_with("count", Materialized::named("counts"))
        .to_stream()
        .to(OUTPUT);
    builder.build().unwrap()
}

fn config(folder: &Path) -> StreamsConfig {
    StreamsConfig::new("app")
        .state_dir(folder)
        .commit_interval(Duration::from_millis(20))
        .rocksdb_memory_bytes(8 << 20)
}

fn start(
    topology: Topology,
    config: StreamsConfig,
    broker: &MemoryBroker,
    script: &Arc<Script>,
) -> KafkaStreams {
    let mut streams = KafkaStreams::new(topology, config, broker.clone()).unwrap();
    streams.start_as(|_| Ok(Arc::clone(script) as Arc<dyn Membership>)).unwrap();
    streams
}

/// One record of one key in partition 0, so many times.
fn produce(broker: &MemoryBroker, records: usize) {
    produce_to(broker, 0, records);
}

fn produce_to(broker: &MemoryBroker, partition: i32, records: usize) {
    for _ in 0..records {
        let record = OutgoingRecord {
            partition,
            key: Some(b"key"),
            value: Some(b"value"),
            timestamp: Some(1000),
            headers: &Headers::new(),
        };
        broker.produce(INPUT, record).unwrap();
    }
}

/// The last count that went downstream.
fn count(broker: &MemoryBroker) -> Option<i64> {
    let partition = partition_for_key(b"key", PARTITIONS);
    let last = broker.records(OUTPUT, partition, 0).unwrap().pop()?;
    Some(i64::from_be_bytes(last.value.unwrap().try_into().unwrap()))
}

#[track_caller]
fn wait_for_running(streams: &KafkaStreams) {
    assert!(streams.wait_for_state(State::Running, SOON));
}

#[test]
fn a_task_that_ran_elsewhere_meanwhile_goes_on_with_what_was_done_there() {
    let offsets = GroupOffsets::default();
    let (here, there) = (Script::new(&offsets), Script::new(&offsets));
    let broker = broker();
    let folders = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());

    let mut first = start(counting(|| ()), config(folders.0.path()), &broker, &here);
    here.assign(&[0]);
    produce(&broker, 10);
    here.wait_until_committed(10);
    here.revoke(&[0]);

    let mut second = start(counting(|| ()), config(folders.1.path()), &broker, &there);
    there.assign(&[0]);
    produce(&broker, 10);
    there.wait_until_committed(20);
    second.close().unwrap();

    here.assign(&[0]);
    produce(&broker, 10);
    here.wait_until_committed(30);
    first.close().unwrap();
    assert_eq!(count(&broker), Some(30));
    assert!(first.restored_records() > 0);
}

#[test]
fn a_task_that_comes_back_replays_nothing_when_nobody_else_had_it() {
    let script = Script::new(&GroupOffsets::default());
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let mut streams = start(counting(|| ()), config(folder.path()), &broker, &script);
    for round in 1..5 {
        script.assign(&[0, 1, 2, 3]);
        produce(&broker, 10);
        script.wait_until_committed(round * 10);
        script.revoke(&[0, 1, 2, 3]);
    }
    streams.close().unwrap();
    assert_eq!(count(&broker), Some(40));
    assert_eq!(streams.restored_records(), 0);
}

#[test]
fn only_the_tasks_that_are_revoked_pause() {
    let script = Script::new(&GroupOffsets::default());
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let busy = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&busy);
    // One thread is held up while it has a record; the other goes on.
    let topology = counting(move || {
        wait_until(SOON, "end of work", || !gate.load(Ordering::SeqCst)).unwrap();
    });
    let two = config(folder.path()).num_stream_threads(2);
    let mut streams = start(topology, two, &broker, &script);
    script.assign(&[0, 1, 2, 3]);
    wait_for_running(&streams);
    busy.store(true, Ordering::SeqCst);
    produce(&broker, 1);
    // Task 0 is on the thread that is held up, task 1 on the other one.
    script.revoke(&[1]);
    assert_eq!(script.committed_input(0), None);
    busy.store(false, Ordering::SeqCst);
    script.wait_until_committed(1);
    script.revoke(&[0, 2, 3]);
    streams.close().unwrap();
}

#[test]
fn tasks_move_between_the_threads_of_a_process() {
    let script = Script::new(&GroupOffsets::default());
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let two = config(folder.path()).num_stream_threads(2);
    let mut streams = start(counting(|| ()), two, &broker, &script);
    let mut total = 0;
    let mut has: &[i32] = &[];
    // Each leaves one thread with both tasks that stay, of which one has to move.
    for partitions in [&[0, 1, 2, 3][..], &[0, 2], &[0, 1, 2, 3], &[1, 3], &[0, 1, 3], &[0, 1]] {
        let gone: Vec<i32> = has.iter().copied().filter(|p| !partitions.contains(p)).collect();
        if !gone.is_empty() {
            script.revoke(&gone);
        }
        script.assign(partitions);
        has = partitions;
        if partitions.contains(&0) {
            produce(&broker, 10);
            total += 10;
            script.wait_until_committed(total);
        }
    }
    streams.close().unwrap();
    assert_eq!(count(&broker), Some(total));
    assert_eq!(streams.restored_records(), 0);
}

#[test]
fn what_a_lost_process_has_not_committed_is_dropped_and_done_again() {
    let script = Script::new(&GroupOffsets::default());
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let never = config(folder.path()).commit_interval(Duration::from_hours(1));
    let seen = Arc::new(AtomicU32::new(0));
    let look = Arc::clone(&seen);
    let topology = counting(move || {
        look.fetch_add(1, Ordering::SeqCst);
    });
    let mut streams = start(topology, never, &broker, &script);
    script.assign(&[0]);
    produce(&broker, 10);
    wait_until(SOON, "ten records", || seen.load(Ordering::SeqCst) == 10).unwrap();
    script.lose();
    assert_eq!(script.committed_input(0), None);
    assert!(broker.records(CHANGELOG, 0, 0).unwrap().is_empty());
    script.assign(&[0]);
    wait_until(SOON, "ten records again", || seen.load(Ordering::SeqCst) == 20).unwrap();
    streams.close().unwrap();
    assert_eq!(script.committed_input(0), Some(10));
    assert_eq!(count(&broker), Some(10));
}

#[test]
fn a_process_asks_for_tasks_only_when_none_of_its_threads_is_at_work_on_old_ones() {
    let script = Script::new(&GroupOffsets::default());
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let (busy, entered) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
    let topology = {
        let (busy, entered) = (Arc::clone(&busy), Arc::clone(&entered));
        counting(move || {
            entered.store(true, Ordering::SeqCst);
            wait_until(SOON, "end of work", || !busy.load(Ordering::SeqCst)).unwrap();
        })
    };
    let mut streams = start(topology, config(folder.path()), &broker, &script);
    script.assign(&[0]);
    produce(&broker, 1);
    wait_until(SOON, "work", || entered.load(Ordering::SeqCst)).unwrap();
    script.say(MembershipEvent::Lost);
    // Read behind the loss, and ignored with it: the process has not asked for anything yet.
    let is_read = || script.events.lock().unwrap().is_empty();
    wait_until(SOON, "the loss", is_read).unwrap();
    assert_eq!(script.rejoined.load(Ordering::SeqCst), 0);
    busy.store(false, Ordering::SeqCst);
    let is_back = || script.rejoined.load(Ordering::SeqCst) == 1;
    wait_until(SOON, "the process's return", is_back).unwrap();
    assert_eq!(script.committed_input(0), None);
    assert!(broker.records(CHANGELOG, 0, 0).unwrap().is_empty());
    script.assign(&[0]);
    script.wait_until_committed(1);
    streams.close().unwrap();
    assert_eq!(count(&broker), Some(1));
}

#[test]
fn tasks_that_are_lost_in_the_middle_of_a_commit_write_nothing_more() {
    let script = Script::new(&GroupOffsets::default());
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let is_first = Arc::new(AtomicBool::new(true));
    // The record cache gives its rows out when the commit has begun.
    let topology = {
        let (script, is_first) = (Arc::clone(&script), Arc::clone(&is_first));
        let builder = StreamsBuilder::new();
        let records: KStream<String, String> = builder.stream(INPUT);
        let counts = records.group_by_key().count_with("count", Materialized::named("counts"));
        let look = move |_: &String, _: &Option<i64>| {
            if is_first.swap(false, Ordering::SeqCst) {
                script.lose_and_go_on();
            }
        };
        counts.to_stream().peek(look).to(OUTPUT);
        builder.build().unwrap()
    };
    let mut streams = start(topology, config(folder.path()), &broker, &script);
    script.assign(&[0]);
    produce(&broker, 10);
    let is_back = || script.rejoined.load(Ordering::SeqCst) == 1;
    wait_until(SOON, "the process's return", is_back).unwrap();
    assert_eq!(script.committed_input(0), None);
    assert!(broker.records(CHANGELOG, 0, 0).unwrap().is_empty());
    script.assign(&[0]);
    script.wait_until_committed(10);
    streams.close().unwrap();
    assert_eq!(count(&broker), Some(10));
}

#[test]
fn what_the_group_had_at_an_earlier_time_is_not_committed_again() {
    let script = Script::new(&GroupOffsets::default());
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    // The group is asked before each commit.
    let config = config(folder.path()).heartbeat_interval(Duration::from_millis(1));
    let mut streams = start(counting(|| ()), config, &broker, &script);
    script.assign(&[0, 1]);
    produce(&broker, 10);
    script.wait_until_committed(10);
    script.revoke(&[0]);
    // Somebody else has the task for a while.
    produce(&broker, 10);
    script.offsets.lock().unwrap().get_mut(&TopicPartition::new(INPUT, 0)).unwrap().offset = 20;
    script.assign(&[0, 1]);
    let runs = || streams.status.ready().states.get("0_0").is_some_and(|state| state == "running");
    wait_until(SOON, "the task's return", runs).unwrap();
    produce_to(&broker, 1, 10);
    let is_committed = || script.committed_input(1) == Some(10);
    wait_until(SOON, "commit of partition 1", is_committed).unwrap();
    assert_eq!(script.committed_input(0), Some(20));
    streams.close().unwrap();
}

#[test]
fn a_process_without_threads_that_is_lost_comes_back() {
    let script = Script::new(&GroupOffsets::default());
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let mut streams = start(counting(|| ()), config(folder.path()), &broker, &script);
    script.assign(&[0]);
    produce(&broker, 10);
    script.wait_until_committed(10);
    assert!(streams.remove_stream_thread().unwrap().is_some());
    script.lose();
    streams.add_stream_thread().unwrap();
    script.assign(&[0]);
    produce(&broker, 10);
    script.wait_until_committed(20);
    streams.close().unwrap();
    assert_eq!(count(&broker), Some(20));
}

#[test]
fn a_commit_that_takes_longer_than_the_interval_leaves_time_for_records() {
    const RECORDS: usize = 20_000;
    let interval = Duration::from_millis(20);
    let script = Script::new(&GroupOffsets::default());
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let clock = Arc::new(ManualClock::new(0));
    *script.slow_commits.lock().unwrap() = Some((Arc::clone(&clock), interval * 2));
    let seen = Arc::new(AtomicU32::new(0));
    // The first record makes a commit due; no other time passes.
    let topology = {
        let (clock, seen) = (Arc::clone(&clock), Arc::clone(&seen));
        counting(move || {
            if seen.fetch_add(1, Ordering::SeqCst) == 0 {
                clock.advance(interval);
            }
        })
    };
    let config = config(folder.path()).commit_interval(interval);
    let mut streams = KafkaStreams::new(topology, config, broker.clone()).unwrap();
    streams.clock = clock;
    streams.start_as(|_| Ok(Arc::clone(&script) as Arc<dyn Membership>)).unwrap();
    produce(&broker, RECORDS);
    script.assign(&[0]);
    let all = || seen.load(Ordering::SeqCst) as usize == RECORDS;
    wait_until(SOON, "all records", all).unwrap();
    assert_eq!(script.commits.load(Ordering::SeqCst), 1);
    streams.close().unwrap();
    assert_eq!(count(&broker), Some(20_000));
}

/// A process that is stopped, for a session, while it has the eleventh record.
struct Away {
    clock: Arc<ManualClock>,
    script: Arc<Script>,
    broker: MemoryBroker,
    streams: KafkaStreams,
    _folder: tempfile::TempDir,
}

impl Away {
    /// It has committed ten records, and is about to have ten more.
    fn start(is_expelled: bool) -> Self {
        let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
        let script = Script::new(&GroupOffsets::default());
        let clock = Arc::new(ManualClock::new(0));
        let config = config(folder.path());
        let session = config.session_timeout;
        let topology = {
            let (clock, script, seen) =
                (Arc::clone(&clock), Arc::clone(&script), AtomicU32::new(0));
            counting(move || {
                if seen.fetch_add(1, Ordering::SeqCst) == 10 {
                    script.expelled.store(is_expelled, Ordering::SeqCst);
                    clock.advance(session);
                }
            })
        };
        let mut streams = KafkaStreams::new(topology, config, broker.clone()).unwrap();
        streams.clock = Arc::clone(&clock) as Arc<dyn Clock>;
        streams.start_as(|_| Ok(Arc::clone(&script) as Arc<dyn Membership>)).unwrap();
        script.assign(&[0]);
        produce(&broker, 10);
        let away = Self { clock, script, broker, streams, _folder: folder };
        away.wait_until_committed(10);
        produce(&away.broker, 10);
        away
    }

    #[track_caller]
    fn wait_until_committed(&self, offset: i64) {
        let is_committed = || {
            // Little, lest it looks like an absence.
            self.clock.advance(Duration::from_millis(1));
            self.script.committed_input(0) == Some(offset)
        };
        wait_until(SOON, "a commit", is_committed).unwrap();
    }

    fn rows(&self) -> usize {
        self.broker.records(CHANGELOG, 0, 0).unwrap().len()
    }
}

#[test]
fn a_process_that_was_away_sends_no_rows_of_tasks_that_are_somebody_elses() {
    let mut away = Away::start(true);
    let is_back = || {
        away.clock.advance(Duration::from_secs(1));
        away.script.rejoined.load(Ordering::SeqCst) == 1
    };
    wait_until(SOON, "the process's return", is_back).unwrap();
    assert_eq!(away.rows(), 1);
    assert_eq!(away.script.committed_input(0), Some(10));
    away.script.assign(&[0]);
    away.wait_until_committed(20);
    away.streams.close().unwrap();
    assert_eq!(count(&away.broker), Some(20));
}

#[test]
fn a_process_that_was_away_and_still_counts_goes_on() {
    let mut away = Away::start(false);
    away.wait_until_committed(20);
    away.streams.close().unwrap();
    assert_eq!(away.script.rejoined.load(Ordering::SeqCst), 0);
    assert_eq!(away.rows(), 2);
    assert_eq!(count(&away.broker), Some(20));
}
