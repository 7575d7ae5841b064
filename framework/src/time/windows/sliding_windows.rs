//! Sliding windows.

use std::time::Duration;

use super::{Window, whole_ms};
use crate::record::Timestamp;

/// Windows around the records: each holds the records of a key that are at most the time difference apart.
///
/// There is one window for every distinct set of records: one that ends at each record, and one that
/// begins a millisecond behind it, if a later record falls in there. Both bounds belong to the window, which
/// is closed for late records when its end is before stream time minus grace. A record in the first time
/// difference since the epoch has no window that ends at it; it goes into the one that begins there.
/// Durations count in whole milliseconds.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use kstream::{KStream, SlidingWindows, StreamsBuilder};
/// use kstream_test_utils::TopologyTestDriver;
///
/// let builder = StreamsBuilder::new();
/// let logins: KStream<String, String> = builder.stream("failed-logins");
/// let windows = SlidingWindows::of_time_difference_with_no_grace(Duration::from_secs(10));
/// let counts = logins.group_by_key().windowed_by(windows).count();
/// counts.to_stream().filter(|_, count| count.is_some_and(|count| count >= 3)).to("suspicious");
/// let driver = TopologyTestDriver::new(builder.build()?)?;
/// let input = driver.input_topic::<String, String>("failed-logins");
/// for timestamp in [20_000, 24_000, 29_000, 90_000] {
///     input.pipe_at("ann".to_owned(), "10.0.0.1".to_owned(), timestamp)?;
/// }
/// assert_eq!(driver.output_topic::<Vec<u8>, i64>("suspicious").read_values()?, [3]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Source
/// `org.apache.kafka.streams.kstream.SlidingWindows` (KIP-450).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlidingWindows {
    time_difference_ms: i64,
    grace_ms: i64,
}

impl SlidingWindows {
    /// Windows that take late records in until `grace` behind their end.
    #[must_use]
    pub fn of_time_difference_and_grace(time_difference: Duration, grace: Duration) -> Self {
        Self { time_difference_ms: whole_ms(time_difference), grace_ms: whole_ms(grace) }
    }

    /// Windows that close behind their end.
    #[must_use]
    pub fn of_time_difference_with_no_grace(time_difference: Duration) -> Self {
        Self::of_time_difference_and_grace(time_difference, Duration::ZERO)
    }

    /// How far apart the records of a window may be, in milliseconds: the window's end minus its start.
    pub fn time_difference_ms(&self) -> i64 {
        self.time_difference_ms
    }

    /// How long a window takes late records in, in milliseconds behind its end.
    pub fn grace_ms(&self) -> i64 {
        self.grace_ms
    }

    pub(crate) fn window_at(&self, start: Timestamp) -> Window {
        Window { start, end: start.saturating_add(self.time_difference_ms) }
    }
}
