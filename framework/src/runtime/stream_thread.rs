//! A stream thread: one consumer, one producer, and the tasks dealt to it.
//!
//! A turn of the loop: commands → start and restore tasks → refill buffers and process a slice of each task
//! → commit when due. Time is taken once per turn. Nothing here waits for another thread while it has
//! records to process.

mod starting;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};
use std::time::Duration;

use self::starting::{Stage, StartingTask};
use super::active_task::ActiveTask;
use super::assignments::{Assignments, Epoch};
use super::commit::Commit;
use super::global::GlobalStores;
use super::membership::Membership;
use super::status::{Status, TaskState};
use super::stores::TaskStores;
use super::task::partition_group::RecordQueue;
use super::topics::TopicPlan;
use crate::broker::{Admin, Broker, BrokerErrorKind, Consumer, ConsumerRole, ProducerSettings};
use crate::config::StreamsConfig;
use crate::error::{Error, ErrorKind};
use crate::ids::TaskId;
use crate::metrics::{Metrics, ThreadMetrics};
use crate::processor::collector::SharedProducer;
use crate::time::Clock;
use crate::topology::Topology;
use crate::topology::fingerprint::Fingerprint;
use crate::topology::link::LinkSettings;

/// Records that one task processes before the next has its turn.
const SLICE_RECORDS: usize = 1000;
/// Records that one refill takes from a partition.
const FETCH_RECORDS: usize = 1000;
/// A partition is refilled when it has fewer records than this.
const LOW_RECORDS: usize = 500;
/// How long an idle thread waits for records; bounds the time a command waits.
const IDLE_WAIT: Duration = Duration::from_millis(10);
/// How long an idle thread with calls in flight waits for one of them to end, which wakes it.
const CALL_WAIT: Duration = Duration::from_millis(1);
/// How often counters are published.
pub(super) const PUBLISH_INTERVAL: Duration = Duration::from_millis(200);

/// What the application tells a thread.
#[derive(Debug)]
pub(crate) enum Command {
    /// Run these tasks and no others, in this epoch; sent when no task runs.
    Assign(Vec<TaskId>, Epoch),
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
    pub(crate) fingerprint: Arc<Fingerprint>,
    pub(crate) config: Arc<StreamsConfig>,
    pub(crate) plan: Arc<TopicPlan>,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) admin: Arc<dyn Admin>,
    pub(crate) membership: Arc<dyn Membership>,
    pub(crate) assignments: Arc<Assignments>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stores: Arc<TaskStores>,
    pub(crate) globals: Arc<GlobalStores>,
    pub(crate) status: Arc<Status>,
    pub(crate) metrics: Metrics,
    pub(crate) link: Arc<LinkSettings>,
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
    /// In which the tasks were assigned.
    epoch: Epoch,
    last_commit: Duration,
    last_publish: Duration,
    /// Uncommitted bytes when the record cache was last emptied.
    flushed_bytes: usize,
    /// Rows take too much memory, and cannot be committed yet.
    is_full: bool,
}

