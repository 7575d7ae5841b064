//! Tasks on their way to running: stores are opened, brought up to date, and input is found.
//!
//! What always holds: a task that was assigned is in `starting` or `running` until the next command; an
//! error sends it back to the beginning, to be tried again, and never drops it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{ActiveTask, StreamThread};
use crate::broker::{CommittedOffset, StartOffset};
use crate::error::{Error, ErrorKind};
use crate::ids::{TaskId, TopicPartition};
use crate::processor::progress::fingerprint_of;
use crate::runtime::compatibility::check_takeover;
use crate::runtime::ownership::Grant;
use crate::runtime::restore::TaskRestore;
use crate::runtime::status::TaskState;
use crate::runtime::task::source_partitions;

/// How long one question for committed offsets may take while other tasks of the thread wait. An open
/// transaction of the task's owner before keeps the group from answering.
const PATIENCE: Duration = Duration::from_millis(300);
/// The same when no other task waits.
const PATIENCE_ALONE: Duration = Duration::from_secs(2);
/// Between two such questions about one task.
const COMMITTED_PAUSE: Duration = Duration::from_millis(100);

/// A task on its way to running.
pub(super) struct StartingTask {
    pub(super) id: TaskId,
    pub(super) grant: Grant,
    pub(super) stage: Stage,
    /// Not asked again before this time.
    not_before: Duration,
}

impl StartingTask {
    pub(super) fn new(id: TaskId, grant: Grant) -> Self {
        Self { id, grant, stage: Stage::New, not_before: Duration::ZERO }
    }
}

/// The committed offsets of a task's partitions.
pub(super) type Starts = BTreeMap<TopicPartition, CommittedOffset>;

pub(super) enum Stage {
    /// Where its input begins is still to be asked.
    New,
    /// Stores are still to be opened.
    ///
    /// ORDER: offsets first. They are stable, so what the owner before has committed with them is in the
    /// changelogs when these are asked for their ends.
    Positioned(Starts),
    /// Stores read their changelogs.
    Restoring(ActiveTask, TaskRestore, Starts),
}

impl StreamThread {
    /// Brings starting tasks a step further; the answer is how much was done.
    pub(super) fn start_tasks(&mut self, now: Duration) -> Result<usize, Error> {
        // Tasks read global stores from their first record on.
        if !self.shared.globals.are_complete() {
            return Ok(0);
        }
        let mut done = 0;
        let mut waiting = std::mem::take(&mut self.starting).into_iter();
        let mut failed = None;
        for task in waiting.by_ref() {
            let StartingTask { id, grant, stage, not_before } = task;
            if now < not_before {
                self.starting.push(StartingTask { id, grant, stage, not_before });
                continue;
            }
            match self.advance(id, grant, stage, &mut done) {
                Ok(Some(stage)) => {
                    // If the group could not say yet where the task begins, others have their turn.
                    let asks_again = matches!(stage, Stage::New);
                    let not_before = if asks_again { now + COMMITTED_PAUSE } else { now };
                    self.starting.push(StartingTask { id, grant, stage, not_before });
                }
                Ok(None) => {}
                Err(error) => {
                    failed = Some((id, grant, error));
                    break;
                }
            }
        }
        self.starting.extend(waiting);
        let Some((id, grant, error)) = failed else { return Ok(done) };
        // The others have their turn first.
        self.starting.push(StartingTask::new(id, grant));
        Err(error.in_task(id))
    }

    /// The task's next stage; `None`: it runs.
    fn advance(
        &mut self,
        id: TaskId,
        grant: Grant,
        stage: Stage,
        done: &mut usize,
    ) -> Result<Option<Stage>, Error> {
        Ok(match stage {
            Stage::New => Some(self.ask(id)?),
            Stage::Positioned(starts) => Some(self.open(id, grant, starts)?),
            Stage::Restoring(active, restore, starts) => {
                self.restore(active, restore, starts, done)?
            }
        })
    }

