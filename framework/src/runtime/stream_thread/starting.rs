//! Tasks on their way to running: stores are opened, brought up to date, and input is found.
//!
//! What always holds: a task that was assigned is in `starting` or `running` until the next command; an
//! error sends it back to the beginning, to be tried again, and never drops it.

use std::collections::BTreeMap;

use super::{ActiveTask, StreamThread};
use crate::broker::StartOffset;
use crate::error::{Error, ErrorKind};
use crate::ids::{TaskId, TopicPartition};
use crate::processor::progress::fingerprint_of;
use crate::runtime::compatibility::check_takeover;
use crate::runtime::restore::TaskRestore;
use crate::runtime::status::TaskState;

/// How long one question for committed offsets may take.
const COMMITTED_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// A task on its way to running.
pub(super) struct StartingTask {
    pub(super) id: TaskId,
    pub(super) stage: Stage,
}

pub(super) enum Stage {
    /// Stores are still to be opened.
    New,
    /// Stores are open since the assignment before. Another member may have run the task between the two,
    /// if this one was late to rejoin.
    Kept(ActiveTask),
    /// Stores read their changelogs.
    Restoring(ActiveTask, TaskRestore),
    /// Stores are up to date; only the starting offsets are missing.
    Restored(ActiveTask),
}

impl StreamThread {
    /// Brings starting tasks a step further; the answer is how much was done.
    pub(super) fn start_tasks(&mut self) -> Result<usize, Error> {
        // Tasks read global stores from their first record on.
        if !self.shared.globals.are_complete() {
            return Ok(0);
        }
        let mut done = 0;
        let mut waiting = std::mem::take(&mut self.starting).into_iter();
        let mut failed = None;
        for StartingTask { id, stage } in waiting.by_ref() {
            match self.advance(id, stage, &mut done) {
                Ok(Some(stage)) => self.starting.push(StartingTask { id, stage }),
                Ok(None) => {}
                Err(error) => {
                    failed = Some((id, error));
                    break;
                }
            }
        }
        self.starting.extend(waiting);
        let Some((id, error)) = failed else { return Ok(done) };
        // The others have their turn first.
        self.starting.push(StartingTask { id, stage: Stage::New });
        Err(error.in_task(id))
    }

    /// The task's next stage; `None`: it runs.
    fn advance(
        &mut self,
        id: TaskId,
        stage: Stage,
        done: &mut usize,
    ) -> Result<Option<Stage>, Error> {
        Ok(match stage {
            Stage::New => Some(self.open(id)?),
            Stage::Kept(active) => Some(self.resume(active)?),
            Stage::Restoring(active, restore) => Some(self.restore(active, restore, done)?),
            Stage::Restored(active) => {
                let waits = self.begin(active)?.map(Stage::Restored);
                *done += usize::from(waits.is_none());
                waits
            }
        })
    }

    /// Opens a task's stores and begins to restore them. State that cannot be brought up to date is
    /// deleted.
    fn open(&mut self, id: TaskId) -> Result<Stage, Error> {
        self.shared.status.set_task(id, TaskState::Restoring);
        let opened = self.try_open(id);
        match opened {
            Err(error) if error.kind() == ErrorKind::TaskCorrupted => {
                tracing::warn!(error = error.report(), "local state is deleted and restored");
                self.shared.stores.delete(id)?;
                self.try_open(id)
            }
            result => result,
        }
    }

    fn try_open(&mut self, id: TaskId) -> Result<Stage, Error> {
        let Some(active) = ActiveTask::open(&self.shared, id, &self.producer)? else {
            return Ok(Stage::New);
        };
        let restore = self.begin_restore(&active)?;
        Ok(Stage::Restoring(active, restore))
    }

    fn begin_restore(&mut self, active: &ActiveTask) -> Result<TaskRestore, Error> {
        let sources = active.task.source_changelogs();
        let committed = self.committed(sources)?;
        let now_ms = self.shared.clock.now_ms();
        let consumer = &mut *self.restore_consumer;
        TaskRestore::begin(&active.task, &*self.shared.admin, consumer, &committed, now_ms)
    }

