//! The control thread: it listens to the membership, deals tasks to stream threads, and ends them.
//!
//! It is the only one that polls the group, so it waits for stream threads only where the group waits
//! for it too: at a revocation, and at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::assignments::Epoch;
use super::global::thread::GlobalThread;
use super::membership::MembershipEvent;
use super::status::State;
use super::stream_thread::{Command, Shared, StreamThread};
use crate::error::{Error, ErrorKind};
use crate::ids::TaskId;

/// How long one wait for the group lasts; bounds the time a stop waits.
const POLL_TIMEOUT: Duration = Duration::from_millis(50);

/// Commands that may wait for a thread: one per rebalance, and threads answer before the next.
const COMMAND_QUEUE: usize = 16;

/// A stream thread as the control thread sees it.
struct Worker {
    commands: SyncSender<Command>,
    /// Gets a word when the thread has ended.
    ended: Receiver<()>,
    handle: JoinHandle<()>,
}

pub(crate) struct Control {
    shared: Shared,
    stop: Arc<AtomicBool>,
    workers: Vec<Worker>,
    /// Fills the global stores, if there are any.
    global: Option<GlobalWorker>,
    /// The thread that each task was dealt to last: it keeps its open stores.
    dealt: BTreeMap<TaskId, usize>,
    /// When the present assignment was found to be broken.
    broken_since: Option<Duration>,
}

