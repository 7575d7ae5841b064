//! One attempt at a call: a future on the runtime, and the way its outcome comes back.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::Thread;

use futures::FutureExt;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::processor::Data;
use crate::processor::api::ProcessorError;
use crate::processor::handler::{UserPanic, panic_of};

/// How an attempt has ended.
pub(crate) enum Outcome<R> {
    Done(R),
    Failed {
        error: ProcessorError,
        is_retriable: bool,
    },
    Panicked(UserPanic),
    /// The runtime has dropped it: it is shutting down.
    Dropped,
}

/// What comes back from an attempt.
pub(super) struct Ended<R> {
    pub(super) slot: usize,
    /// Tells a late answer from one that is waited for.
    pub(super) attempt: u64,
    pub(super) outcome: Outcome<R>,
}

/// Brings the outcome of an attempt to the stream thread, and wakes it.
///
/// INVARIANT: exactly one outcome comes back from every attempt, however its future ends.
pub(crate) struct Report<R> {
    pub(super) slot: usize,
    pub(super) attempt: u64,
    /// `None` once it is sent.
    pub(super) to: Option<Sender<Ended<R>>>,
    pub(super) thread: Thread,
}

impl<R> Report<R> {
    fn send(&mut self, outcome: Outcome<R>) {
        let Some(to) = self.to.take() else { return };
        // Nobody receives it when the task is gone.
        to.send(Ended { slot: self.slot, attempt: self.attempt, outcome }).ok();
        self.thread.unpark();
    }
}

impl<R> Drop for Report<R> {
    fn drop(&mut self) {
        self.send(Outcome::Dropped);
    }
}

/// Ends an attempt when it is dropped; one that has ended by itself does not mind.
#[derive(Debug)]
pub(super) struct AbortOnDrop(pub(super) AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Begins an attempt. The user's function and its future have their types hidden behind this, so that an
/// attempt takes one allocation.
pub(crate) type Begin<K, V, R> = Arc<dyn Fn(&Handle, K, V, Report<R>) -> AbortHandle + Send + Sync>;

/// Whether an error is worth another attempt.
pub(crate) type RetryIf<E> = Arc<dyn Fn(&E) -> bool + Send + Sync>;

/// Attempts that call the user's function on the runtime and wait for its future.
pub(crate) fn attempts<K: Data, V: Data, R: Data, E, F>(
    mapper: impl Fn(K, V) -> F + Send + Sync + 'static,
    retry_if: RetryIf<E>,
) -> Begin<K, V, R>
where
    E: Into<ProcessorError> + 'static,
    F: Future<Output = Result<R, E>> + Send + 'static,
{
    let mapper = Arc::new(mapper);
    Arc::new(move |runtime, key, value, mut report| {
        let (mapper, retry_if) = (Arc::clone(&mapper), Arc::clone(&retry_if));
        let attempt = async move {
            let call = async move {
                let result = mapper(key, value).await;
                result.map_or_else(
                    |error| {
                        let is_retriable = retry_if(&error);
                        Outcome::Failed { error: error.into(), is_retriable }
                    },
                    Outcome::Done,
                )
            };
            let outcome = AssertUnwindSafe(call).catch_unwind().await;
            report.send(outcome.unwrap_or_else(|panic| Outcome::Panicked(panic_of(&*panic))));
        };
        runtime.spawn(attempt).abort_handle()
    })
}
