//! Tasks on their way to running: stores are opened, brought up to date, and input is found.
//!
//! What always holds: a task that was assigned is in `starting` or `running` until the next command; an
//! error sends it back to the beginning, to be tried again, and never drops it. Nothing here waits: running
//! tasks go on meanwhile, what starting tasks take of the thread's time is bounded by `restore::pace`, and brokers
//! are asked by `restore::lookup`. Only about the topics that tasks send to the producer asks by itself.

use std::time::Duration;

use super::{ActiveTask, StreamThread};
use crate::broker::{CommittedOffset, Consumer, StartOffset};
use crate::error::{Error, ErrorKind};
use crate::ids::TaskId;
use crate::processor::progress::fingerprint_of;
use crate::runtime::compatibility::check_takeover;
use crate::runtime::ownership::Grant;
use crate::runtime::restore::lookup::{Answer, Lookup, Question};
use crate::runtime::restore::pace::Others;
use crate::runtime::restore::{Means, TaskRestore};
use crate::runtime::status::TaskState;

/// Tasks whose offsets are asked for at the same time.
const MOST_LOOKUPS: usize = 8;
/// How long a task waits when the brokers did not answer, or when another thread still has its stores.
const RETRY_WAIT: Duration = Duration::from_millis(50);

/// What is known of a task's inputs, in their order.
struct Inputs {
    /// The group's offsets.
    committed: Vec<Option<CommittedOffset>>,
    /// Where to begin.
    starts: Vec<StartOffset>,
}

/// A task on its way to running.
pub(super) struct StartingTask {
    pub(super) id: TaskId,
    pub(super) grant: Grant,
    stage: Stage,
    /// Nothing is done before that time.
    not_before: Duration,
}

enum Stage {
    /// Stores are still to be opened.
    New,
    /// Stores are open.
    Opened(ActiveTask),
    /// The brokers are asked where the task's input begins, and what its changelogs have.
    Asking(ActiveTask, Lookup),
    /// Stores read their changelogs.
    Restoring(ActiveTask, TaskRestore, Inputs),
}

/// What became of a task in a turn.
enum After {
    /// It runs.
    Runs,
    /// It goes on from this stage.
    Goes(Stage),
    /// The same, after a while.
    Waits(Stage),
}

impl StartingTask {
    pub(super) fn new(id: TaskId, grant: Grant) -> Self {
        Self { id, grant, stage: Stage::New, not_before: Duration::ZERO }
    }

    /// Gives the start up.
    pub(super) fn abandon(self, consumer: &mut dyn Consumer) -> Result<(), Error> {
        match self.stage {
            Stage::New | Stage::Opened(_) | Stage::Asking(..) => Ok(()),
            Stage::Restoring(_, restore, _) => restore.abandon(consumer),
        }
    }
}

impl StreamThread {
    /// Brings starting tasks a step further; the answer is how much was done.
    pub(super) fn start_tasks(&mut self, now: Duration) -> Result<usize, Error> {
        // Tasks read global stores from their first record on.
        if !self.shared.globals.are_complete() {
            return Ok(0);
        }
        self.pace.begin(now, self.others());
        let mut done = 0;
        let mut waiting = std::mem::take(&mut self.starting);
        // Each has the first turn once.
        if !waiting.is_empty() {
            waiting.rotate_left(1);
        }
        let mut waiting = waiting.into_iter();
        let mut failed = None;
        for task in waiting.by_ref() {
            let StartingTask { id, grant, stage, not_before } = task;
            if not_before > now {
                self.starting.push(StartingTask { id, grant, stage, not_before });
                continue;
            }
            match self.advance(id, grant, stage, &mut done) {
                Ok(After::Runs) => done += 1,
                Ok(After::Goes(stage)) => {
                    self.starting.push(StartingTask { id, grant, stage, not_before });
                }
                Ok(After::Waits(stage)) => {
                    let not_before = now + RETRY_WAIT;
                    self.starting.push(StartingTask { id, grant, stage, not_before });
                }
                Err(error) => {
                    failed = Some((id, grant, error.in_task(id)));
                    break;
                }
            }
        }
        self.starting.extend(waiting);
        let Some((id, grant, error)) = failed else { return Ok(done) };
        // The others have their turn first.
        self.starting.push(StartingTask::new(id, grant));
        Err(error)
    }

    fn others(&self) -> Others {
        match (self.running.is_empty(), self.was_busy) {
            (true, _) => Others::Absent,
            (false, false) => Others::Idle,
            (false, true) => Others::Busy,
        }
    }

    /// The task's next stage. What may help by itself is tried again; state that cannot be brought up to
    /// date is deleted.
    fn advance(
        &mut self,
        id: TaskId,
        grant: Grant,
        stage: Stage,
        done: &mut usize,
    ) -> Result<After, Error> {
        match self.step(id, grant, stage, done) {
            Err(error) if error.kind() == ErrorKind::Retriable => {
                tracing::warn!(
                    task = %id,
                    error = error.report(),
                    "the task cannot be started yet; trying again"
                );
                Ok(After::Waits(Stage::New))
            }
            Err(error) if error.kind() == ErrorKind::TaskCorrupted => {
                self.delete_state(id, error)?;
                Ok(After::Goes(Stage::New))
            }
            result => result,
        }
    }

