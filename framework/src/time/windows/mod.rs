//! Windows: spans of event time that records are grouped into.

mod as_of;
mod count_windows;
mod fixed_windows;
mod join_windows;
mod session_windows;
mod sliding_windows;
mod time_windows;
mod unlimited_windows;

use std::time::Duration;

pub use as_of::AsOf;
pub use count_windows::{CountWindow, CountWindowed, CountWindows};
pub(crate) use fixed_windows::FixedWindows;
pub use join_windows::JoinWindows;
pub use session_windows::SessionWindows;
pub use sliding_windows::SlidingWindows;
pub use time_windows::TimeWindows;
pub use unlimited_windows::UnlimitedWindows;

use crate::record::Timestamp;

/// A span of time, in milliseconds since the epoch. Tumbling, hopping and unlimited windows do not reach their
/// end, sliding and session windows do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Window {
    /// First millisecond inside.
    pub start: Timestamp,
    /// First millisecond behind it; of sliding and session windows the last one inside.
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

pub(crate) fn whole_ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
