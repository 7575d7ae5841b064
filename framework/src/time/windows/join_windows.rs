//! The span of time in which records of two streams belong together.

use std::time::Duration;

use super::whole_ms;
use crate::record::Timestamp;

/// How far apart in time two records of a join may be.
///
/// A record of the left stream at time `t` is joined with the records of the right stream from `t − before`
/// to `t + after`, both inclusive; a record of the right stream the other way round. Unmatched records of
/// left and outer joins come out when their window has closed: when stream time is past the last time that
/// could still match them, plus the grace. A match is found as long as the other side's store keeps the
/// record: `before + after + grace` behind the newest record of that side.
///
/// Times count in whole milliseconds.
///
/// # Errors
/// A window that ends before it begins (`before + after < 0`) is reported by
/// [`StreamsBuilder::build`](crate::StreamsBuilder::build).
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use kstream::JoinWindows;
///
/// let hour = Duration::from_secs(3600);
/// // A click belongs to the impressions of the hour before it.
/// let clicks_after_impressions =
///     JoinWindows::of_time_difference_and_grace(Duration::ZERO, hour).after(hour);
/// assert_eq!((clicks_after_impressions.before_ms(), clicks_after_impressions.after_ms()), (0, 3_600_000));
/// ```
///
/// # Source
/// `org.apache.kafka.streams.kstream.JoinWindows` (KIP-633).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "the names say the unit")]
pub struct JoinWindows {
    before_ms: i64,
    after_ms: i64,
    grace_ms: i64,
}

impl JoinWindows {
    /// Records at most `difference` apart, either way, which may come up to `grace` late.
    #[must_use]
    pub fn of_time_difference_and_grace(difference: Duration, grace: Duration) -> Self {
        let difference_ms = whole_ms(difference);
        Self { before_ms: difference_ms, after_ms: difference_ms, grace_ms: whole_ms(grace) }
    }

    /// Records at most `difference` apart, either way; unmatched ones come out as soon as they can.
    #[must_use]
    pub fn of_time_difference_with_no_grace(difference: Duration) -> Self {
        Self::of_time_difference_and_grace(difference, Duration::ZERO)
    }

    /// The right record may be this much earlier than the left one.
    #[must_use]
    pub fn before(self, difference: Duration) -> Self {
        self.with_before_ms(whole_ms(difference))
    }

    /// The right record may be this much later than the left one.
    #[must_use]
    pub fn after(self, difference: Duration) -> Self {
        self.with_after_ms(whole_ms(difference))
    }

    /// [`JoinWindows::before`] in milliseconds; below zero the right record has to be later than the left
    /// one by at least so much.
    #[must_use]
    pub fn with_before_ms(self, before_ms: i64) -> Self {
        Self { before_ms, ..self }
    }

    /// [`JoinWindows::after`] in milliseconds; below zero the right record has to be earlier than the left
    /// one by at least so much.
    #[must_use]
    pub fn with_after_ms(self, after_ms: i64) -> Self {
        Self { after_ms, ..self }
    }

    /// How much earlier than the left record the right one may be, in milliseconds.
    pub fn before_ms(&self) -> i64 {
        self.before_ms
    }

    /// How much later than the left record the right one may be, in milliseconds.
    pub fn after_ms(&self) -> i64 {
        self.after_ms
    }

    /// How late records may come, in milliseconds.
    pub fn grace_ms(&self) -> i64 {
        self.grace_ms
    }

    /// The span of a window in milliseconds.
    pub fn size_ms(&self) -> i64 {
        self.before_ms.saturating_add(self.after_ms)
    }

    /// How long the stores of the two sides keep records, in milliseconds.
    pub(crate) fn retention_ms(&self) -> i64 {
        self.size_ms().saturating_add(self.grace_ms)
    }

    /// The times at which records of the other stream match: the earliest and the latest. `reversed` for
    /// a record of the right stream.
    pub(crate) fn matches(&self, timestamp: Timestamp, reversed: bool) -> (Timestamp, Timestamp) {
        let (before_ms, after_ms) = self.seen_from(reversed);
        // KAFKA: no window reaches below the epoch.
        let earliest = timestamp.saturating_sub(before_ms).max(0);
        let latest = timestamp.saturating_add(after_ms).max(0);
        (earliest, latest)
    }

    /// How far a window of this side reaches back and ahead.
    pub(crate) fn seen_from(&self, reversed: bool) -> (i64, i64) {
        if reversed { (self.after_ms, self.before_ms) } else { (self.before_ms, self.after_ms) }
    }

    /// What is wrong with the windows, if anything.
    pub(crate) fn problem(&self) -> Option<String> {
        (self.size_ms() < 0).then(|| {
            format!(
                "the join window ends before it begins ({} ms before, {} ms after); their sum must not be \
                 below zero",
                self.before_ms, self.after_ms
            )
        })
    }
}
