//! Which assignment is the present one, as control thread and stream threads both see it.
//!
//! INVARIANT: a thread commits only under the epoch that its tasks were assigned in. A thread that was
//! stuck while the group went on thus finds its tasks to be another member's, although the member
//! itself has been let in again.

use std::sync::atomic::{AtomicU64, Ordering};

/// The number of an assignment of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Epoch(u64);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Assignments {
    /// The present epoch; 0 before the first.
    current: AtomicU64,
    /// The last epoch in which a thread has dropped its tasks.
    dropped: AtomicU64,
}

impl Assignments {
    /// An assignment has come: its tasks are run in the epoch returned.
    pub(crate) fn begin(&self) -> Epoch {
        Epoch(self.current.fetch_add(1, Ordering::SeqCst) + 1)
    }

    /// The tasks of the present assignment are no longer this member's.
    pub(crate) fn end(&self) {
        self.current.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether tasks of this epoch may be committed.
    pub(crate) fn is_current(&self, epoch: Epoch) -> bool {
        self.current.load(Ordering::SeqCst) == epoch.0
    }

    /// A thread has dropped its tasks, because a commit was refused.
    pub(crate) fn report_dropped(&self, epoch: Epoch) {
        self.dropped.fetch_max(epoch.0, Ordering::SeqCst);
    }

    /// Whether tasks of the present assignment have been dropped: only another one brings them back.
    pub(crate) fn is_broken(&self) -> bool {
        let dropped = self.dropped.load(Ordering::SeqCst);
        dropped != 0 && dropped == self.current.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_may_be_committed_in_their_own_epoch_only() {
        let assignments = Assignments::default();
        let first = assignments.begin();
        assert!(assignments.is_current(first));
        assignments.end();
        assert!(!assignments.is_current(first));
        let second = assignments.begin();
        assert!(assignments.is_current(second) && !assignments.is_current(first));
    }

    #[test]
    fn dropped_tasks_break_their_assignment_until_it_ends() {
        let assignments = Assignments::default();
        assert!(!assignments.is_broken());
        let first = assignments.begin();
        assert!(!assignments.is_broken());
        assignments.report_dropped(first);
        assert!(assignments.is_broken());
        assignments.end();
        assert!(!assignments.is_broken());
        assignments.begin();
        assignments.report_dropped(first); // late news of the old one
        assert!(!assignments.is_broken());
    }
}
