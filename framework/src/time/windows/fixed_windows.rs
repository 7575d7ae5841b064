//! Windows that a timestamp alone decides on.

use super::{TimeWindows, UnlimitedWindows, Window};
use crate::record::Timestamp;

/// Windows of one size that are known from a timestamp, whatever records there are.
pub(crate) trait FixedWindows: Copy + Send + Sync + 'static {
    /// The windows that take this timestamp in, the earliest first.
    fn windows_for(&self, timestamp: Timestamp) -> impl Iterator<Item = Window>;
    /// The length of a window in milliseconds.
    fn size_ms(&self) -> i64;
    /// How long a window takes late records in, in milliseconds behind its end.
    fn grace_ms(&self) -> i64;
}

impl FixedWindows for TimeWindows {
    fn windows_for(&self, timestamp: Timestamp) -> impl Iterator<Item = Window> {
        Self::windows_for(self, timestamp)
    }

    fn size_ms(&self) -> i64 {
        Self::size_ms(self)
    }

    fn grace_ms(&self) -> i64 {
        Self::grace_ms(self)
    }
}

impl FixedWindows for UnlimitedWindows {
    fn windows_for(&self, timestamp: Timestamp) -> impl Iterator<Item = Window> {
        Self::windows_for(self, timestamp)
    }

    fn size_ms(&self) -> i64 {
        i64::MAX
    }

    fn grace_ms(&self) -> i64 {
        0
    }
}
