//! How far back an as-of join looks, and how long it waits.

use std::time::Duration;

use super::whole_ms;

/// The times of an as-of join: how old a right record may be, and how late right records may come.
///
/// Durations count in whole milliseconds.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use kstream::AsOf;
///
/// let quotes = AsOf::within(Duration::from_secs(60)).with_grace(Duration::from_secs(2));
/// assert_eq!((quotes.tolerance_ms(), quotes.grace_ms()), (60_000, 2_000));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AsOf {
    tolerance_ms: i64,
    grace_ms: i64,
}

impl AsOf {
    /// A right record matches if it is at most `tolerance` older than the left one.
    #[must_use]
    pub fn within(tolerance: Duration) -> Self {
        Self { tolerance_ms: whole_ms(tolerance), grace_ms: 0 }
    }

    /// Has left records wait until stream time is `grace` past them, so that right records may come late.
    /// Without it, a left record is joined with what is there when it comes.
    #[must_use]
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace_ms = whole_ms(grace);
        self
    }

    /// How much older than the left record a right one may be, in milliseconds.
    pub fn tolerance_ms(&self) -> i64 {
        self.tolerance_ms
    }

    /// How long left records wait, in milliseconds of stream time.
    pub fn grace_ms(&self) -> i64 {
        self.grace_ms
    }

    /// Right records at or before this time match nothing that is still to come.
    pub(crate) fn late_until(&self, stream_time: i64) -> i64 {
        stream_time
            .saturating_sub(self.tolerance_ms)
            .saturating_sub(self.grace_ms)
            .saturating_sub(1)
    }

    /// How long right records are kept, in milliseconds.
    pub(crate) fn retention_ms(&self) -> i64 {
        self.tolerance_ms.saturating_add(self.grace_ms).saturating_add(1)
    }
}
