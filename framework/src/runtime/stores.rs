//! Where the stores of this process's tasks live: the state folder, and the memory they share.

mod kept;

use std::collections::BTreeMap;
use std::time::Duration;

use uuid::Uuid;

use self::kept::KeptRows;
use crate::error::Error;
use crate::ids::TaskId;
use crate::record::Timestamp;
use crate::state::persistent::{StateEnv, TaskDb};
use crate::state::{RowStore, StateDirectory, StateError};
use crate::topology::{StoreId, StoreType, Topology};

/// The rows of a task's stores.
pub(crate) type Opened = BTreeMap<StoreId, Box<dyn RowStore>>;

/// Opens and deletes the stores of tasks.
#[derive(Debug)]
pub(crate) struct TaskStores {
    directory: StateDirectory,
    env: StateEnv,
    kept: KeptRows,
}

impl TaskStores {
    pub(crate) fn new(directory: StateDirectory, env: StateEnv) -> Self {
        Self { directory, env, kept: KeptRows::default() }
    }

    /// Opens the stores of a task; `None` while another thread of this process, which had the task before,
    /// has them open.
    ///
    /// # Errors
    /// `TaskCorrupted` for a damaged database: [`delete`](Self::delete) it, the changelog has everything.
    pub(crate) fn open(&self, topology: &Topology, task: TaskId) -> Result<Option<Opened>, Error> {
        match self.open_once(topology, task) {
            Ok(opened) => Ok(Some(opened)),
            // The process has the whole folder for itself.
            Err(StateError::Locked { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn open_once(&self, topology: &Topology, task: TaskId) -> Result<Opened, StateError> {
        let stores = || {
            let stores = topology.stores.iter().enumerate();
            stores.filter(|(_, store)| store.subtopology == task.subtopology)
        };
        let persistent: Vec<&str> = stores()
            .filter(|(_, store)| store.store_type == StoreType::Persistent)
            .map(|(_, store)| store.name.as_str())
            .collect();
        let mut db = if persistent.is_empty() {
            None
        } else {
            Some(TaskDb::open(&self.env, &self.directory.task_folder(task)?, &persistent)?)
        };
        let mut opened = Opened::new();
        for (index, store) in stores() {
            let rows = db.as_mut().and_then(|db| db.take_rows(&store.name));
            let rows: Box<dyn RowStore> = match rows {
                Some(rows) => Box::new(rows),
                None => self.kept.take(task, StoreId(index)),
            };
            opened.insert(StoreId(index), rows);
        }
        Ok(opened)
    }

    /// These tasks are about to be closed and opened again: what they have committed to stores in memory stays.
    pub(crate) fn keep(&self, tasks: impl IntoIterator<Item = TaskId>) {
        self.kept.want(tasks);
    }

    /// Frees what stays of a task that is not to be opened again here.
    pub(crate) fn release(&self, task: TaskId) {
        self.kept.forget(task);
    }

    /// The same, of all tasks.
    pub(crate) fn release_all(&self) {
        self.kept.forget_all();
    }

    /// Deletes the local state of a task that is not open.
    pub(crate) fn delete(&self, task: TaskId) -> Result<(), Error> {
        self.kept.forget(task);
        Ok(self.directory.delete_task(task)?)
    }

    /// Names the process's state through restarts.
    pub(crate) fn process_id(&self) -> Uuid {
        self.directory.process_id()
    }

    /// The tasks that have state on this process's disk.
    pub(crate) fn local_tasks(&self) -> Result<Vec<TaskId>, Error> {
        Ok(self.directory.tasks()?)
    }

    /// Deletes the state of tasks that has not changed for `delay`, and says which; those in use are left
    /// alone.
    pub(crate) fn delete_idle(
        &self,
        now_ms: Timestamp,
        delay: Duration,
        in_use: impl Fn(TaskId) -> bool,
    ) -> Result<Vec<TaskId>, Error> {
        Ok(self.directory.delete_idle_tasks(now_ms, delay, in_use)?)
    }
}
