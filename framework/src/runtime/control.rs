//! The control thread: it listens to the membership, deals tasks to stream threads, and looks after them.
//!
//! It is the only one that polls the group, so it waits for no thread: what it asks of threads is answered by
//! their reports, in later turns. It does wait for brokers, when the membership asks them about topics or leads.

mod dealing;
mod tasks;
#[cfg(test)]
mod tests;
mod threads;
mod upkeep;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use self::tasks::Tasks;
use self::worker::{GlobalWorker, Worker};
use super::fencing::end_transactions;
use super::membership::{MemberReport, MembershipEvent};
use super::shared::Shared;
use super::status::State;
use super::stream_thread::{Command, ThreadEvent};
use crate::error::{Error, ErrorKind};
use crate::ids::TaskId;

/// How long one wait for the group lasts; bounds the time a stop waits.
const POLL_TIMEOUT: Duration = Duration::from_millis(50);
/// The same while threads are asked for something.
const SHORT_POLL_TIMEOUT: Duration = Duration::from_millis(5);
/// How often threads are looked after.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// State of a task that is closed: there is some, and only opening it would tell how much is missing.
pub(super) const UNKNOWN_LAG: u64 = u64::MAX;
/// How often state that no task of this process uses is looked for.
const CLEANUP_INTERVAL: Duration = Duration::from_mins(1);

/// What the application asks of the control thread.
#[derive(Debug)]
pub(crate) enum Request {
    /// Start another stream thread; the answer is its name.
    AddThread(SyncSender<Result<String, Error>>),
    /// End the stream thread that began last; the answer comes when it has ended, and is its name.
    RemoveThread(SyncSender<Option<String>>),
}

pub(crate) struct Control {
    shared: Shared,
    requests: Receiver<Request>,
    events: Receiver<(usize, ThreadEvent)>,
    reports: Sender<(usize, ThreadEvent)>,
    workers: BTreeMap<usize, Worker>,
    /// Fills the global stores, if there are any.
    global: Option<GlobalWorker>,
    tasks: Tasks,
    /// Everything is given up: threads that have not closed their tasks yet. The group is joined anew when
    /// there is none.
    closing: Option<BTreeSet<usize>>,
    /// Since when threads have no tasks because a commit of theirs was refused.
    refused_since: Option<Duration>,
    /// Threads that are to begin anew, and when.
    replacements: BTreeMap<usize, Duration>,
    /// How long each waited before its present life.
    pauses: BTreeMap<usize, Duration>,
    retiring: Vec<(usize, SyncSender<Option<String>>)>,
    reported: Option<MemberReport>,
    /// The tasks that threads have, when local state was looked at, and what that was.
    state: Option<(BTreeSet<TaskId>, BTreeMap<TaskId, u64>)>,
    last_watch: Duration,
    last_cleanup: Duration,
}

impl Control {
    /// Starts the control thread and the stream threads.
    pub(crate) fn spawn(
        shared: Shared,
        requests: Receiver<Request>,
    ) -> Result<JoinHandle<()>, Error> {
        let (reports, events) = channel();
        let globals = !shared.globals.is_empty();
        let global = globals.then(|| GlobalWorker::spawn(&shared)).transpose()?;
        let now = shared.clock.monotonic();
        let mut control = Self {
            tasks: Tasks::new(&shared.topology),
            requests,
            events,
            reports,
            workers: BTreeMap::new(),
            global,
            closing: None,
            refused_since: None,
            replacements: BTreeMap::new(),
            pauses: BTreeMap::new(),
            retiring: Vec::new(),
            reported: None,
            state: None,
            last_watch: now,
            last_cleanup: now,
            shared,
        };
        for number in 1..=control.shared.config.num_stream_threads {
            control.start_worker(number)?;
        }
        let status = Arc::clone(&control.shared.status);
        let run = move || {
            if catch_unwind(AssertUnwindSafe(|| control.run())).is_err() {
                let error = Error::new(ErrorKind::Fatal, "the control thread panicked");
                status.thread_died("control", error);
                status.set_state(State::Error);
            }
        };
        Builder::new().name("kstream-control".to_owned()).spawn(run).map_err(|error| {
            Error::new(ErrorKind::Fatal, "no thread can be started").with_source(error)
        })
    }

