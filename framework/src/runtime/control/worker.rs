//! Threads as the control thread sees them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crate::error::{Error, ErrorKind};
use crate::runtime::global::thread::GlobalThread;
use crate::runtime::shared::Shared;
use crate::runtime::stream_thread::{Command, Reports, StreamThread, ThreadEvent};
use crate::runtime::watchdog::Progress;

/// Commands that may wait for a thread that is busy.
const COMMAND_QUEUE: usize = 1024;

/// A stream thread.
pub(super) struct Worker {
    pub(super) name: String,
    pub(super) commands: SyncSender<Command>,
    pub(super) progress: Arc<Progress>,
    pub(super) handle: JoinHandle<()>,
    /// When it began.
    pub(super) since: Duration,
    /// It is on its way out: it gets no tasks.
    pub(super) retiring: bool,
    /// Its silence has been reported.
    pub(super) stuck: bool,
}

/// The name of the stream thread with this number.
pub(super) fn thread_name(number: usize) -> String {
    format!("StreamThread-{number}")
}

impl Worker {
    pub(super) fn spawn(shared: &Shared, reports: Reports) -> Result<Self, Error> {
        let (commands, received) = sync_channel(COMMAND_QUEUE);
        let name = thread_name(reports.thread);
        let since = shared.clock.monotonic();
        let progress = Arc::new(Progress::new(since));
        let (run_name, run_shared, run_progress) =
            (name.clone(), shared.clone(), Arc::clone(&progress));
        let run_reports = reports.clone();
        let run = move || {
            StreamThread::new(run_shared, &run_name, received, run_reports, run_progress)?.run()
        };
        let handle = spawn_thread(name.clone(), run, move |result| {
            reports.send(ThreadEvent::Ended(result));
        })?;
        Ok(Self { name, commands, progress, handle, since, retiring: false, stuck: false })
    }

    /// Tells the thread something; one that has ended is noticed by its last report.
    pub(super) fn tell(&self, command: Command) {
        self.commands.try_send(command).ok();
    }
}

/// The thread that fills the global stores.
pub(super) struct GlobalWorker {
    pub(super) stop: Arc<AtomicBool>,
    pub(super) ended: Receiver<()>,
    pub(super) handle: JoinHandle<()>,
}

impl GlobalWorker {
    pub(super) fn spawn(shared: &Shared) -> Result<Self, Error> {
        let stop = Arc::new(AtomicBool::new(false));
        let (run_shared, run_stop) = (shared.clone(), Arc::clone(&stop));
        let (end, ended) = sync_channel(1);
        let status = Arc::clone(&shared.status);
        let name = "GlobalStreamThread".to_owned();
        let run = move || GlobalThread::new(run_shared, run_stop)?.run();
        let handle = spawn_thread(name.clone(), run, move |result| {
            if let Err(error) = result {
                tracing::error!(error = error.report(), "the global thread has ended");
                status.thread_died(&name, error);
            }
            end.send(()).ok();
        })?;
        Ok(Self { stop, ended, handle })
    }
}

/// Runs a thread; `report` gets its result, or its panic as an error, when everything that it had is closed.
fn spawn_thread(
    name: String,
    run: impl FnOnce() -> Result<(), Error> + Send + 'static,
    report: impl FnOnce(Result<(), Error>) + Send + 'static,
) -> Result<JoinHandle<()>, Error> {
    let body = move || {
        let result = catch_unwind(AssertUnwindSafe(run))
            .unwrap_or_else(|_| Err(Error::new(ErrorKind::Fatal, "a stream thread panicked")));
        report(result);
    };
    Builder::new().name(name).spawn(body).map_err(|error| {
        Error::new(ErrorKind::Fatal, "no thread can be started").with_source(error)
    })
}
