//! A cluster in one thread: a memory broker, a manual clock, and processes that run the real code through
//! the ports, a pass at a time.
//!
//! A process claims a task from the moment in which it is told that the task is its own until it releases it,
//! or hears that all is lost, or dies. What is checked whenever a task is claimed: nobody else claims it who
//! is in the group still. And whenever something is committed: once a later claim of the task has committed,
//! no earlier one can.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use uuid::Uuid;

use super::super::log::create;
use super::super::{
    Assignment, Enrolment, LogMembership, MemberReport, Membership, MembershipEvent, PlannedTask,
};
use super::flaky::{Faults, FlakyBroker};
use crate::broker::memory::MemoryBroker;
use crate::broker::{Admin, Broker, CommittedOffset, GroupSettings};
use crate::error::Error;
use crate::ids::{TaskId, TopicPartition};
use crate::time::{Clock, ManualClock};

pub(super) const APP: &str = "app";
pub(super) const SESSION: Duration = Duration::from_secs(10);
/// How far the clock moves in a round in which everybody polls once.
pub(super) const ROUND: Duration = Duration::from_millis(100);
/// Rounds after which everything must have settled: a session, the graces, and some more.
pub(super) const SETTLE_ROUNDS: usize = 600;

/// Sub-topologies: the topic, its partitions, and whether there are stores.
const PARTS: [(&str, i32, bool); 3] =
    [("orders", 5, true), ("clicks", 4, false), ("users", 3, true)];

/// A process's claim to a task, from one grant on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Claim {
    process: usize,
    member_id: String,
}

/// A process with its disk.
pub(super) struct Process {
    id: Uuid,
    pub(super) threads: usize,
    membership: Option<LogMembership>,
    /// What it claims, by task.
    claims: BTreeMap<TaskId, u64>,
    /// What it was told to give up, and in how many of its polls it does.
    releasing: BTreeMap<TaskId, usize>,
    /// What lies on its disk, and how much of it is missing.
    disk: BTreeMap<TaskId, u64>,
    /// It has heard that all is lost, and drops it in so many of its polls.
    losing: Option<usize>,
    /// It is stopped for so many rounds.
    pub(super) stopped: usize,
    /// What it was told since the last look.
    pub(super) told: Vec<MembershipEvent>,
}

pub(super) struct World {
    pub(super) clock: Arc<ManualClock>,
    pub(super) broker: MemoryBroker,
    pub(super) faults: Faults,
    pub(super) impostor: Arc<Mutex<Option<String>>>,
    admin: Arc<dyn Admin>,
    pub(super) processes: Vec<Process>,
    /// All claims that there have ever been.
    claims: Vec<Claim>,
    /// By task: the newest claim that has committed.
    committed: BTreeMap<TaskId, u64>,
    /// How many polls a process takes to release a task.
    pub(super) release_polls: usize,
    history: String,
}

impl World {
    pub(super) fn new() -> Self {
        let clock = Arc::new(ManualClock::new(1_000_000));
        let broker = MemoryBroker::new(Arc::clone(&clock) as Arc<dyn Clock>);
        for (topic, partitions, _) in PARTS {
            broker.create_topic(topic, partitions).unwrap();
        }
        let admin: Arc<dyn Admin> = Arc::from(broker.admin().unwrap());
        create(&*admin, APP);
        Self {
            clock,
            broker,
            faults: Faults::default(),
            impostor: Arc::default(),
            admin,
            processes: Vec::new(),
            claims: Vec::new(),
            committed: BTreeMap::new(),
            release_polls: 0,
            history: String::new(),
        }
    }

    pub(super) fn history(&self) -> &str {
        &self.history
    }

    fn note(&mut self, text: std::fmt::Arguments<'_>) {
        writeln!(self.history, "{:>8} {text}", self.clock.now_ms() - 1_000_000).unwrap();
    }

    /// A new process with an empty disk; its number is returned.
    pub(super) fn add(&mut self, threads: usize) -> usize {
        let number = self.processes.len();
        self.processes.push(Process {
            id: Uuid::from_u128(number as u128 + 1),
            threads,
            membership: None,
            claims: BTreeMap::new(),
            releasing: BTreeMap::new(),
            disk: BTreeMap::new(),
            losing: None,
            stopped: 0,
            told: Vec::new(),
        });
        self.start(number).unwrap();
        number
    }

    pub(super) fn tasks() -> Vec<PlannedTask> {
        let parts = PARTS.iter().enumerate();
        let tasks = parts.flat_map(|(number, (topic, partitions, stateful))| {
            (0..*partitions).map(move |partition| PlannedTask {
                id: TaskId { subtopology: u32::try_from(number).unwrap(), partition },
                partitions: vec![TopicPartition::new(*topic, partition)],
                stateful: *stateful,
            })
        });
        tasks.collect()
    }

    /// Starts a process, for the first time or again.
    pub(super) fn start(&mut self, number: usize) -> Result<(), Error> {
        self.start_with(number, Self::tasks(), "")
    }