    fn step(
        &mut self,
        id: TaskId,
        grant: Grant,
        stage: Stage,
        done: &mut usize,
    ) -> Result<After, Error> {
        match stage {
            Stage::New => self.open(id, grant),
            Stage::Opened(active) => self.ask(active),
            Stage::Asking(active, lookup) => match lookup.take() {
                None => Ok(After::Goes(Stage::Asking(active, lookup))),
                Some(Ok(answer)) => self.answered(active, answer),
                Some(Err(error)) if error.kind() == ErrorKind::Retriable => {
                    tracing::debug!(error = error.report(), "no answer about a task; asking again");
                    Ok(After::Waits(Stage::Opened(active)))
                }
                Some(Err(error)) => Err(error),
            },
            Stage::Restoring(active, restore, inputs) => {
                self.restore(active, restore, inputs, done)
            }
        }
    }

    /// Opens a task's stores.
    fn open(&mut self, id: TaskId, grant: Grant) -> Result<After, Error> {
        self.shared.status.set_task(id, TaskState::Restoring);
        if !self.pace.has_credit() {
            return Ok(After::Goes(Stage::New));
        }
        let opened = ActiveTask::open(&self.shared, id, grant, self.producer.shared())?;
        self.pace.spend(self.shared.clock.monotonic());
        Ok(match opened {
            Some(active) => After::Goes(Stage::Opened(active)),
            // Another thread has the stores open.
            None => After::Waits(Stage::New),
        })
    }

    /// Has the brokers asked about the task, unless that is being done for many already.
    fn ask(&self, active: ActiveTask) -> Result<After, Error> {
        let is_asking = |starting: &&StartingTask| matches!(starting.stage, Stage::Asking(..));
        if self.starting.iter().filter(is_asking).count() >= MOST_LOOKUPS {
            return Ok(After::Goes(Stage::Opened(active)));
        }
        let resets = active.task.start_offsets(&self.shared.topology, &self.shared.link);
        let is_deleted = |topic: &str| self.shared.purge.covers(topic);
        let question = Question::of(&active.task, resets, is_deleted)?;
        let lookup = Lookup::start(question, &self.shared.admin, &self.shared.membership)?;
        Ok(After::Goes(Stage::Asking(active, lookup)))
    }

    /// Begins to restore the task.
    fn answered(&mut self, mut active: ActiveTask, answer: Answer) -> Result<After, Error> {
        let listener = self.shared.restore_listener.clone();
        let now_ms = self.shared.clock.now_ms();
        let consumer = &mut *self.restore_consumer;
        let restore = TaskRestore::begin(&active.task, &answer, consumer, now_ms, listener)?;
        for facts in &answer.logs {
            active.task.follow(facts.store, facts.topic_id);
        }
        let inputs = Inputs { committed: answer.committed, starts: answer.starts };
        Ok(After::Goes(Stage::Restoring(active, restore, inputs)))
    }

    /// Replays some more of the changelogs; then the task runs.
    fn restore(
        &mut self,
        active: ActiveTask,
        mut restore: TaskRestore,
        inputs: Inputs,
        done: &mut usize,
    ) -> Result<After, Error> {
        let before = restore.records();
        let mut means = Means {
            consumer: &mut *self.restore_consumer,
            pace: &mut self.pace,
            limit: &self.shared.restore_limit,
            clock: &*self.shared.clock,
        };
        let advanced = restore.advance(&active.task, &mut means);
        self.shared.status.restored(restore.records() - before);
        match advanced {
            Ok(batches) => *done += batches,
            Err(error) if error.kind() == ErrorKind::Retriable => {
                tracing::warn!(error = error.report(), "a changelog cannot be read; trying again");
                return Ok(After::Waits(Stage::Restoring(active, restore, inputs)));
            }
            Err(error) => {
                restore.abandon(&mut *self.restore_consumer)?;
                self.shared.status.set_restoring(active.task.id, Vec::new());
                return Err(error);
            }
        }
        if !restore.is_done() {
            return Ok(After::Goes(Stage::Restoring(active, restore, inputs)));
        }
        let now = self.shared.clock.monotonic();
        active.publish_restore(&mut restore, now, &self.shared.metrics);
        self.shared.status.set_restoring(active.task.id, Vec::new());
        let records = restore.records();
        tracing::info!(task = %active.task.id, records, starts = ?inputs.starts, "state restored");
        self.begin(active, inputs)?;
        Ok(After::Runs)
    }

    /// Shows how far the restores are.
    pub(super) fn publish_restores(&mut self, now: Duration) {
        for starting in &mut self.starting {
            if let Stage::Restoring(active, restore, _) = &mut starting.stage {
                let progress = active.publish_restore(restore, now, &self.shared.metrics);
                self.shared.status.set_restoring(starting.id, progress);
            }
        }
    }

    /// Starts to read the task's input where the group has committed, or where the topology says.
    fn begin(&mut self, mut active: ActiveTask, inputs: Inputs) -> Result<(), Error> {
        let partitions = active.task.partitions();
        for (queue, (partition, committed)) in partitions.iter().zip(&inputs.committed).enumerate()
        {
            self.presence.learn(partition, committed.as_ref());
            let Some(committed) = committed else { continue };
            active.task.progress.read(&committed.metadata);
            active.task.resume(queue, committed.offset);
            if fingerprint_of(&committed.metadata) != active.task.offset_metadata {
                check_takeover(&self.shared.fingerprint, &self.shared.config, committed)?;
                active.task.recommit();
            }
        }
        let starts: Vec<_> = partitions.into_iter().zip(inputs.starts).collect();
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
