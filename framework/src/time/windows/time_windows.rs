//! Tumbling and hopping windows.

use std::time::Duration;

use super::{Window, whole_ms};
use crate::record::Timestamp;

/// Windows of a fixed size: tumbling ones follow each other, hopping ones overlap.
///
/// Windows start at multiples of the advance since the epoch. A window takes in timestamps from its start,
/// inclusive, to its end, exclusive; it is closed for late records when its end is at or before stream time
/// minus grace. Durations count in whole milliseconds.
///
/// # Errors
/// A size of zero, or an advance that is zero or longer than the size, is reported by
/// [`StreamsBuilder::build`](crate::StreamsBuilder::build).
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use kstream::TimeWindows;
///
/// let minutes = TimeWindows::of_size_with_no_grace(Duration::from_secs(60));
/// let sliding = TimeWindows::of_size_and_grace(Duration::from_secs(60), Duration::from_secs(5))
///     .advance_by(Duration::from_secs(10));
/// assert_eq!(minutes.windows_for(61_000).count(), 1);
/// assert_eq!(sliding.windows_for(61_000).count(), 6);
/// ```
///
/// # Source
/// `org.apache.kafka.streams.kstream.TimeWindows`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "the names say the unit")]
pub struct TimeWindows {
    size_ms: i64,
    advance_ms: i64,
    grace_ms: i64,
}

impl TimeWindows {
    /// Tumbling windows that take late records in until `grace` behind their end.
    #[must_use]
    pub fn of_size_and_grace(size: Duration, grace: Duration) -> Self {
        let size_ms = whole_ms(size);
        Self { size_ms, advance_ms: size_ms, grace_ms: whole_ms(grace) }
    }

    /// Tumbling windows that close at their end.
    #[must_use]
    pub fn of_size_with_no_grace(size: Duration) -> Self {
        Self::of_size_and_grace(size, Duration::ZERO)
    }

    /// Hopping windows: one begins every `advance`.
    #[must_use]
    pub fn advance_by(self, advance: Duration) -> Self {
        Self { advance_ms: whole_ms(advance), ..self }
    }

    /// The windows that take this timestamp in, the earliest first.
    pub fn windows_for(&self, timestamp: Timestamp) -> impl Iterator<Item = Window> + use<> {
        let Self { size_ms, advance_ms, .. } = *self;
        let earliest = (timestamp.saturating_sub(size_ms).saturating_add(advance_ms)).max(0);
        let mut next = (advance_ms > 0).then(|| earliest / advance_ms * advance_ms);
        std::iter::from_fn(move || {
            let start = next.filter(|start| *start <= timestamp)?;
            // `None` at the end of time: a timestamp up there must not loop for ever.
            next = start.checked_add(advance_ms);
            Some(Window { start, end: start.saturating_add(size_ms) })
        })
    }

    /// The length of a window in milliseconds.
    pub fn size_ms(&self) -> i64 {
        self.size_ms
    }

    /// How long a window takes late records in, in milliseconds behind its end.
    pub fn grace_ms(&self) -> i64 {
        self.grace_ms
    }

    /// What is wrong with the windows, if anything.
    pub(crate) fn problem(&self) -> Option<String> {
        if self.size_ms < 1 {
            return Some("the window size must be at least one millisecond".to_owned());
        }
        if self.advance_ms < 1 || self.advance_ms > self.size_ms {
            return Some(format!(
                "the windows advance by {} ms; that must be more than zero and at most the size, {} ms",
                self.advance_ms, self.size_ms
            ));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(windows: TimeWindows, timestamp: Timestamp) -> Vec<Timestamp> {
        windows.windows_for(timestamp).map(|window| window.start).take(100).collect()
    }

    #[test]
    fn windows_at_the_end_of_time_are_finite() {
        let ms = Duration::from_millis;
        let hopping = TimeWindows::of_size_with_no_grace(ms(10)).advance_by(ms(5));
        for timestamp in [i64::MAX, i64::MAX - 1] {
            let starts = starts(hopping, timestamp);
            assert_eq!(starts.len(), 2);
            assert!(starts.iter().all(|start| *start <= timestamp && timestamp - *start < 10));
        }
        let eternal = TimeWindows::of_size_with_no_grace(Duration::MAX);
        assert_eq!(starts(eternal, 5), [0]);
    }

    #[test]
    fn advance_of_zero_has_no_windows() {
        let none = TimeWindows::of_size_with_no_grace(Duration::from_millis(10));
        assert!(starts(none.advance_by(Duration::ZERO), 5).is_empty());
    }
}
