//! A record in flight and how far its call is.

use std::time::Duration;

use backon::ExponentialBackoff;

use super::attempt::AbortOnDrop;
use crate::processor::context::Origin;
use crate::processor::handler::Failure;
use crate::record::Record;

/// A record, and the call made for it.
pub(super) struct Call<K, V, R> {
    pub(super) record: Record<K, V>,
    pub(super) origin: Origin,
    pub(super) state: CallState<R>,
    /// When all of its attempts have to have ended; `None` before the first.
    pub(super) deadline: Option<Duration>,
    /// The pauses before further attempts; made when the first fails.
    pub(super) pauses: Option<ExponentialBackoff>,
    /// How many attempts there have been.
    pub(super) attempts: u32,
}

/// How far a call is.
pub(super) enum CallState<R> {
    /// Others come first.
    Waiting,
    /// An attempt is being made.
    Running {
        attempt: u64,
        /// When the attempt has to have ended.
        deadline: Option<Duration>,
        _abort: AbortOnDrop,
    },
    /// The next attempt waits for its time.
    Pausing { until: Duration },
    /// The result waits for its turn to leave.
    Ended(Result<R, Failure>),
}

impl<K, V, R> Call<K, V, R> {
    pub(super) fn new(record: Record<K, V>, origin: Origin) -> Self {
        let state = CallState::Waiting;
        Self { record, origin, state, deadline: None, pauses: None, attempts: 0 }
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.state, CallState::Ended(_))
    }

    /// Whether this attempt is the one being made.
    pub(super) fn is_running(&self, wanted: u64) -> bool {
        matches!(&self.state, CallState::Running { attempt, .. } if *attempt == wanted)
    }

    /// When something has to be done about it unless it ends before.
    pub(super) fn due(&self) -> Option<Duration> {
        match &self.state {
            CallState::Running { deadline, .. } => {
                [*deadline, self.deadline].into_iter().flatten().min()
            }
            CallState::Pausing { until } => Some(*until),
            CallState::Waiting | CallState::Ended(_) => None,
        }
    }
}
