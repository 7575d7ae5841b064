//! A stream thread: one consumer, one producer, and the tasks dealt to it.
//!
//! A turn of the loop: commands → start and restore tasks → refill buffers and process a slice of each task
//! → commit when due. Time is taken once per turn. Nothing here waits for another thread while it has
//! records to process.
//!
//! Exactly once, the tasks of a thread share its transaction: they are committed together, and when it is
//! aborted all of them are closed and opened again, from what is committed.

mod committing;
mod presence;
mod producing;
mod rebuild;
mod starting;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::time::Duration;

use self::presence::Presence;
use self::producing::ThreadProducer;
use self::rebuild::Rebuilds;
use self::starting::StartingTask;
use super::active_task::ActiveTask;
use super::ownership::Grant;
use super::restore::pace::Pace;
use super::shared::Shared;
use super::status::TaskState;
use super::task::partition_group::RecordQueue;
use super::watchdog::Progress;
use crate::broker::{BrokerErrorKind, Consumer, ConsumerRole};
use crate::error::{Error, ErrorKind};
use crate::ids::TaskId;
use crate::metrics::ThreadMetrics;

/// Records that one task processes before the next has its turn.
const SLICE_RECORDS: usize = 1000;
/// Records that one refill takes from a partition.
const FETCH_RECORDS: usize = 1000;
/// A partition is refilled when it has fewer records than this.
const LOW_RECORDS: usize = 500;
/// How long an idle thread waits for records; bounds the time a command waits.
const IDLE_WAIT: Duration = Duration::from_millis(10);
/// The same while tasks run and others are being restored.
const STARTING_WAIT: Duration = Duration::from_millis(2);
/// How long an idle thread with calls in flight waits for one of them to end, which wakes it.
const CALL_WAIT: Duration = Duration::from_millis(1);
/// How often counters are published.
pub(super) const PUBLISH_INTERVAL: Duration = Duration::from_millis(200);

/// What the control thread tells a thread.
#[derive(Debug)]
pub(crate) enum Command {
    /// Run these tasks too.
    Assign(Vec<(TaskId, Grant)>),
    /// Commit and close these tasks, then report them as released. The others go on.
    Revoke(BTreeSet<TaskId>),
    /// Close all tasks and commit nothing, then report that.
    Drop,
    /// Commit, close, end.
    Stop,
}

/// What a thread tells the control thread.
#[derive(Debug)]
pub(crate) enum ThreadEvent {
    /// These tasks, revoked before, are committed or given up, and closed.
    Released(BTreeSet<TaskId>),
    /// All tasks are closed, as told.
    Dropped,
    /// A commit was refused because the group has moved on; all tasks are closed.
    Refused,
    /// The thread is no more; its stores are closed.
    Ended(Result<(), Error>),
}

/// A thread's way to the control thread.
#[derive(Debug, Clone)]
pub(crate) struct Reports {
    pub(crate) thread: usize,
    pub(crate) sender: Sender<(usize, ThreadEvent)>,
}

impl Reports {
    pub(crate) fn send(&self, event: ThreadEvent) {
        // The receiver is gone only when the application gave up waiting.
        self.sender.send((self.thread, event)).ok();
    }
}

