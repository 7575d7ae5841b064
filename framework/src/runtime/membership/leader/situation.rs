//! What holds before a decision: who takes part, who has which task, and what is left of those that the
//! group has dropped.

use std::collections::{BTreeMap, BTreeSet};

use super::super::assignor::{Candidate, Placement};
use super::super::compatible::conflicts;
use super::super::ids::{MemberId, ProcessId};
use super::super::messages::{
    AssignmentRecord, Holder, MemberRecord, Refusal, Share, SubtopologyRecord, Waiting,
};
use super::super::view::{View, tasks_of};
use super::Me;
use crate::error::{Error, ErrorKind};
use crate::ids::TaskId;

/// Who has a task.
#[derive(Debug, Clone)]
enum Hold {
    Active(ProcessId, MemberId),
    Leaving(Holder),
}

/// What holds before a decision.
#[derive(Debug, Default)]
pub(super) struct Situation<'a> {
    /// The members that take part.
    pub(super) accepted: BTreeMap<ProcessId, &'a MemberRecord>,
    pub(super) refused: BTreeMap<ProcessId, Refusal>,
    pub(super) subtopologies: BTreeMap<u32, SubtopologyRecord>,
    pub(super) tasks: BTreeMap<TaskId, bool>,
    holds: BTreeMap<TaskId, Hold>,
    /// Transactions that the group's dropping of their members has left behind, by task.
    pub(super) dropped: BTreeMap<TaskId, BTreeSet<String>>,
    /// Who has each task or shall have it, by the present assignment.
    current: BTreeMap<TaskId, ProcessId>,
}

impl<'a> Situation<'a> {
    pub(super) fn of(
        view: &'a View,
        group: &'a BTreeSet<MemberId>,
        me: Me<'_>,
    ) -> Result<Self, Error> {
        let mut situation = Self::default();
        situation.admit(view, group, me)?;
        for record in situation.accepted.values() {
            for (number, part) in &record.subtopologies {
                let all = situation.subtopologies.entry(*number).or_default();
                all.topics.extend(part.topics.clone());
                all.stateful |= part.stateful;
            }
        }
        situation.tasks = tasks_of(&situation.subtopologies).collect();
        situation.find_holders(view, group);
        Ok(situation)
    }

    /// Who takes part: those that run already, and of the others those that fit them.
    fn admit(
        &mut self,
        view: &'a View,
        group: &'a BTreeSet<MemberId>,
        me: Me<'_>,
    ) -> Result<(), Error> {
        let runs = |process: &ProcessId, record: &MemberRecord| {
            let share = view.assignment.members.get(process);
            share.is_some_and(|share| share.member_id == record.member_id)
        };
        let (running, mut joining): (Vec<_>, Vec<_>) =
            view.live(group).partition(|(process, record)| runs(process, record));
        self.accepted.extend(running);
        // The leader goes first: if it is the first of all, the others have to fit it.
        joining.sort_by_key(|(process, _)| (*process != me.process, *process));
        for (process, record) in joining {
            let reasons = view.refusal(process, &record.member_id).map_or_else(
                || self.accepted.values().flat_map(|other| conflicts(record, other)).collect(),
                <[String]>::to_vec,
            );
            let reasons: BTreeSet<String> = reasons.into_iter().collect();
            if reasons.is_empty() {
                self.accepted.insert(process, record);
            } else if process == me.process {
                return Err(refusal(reasons.iter()));
            } else {
                let member_id = record.member_id.clone();
                let reasons = reasons.into_iter().collect();
                self.refused.insert(process, Refusal { member_id, reasons });
            }
        }
        Ok(())
    }

    fn find_holders(&mut self, view: &View, group: &BTreeSet<MemberId>) {
        for (process, share) in &view.assignment.members {
            for task in &share.active {
                self.current.insert(*task, *process);
                let hold = Hold::Active(*process, share.member_id.clone());
                self.note(view, group, (*task, *process, &share.member_id), hold);
            }
        }
        for (task, waiting) in &view.assignment.waiting {
            let from = waiting.from.as_ref();
            let owner = waiting.next.or(from.map(|from| from.process));
            self.current.extend(owner.map(|owner| (*task, owner)));
            let Some(from) = from else { continue };
            if !view.has_released(*task, &from.member_id, from.since) {
                let hold = Hold::Leaving(from.clone());
                self.note(view, group, (*task, from.process, &from.member_id), hold);
            }
        }
    }

