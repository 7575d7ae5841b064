//! What the application's parts tell about themselves: kept by threads, read by health checks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::Error;
use crate::http::{Health, StatusSource};
use crate::ids::TaskId;
use crate::metrics::{Metrics, RestoreProgress};

/// The state of an application instance.
///
/// ```text
///   created ──► rebalancing ◄──► running
///                   │               │
///                   ▼               ▼
///            pending shutdown ──► not running
///                   │
///                   ▼
///                 error
/// ```
///
/// # Source
/// `KafkaStreams.State`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Not started yet.
    Created,
    /// Waiting for tasks, or bringing them up to date.
    Rebalancing,
    /// Every assigned task processes records.
    Running,
    /// Stopping.
    PendingShutdown,
    /// Stopped.
    NotRunning,
    /// Stopped by an error.
    Error,
}

impl State {
    /// The number that Kafka Streams gives the state.
    fn number(self) -> i64 {
        match self {
            Self::Created => 0,
            Self::Rebalancing => 1,
            Self::Running => 2,
            Self::PendingShutdown => 3,
            Self::NotRunning => 4,
            Self::Error => 6,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Rebalancing => "rebalancing",
            Self::Running => "running",
            Self::PendingShutdown => "pending shutdown",
            Self::NotRunning => "not running",
            Self::Error => "error",
        })
    }
}

/// What a task does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TaskState {
    /// On its way to a thread.
    Created,
    Restoring,
    Running,
}

impl TaskState {
    fn label(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Restoring => "restoring",
            Self::Running => "running",
        }
    }
}

/// What is known of the instance.
#[derive(Debug)]
struct Board {
    state: State,
    /// Whether the group has given an assignment, be it an empty one.
    assigned: bool,
    tasks: BTreeMap<TaskId, TaskState>,
    /// Threads that have died, and why.
    dead_threads: BTreeMap<String, String>,
    /// Threads that make no progress.
    stuck_threads: BTreeSet<String>,
    error: Option<Error>,
    restored_records: u64,
    /// How far the tasks are that are being restored.
    restoring: BTreeMap<TaskId, Vec<RestoreProgress>>,
}

/// Hears of each change of the instance's state: the new one, and the old one.
pub(crate) type StateListener = dyn Fn(State, State) + Send + 'static;

/// The instance's status, shared by its threads.
pub(crate) struct Status {
    /// Guards the board: threads write when a state changes, health checks read. No user code and no
    /// waiting under it, but for `changed`.
    board: Mutex<Board>,
    changed: Condvar,
    /// Held while the listener runs, so that it hears of changes in their order.
    listener: Mutex<Option<Box<StateListener>>>,
    /// Changes that the listener has not heard of.
    unheard: Mutex<VecDeque<(State, State)>>,
    metrics: Metrics,
    topology_text: String,
    topology_json: serde_json::Value,
}