impl StreamThread {
    pub(crate) fn new(
        shared: Shared,
        name: &str,
        commands: Receiver<Command>,
    ) -> Result<Self, Error> {
        let client_id = format!("{}-{name}", shared.config.application_id);
        let track_acks = shared.topology.stores.iter().any(|store| store.logging);
        let mut producer = shared.broker.producer(&ProducerSettings {
            client_id: format!("{client_id}-producer"),
            track_acks,
            transactions: None,
        })?;
        if shared.config.production_handler.is_some() {
            producer.report_undelivered();
        }
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
            epoch: Epoch::default(),
            last_commit: now,
            last_publish: now,
            flushed_bytes: 0,
            is_full: false,
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
                Ok(0) => self.wait(),
                Ok(_) => {}
                Err(error) => self.react(error)?,
            }
        }
        match self.commit_in_time(self.shared.config.close_timeout / 2) {
            Err(error) if error.kind() == ErrorKind::TaskMigrated => {
                tracing::warn!(
                    error = error.report(),
                    "the last commit was refused; the tasks' new owner repeats it"
                );
                return Ok(());
            }
            result => result?,
        }
        self.publish();
        for active in &mut self.running {
            active.task.stop();
        }
        for active in self.running.iter().chain(&self.suspended) {
            active.task.flush_stores()?;
        }
        Ok(())
    }

    fn obey(&mut self, command: Command) -> Result<(), Error> {
        match command {
            Command::Assign(tasks, epoch) => {
                self.epoch = epoch;
                self.assign(&tasks)
            }
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
            ErrorKind::TaskMigrated | ErrorKind::TransactionAborted => {
                tracing::warn!(
                    error = error.report(),
                    "the group has moved on; all tasks are dropped"
                );
                self.drop_tasks()?;
                self.shared.assignments.report_dropped(self.epoch);
                Ok(())
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
        done += self.process(now)?;
        let requested = self.running.iter().any(|active| active.task.commit_requested());
        let due = now.saturating_sub(self.last_commit) >= self.shared.config.commit_interval;
        if requested || due || self.is_full {
            if self.commit()? {
                self.last_commit = now;
                self.is_full = false;
            }
        } else if done > 0 {
            self.bound_memory()?;
        }
        if now.saturating_sub(self.last_publish) >= PUBLISH_INTERVAL {
            self.publish();
            self.last_publish = now;
        }
        Ok(done)
    }

    /// Waits a little: for records, or for calls to end.
    fn wait(&mut self) {
        if self.running.iter().any(|active| active.task.has_calls()) {
            std::thread::park_timeout(CALL_WAIT);
        } else {
            self.consumer.wait(IDLE_WAIT);
        }
    }

    fn process(&mut self, now: Duration) -> Result<usize, Error> {
        let wall_clock = self.shared.clock.now_ms();
        let mut processed = 0;
        let mut fetched = 0;
        for active in &mut self.running {
            let mut lost = Vec::new();
            for (queue, slot) in active.slots.iter().enumerate() {
                let buffered =
                    active.task.group.queues().get(queue).map_or(0, RecordQueue::buffered);
                if buffered >= LOW_RECORDS {
                    continue;
                }
                match self.consumer.fetch(*slot, FETCH_RECORDS) {
                    Ok(None) => {}
                    Ok(Some(batch)) => {
                        fetched += batch.len();
                        active.task.group.push(queue, batch);
                    }
                    // One partition's trouble holds up neither the others nor the commit.
                    Err(error) if error.is_retriable() => {
                        tracing::warn!(task = %active.task.id, %error, "nothing fetched; trying again");
                    }
                    Err(error) if error.kind() == BrokerErrorKind::OffsetOutOfRange => {
                        lost.push(queue);
                    }
                    Err(error) => return Err(Error::from(error).in_task(active.task.id)),
                }
            }
            for queue in lost {
                active.reset_position(queue, &self.shared, &mut *self.consumer)?;
            }
            active.update_lags(&*self.consumer);
            active.task.context.wall_clock = wall_clock;
            processed += active.task.advance_calls(now)?;
            processed += active.task.process(SLICE_RECORDS)?;
            active.task.punctuate_wall_clock()?;
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
            self.is_full = !self.commit()?;
            return Ok(());
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

    /// Commits when calls in flight have ended, or gives up after so long.
    fn commit_in_time(&mut self, patience: Duration) -> Result<(), Error> {
        let deadline = self.shared.clock.monotonic() + patience;
        while !self.commit()? {
            if self.shared.clock.monotonic() >= deadline {
                let message = "calls were still in flight when the tasks had to be given up";
                return Err(Error::new(ErrorKind::TaskMigrated, message));
            }
            self.producer.borrow_mut().poll()?;
            self.wait();
        }
        Ok(())
    }

    /// Commits all tasks; false: not now, because calls are in flight. They take no new records meanwhile.
    fn commit(&mut self) -> Result<bool, Error> {
        if !self.running.iter().any(|active| active.task.needs_commit()) {
            return Ok(true);
        }
        let now = self.shared.clock.monotonic();
        let mut is_ready = true;
        for active in &mut self.running {
            is_ready &= active.task.ready_to_commit(now)?;
        }
        if !is_ready {
            return Ok(false);
        }
        if !self.shared.assignments.is_current(self.epoch) {
            let message = "the tasks were given away while their thread was busy";
            return Err(Error::new(ErrorKind::TaskMigrated, message));
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
        Ok(true)
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
                Some(place) => Stage::Kept(suspended.swap_remove(place)),
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
        match self.commit_in_time(self.shared.config.max_poll_interval / 2) {
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
            active.task.stop();
            self.shared.status.set_task(active.task.id, TaskState::Suspended);
            self.suspended.push(active);
        }
        Ok(())
    }

    /// Forgets all tasks and what they have not committed.
    fn drop_tasks(&mut self) -> Result<(), Error> {
        self.abandon_starting()?;
        self.suspended.clear();
        for mut active in std::mem::take(&mut self.running) {
            self.consumer.unassign(&active.slots)?;
            active.task.stop();
            self.shared.status.set_task(active.task.id, TaskState::Created);
        }
        self.flushed_bytes = 0;
        Ok(())
    }

    fn abandon_starting(&mut self) -> Result<(), Error> {
        for starting in std::mem::take(&mut self.starting) {
            match starting.stage {
                Stage::Restoring(_, restore) => restore.abandon(&mut *self.restore_consumer)?,
                Stage::Kept(active) | Stage::Restored(active) => self.suspended.push(active),
                Stage::New => {}
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for StreamThread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamThread").field("running", &self.running.len()).finish_non_exhaustive()
    }
}
