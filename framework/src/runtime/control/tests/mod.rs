//! What a membership may tell a process, and what its threads make of it: real threads and stores on the
//! in-process broker, and a membership that says what the test makes it say.

mod away;
mod calls;
mod expired;
mod losses;
mod moves;

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
