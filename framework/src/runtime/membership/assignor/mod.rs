//! Who shall run which task: a pure function of the members, what they have, and the tasks.
//!
//! The *load* of a member is its active tasks per thread. What is guaranteed:
//! - **One owner**: every task that some member with threads can run has exactly one active owner.
//! - **Balance**: no task can be moved so that its new owner would still have a lower load than its old one
//!   had. Among members that can run all tasks, loads thus differ by at most one task per thread; with equal
//!   threads, numbers of tasks differ by at most one. This holds whatever state members have on disk. With
//!   warm-ups ([`Settings::max_warmup_replicas`] above 0) it holds for active tasks and warm-ups together: a
//!   task waits where its state is until its new owner has caught up.
//! - **Stickiness**: within the balance a task goes where its state is caught up, first of all where it runs
//!   already. A member that joins takes tasks from others and makes nobody else exchange any; one that
//!   leaves has its tasks dealt out and nothing else is moved. What is assigned is assigned again.
//! - **Spread**: tasks of one sub-topology are spread when they are dealt or moved; a fresh deal among
//!   members of equal threads gives each the same number of each sub-topology's tasks, or one more. Nothing
//!   that runs is moved only for this.
//! - **Determinism**: equal input, equal result, in whatever order it comes.
//!
//! # Source
//! KIP-441 (`HighAvailabilityTaskAssignor`): caught-up clients first, then balance, then warm-ups and
//! standbys. Departure: where no warm-ups are allowed, balance comes before state, because a member that
//! joins with an empty disk would never get any.

mod active;
mod copies;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use super::ids::ProcessId;
use crate::ids::TaskId;

/// A member that may get tasks.
#[derive(Debug, Clone, Default)]
pub(super) struct Candidate {
    /// How much it can take; one without threads takes nothing.
    pub(super) threads: usize,
    /// Where it runs, for example its rack.
    pub(super) tags: BTreeMap<String, String>,
    /// The tasks that it runs or is to run by the present assignment.
    pub(super) current: BTreeSet<TaskId>,
    /// For tasks with state on its disk: the changelog records that it lacks.
    pub(super) lags: BTreeMap<TaskId, u64>,
    /// The only tasks that it can run, if it cannot run all.
    pub(super) only: Option<BTreeSet<TaskId>>,
}

/// How to assign.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// State that lacks no more records than this is caught up (`acceptable.recovery.lag`).
    pub(super) acceptable_recovery_lag: u64,
    /// Copies of each task's state beside the active one (`num.standby.replicas`).
    pub(super) num_standby_replicas: usize,
    /// How many tasks may be warmed up at a time; 0: tasks move cold (`max.warmup.replicas`).
    pub(super) max_warmup_replicas: usize,
    /// Copies of one task should differ in these tags (`rack.aware.assignment.tags`).
    pub(super) rack_tags: Vec<String>,
}

impl Default for Settings {
    /// Kafka Streams' lag; neither standbys nor warm-ups.
    fn default() -> Self {
        Self {
            acceptable_recovery_lag: 10_000,
            num_standby_replicas: 0,
            max_warmup_replicas: 0,
            rack_tags: Vec::new(),
        }
    }
}

/// The answer. Tasks that nobody can run are in none of the maps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Placement {
    pub(super) active: BTreeMap<TaskId, ProcessId>,
    pub(super) standby: BTreeMap<TaskId, BTreeSet<ProcessId>>,
    /// Who brings its state up to date, to become active once it has caught up.
    pub(super) warm_up: BTreeMap<TaskId, ProcessId>,
}

/// Assigns tasks, each given with whether it has stores.
pub(super) fn assign(
    members: &BTreeMap<ProcessId, Candidate>,
    tasks: &BTreeMap<TaskId, bool>,
    settings: &Settings,
) -> Placement {
    let crew = Crew::new(members, tasks, settings);
    let owners = active::owners(&crew);
    copies::place(&crew, owners)
}

/// The input by index: members in the order of their ids, tasks in theirs.
struct Crew<'a> {
    ids: Vec<ProcessId>,
    members: Vec<&'a Candidate>,
    tasks: Vec<(TaskId, bool)>,
    settings: &'a Settings,
}

/// How well a member's state fits a task; the smaller the better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fitness {
    /// It can start at once.
    Ready,
    /// It has some of the state and lacks this many records.
    Behind(u64),
    /// It has nothing.
    Cold,
}

impl<'a> Crew<'a> {
    fn new(
        members: &'a BTreeMap<ProcessId, Candidate>,
        tasks: &BTreeMap<TaskId, bool>,
        settings: &'a Settings,
    ) -> Self {
        Self {
            ids: members.keys().copied().collect(),
            members: members.values().collect(),
            tasks: tasks.iter().map(|(id, stateful)| (*id, *stateful)).collect(),
            settings,
        }
    }

    fn member(&self, index: usize) -> Option<&'a Candidate> {
        self.members.get(index).copied()
    }

    fn indices(&self) -> std::ops::Range<usize> {
        0..self.members.len()
    }

    fn task(&self, index: usize) -> Option<(TaskId, bool)> {
        self.tasks.get(index).copied()
    }

    fn threads(&self, member: usize) -> usize {
        self.member(member).map_or(0, |member| member.threads)
    }

    fn can_run(&self, member: usize, task: TaskId) -> bool {
        self.member(member).is_some_and(|member| {
            member.threads > 0 && member.only.as_ref().is_none_or(|only| only.contains(&task))
        })
    }

    fn holds(&self, member: usize, task: TaskId) -> bool {
        self.member(member).is_some_and(|member| member.current.contains(&task))
    }

    fn fitness(&self, member: usize, (task, stateful): (TaskId, bool)) -> Fitness {
        if !stateful {
            return Fitness::Ready;
        }
        match self.member(member).and_then(|member| member.lags.get(&task)) {
            Some(lag) if *lag <= self.settings.acceptable_recovery_lag => Fitness::Ready,
            Some(lag) => Fitness::Behind(*lag),
            None => Fitness::Cold,
        }
    }
}
