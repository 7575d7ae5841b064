//! The tasks of a process: which it has, on which thread each is, and which are on their way from one to
//! another or to another process. A task is on one thread at a time.

use std::collections::{BTreeMap, BTreeSet};

use super::dealing::{Placed, deal};
use crate::ids::TaskId;
use crate::topology::Topology;

/// See the module.
pub(super) struct Tasks {
    /// The sub-topologies with stores.
    heavy: BTreeSet<u32>,
    /// What the process is to run.
    assigned: BTreeSet<TaskId>,
    /// The threads that have tasks.
    running: BTreeMap<TaskId, usize>,
    /// Tasks whose threads are asked to close them.
    leaving: BTreeSet<TaskId>,
    /// Those of them that go to another process.
    revoked: BTreeSet<TaskId>,
    /// The thread that each task was on last.
    last: BTreeMap<TaskId, usize>,
}

/// Tasks that a thread has closed.
#[derive(Debug, Default)]
pub(super) struct Closed {
    pub(super) all: BTreeSet<TaskId>,
    /// Those that are to go to another process.
    pub(super) revoked: BTreeSet<TaskId>,
}

/// Tells a thread about tasks.
pub(super) type Tell<'a> = dyn FnMut(usize, Vec<TaskId>) + 'a;
/// Asks a thread to close tasks.
pub(super) type Ask<'a> = dyn FnMut(usize, BTreeSet<TaskId>) + 'a;

impl Tasks {
    pub(super) fn new(topology: &Topology) -> Self {
        let heavy = topology.stores.iter().map(|store| store.subtopology).collect();
        Self {
            heavy,
            assigned: BTreeSet::new(),
            running: BTreeMap::new(),
            leaving: BTreeSet::new(),
            revoked: BTreeSet::new(),
            last: BTreeMap::new(),
        }
    }

    /// The process is to run these tasks.
    pub(super) fn assign(&mut self, tasks: BTreeSet<TaskId>) {
        self.assigned = tasks;
    }

    /// Whether some thread is asked to close a task.
    pub(super) fn awaits_release(&self) -> bool {
        !self.leaving.is_empty()
    }

    pub(super) fn has(&self, task: TaskId) -> bool {
        self.assigned.contains(&task) || self.running.contains_key(&task)
    }

    /// Whether a thread has no task.
    pub(super) fn has_none(&self, thread: usize) -> bool {
        !self.running.values().any(|other| *other == thread)
    }

    /// Deals what no thread has, and asks for what is on the wrong thread.
    pub(super) fn deal(
        &mut self,
        threads: &BTreeSet<usize>,
        tell: &mut Tell<'_>,
        ask: &mut Ask<'_>,
    ) {
        let placed = |task: &TaskId| {
            let thread = self.running.get(task).or_else(|| self.last.get(task)).copied();
            (*task, Placed { heavy: self.heavy.contains(&task.subtopology), thread })
        };
        let wanted = deal(&self.assigned.iter().map(placed).collect(), threads);
        let mut given: BTreeMap<usize, Vec<TaskId>> = BTreeMap::new();
        let mut taken: BTreeMap<usize, BTreeSet<TaskId>> = BTreeMap::new();
        for (task, thread) in &wanted {
            if !self.running.contains_key(task) {
                given.entry(*thread).or_default().push(*task);
            }
        }
        for (task, now) in &self.running {
            // Without threads nobody is to have it.
            if wanted.get(task) != Some(now) && !self.leaving.contains(task) {
                taken.entry(*now).or_default().insert(*task);
            }
        }
        for (thread, tasks) in given {
            self.running.extend(tasks.iter().map(|task| (*task, thread)));
            self.last.extend(tasks.iter().map(|task| (*task, thread)));
            tell(thread, tasks);
        }
        for (thread, tasks) in taken {
            self.leaving.extend(&tasks);
            ask(thread, tasks);
        }
    }

    /// Tasks go to another process; the answer is those that no thread has.
    pub(super) fn revoke(
        &mut self,
        tasks: &BTreeSet<TaskId>,
        ask: &mut Ask<'_>,
    ) -> BTreeSet<TaskId> {
        let mut free = BTreeSet::new();
        let mut taken: BTreeMap<usize, BTreeSet<TaskId>> = BTreeMap::new();
        for task in tasks {
            self.assigned.remove(task);
            let Some(thread) = self.running.get(task) else {
                free.insert(*task);
                continue;
            };
            self.revoked.insert(*task);
            if self.leaving.insert(*task) {
                taken.entry(*thread).or_default().insert(*task);
            }
        }
        for (thread, tasks) in taken {
            ask(thread, tasks);
        }
        free
    }

    /// A thread has closed tasks.
    pub(super) fn released(&mut self, thread: usize, tasks: &BTreeSet<TaskId>) -> Closed {
        let mut closed = Closed::default();
        for task in tasks {
            // Late news of a task that has been given up since says nothing about where it is now.
            if self.running.get(task) != Some(&thread) || !self.leaving.remove(task) {
                continue;
            }
            self.running.remove(task);
            closed.all.insert(*task);
            if self.revoked.remove(task) {
                closed.revoked.insert(*task);
            }
        }
        closed
    }

    /// A thread has ended.
    pub(super) fn thread_ended(&mut self, thread: usize) -> Closed {
        let on_it = self.running.iter().filter(|(_, other)| **other == thread);
        let all: BTreeSet<TaskId> = on_it.map(|(task, _)| *task).collect();
        self.running.retain(|_, other| *other != thread);
        self.leaving.retain(|task| !all.contains(task));
        let revoked = self.revoked.intersection(&all).copied().collect();
        self.revoked.retain(|task| !all.contains(task));
        Closed { all, revoked }
    }

    /// All tasks are given up.
    pub(super) fn clear(&mut self) {
        self.assigned.clear();
        self.running.clear();
        self.leaving.clear();
        self.revoked.clear();
    }

    /// The tasks that threads have.
    pub(super) fn on_threads(&self) -> BTreeSet<TaskId> {
        self.running.keys().copied().collect()
    }
}
