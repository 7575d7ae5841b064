//! The protocol on a real Kafka: members join and leave, each on a thread of its own, and note when they have
//! which task.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use kstream_test_support::{KafkaServer, wait_until};
use uuid::Uuid;

use super::log::create;
use super::{
    Enrolment, LogMembership, MemberReport, Membership as _, MembershipEvent, PlannedTask,
};
use crate::broker::kafka::{KafkaBroker, KafkaSettings};
use crate::broker::{Admin, Broker, CommittedOffset, GroupSettings, NewTopic};
use crate::ids::{TaskId, TopicPartition};
use crate::time::{Clock, SystemClock};

const APP: &str = "membership";
const DEADLINE: Duration = Duration::from_mins(2);
/// Topics with their partitions; the first one's tasks have stores.
const TOPICS: [(&str, i32); 2] = [("orders", 6), ("clicks", 4)];
const ALL: usize = 10;

/// A member had a task.
#[derive(Debug)]
struct Interval {
    task: TaskId,
    member: u128,
    from: Duration,
    /// `None`: it has it still.
    to: Option<Duration>,
}

struct Cluster {
    bootstrap: String,
    clock: Arc<SystemClock>,
    /// Guards what the members' threads note.
    intervals: Arc<Mutex<Vec<Interval>>>,
}

struct Running {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Running {
    fn leave(self) {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().unwrap();
    }
}

fn tasks() -> Vec<PlannedTask> {
    let topics = TOPICS.iter().zip(0..);
    let tasks = topics.flat_map(|((topic, partitions), subtopology)| {
        (0..*partitions).map(move |partition| PlannedTask {
            id: TaskId { subtopology, partition },
            partitions: vec![TopicPartition::new(*topic, partition)],
            stateful: subtopology == 0,
        })
    });
    tasks.collect()
}

impl Cluster {
    fn intervals(&self) -> MutexGuard<'_, Vec<Interval>> {
        self.intervals.lock().unwrap()
    }

    fn owners(&self) -> BTreeMap<TaskId, u128> {
        let intervals = self.intervals();
        let open = intervals.iter().filter(|interval| interval.to.is_none());
        open.map(|interval| (interval.task, interval.member)).collect()
    }

    /// How many tasks each member has, when all have one.
    fn counts(&self) -> Option<Vec<usize>> {
        let owners = self.owners();
        let members: BTreeSet<u128> = owners.values().copied().collect();
        let count = |member| owners.values().filter(|owner| **owner == member).count();
        (owners.len() == ALL).then(|| members.into_iter().map(count).collect())
    }

    #[track_caller]
    fn wait_for(&self, counts: &[usize]) -> BTreeMap<TaskId, u128> {
        wait_until(DEADLINE, &format!("tasks dealt as {counts:?}"), || {
            self.counts().is_some_and(|mut found| {
                found.sort_unstable();
                found == counts
            })
        })
        .unwrap();
        self.owners()
    }

    fn join(&self, number: u128) -> Running {
        let process_id = Uuid::from_u128(number);
        let broker = KafkaBroker::new(&self.bootstrap, KafkaSettings::default()).unwrap();
        let admin: Arc<dyn Admin> = Arc::from(broker.admin().unwrap());
        let membership = LogMembership::join(Enrolment {
            broker: Arc::new(broker),
            admin,
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            group: GroupSettings {
                group_id: APP.to_owned(),
                client_id: format!("{APP}-{process_id}"),
                session_timeout: Duration::from_secs(6),
                heartbeat_interval: Duration::from_millis(300),
                max_poll_interval: Duration::from_secs(30),
            },
            process_id,
            http: None,
            tags: BTreeMap::new(),
            fingerprint: String::new(),
            tasks: tasks(),
            report: MemberReport { threads: 1, ..MemberReport::default() },
        })
        .unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (intervals, clock) = (Arc::clone(&self.intervals), Arc::clone(&self.clock));
        let stopped = Arc::clone(&stop);
        let run = move || work(number, &membership, &stopped, &intervals, &*clock);
        Running { stop, thread: std::thread::spawn(run) }
    }
}

