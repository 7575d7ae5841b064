//! A stream thread: one consumer, one producer, and the tasks dealt to it.
//!
//! A turn of the loop: commands → start and restore tasks → refill buffers and process a slice of each task
//! → commit when due. Time is taken once per turn. Nothing here waits for another thread while it has
//! records to process.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};
use std::time::Duration;

use super::active_task::ActiveTask;
use super::commit::Commit;
use super::membership::Membership;
use super::restore::TaskRestore;
use super::status::{Status, TaskState};
use super::stores::TaskStores;
use super::task::partition_group::RecordQueue;
use super::topics::TopicPlan;
use crate::broker::{Admin, Broker, Consumer, ConsumerRole, ProducerSettings, StartOffset};
use crate::config::StreamsConfig;
use crate::error::{Error, ErrorKind};
use crate::ids::TaskId;
use crate::metrics::{Metrics, ThreadMetrics};
use crate::processor::collector::SharedProducer;
use crate::time::Clock;
use crate::topology::Topology;
use crate::topology::link::LinkSettings;

/// Records that one task processes before the next has its turn.
const SLICE_RECORDS: usize = 1000;
/// Records that one refill takes from a partition.
const FETCH_RECORDS: usize = 1000;
/// A partition is refilled when it has fewer records than this.
const LOW_RECORDS: usize = 500;
/// How long an idle thread waits for records; bounds the time a command waits.
const IDLE_WAIT: Duration = Duration::from_millis(10);
/// How often counters are published.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(200);
/// How long one question for committed offsets may take.
const COMMITTED_TIMEOUT: Duration = Duration::from_secs(5);

/// What the application tells a thread.
#[derive(Debug)]
pub(crate) enum Command {
    /// Run these tasks and no others; sent when no task runs.
    Assign(Vec<TaskId>),
    /// Commit and stop all tasks, keep their stores open, and answer.
    Suspend(SyncSender<()>),
    /// Stop all tasks, commit nothing, close their stores, and answer.
    Drop(SyncSender<()>),
    /// Commit, close, end.
    Stop,
}

/// What all threads of an application share.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) topology: Arc<Topology>,
    pub(crate) config: Arc<StreamsConfig>,
    pub(crate) plan: Arc<TopicPlan>,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) admin: Arc<dyn Admin>,
    pub(crate) membership: Arc<dyn Membership>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stores: Arc<TaskStores>,
    pub(crate) status: Arc<Status>,
    pub(crate) metrics: Metrics,
    pub(crate) link: Arc<LinkSettings>,
}

/// A task on its way to running.
struct StartingTask {
    id: TaskId,
    stage: Stage,
}

enum Stage {
    /// Stores are still to be opened.
    New,
    /// Stores are up to date; only the starting offsets are missing.
    Restored(ActiveTask),
    /// Stores read their changelogs.
    Restoring(ActiveTask, TaskRestore),
}

/// A stream thread; made and run on its own OS thread.
pub(crate) struct StreamThread {
    shared: Shared,
    commands: Receiver<Command>,
    metrics: ThreadMetrics,
    producer: SharedProducer,
    consumer: Box<dyn Consumer>,
    restore_consumer: Box<dyn Consumer>,
    starting: Vec<StartingTask>,
    running: Vec<ActiveTask>,
    suspended: Vec<ActiveTask>,
    last_commit: Duration,
    last_publish: Duration,
    /// Uncommitted bytes when the record cache was last emptied.
    flushed_bytes: usize,
}

impl StreamThread {
    pub(crate) fn new(
        shared: Shared,
        name: &str,
        commands: Receiver<Command>,
    ) -> Result<Self, Error> {
        let client_id = format!("{}-{name}", shared.config.application_id);
        let track_acks = shared.topology.stores.iter().any(|store| store.logging);
        let producer = shared.broker.producer(&ProducerSettings {
            client_id: format!("{client_id}-producer"),
            track_acks,
        })?;
        let consumer =
            shared.broker.consumer(ConsumerRole::Main, &format!("{client_id}-consumer"))?;
        let restore_consumer = shared
            .broker
            .consumer(ConsumerRole::Restore, &format!("{client_id}-restore-consumer"))?;
        let metrics = shared.metrics.thread(name);
        let now = shared.clock.monotonic();
        Ok(Self {
            shared,
            commands,
            metrics,
            producer: Rc::new(RefCell::new(producer)),
            consumer,
            restore_consumer,
            starting: Vec::new(),
            running: Vec::new(),
            suspended: Vec::new(),
            last_commit: now,
            last_publish: now,
            flushed_bytes: 0,
        })
    }