    pub(super) fn start_with(
        &mut self,
        number: usize,
        tasks: Vec<PlannedTask>,
        fingerprint: &str,
    ) -> Result<(), Error> {
        self.note(format_args!("{number} starts"));
        let process = &self.processes[number];
        let membership = LogMembership::join(Enrolment {
            broker: Arc::new(FlakyBroker {
                memory: self.broker.clone(),
                faults: self.faults.clone(),
                impostor: Arc::clone(&self.impostor),
            }),
            admin: Arc::clone(&self.admin),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            group: GroupSettings {
                group_id: APP.to_owned(),
                client_id: format!("{APP}-{}", process.id),
                session_timeout: SESSION,
                heartbeat_interval: SESSION / 10,
                max_poll_interval: SESSION * 3,
            },
            process_id: process.id,
            http: None,
            tags: BTreeMap::new(),
            fingerprint: fingerprint.to_owned(),
            tasks,
            report: process.report(number),
        })?;
        self.processes[number].membership = Some(membership);
        Ok(())
    }

    pub(super) fn is_alive(&self, number: usize) -> bool {
        self.processes[number].membership.is_some()
    }

    /// A process leaves with transactions that may be open.
    pub(super) fn walk_out(&mut self, number: usize) {
        self.note(format_args!("{number} walks out"));
        self.end_claims(number);
        self.processes[number].membership.take().unwrap().leave().unwrap();
    }

    /// A process ends in good order: its tasks are closed, then it leaves.
    pub(super) fn leave(&mut self, number: usize) {
        self.note(format_args!("{number} leaves"));
        self.end_claims(number);
        let membership = self.processes[number].membership.take().unwrap();
        let report = self.processes[number].report(number);
        membership.report(&MemberReport { transactional_ids: BTreeSet::new(), ..report }).unwrap();
        // It may fail to say so; the group notices.
        drop(membership.leave());
    }

    /// A process drops everything of its own accord, because its threads found a commit refused.
    pub(super) fn rejoin(&mut self, number: usize) {
        self.note(format_args!("{number} joins anew"));
        self.end_claims(number);
        let membership = self.processes[number].membership.as_ref().unwrap();
        membership.rejoin().unwrap();
    }

    /// A process dies: nobody is told.
    pub(super) fn kill(&mut self, number: usize) {
        self.note(format_args!("{number} is killed"));
        self.end_claims(number);
        self.processes[number].membership = None;
    }

    /// What it claimed it does no longer; what it has restored stays on its disk.
    fn end_claims(&mut self, number: usize) {
        let process = &mut self.processes[number];
        process.claims.clear();
        process.releasing.clear();
        process.losing = None;
        process.stopped = 0;
    }

    /// A pass of one process, and what it does about what it is told.
    pub(super) fn poll(&mut self, number: usize) -> Result<(), Error> {
        let Some(membership) = &self.processes[number].membership else { return Ok(()) };
        let event = membership.poll(Duration::ZERO)?;
        if let Some(event) = event {
            self.note(format_args!("{number} hears {event:?}"));
            self.processes[number].told.push(event.clone());
            match event {
                MembershipEvent::Assigned(assignment) => self.claim(number, &assignment),
                MembershipEvent::Revoked(tasks) => {
                    for task in &tasks {
                        assert!(
                            self.processes[number].claims.contains_key(task),
                            "{number} is to give up {task}, which it has not"
                        );
                    }
                    let polls = self.release_polls;
                    let releasing = tasks.into_iter().map(|task| (task, polls));
                    self.processes[number].releasing.extend(releasing);
                }
                MembershipEvent::Lost => self.processes[number].losing = Some(self.release_polls),
                MembershipEvent::ShutdownRequested(_) => {}
            }
        }
        self.work(number)
    }

    /// Releases what is due, drops what is lost, restores a little, and commits.
    fn work(&mut self, number: usize) -> Result<(), Error> {
        let process = &mut self.processes[number];
        let Some(membership) = &process.membership else { return Ok(()) };
        if let Some(polls) = process.losing {
            if polls > 0 {
                process.losing = Some(polls - 1);
            } else {
                process.losing = None;
                process.claims.clear();
                process.releasing.clear();
                membership.rejoin()?;
            }
            return Ok(());
        }
        let due: BTreeSet<TaskId> = process
            .releasing
            .iter()
            .filter(|(_, polls)| **polls == 0)
            .map(|(task, _)| *task)
            .collect();
        process
            .releasing
            .retain(|_, polls| polls.checked_sub(1).map(|left| *polls = left).is_some());
        if !due.is_empty() {
            process.claims.retain(|task, _| !due.contains(task));
            membership.release(&due)?;
        }
        for lag in process.disk.values_mut() {
            *lag /= 2;
        }
        membership.report(&process.report(number))?;
        self.commit(number);
        Ok(())
    }

