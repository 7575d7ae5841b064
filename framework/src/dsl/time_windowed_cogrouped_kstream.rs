//! Several grouped streams that are aggregated into one table of windows.

use std::sync::Arc;

use super::cogrouped_kstream::{CogroupedKStream, Initializer};
use super::ktable::KTable;
use super::options::{Materialized, Named};
use super::placement::Placement;
use super::time_windowing::TimeWindowing;
use crate::processor::Data;
use crate::serdes::DefaultSerde;
use crate::time::windows::Windowed;

/// Cogrouped streams, grouped by windows of time as well, ready to be aggregated.
///
/// Each stream's records are late by the times of that stream alone; otherwise as a
/// [`TimeWindowedKStream`](crate::TimeWindowedKStream).
///
/// # Source
/// `org.apache.kafka.streams.kstream.TimeWindowedCogroupedKStream` (KIP-150).
#[derive(Debug)]
pub struct TimeWindowedCogroupedKStream<K, A> {
    streams: CogroupedKStream<K, A>,
    windows: TimeWindowing,
}

impl<K: Data, A: Data> TimeWindowedCogroupedKStream<K, A> {
    pub(super) fn new(streams: CogroupedKStream<K, A>, windows: TimeWindowing) -> Self {
        Self { streams, windows }
    }

    /// Folds the values of each key and window, of all streams in the order in which they come, beginning with
    /// `initializer`'s.
    ///
    /// **Shape**: records of each stream → `(Windowed<K>, A)` rows; a window store with a changelog.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use kstream::{KStream, StreamsBuilder, TimeWindows};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let hits: KStream<String, String> = builder.stream("hits");
    /// let misses: KStream<String, String> = builder.stream("misses");
    /// let minutes = TimeWindows::of_size_with_no_grace(Duration::from_secs(60));
    /// let balance = hits
    ///     .group_by_key()
    ///     .cogroup(|_, _, balance: i64| balance + 1)
    ///     .cogroup(&misses.group_by_key(), |_, _, balance| balance - 1)
    ///     .windowed_by(minutes)
    ///     .aggregate(|| 0);
    /// balance.to_stream().select_key(|windowed, _| windowed.window.start).to("balance");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let pipe = |topic: &str, timestamp| {
    ///     driver.input_topic::<String, String>(topic).pipe_at("cache".to_owned(), "x".to_owned(), timestamp)
    /// };
    /// pipe("hits", 1_000)?;
    /// pipe("hits", 2_000)?;
    /// pipe("misses", 3_000)?;
    /// pipe("misses", 61_000)?;
    /// let balance = driver.output_topic::<i64, i64>("balance").read_key_values()?;
    /// assert_eq!(balance, [(0, 1), (0, 2), (0, 1), (60_000, -1)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn aggregate(
        &self,
        initializer: impl Fn() -> A + Send + Sync + 'static,
    ) -> KTable<Windowed<K>, A>
    where
        A: DefaultSerde,
    {
        self.aggregate_with(initializer, Named::default(), Materialized::new())
    }

    /// [`TimeWindowedCogroupedKStream::aggregate`] with options.
    #[track_caller]
    pub fn aggregate_with(
        &self,
        initializer: impl Fn() -> A + Send + Sync + 'static,
        named: impl Into<Named>,
        materialized: Materialized<K, A>,
    ) -> KTable<Windowed<K>, A> {
        let initializer: Initializer<A> = Arc::new(initializer);
        let options = (named.into(), materialized);
        self.streams.aggregate_windows(&initializer, Placement::Windows(self.windows), options)
    }
}
