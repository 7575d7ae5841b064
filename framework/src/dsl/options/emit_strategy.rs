//! When the results of windows go out.

use crate::processor::operators::final_results::Visibility;

/// When an aggregation in windows forwards its results: whenever a window changes, or once per window, when
/// it is final.
///
/// A window is final when it is closed for late records; that is checked with every record, of any key,
/// and never by a clock. Windows that fall due together come in the order of their start and key, sessions in
/// that of their end, start and key. A final result carries the headers of the record that closed the window.
///
/// # Source
/// `org.apache.kafka.streams.kstream.EmitStrategy` (KIP-825).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EmitStrategy {
    pub(crate) emit: Emit,
}

/// When results go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Emit {
    #[default]
    OnUpdate,
    OnClose {
        /// Whether windows go out that were behind the store's retention when they fell due.
        expired: bool,
    },
}

impl EmitStrategy {
    /// Every update of a window goes out; the default.
    #[must_use]
    pub fn on_window_update() -> Self {
        Self { emit: Emit::OnUpdate }
    }

    /// Each window goes out once, when it is closed.
    ///
    /// As in Kafka Streams, a window that is behind the store's retention by the time that a record closes it
    /// is lost: after a pause of the whole input that is longer than the retention, nothing goes out for what
    /// came before. [`Materialized::with_retention`](crate::Materialized::with_retention) makes the retention
    /// longer, [`EmitStrategy::including_expired`] does without it.
    #[must_use]
    pub fn on_window_close() -> Self {
        Self { emit: Emit::OnClose { expired: false } }
    }

    /// Has final results go out also for windows that were behind the store's retention when they fell due.
    /// Nothing changes where every update goes out.
    ///
    /// # Source
    /// Ours.
    #[must_use]
    pub fn including_expired(self) -> Self {
        match self.emit {
            Emit::OnUpdate => self,
            Emit::OnClose { .. } => Self { emit: Emit::OnClose { expired: true } },
        }
    }

    /// Whether each window goes out once.
    pub(crate) fn is_final(self) -> bool {
        self.emit != Emit::OnUpdate
    }

    /// How long final results can be given out, given how long the store shows its rows; `None` where every
    /// update goes out.
    pub(crate) fn visibility(self, shown: Visibility) -> Option<Visibility> {
        match self.emit {
            Emit::OnUpdate => None,
            Emit::OnClose { expired: false } => Some(shown),
            Emit::OnClose { expired: true } => Some(Visibility::Ever),
        }
    }
}