impl Status {
    pub(crate) fn new(metrics: Metrics, topology: &crate::topology::Topology) -> Self {
        let description = topology.describe();
        let board = Board {
            state: State::Created,
            assigned: false,
            tasks: BTreeMap::new(),
            dead_threads: BTreeMap::new(),
            stuck_threads: BTreeSet::new(),
            error: None,
            restored_records: 0,
            restoring: BTreeMap::new(),
        };
        Self {
            board: Mutex::new(board),
            changed: Condvar::new(),
            listener: Mutex::default(),
            unheard: Mutex::default(),
            metrics,
            topology_text: description.to_string(),
            topology_json: serde_json::to_value(&description).unwrap_or_default(),
        }
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Board)) {
        let mut board = self.board();
        let before = board.state;
        change(&mut board);
        if matches!(board.state, State::Rebalancing | State::Running) {
            let all_run = board.tasks.values().all(|task| *task == TaskState::Running);
            board.state =
                if board.assigned && all_run { State::Running } else { State::Rebalancing };
        }
        self.metrics.client_state().set(board.state.number());
        let now = board.state;
        if now != before {
            locked(&self.unheard).push_back((now, before));
        }
        drop(board);
        self.changed.notify_all();
        if now != before {
            self.tell_listener();
        }
    }

    /// Tells the listener what it has not heard of; whoever comes while it is told leaves it to whoever tells.
    fn tell_listener(&self) {
        while let Ok(listener) = self.listener.try_lock() {
            let Some((now, before)) = locked(&self.unheard).pop_front() else { return };
            let Some(listener) = &*listener else { continue };
            let told = catch_unwind(AssertUnwindSafe(|| listener(now, before)));
            if told.is_err() {
                tracing::error!(state = %now, "the state listener panicked");
            }
        }
    }

    pub(crate) fn set_listener(&self, listener: Box<StateListener>) {
        *locked(&self.listener) = Some(listener);
    }

    /// A thread makes no progress, or makes some again.
    pub(crate) fn set_stuck(&self, thread: &str, stuck: bool) {
        let mut board = self.board();
        if stuck {
            board.stuck_threads.insert(thread.to_owned());
        } else {
            board.stuck_threads.remove(thread);
        }
    }

    pub(crate) fn state(&self) -> State {
        self.board().state
    }

    pub(crate) fn set_state(&self, state: State) {
        self.change(|board| board.state = state);
    }

    /// The process has these tasks, the new ones still to be started.
    pub(crate) fn assign(&self, tasks: &BTreeSet<TaskId>) {
        self.change(|board| {
            board.tasks.retain(|task, _| tasks.contains(task));
            for task in tasks {
                board.tasks.entry(*task).or_insert(TaskState::Created);
            }
            board.assigned = true;
        });
    }

    /// These tasks are no longer the process's.
    pub(crate) fn unassign(&self, tasks: &BTreeSet<TaskId>) {
        self.change(|board| board.tasks.retain(|task, _| !tasks.contains(task)));
    }

    /// The assignment is gone.
    pub(crate) fn unassign_all(&self) {
        self.change(|board| {
            board.tasks.clear();
            board.assigned = false;
        });
    }

    /// A task has come to this state; tasks that are not assigned are not shown.
    pub(crate) fn set_task(&self, task: TaskId, state: TaskState) {
        self.change(|board| {
            if let Some(place) = board.tasks.get_mut(&task) {
                *place = state;
            }
        });
    }

    /// Changelog records have been applied.
    pub(crate) fn restored(&self, records: u64) {
        self.board().restored_records += records;
    }

    pub(crate) fn restored_records(&self) -> u64 {
        self.board().restored_records
    }

    /// How far the stores of a task are; without any, the task is not being restored.
    pub(crate) fn set_restoring(&self, task: TaskId, stores: Vec<RestoreProgress>) {
        let mut board = self.board();
        if stores.is_empty() {
            board.restoring.remove(&task);
        } else {
            board.restoring.insert(task, stores);
        }
        self.metrics.set_restoring(board.restoring.values().map(Vec::as_slice));
    }

    /// How far the stores are that are being restored.
    pub(crate) fn restoring(&self) -> Vec<RestoreProgress> {
        self.board().restoring.values().flatten().cloned().collect()
    }

    /// A thread has died; the first error is the application's.
    pub(crate) fn thread_died(&self, thread: &str, error: Error) {
        self.change(|board| {
            board.dead_threads.insert(thread.to_owned(), error.report());
            board.error.get_or_insert(error);
        });
    }

    /// The error that stopped the application, once.
    pub(crate) fn take_error(&self) -> Option<Error> {
        self.board().error.take()
    }

    pub(crate) fn has_error(&self) -> bool {
        !self.board().dead_threads.is_empty()
    }

    /// Waits until `reached` or the timeout; says which.
    pub(crate) fn wait_until(&self, timeout: Duration, reached: impl Fn(State) -> bool) -> bool {
        let board = self.board();
        let (board, _) = self
            .changed
            .wait_timeout_while(board, timeout, |board| !reached(board.state))
            .unwrap_or_else(PoisonError::into_inner);
        reached(board.state)
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Status").field("board", &self.board).finish_non_exhaustive()
    }
}

/// Locks; a panic elsewhere has not left anything half done under these locks.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl StatusSource for Status {
    fn live(&self) -> Health {
        let board = self.board();
        let mut states = board.dead_threads.clone();
        let stuck = board.stuck_threads.iter();
        states.extend(stuck.map(|thread| (thread.clone(), "makes no progress".to_owned())));
        let healthy = states.is_empty() && board.state != State::Error;
        Health { healthy, states, restoring: Vec::new() }
    }

    fn ready(&self) -> Health {
        let board = self.board();
        let tasks = board.tasks.iter();
        let mut states: BTreeMap<String, String> =
            tasks.map(|(task, state)| (task.to_string(), state.label().to_owned())).collect();
        states.insert("client".to_owned(), board.state.to_string());
        let restoring = board.restoring.values().flatten().cloned().collect();
        Health { healthy: board.state == State::Running, states, restoring }
    }

    fn topology_text(&self) -> String {
        self.topology_text.clone()
    }

    fn topology_json(&self) -> serde_json::Value {
        self.topology_json.clone()
    }
}
