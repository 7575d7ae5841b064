//! Operators that call something outside of the process and do not wait for it: what their task sees of
//! them, and what runs their calls.
//!
//! A record is *in flight* from its arrival at such an operator until its result has gone on. Calls run on an
//! asynchronous runtime; everything else, the nodes behind the operator among it, stays on the stream thread.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

use super::context::TaskContext;
use crate::error::{Error, ErrorKind};

/// A node whose records wait for calls.
pub(crate) trait Calls {
    /// How many records are in flight.
    fn in_flight(&self) -> usize;

    /// Whether it is to get no more records for now.
    fn is_full(&self) -> bool;

    /// Forwards the results of calls that have ended, ends those that take too long, and begins others. `now` is
    /// a clock that never goes back. The answer is how many records have left.
    fn advance(&mut self, task: &mut TaskContext, now: Duration) -> Result<usize, Error>;

    /// Ends all calls and forgets their records.
    fn cancel(&mut self);

    /// What has to happen before a record leaves.
    fn waits_for(&self) -> WaitsFor;
}

/// What calls in flight wait for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct WaitsFor {
    /// Some of them are being made.
    pub(crate) calls: bool,
    /// Until then, at the latest, there is nothing to do unless a call ends.
    pub(crate) until: Option<Duration>,
}

impl WaitsFor {
    /// Waiting for whichever comes first.
    pub(crate) fn or(self, other: Self) -> Self {
        let until = [self.until, other.until].into_iter().flatten().min();
        Self { calls: self.calls || other.calls, until }
    }
}

/// What runs calls: a runtime that the user has given, or one of the application's own, which begins with the
/// first task that needs it and ends with the application and its tasks.
#[derive(Debug, Clone)]
pub(crate) struct CallRuntime(Arc<Source>);

#[derive(Debug)]
enum Source {
    Given(Handle),
    Own {
        /// So many threads; by default as many as the machine has cores.
        threads: Option<usize>,
        /// Guards the start of the runtime; stream threads contend while they link tasks.
        runtime: Mutex<Option<Runtime>>,
    },
}

/// A [`CallRuntime`] that runs, and goes on running while this is there.
#[derive(Debug, Clone)]
pub(crate) struct RunningRuntime {
    pub(crate) handle: Handle,
    _owner: CallRuntime,
}

impl CallRuntime {
    pub(crate) fn new(given: Option<Handle>) -> Self {
        Self::with_threads(given, None)
    }

    /// With so many threads, if it is the application's own.
    pub(crate) fn with_threads(given: Option<Handle>, threads: Option<usize>) -> Self {
        let own = || Source::Own { threads, runtime: Mutex::default() };
        Self(Arc::new(given.map_or_else(own, Source::Given)))
    }

    /// The runtime, started if it has not been.
    pub(crate) fn start(&self) -> Result<RunningRuntime, Error> {
        Ok(RunningRuntime { handle: self.handle()?, _owner: self.clone() })
    }

    fn handle(&self) -> Result<Handle, Error> {
        let (threads, own) = match &*self.0 {
            Source::Given(handle) => return Ok(handle.clone()),
            Source::Own { threads, runtime } => (*threads, runtime),
        };
        let mut own = own.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = &*own {
            return Ok(runtime.handle().clone());
        }
        let mut builder = Builder::new_multi_thread();
        if let Some(threads) = threads {
            builder.worker_threads(threads);
        }
        let started = builder.thread_name("kstream-calls").enable_all().build();
        let runtime = started.map_err(|error| {
            Error::new(ErrorKind::Fatal, "the runtime of asynchronous calls cannot be started")
                .with_source(error)
        })?;
        Ok(own.insert(runtime).handle().clone())
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        let Self::Own { runtime, .. } = self else { return };
        let runtime = runtime.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Waits for nobody: an application may be dropped where waiting is not allowed.
        if let Some(runtime) = runtime.take() {
            runtime.shutdown_background();
        }
    }
}