    fn run(mut self) {
        while !self.shared.stop.load(Ordering::SeqCst) && !self.shared.status.has_error() {
            if let Err(error) = self.turn() {
                if error.kind() == ErrorKind::Retriable {
                    tracing::warn!(
                        error = error.report(),
                        "the group does not answer; trying again"
                    );
                } else {
                    tracing::error!(
                        error = error.report(),
                        "membership failed; the application stops"
                    );
                    self.shared.status.thread_died("membership", error);
                }
            }
        }
        self.end();
    }

    fn turn(&mut self) -> Result<(), Error> {
        let asked = self.closing.is_some() || self.tasks.awaits_release();
        let timeout = if asked { SHORT_POLL_TIMEOUT } else { POLL_TIMEOUT };
        if let Some(event) = self.shared.membership.poll(timeout)? {
            self.follow(event)?;
        }
        while let Ok((thread, event)) = self.events.try_recv() {
            self.hear(thread, event)?;
        }
        while let Ok(request) = self.requests.try_recv() {
            self.serve(request);
        }
        let now = self.shared.clock.monotonic();
        self.replace_threads(now)?;
        self.rejoin_if_refused(now)?;
        if now.saturating_sub(self.last_watch) >= WATCH_INTERVAL {
            self.last_watch = now;
            self.watch(now)?;
        }
        if now.saturating_sub(self.last_cleanup) >= CLEANUP_INTERVAL {
            self.last_cleanup = now;
            self.clean_up();
        }
        self.report()
    }

    /// Does what the membership says.
    fn follow(&mut self, event: MembershipEvent) -> Result<(), Error> {
        match event {
            MembershipEvent::Assigned(assignment) => {
                tracing::info!(tasks = assignment.active.len(), "tasks assigned");
                if self.shared.config.is_exactly_once() {
                    end_transactions(&self.shared, assignment.orphaned_transactions);
                }
                self.shared.status.assign(&assignment.active);
                self.tasks.assign(assignment.active);
                self.deal();
            }
            MembershipEvent::Revoked(tasks) => {
                tracing::info!(tasks = tasks.len(), "tasks revoked");
                let released = self.tasks.revoke(&tasks, &mut |thread, tasks| {
                    tell(&self.workers, thread, Command::Revoke(tasks));
                });
                self.release(&released)?;
            }
            MembershipEvent::Lost => {
                tracing::warn!("the group has dropped this process; all tasks are given up");
                self.give_up()?;
            }
            MembershipEvent::ShutdownRequested(member) => {
                let message = format!("member {member} has asked all instances to stop");
                tracing::error!("{message}");
                let error = Error::new(ErrorKind::Fatal, message);
                self.shared.status.thread_died("application", error);
            }
        }
        Ok(())
    }

    /// Takes note of what a thread reports.
    fn hear(&mut self, thread: usize, event: ThreadEvent) -> Result<(), Error> {
        match event {
            ThreadEvent::Released(tasks) => {
                let closed = self.tasks.released(thread, &tasks);
                for task in &closed.all {
                    self.shared.ownership.end(*task);
                }
                self.release(&closed.revoked)?;
                self.deal();
            }
            ThreadEvent::Dropped => self.has_closed(thread)?,
            ThreadEvent::Refused => {
                if self.closing.is_none() {
                    let now = self.shared.clock.monotonic();
                    self.refused_since.get_or_insert(now);
                }
            }
            ThreadEvent::Ended(result) => self.ended(thread, result)?,
        }
        Ok(())
    }

    /// Gives tasks to threads, and takes those away that another thread is to have.
    fn deal(&mut self) {
        if self.closing.is_some() {
            return;
        }
        let threads: BTreeSet<usize> = self
            .workers
            .iter()
            .filter(|(_, worker)| !worker.retiring)
            .map(|(number, _)| *number)
            .collect();
        let workers = &self.workers;
        let shared = &self.shared;
        self.tasks.deal(
            &threads,
            &mut |thread, tasks| {
                let granted = tasks.into_iter().map(|task| (task, shared.ownership.grant(task)));
                tell(workers, thread, Command::Assign(granted.collect()));
            },
            &mut |thread, tasks| tell(workers, thread, Command::Revoke(tasks)),
        );
        self.stop_retired();
    }

    /// Stops threads on their way out that have no task any more.
    fn stop_retired(&self) {
        for (number, worker) in &self.workers {
            if worker.retiring && self.tasks.has_none(*number) {
                worker.tell(Command::Stop);
            }
        }
    }

    /// Hands tasks over that no thread has any more.
    fn release(&self, tasks: &BTreeSet<TaskId>) -> Result<(), Error> {
        if tasks.is_empty() {
            return Ok(());
        }
        // ORDER: nothing of this process commits them from here on, whatever threads are up to.
        for task in tasks {
            self.shared.ownership.end(*task);
            self.shared.stores.release(*task);
        }
        self.shared.status.unassign(tasks);
        self.shared.membership.release(tasks)
    }