    fn claim(&mut self, number: usize, assignment: &Assignment) {
        let process = &self.processes[number];
        let member_id = process.membership.as_ref().unwrap().metadata().map(|m| m.member_id);
        let new: Vec<TaskId> = assignment
            .active
            .iter()
            .copied()
            .filter(|task| !process.claims.contains_key(task))
            .collect();
        let kept = process.claims.keys().filter(|task| !process.releasing.contains_key(task));
        for task in kept {
            assert!(assignment.active.contains(task), "{number} lost {task} without a word");
        }
        let group: BTreeSet<String> =
            self.admin.group_members(APP).unwrap().into_iter().map(|m| m.member_id).collect();
        for task in new {
            for (other, process) in self.processes.iter().enumerate() {
                let Some(claim) = process.claims.get(&task) else { continue };
                let claim = &self.claims[usize::try_from(*claim).unwrap()];
                assert!(
                    other != number && !group.contains(&claim.member_id),
                    "{task} was given to {number}, while {other} has it as {}",
                    claim.member_id
                );
            }
            let claim = self.claims.len() as u64;
            let member_id = member_id.clone().unwrap_or_default();
            self.claims.push(Claim { process: number, member_id });
            let process = &mut self.processes[number];
            process.claims.insert(task, claim);
            if PARTS[task.subtopology as usize].2 {
                process.disk.entry(task).or_insert(1 << 20);
            }
        }
    }

    /// Commits for everything that the process claims, as if it were busy.
    fn commit(&mut self, number: usize) {
        let process = &self.processes[number];
        let Some(membership) = &process.membership else { return };
        for (task, claim) in &process.claims {
            let offset =
                CommittedOffset { offset: i64::try_from(*claim).unwrap(), metadata: String::new() };
            let partition = TopicPartition::new(PARTS[task.subtopology as usize].0, task.partition);
            if membership.commit(&vec![(partition, offset)]).is_ok() {
                let newest = self.committed.entry(*task).or_insert(*claim);
                assert!(
                    *newest <= *claim,
                    "{number} has committed for {task} by {:?}, after {:?}",
                    self.claims[usize::try_from(*claim).unwrap()],
                    self.claims[usize::try_from(*newest).unwrap()]
                );
                *newest = *claim;
            }
        }
    }

    /// What becomes of a commit of a process for one of its tasks.
    pub(super) fn commit_one(&self, number: usize) -> Result<(), Error> {
        let process = &self.processes[number];
        let task = process.claims.keys().next().unwrap();
        let partition = TopicPartition::new(PARTS[task.subtopology as usize].0, task.partition);
        let offset = CommittedOffset { offset: 1, metadata: String::new() };
        process.membership.as_ref().unwrap().commit(&vec![(partition, offset)])
    }

    /// Gives one process the id of another, as if its folder had been copied.
    pub(super) fn copy_id(&mut self, from: usize, to: usize) {
        self.processes[to].id = self.processes[from].id;
    }

    /// Everybody who runs polls once, and time passes.
    pub(super) fn round(&mut self) {
        self.round_but(usize::MAX);
    }

    /// The same without one process.
    pub(super) fn round_but(&mut self, left_out: usize) {
        for number in (0..self.processes.len()).filter(|number| *number != left_out) {
            let process = &mut self.processes[number];
            if process.stopped > 0 {
                process.stopped -= 1;
            } else {
                self.poll(number).unwrap();
            }
        }
        self.clock.advance(ROUND);
    }

    /// Lets everything come to rest, and checks that it is right then.
    pub(super) fn settle(&mut self) {
        for _ in 0..SETTLE_ROUNDS {
            self.round();
        }
        self.check_settled();
        for process in &mut self.processes {
            process.told.clear();
        }
        for _ in 0..SETTLE_ROUNDS / 10 {
            self.round();
        }
        for (number, process) in self.processes.iter().enumerate() {
            assert_eq!(process.told, [], "{number} is disturbed although nothing happens");
        }
    }

    fn check_settled(&self) {
        let alive: Vec<usize> =
            (0..self.processes.len()).filter(|number| self.is_alive(*number)).collect();
        let all = Self::tasks().len();
        if alive.is_empty() {
            return;
        }
        let mut owners: BTreeMap<TaskId, usize> = BTreeMap::new();
        for number in &alive {
            for task in self.processes[*number].claims.keys() {
                let other = owners.insert(*task, *number);
                assert_eq!(other, None, "{task} is claimed by {number} as well");
            }
        }
        assert_eq!(owners.len(), all, "only these tasks have owners: {owners:?}");
        for a in &alive {
            for b in &alive {
                let (from, to) = (&self.processes[*a], &self.processes[*b]);
                assert!(
                    from.claims.len() * to.threads <= (to.claims.len() + 1) * from.threads,
                    "{a} has {} tasks on {} threads, {b} has {} on {}",
                    from.claims.len(),
                    from.threads,
                    to.claims.len(),
                    to.threads
                );
            }
        }
    }

    /// Who claims each task.
    pub(super) fn owners(&self) -> BTreeMap<TaskId, usize> {
        let processes = self.processes.iter().enumerate();
        processes
            .flat_map(|(number, process)| process.claims.keys().map(move |task| (*task, number)))
            .collect()
    }
}

impl Process {
    fn report(&self, number: usize) -> MemberReport {
        MemberReport {
            threads: self.threads,
            transactional_ids: [format!("tx-{number}")].into(),
            lags: self.disk.clone(),
        }
    }
}
