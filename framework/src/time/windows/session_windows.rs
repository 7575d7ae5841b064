//! Session windows.

use std::time::Duration;

use super::whole_ms;

/// Windows of activity: records of a key that are at most the inactivity gap apart share a session, and a
/// record that bridges two sessions makes them one.
///
/// A session reaches from its first record to its last, both inclusive. It is closed for late records when
/// its end is before stream time minus gap and grace. Durations count in whole milliseconds.
///
/// # Errors
/// A gap of zero is reported by [`StreamsBuilder::build`](crate::StreamsBuilder::build).
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use kstream::{KStream, SessionWindows, StreamsBuilder};
/// use kstream_test_utils::TopologyTestDriver;
///
/// let builder = StreamsBuilder::new();
/// let clicks: KStream<String, String> = builder.stream("clicks");
/// let visits = SessionWindows::of_inactivity_gap_with_no_grace(Duration::from_secs(60));
/// let table = clicks.group_by_key().windowed_by(visits).count();
/// table
///     .to_stream()
///     .select_key(|visit, _| format!("{} {}-{}", visit.key, visit.window.start, visit.window.end))
///     .to("visits");
/// let driver = TopologyTestDriver::new(builder.build()?)?;
/// let input = driver.input_topic::<String, String>("clicks");
/// input.pipe_at("ann".to_owned(), "/".to_owned(), 1_000)?;
/// input.pipe_at("ann".to_owned(), "/about".to_owned(), 31_000)?;
/// // The session grew: the one that it was is taken back.
/// assert_eq!(
///     driver.output_topic::<String, Option<i64>>("visits").read_key_values()?,
///     [
///         ("ann 1000-1000".to_owned(), Some(1)),
///         ("ann 1000-1000".to_owned(), None),
///         ("ann 1000-31000".to_owned(), Some(2)),
///     ]
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Source
/// `org.apache.kafka.streams.kstream.SessionWindows`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionWindows {
    inactivity_gap_ms: i64,
    grace_ms: i64,
}

impl SessionWindows {
    /// Sessions that take late records in until `grace` behind their end and gap.
    #[must_use]
    pub fn of_inactivity_gap_and_grace(inactivity_gap: Duration, grace: Duration) -> Self {
        Self { inactivity_gap_ms: whole_ms(inactivity_gap), grace_ms: whole_ms(grace) }
    }

    /// Sessions that close when their gap is over.
    #[must_use]
    pub fn of_inactivity_gap_with_no_grace(inactivity_gap: Duration) -> Self {
        Self::of_inactivity_gap_and_grace(inactivity_gap, Duration::ZERO)
    }

    /// The longest time without a record inside of a session, in milliseconds.
    pub fn inactivity_gap_ms(&self) -> i64 {
        self.inactivity_gap_ms
    }

    /// How long a session takes late records in, in milliseconds behind its end and gap.
    pub fn grace_ms(&self) -> i64 {
        self.grace_ms
    }

    /// What is wrong with the windows, if anything.
    pub(crate) fn problem(&self) -> Option<String> {
        (self.inactivity_gap_ms < 1)
            .then(|| "the inactivity gap must be at least one millisecond".to_owned())
    }
}
