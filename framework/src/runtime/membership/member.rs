//! What a member makes of assignments: which tasks it has, and what its process is told.
//!
//! ```text
//!            granted                 taken away              released
//!   nobody ──────────► active ─────────────────► revoking ─────────────► nobody
//!                        │                          │
//!                        └──────────┬───────────────┘
//!                                   ▼ granted to another, or the member has a new id
//!                                  lost
//! ```
//!
//! INVARIANT: a task is in `told.active` or `revoking` from the moment in which the process hears that it
//! has it until the process says that it has closed it, or until everything is lost. An assignment that
//! gives such a task to somebody else comes only after the group has dropped this member.

use std::collections::{BTreeMap, BTreeSet};

use super::ids::{MemberId, ProcessId};
use super::messages::{AssignmentRecord, ReleasedRecord, Share};
use super::{Assignment, MembershipEvent};
use crate::ids::TaskId;

/// See the module. It belongs to one life of the process in the group.
#[derive(Debug)]
pub(super) struct Member {
    process: ProcessId,
    id: MemberId,
    /// What the process was told that it has; `None` before the first assignment.
    told: Option<Assignment>,
    /// Tasks that the process is giving up, with the epoch that takes them.
    revoking: BTreeMap<TaskId, u64>,
}

impl Member {
    pub(super) fn new(process: ProcessId, id: MemberId) -> Self {
        Self { process, id, told: None, revoking: BTreeMap::new() }
    }

    pub(super) fn id(&self) -> &MemberId {
        &self.id
    }

    /// Whether the process may have anything of its tasks, active or not.
    pub(super) fn has_anything(&self) -> bool {
        let told = self.told.as_ref();
        !self.revoking.is_empty()
            || told.is_some_and(|told| {
                !(told.active.is_empty() && told.standby.is_empty() && told.warm_up.is_empty())
            })
    }

    /// Follows an assignment; the answer is what the process is to be told, in order.
    pub(super) fn follow(&mut self, assignment: &AssignmentRecord) -> Vec<MembershipEvent> {
        let share = assignment.members.get(&self.process).filter(|s| s.member_id == self.id);
        let granted = |task: &TaskId| share.is_some_and(|share| share.active.contains(task));
        let taken = |task: &TaskId| {
            let from = assignment.waiting.get(task).and_then(|waiting| waiting.from.as_ref());
            from.is_some_and(|from| from.member_id == self.id)
        };
        let active = self.told.iter().flat_map(|told| &told.active);
        if active.chain(self.revoking.keys()).any(|task| !granted(task) && !taken(task)) {
            return vec![MembershipEvent::Lost];
        }
        let mut events = Vec::new();
        let active = self.told.iter().flat_map(|told| &told.active);
        let revoked: BTreeSet<TaskId> = active.copied().filter(|task| !granted(task)).collect();
        if !revoked.is_empty() {
            self.revoking.extend(revoked.iter().map(|task| (*task, assignment.epoch)));
            if let Some(told) = &mut self.told {
                told.active.retain(|task| !revoked.contains(task));
            }
            events.push(MembershipEvent::Revoked(revoked));
        }
        if let Some(share) = share {
            events.extend(self.tell(share, assignment));
        }
        events
    }

    /// Tells the process its part, if it is another than before.
    fn tell(&mut self, share: &Share, assignment: &AssignmentRecord) -> Option<MembershipEvent> {
        let Share { active, standby, warm_up, .. } = share.clone();
        let before = self.told.as_ref();
        let gained =
            active.iter().filter(|task| before.is_none_or(|before| !before.active.contains(*task)));
        let orphaned_transactions =
            gained.filter_map(|task| assignment.orphans.get(task)).flatten().cloned().collect();
        let now = Assignment { active, standby, warm_up, orphaned_transactions: BTreeSet::new() };
        if before == Some(&now) {
            return None;
        }
        self.told = Some(now.clone());
        Some(MembershipEvent::Assigned(Assignment { orphaned_transactions, ..now }))
    }

