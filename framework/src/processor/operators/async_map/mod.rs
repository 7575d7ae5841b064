//! Calls to something outside of the process, one per record: `map_async` and `map_values_async`.
//!
//! ```text
//!             room, and its key's turn        failed, worth another try
//!  ┌─────────┐        ┌─────────┐ ──────────────► ┌─────────┐
//!  │ waiting ├───────►│ running │                 │ pausing │
//!  └─────────┘        └────┬────┘ ◄────────────── └────┬────┘
//!                          │ answered, failed,         │ the call's time is over
//!                          ▼ cut off                   │
//!                     ┌─────────┐ ◄────────────────────┘
//!                     │  ended  ├──► leaves, when the order allows it
//!                     └─────────┘
//! ```
//! Futures run on a runtime of their own, and only their outcomes come back. Time limits and pauses are kept
//! on the stream thread, by the task's clock: a call ends in time even if its future never lets go of the
//! runtime's thread, and a test decides what time it is.
//!
//! **Commits.** A task commits only when none of its records is in flight: it takes no new ones, and waits for
//! those that are under way (`StreamTask::ready_to_commit`). What is committed is then a finished prefix of the
//! input, and nothing else is. The alternatives lose more than they gain:
//! - To commit the offset before the first unfinished record while later ones have gone on makes the later ones
//!   happen twice after a crash: their results are in the transaction, their inputs come again. The state of
//!   nodes *before* the operator has them too, whatever the order of results.
//! - To hold back the results behind the first unfinished record mends the first, not the second, and one slow
//!   call then holds up everybody's results at all times instead of at commits.
//! - To store unfinished records with the state, as Flink does, needs serdes for them, a changelog, and a second
//!   way for records to come into a task; its gain is a commit that need not wait for a call's time limit.
//!
//! What waiting costs is bounded by the time limit of a call, at each commit. Where a commit is as short as
//! exactly-once makes it by default, a longer interval pays.

mod attempt;
mod call;
#[cfg(test)]
mod tests;
mod window;

use std::hash::Hash;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

use self::attempt::{AbortOnDrop, Ended, Outcome, Report};
pub(crate) use self::attempt::{Begin, attempts};
use self::call::{Call, CallState};
use self::window::Window;
use crate::dsl::options::CallOrder;
use crate::error::{Error, ErrorKind};
use crate::processor::calls::{Calls, RunningRuntime, WaitsFor};
use crate::processor::context::TaskContext;
use crate::processor::handler::{FailedRecord, Failure};
use crate::processor::{Data, Node, Outlet};
use crate::record::Record;

/// What an operator allows its calls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallLimits {
    pub(crate) max_in_flight: usize,
    pub(crate) order: CallOrder,
    /// For a call with all its attempts and pauses.
    pub(crate) timeout: Duration,
    pub(crate) attempt_timeout: Option<Duration>,
    pub(crate) pauses: ExponentialBuilder,
}

/// What an operator makes of a record.
pub(crate) struct Mapping<K, V, R, K2, V2> {
    /// Begins an attempt at its call.
    pub(crate) begin: Begin<K, V, R>,
    /// Makes a record of its key and the result of the call.
    pub(crate) finish: fn(K, R) -> (K2, V2),
}

impl<K, V, R, K2, V2> Clone for Mapping<K, V, R, K2, V2> {
    fn clone(&self) -> Self {
        Self { begin: Arc::clone(&self.begin), finish: self.finish }
    }
}

/// Calls the user's function for each record.
pub(crate) struct AsyncMap<K, V, R, K2, V2> {
    name: String,
    limits: CallLimits,
    mapping: Mapping<K, V, R, K2, V2>,
    runtime: RunningRuntime,
    next: Outlet<K2, V2>,
    window: Window<K, V, R>,
    /// How many calls have begun and not ended.
    running: usize,
    /// How many attempts there have been.
    attempts: u64,
    /// Records whose attempts have begun since the clock was last read.
    fresh: Vec<usize>,
    /// Nothing is due before.
    due: Option<Duration>,
    sender: Sender<Ended<R>>,
    outcomes: Receiver<Ended<R>>,
}

