//! The stream threads of a process: started, retired, replaced, watched.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::worker::{Worker, thread_name};
use super::{Control, Request};
use crate::error::{Error, ErrorKind};
use crate::runtime::stream_thread::Reports;
use crate::runtime::uncaught::UncaughtErrorResponse;

/// A thread that ends sooner than this after its start begins anew after a pause, which doubles each time.
const SHORT_LIFE: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

impl Control {
    pub(super) fn serve(&mut self, request: Request) {
        match request {
            Request::AddThread(answer) => {
                let mut numbers = 1..;
                let taken = |number: &usize| {
                    self.workers.contains_key(number) || self.replacements.contains_key(number)
                };
                let number = numbers.find(|number| !taken(number)).unwrap_or_default();
                let started = self.start_worker(number).map(|()| thread_name(number));
                self.deal();
                answer.send(started).ok();
            }
            Request::RemoveThread(answer) => {
                let last = self.workers.iter_mut().rev().find(|(_, worker)| !worker.retiring);
                let Some((number, worker)) = last else {
                    answer.send(None).ok();
                    return;
                };
                worker.retiring = true;
                self.retiring.push((*number, answer));
                self.deal();
                self.stop_retired();
            }
        }
    }

    pub(super) fn start_worker(&mut self, number: usize) -> Result<(), Error> {
        let reports = Reports { thread: number, sender: self.reports.clone() };
        let worker = Worker::spawn(&self.shared, reports)?;
        self.workers.insert(number, worker);
        self.shared.threads.store(self.workers.len(), Ordering::Relaxed);
        Ok(())
    }

    /// A thread is no more, and its stores are closed.
    pub(super) fn ended(&mut self, number: usize, result: Result<(), Error>) -> Result<(), Error> {
        let Some(worker) = self.workers.remove(&number) else { return Ok(()) };
        self.shared.threads.store(self.workers.len(), Ordering::Relaxed);
        drop(worker.handle.join());
        let closed = self.tasks.thread_ended(number);
        for task in &closed.all {
            self.shared.ownership.end(*task);
        }
        self.has_closed(number)?;
        self.release(&closed.revoked)?;
        if let Some(place) = self.retiring.iter().position(|(retiring, _)| *retiring == number) {
            let (_, answer) = self.retiring.swap_remove(place);
            answer.send(Some(worker.name)).ok();
            self.deal();
            return Ok(());
        }
        let error = result.err().unwrap_or_else(|| {
            Error::new(ErrorKind::Fatal, "a stream thread ended without being told to")
        });
        tracing::error!(thread = worker.name, error = error.report(), "a stream thread has ended");
        match self.shared.config.uncaught_error_handler.0.handle(&error) {
            UncaughtErrorResponse::ReplaceThread => {
                let now = self.shared.clock.monotonic();
                let before = self.pauses.get(&number).copied().unwrap_or_default();
                let short = now.saturating_sub(worker.since) < SHORT_LIFE;
                let pause = if short {
                    (before * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE)
                } else {
                    FIRST_PAUSE
                };
                tracing::warn!(thread = worker.name, ?pause, "the thread is replaced");
                self.pauses.insert(number, pause);
                self.replacements.insert(number, now + pause);
                self.shared.metrics.replaced_threads().inc();
                self.deal();
            }
            UncaughtErrorResponse::ShutdownClient => {
                self.shared.status.thread_died(&worker.name, error);
            }
            UncaughtErrorResponse::ShutdownApplication => {
                if let Err(error) = self.shared.membership.shut_down_application() {
                    tracing::error!(error = error.report(), "the others could not be told to stop");
                }
                self.shared.status.thread_died(&worker.name, error);
            }
        }
        Ok(())
    }

    pub(super) fn replace_threads(&mut self, now: Duration) -> Result<(), Error> {
        while let Some((&number, _)) = self.replacements.iter().find(|(_, at)| **at <= now) {
            self.replacements.remove(&number);
            self.start_worker(number)?;
            self.deal();
        }
        Ok(())
    }

    /// Looks for threads that do not get on. A process with one gives all its tasks up, so that others can
    /// have them, and joins anew when the thread comes back.
    pub(super) fn watch(&mut self, now: Duration) -> Result<(), Error> {
        let patience = self.shared.config.max_poll_interval;
        let mut found = false;
        for worker in self.workers.values_mut() {
            let silence = worker.progress.silence(now);
            let stuck = silence >= patience;
            if stuck && !worker.stuck {
                tracing::error!(
                    thread = worker.name,
                    ?silence,
                    "a stream thread makes no progress for longer than max_poll_interval; its process gives \
                     up all its tasks until it does"
                );
                found = true;
            } else if worker.stuck && !stuck {
                tracing::info!(thread = worker.name, "the stream thread makes progress again");
            }
            if stuck != worker.stuck {
                self.shared.status.set_stuck(&worker.name, stuck);
            }
            worker.stuck = stuck;
        }
        if found && self.closing.is_none() {
            self.shared.membership.leave()?;
            self.give_up()?;
        }
        Ok(())
    }
}
