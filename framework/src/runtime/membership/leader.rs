//! What the leader decides: pure, from the log, the group, and the time.
//!
//! What always holds, and with it that no two processes run one task:
//! - INVARIANT: a task is granted only if nobody has it: who had it has released it for the epoch that took
//!   it, or has left, or is no longer in the group. A member id that is gone never comes back.
//! - INVARIANT: a task is taken from its owner in one assignment and given to the next in a later one.
//!
//! When it waits. A member that is in the group and says nothing yet is about to write its record: a
//! restarted process, whose old life has just been dropped, is to find its tasks untouched. So nothing is
//! decided for [`LeaderSettings::silence_grace`], or until it speaks. A process that has left in good
//! order keeps its tasks with state for [`LeaderSettings::return_grace`], in which nobody runs them: it may be
//! restarting, and to restore elsewhere takes longer. One that was killed has been absent for the session
//! timeout when the group drops it, which is grace enough.

mod situation;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use self::situation::Situation;
use super::assignor::{Candidate, Settings, assign};
use super::ids::{MemberId, ProcessId};
use super::messages::{AssignmentRecord, MemberRecord, PlanRecord, Waiting};
use super::timers::Timers;
use super::view::View;
use crate::error::Error;
use crate::ids::TaskId;

pub(super) use situation::refusal;

/// The leader's times.
#[derive(Debug, Clone)]
pub(super) struct LeaderSettings {
    pub(super) assignor: Settings,
    /// How long a member of the group may say nothing before it is left out.
    pub(super) silence_grace: Duration,
    /// How long tasks with state are kept for a process that has left in good order.
    pub(super) return_grace: Duration,
    /// A task that is not released for so long is reported.
    pub(super) release_patience: Duration,
    /// Records of processes that are gone for so long are deleted.
    pub(super) forget_after: Duration,
    /// No transaction is open for longer than this.
    pub(super) transactions_end: Duration,
}

/// What the leader wants to write, in one transaction.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Decision {
    pub(super) assignment: Option<AssignmentRecord>,
    pub(super) plan: Option<PlanRecord>,
    /// Processes whose records are deleted.
    pub(super) forget: Vec<ProcessId>,
}

impl Decision {
    pub(super) fn is_empty(&self) -> bool {
        self.assignment.is_none() && self.plan.is_none() && self.forget.is_empty()
    }
}

/// See the module. It lives as long as its process, through many times of leading; another leader's times
/// begin anew.
#[derive(Debug)]
pub(super) struct Leader {
    settings: LeaderSettings,
    silent: Timers<MemberId>,
    left: Timers<MemberId>,
    gone: Timers<MemberId>,
    unreleased: Timers<(TaskId, MemberId, u64)>,
    orphans: Timers<String>,
}

/// Who leads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Me<'a> {
    pub(super) process: ProcessId,
    pub(super) member_id: &'a MemberId,
}

impl Leader {
    pub(super) fn new(settings: LeaderSettings) -> Self {
        Self {
            settings,
            silent: Timers::default(),
            left: Timers::default(),
            gone: Timers::default(),
            unreleased: Timers::default(),
            orphans: Timers::default(),
        }
    }

    /// The group has come to a new generation: who says nothing in it is awaited anew. A restarted process
    /// may speak only once its old life is dropped, which is what makes a new generation.
    pub(super) fn new_generation(&mut self) {
        self.silent = Timers::default();
    }

    /// What is to be written now; `None`: it is too early to decide.
    ///
    /// # Errors
    /// `Config`, if the leader itself does not fit the members that run.
    pub(super) fn decide(
        &mut self,
        view: &View,
        group: &BTreeSet<MemberId>,
        me: Me<'_>,
        now: Duration,
    ) -> Result<Option<Decision>, Error> {
        let speaks = |record: &MemberRecord| record.member_id == *me.member_id && !record.left;
        if !group.contains(me.member_id)
            || !view.members.get(&me.process).is_some_and(speaks)
            || self.is_anyone_silent(view, group, now)
        {
            return Ok(None);
        }
        let situation = Situation::of(view, group, me)?;
        let candidates = self.candidates(&situation, view, now);
        let placement = assign(&candidates, &situation.tasks, &self.settings.assignor);
        let mut next = situation.carry_out(&placement, &view.assignment);
        next.orphans = self.orphans(&situation, view, now);
        self.report_unreleased(&next, now);
        let forget = self.forgotten(view, group, &next, now);
        let same = AssignmentRecord { epoch: next.epoch, ..view.assignment.clone() } == next;
        let plan =
            PlanRecord { subtopologies: situation.subtopologies, refused: situation.refused };
        Ok(Some(Decision {
            assignment: (!same).then_some(next),
            plan: (plan != view.plan).then_some(plan),
            forget,
        }))
    }