    /// The group's offsets of these partitions.
    fn committed(
        &self,
        partitions: Vec<TopicPartition>,
    ) -> Result<BTreeMap<TopicPartition, i64>, Error> {
        if partitions.is_empty() {
            return Ok(BTreeMap::new());
        }
        let committed = self.shared.membership.committed(&partitions, COMMITTED_TIMEOUT)?;
        let offsets = partitions.into_iter().zip(committed);
        Ok(offsets.filter_map(|(partition, offset)| Some((partition, offset?.offset))).collect())
    }

    /// A kept task goes on at once if nobody has written to its changelogs since. Otherwise it is opened
    /// anew, because its rows in memory are out of date.
    fn resume(&mut self, active: ActiveTask) -> Result<Stage, Error> {
        match self.begin_restore(&active) {
            Ok(restore) if restore.is_done() => Ok(Stage::Restored(active)),
            Ok(restore) => {
                restore.abandon(&mut *self.restore_consumer)?;
                Ok(Stage::New)
            }
            Err(error) if error.kind() == ErrorKind::TaskCorrupted => Ok(Stage::New),
            Err(error) => Err(error),
        }
    }

    fn restore(
        &mut self,
        active: ActiveTask,
        mut restore: TaskRestore,
        done: &mut usize,
    ) -> Result<Stage, Error> {
        let before = restore.restored;
        let now_ms = self.shared.clock.now_ms();
        let advanced =
            restore.advance(&active.task, &mut *self.restore_consumer, now_ms, &mut |progress| {
                active.restored(progress);
            });
        let records = restore.restored - before;
        self.shared.status.restored(records);
        if let Err(error) = advanced {
            let id = active.task.id;
            restore.abandon(&mut *self.restore_consumer)?;
            if error.kind() != ErrorKind::TaskCorrupted {
                return Err(error);
            }
            drop(active);
            tracing::warn!(error = error.report(), "local state is deleted and restored");
            self.shared.stores.delete(id)?;
            return Ok(Stage::New);
        }
        *done += usize::try_from(records).unwrap_or(usize::MAX);
        if !restore.is_done() {
            return Ok(Stage::Restoring(active, restore));
        }
        tracing::info!(task = %active.task.id, records = restore.restored, "state restored");
        Ok(Stage::Restored(active))
    }

    /// Starts to read the task's input where the group has committed, or where the topology says; gives
    /// the task back if the group cannot say yet.
    fn begin(&mut self, mut active: ActiveTask) -> Result<Option<ActiveTask>, Error> {
        let partitions = active.task.partitions();
        let committed = match self.shared.membership.committed(&partitions, COMMITTED_TIMEOUT) {
            Ok(committed) => committed,
            Err(error) if error.kind() == ErrorKind::Retriable => return Ok(Some(active)),
            Err(error) => return Err(error),
        };
        for (queue, committed) in committed.iter().enumerate() {
            let Some(committed) = committed else { continue };
            active.task.progress.read(&committed.metadata);
            if fingerprint_of(&committed.metadata) != active.task.offset_metadata {
                check_takeover(&self.shared.fingerprint, &self.shared.config, committed)?;
                active.task.recommit(queue, committed.offset);
            }
        }
        let resets = active.task.start_offsets(&self.shared.topology, &self.shared.link);
        let starts: Vec<_> = partitions
            .into_iter()
            .zip(committed)
            .zip(resets)
            .map(|((partition, committed), reset)| {
                (partition, committed.map_or(reset, |committed| StartOffset::At(committed.offset)))
            })
            .collect();
        active.task.context.wall_clock = self.shared.clock.now_ms();
        active.task.start()?;
        active.slots = self.consumer.assign(&starts)?;
        self.shared.status.set_task(active.task.id, TaskState::Running);
        self.running.push(active);
        Ok(None)
    }
}