impl<K: Data + Hash + Eq, V: Data, R: Data, K2: Data, V2: Data> AsyncMap<K, V, R, K2, V2> {
    pub(crate) fn new(
        name: String,
        limits: CallLimits,
        mapping: Mapping<K, V, R, K2, V2>,
        runtime: RunningRuntime,
        next: Outlet<K2, V2>,
    ) -> Self {
        let (sender, outcomes) = channel();
        Self {
            name,
            limits,
            mapping,
            runtime,
            next,
            window: Window::new(limits.order),
            running: 0,
            attempts: 0,
            fresh: Vec::new(),
            due: None,
            sender,
            outcomes,
        }
    }

    /// Begins the calls that there is room for.
    fn begin_waiting(&mut self) {
        while self.running < self.limits.max_in_flight {
            let Some(slot) = self.window.next_to_begin() else { return };
            self.running += 1;
            self.begin_attempt(slot);
        }
    }

    fn begin_attempt(&mut self, slot: usize) {
        let Some(call) = self.window.get_mut(slot) else { return };
        self.attempts += 1;
        call.attempts += 1;
        let attempt = self.attempts;
        let report =
            Report { slot, attempt, to: Some(self.sender.clone()), thread: std::thread::current() };
        let (key, value) = (call.record.key.clone(), call.record.value.clone());
        let abort = AbortOnDrop((self.mapping.begin)(&self.runtime.handle, key, value, report));
        call.state = CallState::Running { attempt, deadline: None, _abort: abort };
        self.fresh.push(slot);
    }

    /// Sets the time limits of what has begun since the last time: never too early, because the clock is read
    /// afterwards.
    fn set_deadlines(&mut self, now: Duration) {
        for slot in std::mem::take(&mut self.fresh) {
            let Some(call) = self.window.get_mut(slot) else { continue };
            if let CallState::Running { deadline: deadline @ None, .. } = &mut call.state {
                *deadline = self.limits.attempt_timeout.map(|timeout| now + timeout);
                call.deadline.get_or_insert(now + self.limits.timeout);
            }
            self.due = earlier(self.due, call.due());
        }
    }

    /// Takes in how an attempt has ended.
    fn take_in(&mut self, ended: Ended<R>, now: Duration) {
        let Ended { slot, attempt, outcome } = ended;
        // Others are late: of attempts that were cut off.
        let Some(call) = self.window.get_mut(slot).filter(|call| call.is_running(attempt)) else {
            return;
        };
        let (failure, is_retriable) = match outcome {
            Outcome::Done(result) => return self.end(slot, Ok(result)),
            Outcome::Failed { error, is_retriable } => {
                let message = match call.attempts {
                    1 => "the call failed".to_owned(),
                    attempts => format!("the call failed {attempts} times"),
                };
                let error = Error::new(ErrorKind::BadRecord, message).with_source(error);
                (Failure::Error(error), is_retriable)
            }
            Outcome::Panicked(panic) => (Failure::Panic(panic), false),
            Outcome::Dropped => {
                let message = "the runtime of asynchronous calls has shut down";
                (Failure::Error(Error::new(ErrorKind::Fatal, message)), false)
            }
        };
        self.failed(slot, failure, is_retriable, now);
    }

    /// Ends a call whose attempt has failed, or has it make another later.
    fn failed(&mut self, slot: usize, failure: Failure, is_retriable: bool, now: Duration) {
        let Some(call) = self.window.get_mut(slot) else { return };
        if is_retriable {
            let pauses = call.pauses.get_or_insert_with(|| self.limits.pauses.build());
            let until = pauses.next().map(|pause| now + pause);
            // An attempt that would begin when the call's time is over is not waited for.
            if let Some(until) = until.filter(|until| call.deadline.is_none_or(|end| *until < end))
            {
                call.state = CallState::Pausing { until };
                self.due = earlier(self.due, Some(until));
                return;
            }
        }
        self.end(slot, Err(failure));
    }

    fn end(&mut self, slot: usize, result: Result<R, Failure>) {
        let Some(call) = self.window.get_mut(slot) else { return };
        call.state = CallState::Ended(result);
        self.running -= 1;
        self.window.ended(slot);
    }

