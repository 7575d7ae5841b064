//! Windows: spans of event time that records are grouped into.

mod as_of;
mod join_windows;
mod time_windows;

pub use as_of::AsOf;
pub use join_windows::JoinWindows;
pub use time_windows::TimeWindows;

use crate::record::Timestamp;

/// A span of time: from `start`, inclusive, to `end`, exclusive, in milliseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Window {
    /// First millisecond inside.
    pub start: Timestamp,
    /// First millisecond behind it.
    pub end: Timestamp,
}

/// A key together with the window that a result belongs to.
///
/// # Source
/// `org.apache.kafka.streams.kstream.Windowed`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Windowed<K> {
    /// The record key.
    pub key: K,
    /// The window.
    pub window: Window,
}