/// Follows the membership, and commits for what it has in each turn.
fn work(
    member: u128,
    membership: &LogMembership,
    stop: &AtomicBool,
    intervals: &Mutex<Vec<Interval>>,
    clock: &dyn Clock,
) {
    let end = |tasks: Option<&BTreeSet<TaskId>>| {
        let now = clock.monotonic();
        for interval in intervals.lock().unwrap().iter_mut() {
            let ends = tasks.is_none_or(|tasks| tasks.contains(&interval.task));
            if interval.member == member && interval.to.is_none() && ends {
                interval.to = Some(now);
            }
        }
    };
    let mut mine = BTreeSet::new();
    while !stop.load(Ordering::SeqCst) {
        match membership.poll(Duration::from_millis(50)).unwrap() {
            None => {}
            Some(MembershipEvent::Assigned(assignment)) => {
                let from = clock.monotonic();
                let new = assignment.active.difference(&mine).map(|task| Interval {
                    task: *task,
                    member,
                    from,
                    to: None,
                });
                intervals.lock().unwrap().extend(new);
                mine = assignment.active;
            }
            Some(MembershipEvent::Revoked(tasks)) => {
                // The last thing that is done for them.
                commit(membership, &tasks);
                end(Some(&tasks));
                mine.retain(|task| !tasks.contains(task));
                membership.release(&tasks).unwrap();
            }
            Some(event @ (MembershipEvent::Lost | MembershipEvent::ShutdownRequested(_))) => {
                panic!("member {member} hears {event:?}")
            }
        }
        commit(membership, &mine);
    }
    end(None);
    membership.leave().unwrap();
}

/// Commits something for each task; between two generations it need not succeed.
fn commit(membership: &LogMembership, tasks: &BTreeSet<TaskId>) {
    if tasks.is_empty() {
        return;
    }
    let offset = CommittedOffset { offset: 1, metadata: String::new() };
    let offsets: Vec<_> = tasks
        .iter()
        .map(|task| {
            let (topic, _) = TOPICS[task.subtopology as usize];
            (TopicPartition::new(topic, task.partition), offset.clone())
        })
        .collect();
    if let Err(error) = membership.commit(&offsets) {
        assert_eq!(error.kind(), crate::error::ErrorKind::Retriable, "{}", error.report());
    }
}

#[test]
fn members_join_and_leave_and_no_task_is_had_twice() {
    let kafka = KafkaServer::start().unwrap();
    let broker = KafkaBroker::new(kafka.bootstrap(), KafkaSettings::default()).unwrap();
    let topics = TOPICS.map(|(name, partitions)| NewTopic {
        name: name.to_owned(),
        partitions,
        replication_factor: 1,
        configs: BTreeMap::new(),
    });
    for created in broker.admin().unwrap().create_topics(&topics).unwrap() {
        created.unwrap();
    }
    create(&*broker.admin().unwrap(), APP);
    let cluster = Cluster {
        bootstrap: kafka.bootstrap().to_owned(),
        clock: Arc::new(SystemClock::new()),
        intervals: Arc::default(),
    };
    let first = cluster.join(1);
    let alone = cluster.wait_for(&[10]);
    // The lower process id: it takes the lead over.
    let second = cluster.join(0);
    let two = cluster.wait_for(&[5, 5]);
    assert_eq!(moved(&alone, &two), 5);
    let third = cluster.join(2);
    let three = cluster.wait_for(&[3, 3, 4]);
    assert_eq!(moved(&two, &three), 3);
    // The leader goes.
    second.leave();
    let left = cluster.wait_for(&[5, 5]);
    assert_eq!(moved(&three, &left), three.values().filter(|owner| **owner == 0).count());
    first.leave();
    third.leave();
    check_intervals(&cluster.intervals());
}

fn moved(before: &BTreeMap<TaskId, u128>, after: &BTreeMap<TaskId, u128>) -> usize {
    after.iter().filter(|(task, owner)| before.get(task) != Some(owner)).count()
}

/// Who has a task next has it after the one before has given it up.
fn check_intervals(intervals: &[Interval]) {
    for a in intervals {
        for b in intervals.iter().filter(|b| b.task == a.task && b.from > a.from) {
            assert!(a.to.is_some_and(|to| to <= b.from), "{a:?} and {b:?} overlap");
        }
    }
}