    /// Runs until told to stop, or until an error that no retry mends.
    pub(crate) fn run(mut self) -> Result<(), Error> {
        loop {
            match self.commands.try_recv() {
                Ok(Command::Stop) | Err(TryRecvError::Disconnected) => break,
                Ok(command) => self.obey(command)?,
                Err(TryRecvError::Empty) => {}
            }
            let now = self.shared.clock.monotonic();
            let turn = self.turn(now);
            match turn {
                Ok(0) => self.consumer.wait(IDLE_WAIT),
                Ok(_) => {}
                Err(error) => self.react(error)?,
            }
        }
        self.commit()?;
        self.publish();
        for active in self.running.iter().chain(&self.suspended) {
            active.task.flush_stores()?;
        }
        Ok(())
    }

    fn obey(&mut self, command: Command) -> Result<(), Error> {
        match command {
            Command::Assign(tasks) => self.assign(&tasks),
            Command::Suspend(done) => {
                self.suspend()?;
                // The receiver is gone only when the application gave up waiting.
                done.send(()).ok();
                Ok(())
            }
            Command::Drop(done) => {
                self.drop_tasks()?;
                done.send(()).ok();
                Ok(())
            }
            Command::Stop => Ok(()),
        }
    }

    /// What an error means for the thread: go on without tasks, or end.
    fn react(&mut self, error: Error) -> Result<(), Error> {
        match error.kind() {
            ErrorKind::TaskMigrated => {
                tracing::warn!(
                    error = error.report(),
                    "the group has moved on; all tasks are dropped"
                );
                self.drop_tasks()
            }
            ErrorKind::Retriable => {
                tracing::warn!(error = error.report(), "the broker did not answer; trying again");
                self.consumer.wait(IDLE_WAIT);
                Ok(())
            }
            ErrorKind::TaskCorrupted
            | ErrorKind::BadRecord
            | ErrorKind::Config
            | ErrorKind::Fatal => Err(error),
        }
    }

    /// One turn; the answer is how much was done.
    fn turn(&mut self, now: Duration) -> Result<usize, Error> {
        self.consumer.poll()?;
        self.producer.borrow_mut().poll()?;
        let mut done = 0;
        if !self.starting.is_empty() {
            done += self.start_tasks()?;
        }
        done += self.process()?;
        if now.saturating_sub(self.last_commit) >= self.shared.config.commit_interval {
            self.commit()?;
            self.last_commit = now;
        } else if done > 0 {
            self.bound_memory()?;
        }
        if now.saturating_sub(self.last_publish) >= PUBLISH_INTERVAL {
            self.publish();
            self.last_publish = now;
        }
        Ok(done)
    }

    fn process(&mut self) -> Result<usize, Error> {
        let wall_clock = self.shared.clock.now_ms();
        let mut processed = 0;
        let mut fetched = 0;
        for active in &mut self.running {
            for (queue, slot) in active.slots.iter().enumerate() {
                let buffered =
                    active.task.group.queues().get(queue).map_or(0, RecordQueue::buffered);
                if buffered >= LOW_RECORDS {
                    continue;
                }
                let batch = self.consumer.fetch(*slot, FETCH_RECORDS);
                if let Some(batch) =
                    batch.map_err(|error| Error::from(error).in_task(active.task.id))?
                {
                    fetched += batch.len();
                    active.task.group.push(queue, batch);
                }
            }
            active.task.context.wall_clock = wall_clock;
            processed += active.task.process(SLICE_RECORDS)?;
        }
        self.metrics.poll_records.inc_by(fetched as u64);
        Ok(processed)
    }