    /// The process has closed these tasks. The answer is what the others are to read; a task that was not
    /// taken away is not given up.
    pub(super) fn release(&mut self, tasks: &BTreeSet<TaskId>) -> Vec<(TaskId, ReleasedRecord)> {
        let released = tasks.iter().filter_map(|task| {
            let epoch = self.revoking.remove(task)?;
            Some((*task, ReleasedRecord { member_id: self.id.clone(), epoch }))
        });
        released.collect()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::messages::{Holder, Waiting};
    use super::*;

    const A: TaskId = TaskId { subtopology: 0, partition: 0 };
    const B: TaskId = TaskId { subtopology: 0, partition: 1 };

    fn process(number: u128) -> ProcessId {
        ProcessId::new(Uuid::from_u128(number))
    }

    fn member() -> Member {
        Member::new(process(1), MemberId::new("m-1"))
    }

    /// An assignment of tasks to `(process, member id)`; the rest waits for a member.
    fn assignment(
        epoch: u64,
        shares: &[(u128, &str, &[TaskId])],
        waiting: &[(TaskId, &str)],
    ) -> AssignmentRecord {
        let share = |(number, id, tasks): &(u128, &str, &[TaskId])| {
            let active = tasks.iter().copied().collect();
            (process(*number), Share { member_id: MemberId::new(*id), active, ..Share::default() })
        };
        let wait = |(task, id): &(TaskId, &str)| {
            let holder =
                Holder { process: process(1), member_id: MemberId::new(*id), since: epoch };
            (*task, Waiting { from: Some(holder), next: None })
        };
        AssignmentRecord {
            epoch,
            members: shares.iter().map(share).collect(),
            waiting: waiting.iter().map(wait).collect(),
            orphans: BTreeMap::new(),
        }
    }

    fn assigned(tasks: &[TaskId]) -> MembershipEvent {
        let active = tasks.iter().copied().collect();
        MembershipEvent::Assigned(Assignment { active, ..Assignment::default() })
    }

    #[test]
    fn only_news_is_told() {
        let mut member = member();
        let first = assignment(1, &[(1, "m-1", &[A, B])], &[]);
        assert_eq!(member.follow(&first), [assigned(&[A, B])]);
        let others = assignment(2, &[(1, "m-1", &[A, B]), (2, "m-2", &[])], &[]);
        assert_eq!(member.follow(&others), []);
    }

    #[test]
    fn a_member_without_tasks_is_told_so_once() {
        let mut member = member();
        assert_eq!(member.follow(&assignment(1, &[(2, "m-2", &[A])], &[])), []);
        let empty = assignment(2, &[(1, "m-1", &[]), (2, "m-2", &[A])], &[]);
        assert_eq!(member.follow(&empty), [assigned(&[])]);
        assert_eq!(member.follow(&empty), []);
    }

    #[test]
    fn a_task_is_released_once_with_the_epoch_that_took_it() {
        let mut member = member();
        member.follow(&assignment(1, &[(1, "m-1", &[A, B])], &[]));
        let taken = assignment(2, &[(1, "m-1", &[A])], &[(B, "m-1")]);
        assert_eq!(member.follow(&taken), [MembershipEvent::Revoked([B].into())]);
        assert_eq!(member.follow(&assignment(3, &[(1, "m-1", &[A])], &[(B, "m-1")])), []);
        let released = ReleasedRecord { member_id: MemberId::new("m-1"), epoch: 2 };
        // A was not taken away.
        assert_eq!(member.release(&[A, B].into()), [(B, released)]);
        assert_eq!(member.release(&[B].into()), []);
        let given = assignment(4, &[(1, "m-1", &[A]), (2, "m-2", &[B])], &[]);
        assert_eq!(member.follow(&given), []);
    }

    #[test]
    fn a_task_comes_back_after_it_was_released() {
        let mut member = member();
        member.follow(&assignment(1, &[(1, "m-1", &[A])], &[]));
        member.follow(&assignment(2, &[(1, "m-1", &[])], &[(A, "m-1")]));
        member.release(&[A].into());
        let back = assignment(3, &[(1, "m-1", &[A])], &[]);
        assert_eq!(member.follow(&back), [assigned(&[A])]);
    }

    #[test]
    fn a_task_that_another_got_before_it_was_released_means_that_all_is_lost() {
        for taken_first in [false, true] {
            let mut member = member();
            member.follow(&assignment(1, &[(1, "m-1", &[A, B])], &[]));
            if taken_first {
                member.follow(&assignment(2, &[(1, "m-1", &[A])], &[(B, "m-1")]));
            }
            let other = assignment(3, &[(1, "m-1", &[A]), (2, "m-2", &[B])], &[]);
            assert_eq!(member.follow(&other), [MembershipEvent::Lost]);
        }
    }

    #[test]
    fn what_was_granted_to_an_earlier_life_is_not_had() {
        let mut member = member();
        assert_eq!(member.follow(&assignment(1, &[(1, "m-0", &[A])], &[])), []);
        assert!(!member.has_anything());
    }

    #[test]
    fn what_is_not_granted_any_more_is_lost() {
        let mut member = member();
        member.follow(&assignment(1, &[(1, "m-1", &[A])], &[]));
        // The leader has seen the process join anew.
        let next = assignment(2, &[(1, "m-2", &[A])], &[]);
        assert_eq!(member.follow(&next), [MembershipEvent::Lost]);
    }

    #[test]
    fn orphaned_transactions_come_with_the_tasks_that_are_new() {
        let mut member = member();
        let mut first = assignment(1, &[(1, "m-1", &[A])], &[]);
        first.orphans.insert(B, ["other".to_owned()].into());
        assert_eq!(member.follow(&first), [assigned(&[A])]);
        let mut second = assignment(2, &[(1, "m-1", &[A, B])], &[]);
        second.orphans.insert(A, ["old".to_owned()].into());
        second.orphans.insert(B, ["dead-1".to_owned()].into());
        let expected = Assignment {
            active: [A, B].into(),
            orphaned_transactions: ["dead-1".to_owned()].into(),
            ..Assignment::default()
        };
        assert_eq!(member.follow(&second), [MembershipEvent::Assigned(expected)]);
        assert_eq!(member.follow(&second), []);
    }
}