    fn is_anyone_silent(&mut self, view: &View, group: &BTreeSet<MemberId>, now: Duration) -> bool {
        let speak: BTreeSet<&MemberId> =
            view.members.values().map(|record| &record.member_id).collect();
        let silent: Vec<&MemberId> = group.iter().filter(|id| !speak.contains(*id)).collect();
        self.silent.keep(|id| silent.contains(&id));
        // All are looked at, so that each one's time runs.
        let times: Vec<Duration> =
            silent.into_iter().map(|id| self.silent.elapsed(id, now)).collect();
        times.into_iter().any(|time| time < self.settings.silence_grace)
    }

    /// The members that take part, and those that have left a moment ago.
    fn candidates(
        &mut self,
        situation: &Situation<'_>,
        view: &View,
        now: Duration,
    ) -> BTreeMap<ProcessId, Candidate> {
        let mut candidates: BTreeMap<ProcessId, Candidate> = situation
            .accepted
            .iter()
            .map(|(process, record)| (*process, situation.candidate(*process, record)))
            .collect();
        self.left.keep(|id| view.members.values().any(|r| r.left && r.member_id == *id));
        for (process, record) in view.members.iter().filter(|(_, record)| record.left) {
            let fresh = self.left.elapsed(&record.member_id, now) < self.settings.return_grace;
            if fresh && !candidates.contains_key(process) {
                let mut departed = situation.candidate(*process, record);
                departed.current.retain(|task| situation.tasks.get(task) == Some(&true));
                departed.only = Some(departed.current.clone());
                candidates.insert(*process, departed);
            }
        }
        candidates
    }

    /// The dropped members' transactions that may still be open, without those of members that live.
    fn orphans(
        &mut self,
        situation: &Situation<'_>,
        view: &View,
        now: Duration,
    ) -> BTreeMap<TaskId, BTreeSet<String>> {
        let mut orphans = view.assignment.orphans.clone();
        for (task, ids) in &situation.dropped {
            orphans.entry(*task).or_default().extend(ids.iter().cloned());
        }
        let all: BTreeSet<String> = orphans.values().flatten().cloned().collect();
        self.orphans.keep(|id| all.contains(id));
        for ids in orphans.values_mut() {
            ids.retain(|id| {
                let in_use = |record: &&MemberRecord| record.transactional_ids.contains(id);
                self.orphans.elapsed(id, now) < self.settings.transactions_end
                    && !situation.accepted.values().any(in_use)
            });
        }
        orphans.retain(|task, ids| !ids.is_empty() && situation.tasks.contains_key(task));
        orphans
    }

    fn report_unreleased(&mut self, next: &AssignmentRecord, now: Duration) {
        let key = |(task, waiting): (&TaskId, &Waiting)| {
            let from = waiting.from.as_ref()?;
            Some((*task, from.member_id.clone(), from.since))
        };
        let waiting: BTreeSet<_> = next.waiting.iter().filter_map(key).collect();
        self.unreleased.keep(|key| waiting.contains(key));
        for key in &waiting {
            if self.unreleased.passes(key, self.settings.release_patience, now) {
                let (task, member, _) = key;
                tracing::warn!(
                    %task, %member,
                    "a member does not release a task; it stays without owner until it does, or leaves"
                );
            }
        }
    }

    fn forgotten(
        &mut self,
        view: &View,
        group: &BTreeSet<MemberId>,
        next: &AssignmentRecord,
        now: Duration,
    ) -> Vec<ProcessId> {
        let absent = |record: &&MemberRecord| !group.contains(&record.member_id);
        let gone: BTreeSet<&MemberId> =
            view.members.values().filter(absent).map(|record| &record.member_id).collect();
        self.gone.keep(|id| gone.contains(id));
        let needed = |process: &ProcessId| {
            let mut waiting = next.waiting.values();
            next.members.contains_key(process)
                || waiting.any(|task| {
                    task.next == Some(*process)
                        || task.from.as_ref().is_some_and(|from| from.process == *process)
                })
        };
        let mut forgotten = Vec::new();
        for (process, record) in &view.members {
            if gone.contains(&record.member_id)
                && self.gone.elapsed(&record.member_id, now) >= self.settings.forget_after
                && !needed(process)
            {
                forgotten.push(*process);
            }
        }
        forgotten
    }
}

#[cfg(test)]
mod tests;