    /// Empties the record cache when it is full, and commits early when uncommitted rows take too much
    /// memory.
    fn bound_memory(&mut self) -> Result<(), Error> {
        let config = &self.shared.config;
        let uncommitted: usize =
            self.running.iter().map(|active| active.task.uncommitted_bytes()).sum();
        if uncommitted > config.statestore_uncommitted_max_bytes {
            return self.commit();
        }
        let cache = config.statestore_cache_max_bytes / config.num_stream_threads.max(1);
        if self.shared.link.record_cache && uncommitted.saturating_sub(self.flushed_bytes) > cache {
            for active in &mut self.running {
                active.task.flush_caches()?;
            }
            self.flushed_bytes = uncommitted;
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Error> {
        if !self.running.iter().any(|active| active.task.needs_commit()) {
            return Ok(());
        }
        let started = self.shared.clock.monotonic();
        let membership = &self.shared.membership;
        let commit = Commit {
            producer: &self.producer,
            now_ms: self.shared.clock.now_ms(),
            input_offsets: &mut |offsets| membership.commit(&offsets),
            between: &mut |_| Ok(()),
        };
        commit.run(self.running.iter_mut().map(|active| &mut active.task))?;
        self.flushed_bytes = 0;
        let took = self.shared.clock.monotonic().saturating_sub(started);
        self.metrics.commits.inc();
        self.metrics.commit_duration.observe(took.as_secs_f64());
        Ok(())
    }

    fn publish(&mut self) {
        for active in &mut self.running {
            active.publish(&*self.consumer);
        }
    }

    fn assign(&mut self, tasks: &[TaskId]) -> Result<(), Error> {
        let mut suspended = std::mem::take(&mut self.suspended);
        for &id in tasks {
            let kept = suspended.iter().position(|active| active.task.id == id);
            let stage = match kept {
                Some(place) => Stage::Restored(suspended.swap_remove(place)),
                None => Stage::New,
            };
            self.starting.push(StartingTask { id, stage });
        }
        // What is left has gone to another member.
        for active in suspended {
            active.task.flush_stores()?;
        }
        Ok(())
    }

    /// Commits, stops reading, and keeps the tasks with their stores for the next assignment.
    fn suspend(&mut self) -> Result<(), Error> {
        match self.commit() {
            Ok(()) => {}
            Err(error)
                if matches!(error.kind(), ErrorKind::TaskMigrated | ErrorKind::Retriable) =>
            {
                tracing::warn!(
                    error = error.report(),
                    "the last commit was refused; tasks are dropped"
                );
                return self.drop_tasks();
            }
            Err(error) => return Err(error),
        }
        self.publish();
        self.abandon_starting()?;
        for mut active in std::mem::take(&mut self.running) {
            self.consumer.unassign(&active.slots)?;
            active.slots.clear();
            active.task.group.clear();
            self.shared.status.set_task(active.task.id, TaskState::Suspended);
            self.suspended.push(active);
        }
        Ok(())
    }

    /// Forgets all tasks and what they have not committed.
    fn drop_tasks(&mut self) -> Result<(), Error> {
        self.abandon_starting()?;
        self.suspended.clear();
        for active in std::mem::take(&mut self.running) {
            self.consumer.unassign(&active.slots)?;
        }
        self.flushed_bytes = 0;
        Ok(())
    }

    fn abandon_starting(&mut self) -> Result<(), Error> {
        for starting in std::mem::take(&mut self.starting) {
            match starting.stage {
                Stage::Restoring(_, restore) => restore.abandon(&mut *self.restore_consumer)?,
                Stage::Restored(active) => self.suspended.push(active),
                Stage::New => {}
            }
        }
        Ok(())
    }

    /// Brings starting tasks a step further.
    fn start_tasks(&mut self) -> Result<usize, Error> {
        let mut done = 0;
        for starting in std::mem::take(&mut self.starting) {
            let id = starting.id;
            let stage = match starting.stage {
                Stage::New => self.open(id)?,
                Stage::Restoring(active, restore) => self.restore(active, restore, &mut done)?,
                Stage::Restored(active) => match self.begin(active)? {
                    Ok(active) => {
                        self.shared.status.set_task(id, TaskState::Running);
                        self.running.push(active);
                        done += 1;
                        continue;
                    }
                    Err(active) => Stage::Restored(active),
                },
            };
            self.starting.push(StartingTask { id, stage });
        }
        Ok(done)
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
        let active = ActiveTask::open(&self.shared, id, &self.producer)?;
        let now_ms = self.shared.clock.now_ms();
        let restore = TaskRestore::begin(
            &active.task,
            &*self.shared.admin,
            &mut *self.restore_consumer,
            now_ms,
        )?;
        Ok(Stage::Restoring(active, restore))
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
        let records = restore.restored - before;
        *done += usize::try_from(records).unwrap_or(usize::MAX);
        self.shared.status.restored(records);
        if !restore.is_done() {
            return Ok(Stage::Restoring(active, restore));
        }
        tracing::info!(task = %active.task.id, records = restore.restored, "state restored");
        Ok(Stage::Restored(active))
    }

    /// Starts to read the task's input where the group has committed, or where the topology says; gives
    /// the task back if the group cannot say yet.
    fn begin(&mut self, mut active: ActiveTask) -> Result<Result<ActiveTask, ActiveTask>, Error> {
        let partitions = active.task.partitions();
        let committed = match self.shared.membership.committed(&partitions, COMMITTED_TIMEOUT) {
            Ok(committed) => committed,
            Err(error) if error.kind() == ErrorKind::Retriable => return Ok(Err(active)),
            Err(error) => return Err(error),
        };
        let resets = active.task.start_offsets(&self.shared.topology, &self.shared.link);
        let starts: Vec<_> = partitions
            .into_iter()
            .zip(committed)
            .zip(resets)
            .map(|((partition, committed), reset)| {
                (partition, committed.map_or(reset, |committed| StartOffset::At(committed.offset)))
            })
            .collect();
        active.slots = self.consumer.assign(&starts)?;
        Ok(Ok(active))
    }
}

impl std::fmt::Debug for StreamThread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamThread").field("running", &self.running.len()).finish_non_exhaustive()
    }
}
