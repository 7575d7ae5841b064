//! One window without an end.

use super::Window;
use crate::record::Timestamp;

/// One window per key, from a start to the end of time.
///
/// Records before the start belong to no window: they are left out without being counted as dropped. The
/// window's end is `i64::MAX`; it never closes and its row is never dropped.
///
/// # Errors
/// A start before the epoch is reported by [`StreamsBuilder::build`](crate::StreamsBuilder::build).
///
/// # Examples
/// ```
/// use kstream::{KStream, StreamsBuilder, UnlimitedWindows};
/// use kstream_test_utils::TopologyTestDriver;
///
/// let builder = StreamsBuilder::new();
/// let clicks: KStream<String, String> = builder.stream("clicks");
/// let since_launch = clicks.group_by_key().windowed_by(UnlimitedWindows::of().start_on(1_000));
/// since_launch.count().to_stream().select_key(|windowed, _| windowed.key.clone()).to("counts");
/// let driver = TopologyTestDriver::new(builder.build()?)?;
/// let input = driver.input_topic::<String, String>("clicks");
/// for timestamp in [999, 1_000, 5_000] {
///     input.pipe_at("ann".to_owned(), "/".to_owned(), timestamp)?;
/// }
/// let counts = driver.output_topic::<String, i64>("counts").read_key_values()?;
/// assert_eq!(counts, [("ann".to_owned(), 1), ("ann".to_owned(), 2)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Source
/// `org.apache.kafka.streams.kstream.UnlimitedWindows`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnlimitedWindows {
    start: Timestamp,
}

impl UnlimitedWindows {
    /// A window that begins at the epoch.
    #[must_use]
    pub fn of() -> Self {
        Self { start: 0 }
    }

    /// A window that begins at `start`, in milliseconds since the epoch.
    #[must_use]
    pub fn start_on(self, start: Timestamp) -> Self {
        Self { start }
    }

    /// The window, if it takes this timestamp in.
    pub fn windows_for(&self, timestamp: Timestamp) -> impl Iterator<Item = Window> + use<> {
        let window = Window { start: self.start, end: Timestamp::MAX };
        (timestamp >= window.start).then_some(window).into_iter()
    }

    /// What is wrong with the window, if anything.
    pub(crate) fn problem(self) -> Option<String> {
        (self.start < 0).then(|| {
            format!("the window starts at {} ms; it must not start before the epoch", self.start)
        })
    }
}