/// A stream thread; made and run on its own OS thread.
pub(crate) struct StreamThread {
    shared: Shared,
    commands: Receiver<Command>,
    reports: Reports,
    progress: Arc<Progress>,
    metrics: ThreadMetrics,
    producer: ThreadProducer,
    consumer: Box<dyn Consumer>,
    restore_consumer: Box<dyn Consumer>,
    starting: Vec<StartingTask>,
    /// What starting tasks may take of the thread's time.
    pace: Pace,
    rebuilds: Rebuilds,
    /// Whether the running tasks had records in the last turn.
    was_busy: bool,
    running: Vec<ActiveTask>,
    /// Tasks that process nothing any more: they are released with the next commit.
    revoking: BTreeSet<TaskId>,
    /// When they are given up without one.
    revoking_until: Duration,
    presence: Presence,
    last_commit: Duration,
    /// No commit is tried before.
    commit_again: Duration,
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
        reports: Reports,
        progress: Arc<Progress>,
    ) -> Result<Self, Error> {
        let client_id = format!("{}-{name}", shared.config.application_id);
        let producer = ThreadProducer::new(&shared, name)?;
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
            reports,
            progress,
            metrics,
            producer,
            consumer,
            restore_consumer,
            starting: Vec::new(),
            pace: Pace::default(),
            rebuilds: Rebuilds::default(),
            was_busy: false,
            running: Vec::new(),
            revoking: BTreeSet::new(),
            revoking_until: now,
            presence: Presence::default(),
            last_commit: now,
            commit_again: now,
            last_publish: now,
            flushed_bytes: 0,
            is_full: false,
        })
    }

    /// Runs until told to stop, or until an error that no retry mends.
    pub(crate) fn run(mut self) -> Result<(), Error> {
        let result = self.run_until_stopped();
        if result.is_err() {
            // The tasks' next owner would have to wait for what this one leaves open.
            self.give_up_transaction();
        }
        result
    }

    fn run_until_stopped(&mut self) -> Result<(), Error> {
        loop {
            match self.commands.try_recv() {
                Ok(Command::Stop) | Err(TryRecvError::Disconnected) => break,
                Ok(command) => self.obey(command)?,
                Err(TryRecvError::Empty) => {}
            }
            let now = self.shared.clock.monotonic();
            self.progress.check_in(now);
            match self.turn(now) {
                Ok(0) => self.wait(),
                Ok(_) => {}
                Err(error) => self.react(error)?,
            }
        }
        self.finish()
    }

    /// Commits what there is, and closes the tasks.
    fn finish(&mut self) -> Result<(), Error> {
        // The group may be between two generations. Half of the time that closing may take is for this.
        let deadline = self.shared.clock.monotonic() + self.shared.config.close_timeout / 2;
        let refused = loop {
            match self.commit() {
                Ok(true) => break None,
                Ok(false) => {}
                Err(error) => match error.kind() {
                    ErrorKind::Retriable => {}
                    ErrorKind::TaskMigrated | ErrorKind::TransactionAborted => break Some(error),
                    ErrorKind::TaskCorrupted
                    | ErrorKind::BadRecord
                    | ErrorKind::Config
                    | ErrorKind::Fatal => return Err(error),
                },
            }
            if self.shared.clock.monotonic() >= deadline {
                break Some(Error::new(
                    ErrorKind::Retriable,
                    "the group did not answer in time, or calls in flight did not end",
                ));
            }
            self.consumer.poll()?;
            self.wait();
        };
        if let Some(error) = refused {
            tracing::warn!(
                error = error.report(),
                "the last commit was refused; the tasks' next owner repeats it"
            );
            self.drop_tasks()?;
            self.give_up_transaction();
            return Ok(());
        }
        self.publish();
        self.abandon_starting(|_| true)?;
        for active in &mut self.running {
            active.task.stop();
        }
        self.running.iter().try_for_each(|active| active.task.flush_stores())
    }

    fn obey(&mut self, command: Command) -> Result<(), Error> {
        match command {
            Command::Assign(tasks) => {
                if self.running.is_empty() && self.starting.is_empty() {
                    let now = self.shared.clock.monotonic();
                    self.presence.begin(self.shared.pulse.beat(now), now);
                }
                let starting = tasks.into_iter().map(|(id, grant)| StartingTask::new(id, grant));
                self.starting.extend(starting);
            }
            Command::Revoke(tasks) => {
                self.abandon_starting(|task| tasks.contains(&task))?;
                self.revoking.extend(tasks);
                let patience = self.shared.config.max_poll_interval / 2;
                self.revoking_until = self.shared.clock.monotonic() + patience;
            }
            Command::Drop => {
                self.drop_tasks()?;
                self.producer.abort(&self.shared)?;
                self.reports.send(ThreadEvent::Dropped);
            }
            Command::Stop => {}
        }
        Ok(())
    }

    /// What an error means for the thread: go on, with tasks closed or opened anew, or end.
    fn react(&mut self, error: Error) -> Result<(), Error> {
        let report = error.report();
        match error.kind() {
            ErrorKind::TaskMigrated => {
                tracing::warn!(error = report, "the group has moved on; all tasks are dropped");
                self.drop_tasks()?;
                self.producer.abort(&self.shared)?;
                self.reports.send(ThreadEvent::Refused);
            }
            ErrorKind::TransactionAborted => {
                tracing::warn!(
                    error = report,
                    "the transaction is aborted; its work is done again"
                );
                self.roll_back()?;
            }
            ErrorKind::TaskCorrupted => {
                let Some(task) = error.task() else { return Err(error) };
                self.rebuild(task, error)?;
            }
            ErrorKind::Retriable => {
                tracing::warn!(error = report, "the broker did not answer; trying again");
                self.consumer.wait(IDLE_WAIT);
            }
            ErrorKind::BadRecord | ErrorKind::Config | ErrorKind::Fatal => return Err(error),
        }
        Ok(())
    }

    /// Waits for records, or for calls to end, but not for long.
    fn wait(&mut self) {
        if self.running.iter().any(|active| active.task.has_calls()) {
            return std::thread::park_timeout(CALL_WAIT);
        }
        match (self.starting.is_empty(), self.running.is_empty()) {
            (true, _) => self.consumer.wait(IDLE_WAIT),
            (false, true) => self.restore_consumer.wait(IDLE_WAIT),
            // Either may be first, and one wait is for one consumer.
            (false, false) => self.consumer.wait(STARTING_WAIT),
        }
    }

    /// One turn; the answer is how much was done.
    fn turn(&mut self, now: Duration) -> Result<usize, Error> {
        self.consumer.poll()?;
        self.restore_consumer.poll()?;
        if !self.producer.poll(&self.shared)? {
            // What has been rolled back is to be waited for by nobody else.
            if self.running.is_empty() {
                self.release_revoked()?;
            }
            return Ok(0);
        }
        let mut done = 0;
        if !self.starting.is_empty() {
            done += self.start_tasks(now)?;
        }
        self.was_busy = false;
        if !self.is_full && !self.shared.paused.load(Ordering::Relaxed) {
            let processed = self.process(now)?;
            self.was_busy = processed > 0;
            done += processed;
        }
        self.commit_if_due(now, done > 0)?;
        if now.saturating_sub(self.last_publish) >= PUBLISH_INTERVAL {
            self.publish();
            self.last_publish = now;
        }
        Ok(done)
    }

    fn process(&mut self, now: Duration) -> Result<usize, Error> {
        let wall_clock = self.shared.clock.now_ms();
        let mut processed = 0;
        let mut fetched = 0;
        if !self.running.is_empty() {
            self.producer.begin()?;
        }
        for active in &mut self.running {
            processed += active.task.advance_calls(now)?;
            if self.revoking.contains(&active.task.id) {
                continue;
            }
            for (queue, slot) in active.slots.iter().enumerate() {
                let buffered =
                    active.task.group.queues().get(queue).map_or(0, RecordQueue::buffered);
                if buffered >= LOW_RECORDS || active.lost.contains_key(&queue) {
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
                        active.lost.insert(queue, error.to_string());
                    }
                    Err(error) => return Err(Error::from(error).in_task(active.task.id)),
                }
            }
            active.reset_lost(&self.shared, &mut *self.consumer)?;
            active.update_lags(&*self.consumer);
            active.task.context.wall_clock = wall_clock;
            processed += active.task.process(SLICE_RECORDS)?;
            active.task.punctuate_wall_clock()?;
        }
        self.metrics.poll_records.inc_by(fetched as u64);
        Ok(processed)
    }

    fn publish(&mut self) {
        self.publish_restores(self.shared.clock.monotonic());
        for active in &mut self.running {
            active.publish(&*self.consumer);
        }
    }

    /// Forgets all tasks and what they have not committed.
    fn drop_tasks(&mut self) -> Result<(), Error> {
        self.abandon_starting(|_| true)?;
        for active in std::mem::take(&mut self.running) {
            self.close_unclean(active)?;
        }
        self.revoking.clear();
        self.flushed_bytes = 0;
        self.is_full = false;
        Ok(())
    }

    fn close_unclean(&mut self, mut active: ActiveTask) -> Result<(), Error> {
        self.consumer.unassign(&active.slots)?;
        active.task.stop();
        self.shared.status.set_task(active.task.id, TaskState::Created);
        Ok(())
    }

    /// Forgets what is not committed: tasks are opened again from their stores, which have nothing of it.
    /// Those that are being restored have sent nothing, and go on.
    fn roll_back(&mut self) -> Result<(), Error> {
        let running = self.running.iter().map(|active| (active.task.id, active.grant));
        let tasks: Vec<_> = running.filter(|(task, _)| !self.revoking.contains(task)).collect();
        let revoked = std::mem::take(&mut self.revoking);
        let starting = std::mem::take(&mut self.starting);
        self.shared.stores.keep(tasks.iter().map(|(task, _)| *task));
        self.drop_tasks()?;
        self.starting = starting;
        self.starting.extend(tasks.into_iter().map(|(id, grant)| StartingTask::new(id, grant)));
        // Others may have the tasks before the transaction is ended: nobody reads what is in it, and their offsets wait
        // for its end.
        let aborted = self.producer.abort(&self.shared);
        if !revoked.is_empty() {
            self.reports.send(ThreadEvent::Released(revoked));
        }
        aborted
    }

    /// Stops to start those tasks.
    fn abandon_starting(&mut self, which: impl Fn(TaskId) -> bool) -> Result<(), Error> {
        let (abandoned, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.starting).into_iter().partition(|task| which(task.id));
        self.starting = kept;
        for starting in abandoned {
            self.shared.status.set_restoring(starting.id, Vec::new());
            starting.abandon(&mut *self.restore_consumer)?;
        }
        Ok(())
    }

    /// Ends an open transaction, within the time that closing may take.
    fn give_up_transaction(&mut self) {
        // What the running tasks have sent is what is given up.
        self.running.clear();
        if !self.producer.is_transactional() {
            // It ends with the thread.
            return;
        }
        if let Err(error) = self.producer.abort(&self.shared) {
            tracing::debug!(error = error.report(), "while giving up a transaction");
        }
        let deadline = self.shared.clock.monotonic() + self.shared.config.close_timeout / 2;
        while self.producer.is_aborting() && self.shared.clock.monotonic() < deadline {
            if self.producer.poll(&self.shared).is_err() {
                return;
            }
        }
    }
}

impl std::fmt::Debug for StreamThread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamThread").field("running", &self.running.len()).finish_non_exhaustive()
    }
}
