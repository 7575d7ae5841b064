//! Which tasks this process may commit, as control thread and stream threads both see it.
//!
//! INVARIANT: a thread commits a task only under the grant that it got with it, and a grant ends when the
//! task is released or the process has lost its membership. A thread that was stuck while the group went on
//! thus finds its tasks to be another's, although the process has been let in again and may even have been
//! given the same tasks anew.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::ids::TaskId;

/// The right to commit one task, from its assignment to its release. The default one is never given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Grant(u64);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Ownership {
    /// Guards the table; held for moments, and never while anything is waited for.
    grants: Mutex<Grants>,
}

#[derive(Debug, Default)]
struct Grants {
    granted: u64,
    current: BTreeMap<TaskId, Grant>,
}

impl Ownership {
    fn grants(&self) -> MutexGuard<'_, Grants> {
        self.grants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The task may be committed under the grant returned, and under no other.
    pub(crate) fn grant(&self, task: TaskId) -> Grant {
        let mut grants = self.grants();
        grants.granted += 1;
        let grant = Grant(grants.granted);
        grants.current.insert(task, grant);
        grant
    }

    /// The task is no longer this process's, or not this thread's.
    pub(crate) fn end(&self, task: TaskId) {
        self.grants().current.remove(&task);
    }

    /// No task is this process's.
    pub(crate) fn end_all(&self) {
        self.grants().current.clear();
    }

    /// Runs `then` if all of these tasks may be committed; no grant ends meanwhile, so `then` must not wait.
    pub(crate) fn with<R>(
        &self,
        mut tasks: impl Iterator<Item = (TaskId, Grant)>,
        then: impl FnOnce() -> R,
    ) -> Option<R> {
        let grants = self.grants();
        tasks.all(|(task, grant)| grants.current.get(&task) == Some(&grant)).then(then)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: TaskId = TaskId { subtopology: 0, partition: 0 };
    const OTHER: TaskId = TaskId { subtopology: 0, partition: 1 };

    fn may(ownership: &Ownership, tasks: &[(TaskId, Grant)]) -> bool {
        ownership.with(tasks.iter().copied(), || ()).is_some()
    }

    #[test]
    fn a_task_may_be_committed_under_its_own_grant_only() {
        let ownership = Ownership::default();
        let first = ownership.grant(TASK);
        assert!(may(&ownership, &[(TASK, first)]));
        ownership.end(TASK);
        assert!(!may(&ownership, &[(TASK, first)]));
        let second = ownership.grant(TASK);
        assert!(may(&ownership, &[(TASK, second)]));
        assert!(!may(&ownership, &[(TASK, first)]));
    }

    #[test]
    fn tasks_are_committed_together_or_not_at_all() {
        let ownership = Ownership::default();
        let (task, other) = (ownership.grant(TASK), ownership.grant(OTHER));
        assert!(may(&ownership, &[(TASK, task), (OTHER, other)]));
        ownership.end(OTHER);
        assert!(!may(&ownership, &[(TASK, task), (OTHER, other)]));
        assert!(may(&ownership, &[(TASK, task)]));
        ownership.end_all();
        assert!(!may(&ownership, &[(TASK, task)]));
    }
}