impl Control {
    /// Starts the control thread and the stream threads.
    pub(crate) fn spawn(shared: Shared, stop: Arc<AtomicBool>) -> Result<JoinHandle<()>, Error> {
        let workers = (1..=shared.config.num_stream_threads)
            .map(|number| Worker::spawn(&shared, format!("StreamThread-{number}")))
            .collect::<Result<_, _>>()?;
        let globals = !shared.globals.is_empty();
        let global = globals.then(|| GlobalWorker::spawn(&shared)).transpose()?;
        let dealt = BTreeMap::new();
        let control = Self { shared, stop, workers, global, dealt, broken_since: None };
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
        while !self.stop.load(Ordering::SeqCst) && !self.shared.status.has_error() {
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
        let membership = Arc::clone(&self.shared.membership);
        let assignments = Arc::clone(&self.shared.assignments);
        match membership.poll(POLL_TIMEOUT)? {
            None => return self.mend(),
            Some(MembershipEvent::Assigned(assignment)) => {
                let tasks = assignment.active;
                tracing::info!(tasks = tasks.len(), "tasks assigned");
                self.shared.status.assign(tasks.iter().copied());
                self.deal(&tasks, assignments.begin());
            }
            Some(MembershipEvent::Revoked(tasks)) => {
                tracing::info!("tasks revoked");
                if !self.ask_all(Command::Suspend) {
                    return Ok(());
                }
                // ORDER: whoever has not answered in time finds its tasks to be another's from here on.
                assignments.end();
                self.shared.status.unassign();
                membership.release(&tasks)?;
            }
            Some(MembershipEvent::Lost) => {
                tracing::warn!("the group has dropped this member; all tasks are given up");
                // ORDER: before the threads are asked, so that none begins a commit meanwhile.
                assignments.end();
                if !self.ask_all(Command::Drop) {
                    return Ok(());
                }
                self.shared.status.unassign();
                membership.rejoin()?;
            }
        }
        Ok(())
    }

    /// Joins the group anew when a thread has dropped its tasks and the group, which refused their commit,
    /// does not give an assignment by itself. It has until two heartbeats: with one of them a member
    /// hears that it is expelled.
    fn mend(&mut self) -> Result<(), Error> {
        if !self.shared.assignments.is_broken() {
            self.broken_since = None;
            return Ok(());
        }
        let now = self.shared.clock.monotonic();
        let since = *self.broken_since.get_or_insert(now);
        if now.saturating_sub(since) < self.shared.config.heartbeat_interval * 2 {
            return Ok(());
        }
        tracing::warn!("tasks were dropped; leaving the group and joining it anew");
        if !self.ask_all(Command::Suspend) {
            return Ok(());
        }
        self.shared.assignments.end();
        self.shared.status.unassign();
        self.shared.membership.rejoin()
    }

    /// Deals tasks: to the thread that had them before, if it has room, else to the one with the fewest.
    fn deal(&mut self, tasks: &BTreeSet<TaskId>, epoch: Epoch) {
        let most = tasks.len().div_ceil(self.workers.len().max(1));
        let mut hands: Vec<Vec<TaskId>> = vec![Vec::new(); self.workers.len()];
        let mut homeless = Vec::new();
        for &task in tasks {
            let before = self.dealt.get(&task).and_then(|worker| hands.get_mut(*worker));
            match before {
                Some(hand) if hand.len() < most => hand.push(task),
                _ => homeless.push(task),
            }
        }
        for task in homeless {
            if let Some(hand) = hands.iter_mut().min_by_key(|hand| hand.len()) {
                hand.push(task);
            }
        }
        self.dealt.clear();
        for (number, (worker, hand)) in self.workers.iter().zip(hands).enumerate() {
            self.dealt.extend(hand.iter().map(|task| (*task, number)));
            // A thread that has ended is noticed by its status.
            worker.commands.send(Command::Assign(hand, epoch)).ok();
        }
    }

    /// Asks all threads and waits for their answers, as long as the group would. False: the application is
    /// to stop, and the waiting with it.
    fn ask_all(&self, command: impl Fn(SyncSender<()>) -> Command) -> bool {
        let answers: Vec<Receiver<()>> = self
            .workers
            .iter()
            .map(|worker| {
                let (answer, answered) = sync_channel(1);
                worker.commands.send(command(answer)).ok();
                answered
            })
            .collect();
        let clock = &self.shared.clock;
        let deadline = clock.monotonic() + self.shared.config.max_poll_interval;
        for answered in answers {
            // A disconnected channel is a thread that has ended: its tasks are closed too.
            while answered.recv_timeout(POLL_TIMEOUT) == Err(RecvTimeoutError::Timeout) {
                if self.stop.load(Ordering::SeqCst) {
                    return false;
                }
                if clock.monotonic() >= deadline {
                    tracing::error!("a stream thread is busy for longer than max_poll_interval");
                    break;
                }
            }
        }
        true
    }

    /// Ends the threads within the close timeout, then leaves the group.
    fn end(self) {
        let status = &self.shared.status;
        status.set_state(State::PendingShutdown);
        for worker in &self.workers {
            worker.commands.send(Command::Stop).ok();
        }
        let deadline = self.shared.clock.monotonic() + self.shared.config.close_timeout;
        let await_end = |ended: &Receiver<()>, handle: JoinHandle<()>| {
            let left = deadline.saturating_sub(self.shared.clock.monotonic());
            if ended.recv_timeout(left).is_ok() {
                drop(handle.join());
            } else {
                let message = "a stream thread did not stop within the close timeout";
                status.thread_died("close", Error::new(ErrorKind::Fatal, message));
            }
        };
        for worker in self.workers {
            await_end(&worker.ended, worker.handle);
        }
        // ORDER: behind the tasks, which read the global stores to their last record.
        if let Some(global) = self.global {
            global.stop.store(true, Ordering::SeqCst);
            await_end(&global.ended, global.handle);
        }
        if let Err(error) = self.shared.membership.leave() {
            tracing::warn!(
                error = error.report(),
                "leaving the group failed; it will notice by itself"
            );
        }
        status.set_state(if status.has_error() { State::Error } else { State::NotRunning });
    }
}

impl Worker {
    fn spawn(shared: &Shared, name: String) -> Result<Self, Error> {
        let (commands, received) = sync_channel(COMMAND_QUEUE);
        let (thread_name, run_shared) = (name.clone(), shared.clone());
        let run = move || StreamThread::new(run_shared, &thread_name, received)?.run();
        let (ended, handle) = spawn_thread(shared, name, run)?;
        Ok(Self { commands, ended, handle })
    }
}

/// The global thread as the control thread sees it.
struct GlobalWorker {
    stop: Arc<AtomicBool>,
    ended: Receiver<()>,
    handle: JoinHandle<()>,
}

impl GlobalWorker {
    fn spawn(shared: &Shared) -> Result<Self, Error> {
        let stop = Arc::new(AtomicBool::new(false));
        let (run_shared, run_stop) = (shared.clone(), Arc::clone(&stop));
        let run = move || GlobalThread::new(run_shared, run_stop)?.run();
        let (ended, handle) = spawn_thread(shared, "GlobalStreamThread".to_owned(), run)?;
        Ok(Self { stop, ended, handle })
    }
}

/// Runs a thread whose error, or panic, is the application's. The receiver gets a word at its end.
fn spawn_thread(
    shared: &Shared,
    name: String,
    run: impl FnOnce() -> Result<(), Error> + Send + 'static,
) -> Result<(Receiver<()>, JoinHandle<()>), Error> {
    let (end, ended) = sync_channel(1);
    let status = Arc::clone(&shared.status);
    let body = move || {
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        let result = catch_unwind(AssertUnwindSafe(run))
            .unwrap_or_else(|_| Err(Error::new(ErrorKind::Fatal, "a stream thread panicked")));
        if let Err(error) = result {
            tracing::error!(thread = name, error = error.report(), "stream thread ended");
            status.thread_died(&name, error);
        }
        end.send(()).ok();
    };
    let handle = Builder::new().name(name).spawn(body).map_err(|error| {
        Error::new(ErrorKind::Fatal, "no thread can be started").with_source(error)
    })?;
    Ok((ended, handle))
}
