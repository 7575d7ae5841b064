//! Which rows of an aggregation a record goes into, and how long they have to be kept.

use super::time_windowing::TimeWindowing;
use crate::processor::operators::final_results::Visibility;
use crate::processor::operators::session_aggregate::Merger;
use crate::processor::operators::window_keys::WindowKeys;
use crate::state::key_layout::KeyLayout;
use crate::time::windows::SessionWindows;
use crate::topology::{StoreKind, StoreType};

/// Which rows a record goes into.
pub(super) enum Placement<K, A> {
    /// One per key.
    Keys,
    /// One per key and window of time.
    Windows(TimeWindowing),
    /// One per key and session; sessions that meet are merged.
    Sessions(SessionWindows, Merger<K, A>),
}

impl<K, A> Placement<K, A> {
    /// The least time that rows have to be kept behind their store's clock, in milliseconds; `None` where
    /// rows are kept for ever.
    pub(super) fn least_retention_ms(&self) -> Option<i64> {
        match self {
            Self::Keys => None,
            Self::Windows(windows) => Some(windows.least_retention_ms()),
            Self::Sessions(windows, _) => {
                Some(windows.inactivity_gap_ms().saturating_add(windows.grace_ms()))
            }
        }
    }

    /// What the least retention is made of.
    pub(super) fn least_retention_of(&self) -> &'static str {
        match self {
            Self::Windows(TimeWindowing::Sliding(_)) => "twice the time difference and grace",
            Self::Keys | Self::Windows(_) => "window size and grace",
            Self::Sessions(..) => "inactivity gap and grace",
        }
    }

    /// How long after its end a window is open, in milliseconds.
    pub(super) fn grace_ms(&self) -> Option<i64> {
        match self {
            Self::Keys => None,
            Self::Windows(windows) => Some(windows.grace_ms()),
            Self::Sessions(windows, _) => {
                Some(windows.inactivity_gap_ms().saturating_add(windows.grace_ms()))
            }
        }
    }

    /// What follows the record key in the store's keys.
    pub(super) fn window_keys(&self) -> WindowKeys {
        match self {
            Self::Keys | Self::Sessions(..) => WindowKeys::Session,
            Self::Windows(windows) => WindowKeys::Window { size_ms: windows.size_ms() },
        }
    }

    pub(super) fn problem(&self) -> Option<String> {
        match self {
            Self::Keys => None,
            Self::Windows(windows) => windows.problem(),
            Self::Sessions(windows, _) => windows.problem(),
        }
    }

    pub(super) fn never_closes(&self) -> bool {
        matches!(self, Self::Windows(TimeWindowing::Unlimited(_)))
    }

    pub(super) fn store_kind(&self, retention_ms: i64) -> StoreKind {
        match self {
            Self::Keys => StoreKind::KeyValue,
            Self::Windows(_) => StoreKind::Window { retention_ms },
            Self::Sessions(..) => StoreKind::Session { retention_ms },
        }
    }

    /// How long final results can be given out.
    pub(super) fn visibility(&self, retention_ms: i64, store_type: StoreType) -> Visibility {
        // KAFKA: how its stores for final results hide what has expired.
        match (self, store_type) {
            (_, StoreType::InMemory) => Visibility::BeforeRetention { retention_ms },
            (Self::Sessions(..), StoreType::Persistent) => Visibility::WithSegment {
                retention_ms,
                segment_ms: KeyLayout::segment_ms(retention_ms),
            },
            (_, StoreType::Persistent) => Visibility::WithinRetention { retention_ms },
        }
    }
}