    /// Cuts off what takes too long, and begins the attempts whose pauses are over.
    fn do_what_is_due(&mut self, now: Duration) {
        if self.due.is_none_or(|due| now < due) {
            return;
        }
        for slot in 0..self.window.slots() {
            let Some(call) = self.window.get_mut(slot) else { continue };
            if call.due().is_none_or(|due| now < due) {
                continue;
            }
            if matches!(call.state, CallState::Pausing { .. }) {
                self.begin_attempt(slot);
                continue;
            }
            let is_over = call.deadline.is_some_and(|deadline| deadline <= now);
            let attempt_timeout = self.limits.attempt_timeout.filter(|_| !is_over);
            let timeout = attempt_timeout.unwrap_or(self.limits.timeout);
            let message = format!("the call was not answered within {timeout:?}");
            let failure = Failure::Error(Error::new(ErrorKind::BadRecord, message));
            self.failed(slot, failure, !is_over, now);
        }
        self.due = self.window.calls().filter_map(Call::due).min();
    }

    /// Sends on what may leave; the answer is how many records that were.
    fn leave(&mut self, task: &mut TaskContext) -> Result<usize, Error> {
        let mut left = 0;
        while let Some(Call { record, origin, state, .. }) = self.window.pop_ready() {
            let CallState::Ended(result) = state else { continue };
            left += 1;
            task.resume(origin);
            let failure = match result {
                Ok(result) => {
                    let Record { key, timestamp, headers, .. } = record;
                    let (key, value) = (self.mapping.finish)(key, result);
                    let record = Record { key, value, timestamp, headers };
                    self.next.forward(task, record).map_err(not_again)?;
                    continue;
                }
                // Not about the record: no handler is asked.
                Err(Failure::Error(error)) if !error.is_open() => {
                    return Err(error.at_node(&self.name));
                }
                Err(failure) => failure,
            };
            let Record { key, value, timestamp, headers } = &record;
            let failed = FailedRecord::new(key, value, *timestamp, headers);
            task.processing_failed(&self.name, &failed, failure)?;
        }
        Ok(left)
    }
}

impl<K: Data + Hash + Eq, V: Data, R: Data, K2: Data, V2: Data> Node<K, V>
    for AsyncMap<K, V, R, K2, V2>
{
    fn process(&mut self, task: &mut TaskContext, record: Record<K, V>) -> Result<(), Error> {
        self.window.push(Call::new(record, task.origin()));
        self.begin_waiting();
        Ok(())
    }
}

impl<K: Data + Hash + Eq, V: Data, R: Data, K2: Data, V2: Data> Calls
    for AsyncMap<K, V, R, K2, V2>
{
    fn in_flight(&self) -> usize {
        self.window.in_flight()
    }

    fn is_full(&self) -> bool {
        self.window.in_flight() >= self.limits.max_in_flight
    }

    fn advance(&mut self, task: &mut TaskContext, now: Duration) -> Result<usize, Error> {
        if self.window.in_flight() == 0 {
            return Ok(0);
        }
        self.set_deadlines(now);
        while let Ok(ended) = self.outcomes.try_recv() {
            self.take_in(ended, now);
        }
        self.do_what_is_due(now);
        // Calls begin before results go on, which may take a while.
        self.begin_waiting();
        let left = self.leave(task);
        self.begin_waiting();
        self.set_deadlines(now);
        left
    }

    fn cancel(&mut self) {
        self.window.clear();
        self.running = 0;
        self.fresh.clear();
        self.due = None;
    }

    fn waits_for(&self) -> WaitsFor {
        let mut calls = self.window.calls();
        let calls = calls.any(|call| matches!(call.state, CallState::Running { .. }));
        WaitsFor { calls, until: self.due }
    }
}

/// The earlier of two times that may not be.
fn earlier(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    one.into_iter().chain(other).min()
}

/// An error of the nodes behind the operator. The record has left and cannot be tried again, as one at the head
/// of a queue would be: everything since the last commit is done again instead.
#[cold]
fn not_again(error: Error) -> Error {
    if error.kind() != ErrorKind::Retriable {
        return error;
    }
    let message = "the result of a call could not be sent on; its record is processed again";
    Error::new(ErrorKind::TransactionAborted, message).with_source(error)
}