    /// Gives all tasks up; the group is joined anew once all threads have closed theirs.
    fn give_up(&mut self) -> Result<(), Error> {
        // ORDER: before the threads are told, so that none begins a commit meanwhile.
        self.shared.ownership.end_all();
        self.shared.status.unassign_all();
        self.tasks.clear();
        self.refused_since = None;
        for worker in self.workers.values() {
            worker.tell(Command::Drop);
        }
        self.closing = Some(self.workers.keys().copied().collect());
        self.rejoin_if_closed()
    }

    /// A thread has closed its tasks.
    fn has_closed(&mut self, thread: usize) -> Result<(), Error> {
        if let Some(closing) = &mut self.closing {
            closing.remove(&thread);
        }
        self.rejoin_if_closed()
    }

    /// ORDER: the process asks for tasks only when no thread of it can still be at work on the old ones. There may be
    /// no thread at the moment.
    fn rejoin_if_closed(&mut self) -> Result<(), Error> {
        if self.closing.as_ref().is_some_and(BTreeSet::is_empty) {
            self.closing = None;
            self.shared.stores.release_all();
            self.shared.membership.rejoin()?;
        }
        Ok(())
    }

    /// Joins the group anew when threads have dropped their tasks and the group, which refused their commit,
    /// says nothing by itself. It has until two heartbeats: with one of them a member hears that it is
    /// expelled.
    fn rejoin_if_refused(&mut self, now: Duration) -> Result<(), Error> {
        let Some(since) = self.refused_since else { return Ok(()) };
        if now.saturating_sub(since) >= self.shared.config.heartbeat_interval * 2 {
            tracing::warn!("tasks were dropped; leaving the group and joining it anew");
            self.shared.membership.leave()?;
            self.give_up()?;
        }
        Ok(())
    }

    /// Ends the threads within the close timeout, then leaves the group.
    fn end(mut self) {
        let status = Arc::clone(&self.shared.status);
        status.set_state(State::PendingShutdown);
        for worker in self.workers.values() {
            worker.tell(Command::Stop);
        }
        let deadline = self.shared.clock.monotonic() + self.shared.config.close_timeout;
        let left = |control: &Self| deadline.saturating_sub(control.shared.clock.monotonic());
        while !self.workers.is_empty() && !left(&self).is_zero() {
            // The group may be settling: last commits wait for that.
            match self.shared.membership.poll(SHORT_POLL_TIMEOUT) {
                Ok(Some(MembershipEvent::Lost)) => self.shared.ownership.end_all(),
                Ok(_) => {}
                Err(error) => tracing::debug!(error = error.report(), "while stopping"),
            }
            while let Ok((thread, event)) = self.events.try_recv() {
                let ThreadEvent::Ended(result) = event else { continue };
                let Some(worker) = self.workers.remove(&thread) else { continue };
                drop(worker.handle.join());
                if let Err(error) = result {
                    tracing::error!(error = error.report(), "a stream thread ended by an error");
                    status.thread_died(&worker.name, error);
                }
            }
        }
        // ORDER: who has not ended by now may not commit any more, because the group is left.
        self.shared.ownership.end_all();
        for worker in self.workers.values() {
            let message = "a stream thread did not stop within the close timeout";
            status.thread_died(&worker.name, Error::new(ErrorKind::Fatal, message));
        }
        // ORDER: behind the tasks, which read the global stores to their last record.
        if let Some(global) = self.global.take() {
            global.stop.store(true, Ordering::SeqCst);
            if global.ended.recv_timeout(left(&self)).is_ok() {
                drop(global.handle.join());
            } else {
                let message = "the global thread did not stop within the close timeout";
                status.thread_died("GlobalStreamThread", Error::new(ErrorKind::Fatal, message));
            }
        }
        // ORDER: threads that have ended have no transaction open, and the others say so before the group is left.
        let reported = self.report();
        if let Err(error) = reported.and(self.shared.membership.leave()) {
            tracing::warn!(
                error = error.report(),
                "leaving the group failed; it will notice by itself"
            );
        }
        status.set_state(if status.has_error() { State::Error } else { State::NotRunning });
    }
}

fn tell(workers: &BTreeMap<usize, Worker>, thread: usize, command: Command) {
    if let Some(worker) = workers.get(&thread) {
        worker.tell(command);
    }
}
