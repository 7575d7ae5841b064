//! The changelog keys of window and session stores, as the operators on windows write and read them.

use crate::record::Timestamp;
use crate::state::key_layout::{
    session_bounds, session_record_key, window_record_key, window_start, write_session_suffix,
    write_window_suffix,
};
use crate::time::windows::Window;

/// Bytes of a timestamp in a key.
const TIME_BYTES: usize = 8;

/// Sequence number 0, which ends the keys of a window store.
const SEQUENCE: [u8; 4] = [0; 4];

/// What follows the record key in a store's changelog keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WindowKeys {
    /// The window's start and a sequence number; all windows have one size.
    Window { size_ms: i64 },
    /// The session's end and its start.
    Session,
}

impl WindowKeys {
    /// Completes a changelog key behind the record key.
    #[inline]
    pub(crate) fn write(self, window: Window, key: &mut Vec<u8>) {
        match self {
            Self::Window { .. } => write_window_suffix(window.start, key),
            Self::Session => write_session_suffix(window.start, window.end, key),
        }
    }

    /// The window of a changelog key.
    pub(crate) fn window(self, changelog_key: &[u8]) -> Window {
        match self {
            Self::Window { size_ms } => {
                let start = window_start(changelog_key);
                Window { start, end: start.saturating_add(size_ms) }
            }
            Self::Session => {
                let (start, end) = session_bounds(changelog_key);
                Window { start, end }
            }
        }
    }

    /// The record key of a changelog key.
    pub(crate) fn record_key(self, changelog_key: &[u8]) -> &[u8] {
        match self {
            Self::Window { .. } => window_record_key(changelog_key),
            Self::Session => session_record_key(changelog_key),
        }
    }

    /// The timestamp of a result: a session's is its end, any other that of the row.
    pub(crate) fn result_time(self, window: Window, timestamp: Timestamp) -> Timestamp {
        match self {
            Self::Window { .. } => timestamp,
            Self::Session => window.end,
        }
    }

    /// Writes a changelog key with the time in front: a window's start, a session's end and start. Final
    /// results come in this order.
    pub(crate) fn write_time_first(self, changelog_key: &[u8], time_first: &mut Vec<u8>) {
        let Window { start, end } = self.window(changelog_key);
        time_first.clear();
        match self {
            Self::Window { .. } => {
                time_first.extend_from_slice(&start.to_be_bytes());
                time_first.extend_from_slice(self.record_key(changelog_key));
                time_first.extend_from_slice(&SEQUENCE);
            }
            Self::Session => {
                time_first.extend_from_slice(&end.to_be_bytes());
                time_first.extend_from_slice(&start.to_be_bytes());
                time_first.extend_from_slice(self.record_key(changelog_key));
            }
        }
    }

    /// Writes the changelog key that a key with the time in front stands for.
    pub(crate) fn write_changelog_key(self, time_first: &[u8], changelog_key: &mut Vec<u8>) {
        changelog_key.clear();
        let Some((time, rest)) = time_first.split_first_chunk::<TIME_BYTES>() else { return };
        match self {
            Self::Window { .. } => {
                let key =
                    rest.split_last_chunk::<{ SEQUENCE.len() }>().map_or(rest, |(key, _)| key);
                changelog_key.extend_from_slice(key);
                changelog_key.extend_from_slice(time);
                changelog_key.extend_from_slice(&SEQUENCE);
            }
            Self::Session => {
                let Some((start, key)) = rest.split_first_chunk::<TIME_BYTES>() else { return };
                changelog_key.extend_from_slice(key);
                changelog_key.extend_from_slice(time);
                changelog_key.extend_from_slice(start);
            }
        }
    }
}

/// The time at the front of a key.
pub(crate) fn first_time(time_first: &[u8]) -> Timestamp {
    time_first.first_chunk::<TIME_BYTES>().map_or(0, |time| i64::from_be_bytes(*time))
}