    /// Notes a hold, or what it leaves behind if its member has left or the group has dropped it. A process that ends in
    /// good order has no transactions any more, and says so when it leaves.
    fn note(
        &mut self,
        view: &View,
        group: &BTreeSet<MemberId>,
        (task, process, member_id): (TaskId, ProcessId, &MemberId),
        hold: Hold,
    ) {
        if group.contains(member_id) && !view.has_left(process, member_id) {
            self.holds.insert(task, hold);
        } else if let Some(record) = view.members.get(&process)
            && record.member_id == *member_id
        {
            self.dropped.entry(task).or_default().extend(record.transactional_ids.clone());
        }
    }

    pub(super) fn candidate(&self, process: ProcessId, record: &MemberRecord) -> Candidate {
        let knows = |task: &TaskId| {
            let part = record.subtopologies.get(&task.subtopology);
            part.is_some_and(|part| task.partition < part.tasks())
        };
        let known: BTreeSet<TaskId> =
            self.tasks.keys().copied().filter(|task| knows(task)).collect();
        let mine = self.current.iter().filter(|(_, owner)| **owner == process);
        Candidate {
            threads: record.threads,
            tags: record.tags.clone(),
            current: mine.map(|(task, _)| *task).collect(),
            lags: record.lags.clone(),
            only: (known.len() < self.tasks.len()).then_some(known),
        }
    }

    /// The next step towards a placement: what is free is given, what is not is taken.
    pub(super) fn carry_out(
        &self,
        placement: &Placement,
        present: &AssignmentRecord,
    ) -> AssignmentRecord {
        let epoch = present.epoch + 1;
        let mut next = AssignmentRecord { epoch, ..AssignmentRecord::default() };
        for (process, record) in &self.accepted {
            let member_id = record.member_id.clone();
            next.members.insert(*process, Share { member_id, ..Share::default() });
        }
        let tasks: BTreeSet<TaskId> = self.tasks.keys().chain(self.holds.keys()).copied().collect();
        for task in tasks {
            let target = placement.active.get(&task).copied();
            let share = target.and_then(|target| Some((target, next.members.get_mut(&target)?)));
            let from = match (self.holds.get(&task), share) {
                (None, Some((_, share))) => {
                    share.active.insert(task);
                    continue;
                }
                (Some(Hold::Active(process, member_id)), Some((target, share)))
                    if target == *process && share.member_id == *member_id =>
                {
                    share.active.insert(task);
                    continue;
                }
                (Some(Hold::Active(process, member_id)), _) => {
                    Some(Holder { process: *process, member_id: member_id.clone(), since: epoch })
                }
                (Some(Hold::Leaving(holder)), _) => Some(holder.clone()),
                (None, None) => None,
            };
            next.waiting.insert(task, Waiting { from, next: target });
        }
        let copies = placement
            .standby
            .iter()
            .flat_map(|(task, processes)| processes.iter().map(move |process| (task, process)));
        for (task, process) in copies {
            if let Some(share) = next.members.get_mut(process) {
                share.standby.insert(*task);
            }
        }
        for (task, process) in &placement.warm_up {
            if let Some(share) = next.members.get_mut(process) {
                share.warm_up.insert(*task);
            }
        }
        next
    }
}

/// The error of an instance that does not fit those that run.
pub(in super::super) fn refusal<'a>(reasons: impl Iterator<Item = &'a String>) -> Error {
    let list: Vec<&str> = reasons.map(String::as_str).collect();
    let message = format!(
        "this instance does not fit those that run with the same application id:\n  {}\n\
         They go on. If it is another application, give it another application id; if it is a new version of this one, \
         stop all instances of the old version first",
        list.join("\n  ")
    );
    Error::new(ErrorKind::Config, message)
}
