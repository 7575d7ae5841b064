//! What the coordination log says: the last record of each key.

use std::collections::{BTreeMap, BTreeSet};

use super::ids::{MemberId, ProcessId};
use super::messages::{
    AssignmentRecord, Key, MemberRecord, PlanRecord, ReleasedRecord, SubtopologyRecord, read,
};
use crate::error::Error;
use crate::ids::TaskId;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct View {
    pub(super) members: BTreeMap<ProcessId, MemberRecord>,
    pub(super) assignment: AssignmentRecord,
    pub(super) released: BTreeMap<TaskId, ReleasedRecord>,
    pub(super) plan: PlanRecord,
}

impl View {
    /// Takes in a record, in the order of the log. The answer is what it was about.
    pub(super) fn apply(
        &mut self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<Option<Key>, Error> {
        let Some(key) = key.and_then(Key::read) else { return Ok(None) };
        let name = key.text();
        match (key, value) {
            (Key::Member(process), Some(value)) => {
                self.members.insert(process, read(value, &name)?);
            }
            (Key::Member(process), None) => drop(self.members.remove(&process)),
            (Key::Assignment, Some(value)) => self.assignment = read(value, &name)?,
            (Key::Assignment, None) => self.assignment = AssignmentRecord::default(),
            (Key::Released(task), Some(value)) => {
                self.released.insert(task, read(value, &name)?);
            }
            (Key::Released(task), None) => drop(self.released.remove(&task)),
            (Key::Plan, Some(value)) => self.plan = read(value, &name)?,
            (Key::Plan, None) => self.plan = PlanRecord::default(),
        }
        Ok(Some(key))
    }

    /// The members of the group that say something of themselves and have not left.
    pub(super) fn live<'a>(
        &'a self,
        group: &'a BTreeSet<MemberId>,
    ) -> impl Iterator<Item = (ProcessId, &'a MemberRecord)> {
        let all = self.members.iter().map(|(process, record)| (*process, record));
        all.filter(|(_, record)| group.contains(&record.member_id) && !record.left)
    }

    /// Whether a member has written that it goes.
    pub(super) fn has_left(&self, process: ProcessId, member: &MemberId) -> bool {
        let record = self.members.get(&process);
        record.is_some_and(|record| record.left && record.member_id == *member)
    }

    /// Whether a member has closed a task that was taken from it at epoch `since`.
    pub(super) fn has_released(&self, task: TaskId, member: &MemberId, since: u64) -> bool {
        let record = self.released.get(&task);
        record.is_some_and(|record| record.member_id == *member && record.epoch >= since)
    }

    /// Whether a member is refused, and why.
    pub(super) fn refusal(&self, process: ProcessId, member: &MemberId) -> Option<&[String]> {
        let refusal = self.plan.refused.get(&process)?;
        (refusal.member_id == *member).then_some(&refusal.reasons)
    }
}

/// All tasks of these sub-topologies, with whether they have stores.
pub(super) fn tasks_of(
    subtopologies: &BTreeMap<u32, SubtopologyRecord>,
) -> impl Iterator<Item = (TaskId, bool)> {
    subtopologies.iter().flat_map(|(number, part)| {
        (0..part.tasks())
            .map(|partition| (TaskId { subtopology: *number, partition }, part.stateful))
    })
}