    /// Asks the group where the task's input begins; the task stays new while the group cannot say.
    fn ask(&mut self, id: TaskId) -> Result<Stage, Error> {
        let partitions =
            source_partitions(&self.shared.topology, id, &self.shared.link, &|topic| {
                self.shared.plan.partition_count(topic)
            });
        let timeout = if self.running.is_empty() { PATIENCE_ALONE } else { PATIENCE };
        match self.shared.membership.committed(&partitions, timeout) {
            Ok(committed) => {
                let committed = partitions.into_iter().zip(committed);
                let starts = committed.filter_map(|(partition, at)| Some((partition, at?)));
                Ok(Stage::Positioned(starts.collect()))
            }
            Err(error) if error.kind() == ErrorKind::Retriable => {
                tracing::debug!(task = %id, error = error.report(), "no stable offsets yet");
                Ok(Stage::New)
            }
            Err(error) => Err(error),
        }
    }

    /// Opens a task's stores and begins to restore them. State that cannot be brought up to date is
    /// deleted.
    fn open(&mut self, id: TaskId, grant: Grant, starts: Starts) -> Result<Stage, Error> {
        self.shared.status.set_task(id, TaskState::Restoring);
        match self.try_open(id, grant, &starts) {
            Ok(Some((active, restore))) => Ok(Stage::Restoring(active, restore, starts)),
            Ok(None) => Ok(Stage::Positioned(starts)),
            Err(error) if error.kind() == ErrorKind::TaskCorrupted => {
                tracing::warn!(error = error.report(), "local state is deleted and restored");
                self.shared.stores.delete(id)?;
                Ok(Stage::Positioned(starts))
            }
            Err(error) => Err(error),
        }
    }

    /// `None` while another thread has the stores open.
    fn try_open(
        &mut self,
        id: TaskId,
        grant: Grant,
        starts: &Starts,
    ) -> Result<Option<(ActiveTask, TaskRestore)>, Error> {
        let Some(active) = ActiveTask::open(&self.shared, id, grant, self.producer.shared())?
        else {
            return Ok(None);
        };
        let sources = active.task.source_changelogs().into_iter();
        let committed = sources.filter_map(|partition| {
            let offset = starts.get(&partition)?.offset;
            Some((partition, offset))
        });
        let (admin, now_ms) = (&*self.shared.admin, self.shared.clock.now_ms());
        let consumer = &mut *self.restore_consumer;
        let committed = committed.collect();
        let restore = TaskRestore::begin(&active.task, admin, consumer, &committed, now_ms)?;
        Ok(Some((active, restore)))
    }

    /// Replays some more of the changelogs; `None`: the task runs.
    fn restore(
        &mut self,
        active: ActiveTask,
        mut restore: TaskRestore,
        starts: Starts,
        done: &mut usize,
    ) -> Result<Option<Stage>, Error> {
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
            return Ok(Some(Stage::Positioned(starts)));
        }
        *done += usize::try_from(records).unwrap_or(usize::MAX);
        if !restore.is_done() {
            return Ok(Some(Stage::Restoring(active, restore, starts)));
        }
        tracing::info!(task = %active.task.id, records = restore.restored, "state restored");
        *done += 1;
        self.begin(active, &starts)?;
        Ok(None)
    }

    /// Starts to read the task's input where the group has committed, or where the topology says.
    fn begin(&mut self, mut active: ActiveTask, committed: &Starts) -> Result<(), Error> {
        let partitions = active.task.partitions();
        for (queue, partition) in partitions.iter().enumerate() {
            let Some(committed) = committed.get(partition) else { continue };
            active.task.progress.read(&committed.metadata);
            if fingerprint_of(&committed.metadata) != active.task.offset_metadata {
                check_takeover(&self.shared.fingerprint, &self.shared.config, committed)?;
                active.task.recommit(queue, committed.offset);
            }
        }
        let resets = active.task.start_offsets(&self.shared.topology, &self.shared.link);
        let starts: Vec<_> = partitions
            .into_iter()
            .zip(resets)
            .map(|(partition, reset)| {
                let committed = committed.get(&partition);
                let start = committed.map_or(reset, |committed| StartOffset::At(committed.offset));
                (partition, start)
            })
            .collect();
        active.task.context.wall_clock = self.shared.clock.now_ms();
        // Starting a task may send records: processors are initialised by it.
        self.producer.begin()?;
        active.task.start()?;
        active.slots = self.consumer.assign(&starts)?;
        self.shared.status.set_task(active.task.id, TaskState::Running);
        self.running.push(active);
        Ok(())
    }
}
