//! A stream grouped by key and time, and the aggregations on it.

use std::rc::Rc;
use std::sync::Arc;

use super::aggregation::Aggregation;
use super::kgrouped_stream::KGroupedStream;
use super::kstream::KStream;
use super::ktable::KTable;
use super::late_records::LateRecords;
use super::options::{EmitStrategy, Materialized, Named};
use super::placement::Placement;
use super::time_windowing::TimeWindowing;
use crate::processor::Data;
use crate::record::Record;
use crate::serdes::DefaultSerde;
use crate::time::windows::{Window, Windowed};

/// Records grouped by key and by windows of time, ready to be aggregated: tumbling, hopping, sliding or
/// unlimited windows.
///
/// Late records, those of a window that is closed, are dropped and counted. Records with a null key are
/// dropped; null values are aggregated, except in sliding windows, which drop them. Lateness is judged by the
/// highest timestamp that the aggregation has seen, of any key.
///
/// # Source
/// `org.apache.kafka.streams.kstream.TimeWindowedKStream`.
pub struct TimeWindowedKStream<K, V> {
    group: KGroupedStream<K, V>,
    windows: TimeWindowing,
    emit: EmitStrategy,
    late: LateRecords<K, V>,
}

impl<K, V> std::fmt::Debug for TimeWindowedKStream<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TimeWindowedKStream")
            .field("windows", &self.windows)
            .field("emit", &self.emit)
            .finish_non_exhaustive()
    }
}

impl<K: Data, V: Data> TimeWindowedKStream<K, V> {
    pub(crate) fn new(group: KGroupedStream<K, V>, windows: TimeWindowing) -> Self {
        Self { group, windows, emit: EmitStrategy::default(), late: LateRecords::default() }
    }

    /// Has results go out with every update, which is the default, or once per window.
    ///
    /// # Errors
    /// Unlimited windows never close; final results of them are refused by
    /// [`StreamsBuilder::build`](crate::StreamsBuilder::build).
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use kstream::{EmitStrategy, KStream, StreamsBuilder, TimeWindows};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let views: KStream<String, String> = builder.stream("views");
    /// let minutes = TimeWindows::of_size_with_no_grace(Duration::from_secs(60));
    /// let windowed = views.group_by_key().windowed_by(minutes);
    /// let counts = windowed.emit_strategy(EmitStrategy::on_window_close()).count();
    /// counts.to_stream().select_key(|windowed, _| windowed.key.clone()).to("per-minute");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let input = driver.input_topic::<String, String>("views");
    /// for timestamp in [1_000, 2_000, 61_000] {
    ///     input.pipe_at("/".to_owned(), "ann".to_owned(), timestamp)?;
    /// }
    /// let per_minute = driver.output_topic::<String, i64>("per-minute").read_key_values()?;
    /// assert_eq!(per_minute, [("/".to_owned(), 2)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// `TimeWindowedKStream.emitStrategy` (KIP-825).
    #[must_use]
    pub fn emit_strategy(self, emit: EmitStrategy) -> Self {
        Self { emit, ..self }
    }

    /// Shows `handler` each record that is too late for a window, with that window. A record that is too late
    /// for several windows is shown for each.
    ///
    /// # Examples
    /// ```
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use kstream::{KStream, StreamsBuilder, TimeWindows};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let late = Arc::new(AtomicU64::new(0));
    /// let counter = Arc::clone(&late);
    /// let builder = StreamsBuilder::new();
    /// let views: KStream<String, String> = builder.stream("views");
    /// let minutes = TimeWindows::of_size_with_no_grace(Duration::from_secs(60));
    /// views
    ///     .group_by_key()
    ///     .windowed_by(minutes)
    ///     .on_late(move |record, window| {
    ///         assert!(record.timestamp < window.end);
    ///         counter.fetch_add(1, Ordering::Relaxed);
    ///     })
    ///     .count();
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let input = driver.input_topic::<String, String>("views");
    /// for timestamp in [1_000, 61_000, 2_000] {
    ///     input.pipe_at("/".to_owned(), "ann".to_owned(), timestamp)?;
    /// }
    /// assert_eq!(late.load(Ordering::Relaxed), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// Ours.
    #[must_use]
    pub fn on_late(
        mut self,
        handler: impl Fn(&Record<K, V>, Window) + Send + Sync + 'static,
    ) -> Self {
        self.late.handler = Some(Arc::new(handler));
        self
    }

    /// Gives the records that are too late to `consumer` as a stream, under the window that each is too late
    /// for. A record that is too late for several windows comes once for each. `consumer` is called for every
    /// aggregation on this stream.
    ///
    /// **Shape**: `(K, V)` records → `(Windowed<K>, V)` records with timestamp and headers of the late ones; the
    /// key changes.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use kstream::{KStream, StreamsBuilder, TimeWindows};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let views: KStream<String, String> = builder.stream("views");
    /// let minutes = TimeWindows::of_size_with_no_grace(Duration::from_secs(60));
    /// views
    ///     .group_by_key()
    ///     .windowed_by(minutes)
    ///     .with_late_stream(|late| late.select_key(|windowed, _| windowed.key.clone()).to("late"))
    ///     .count();
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let input = driver.input_topic::<String, String>("views");
    /// for (user, timestamp) in [("ann", 1_000), ("bob", 61_000), ("cem", 2_000)] {
    ///     input.pipe_at("/".to_owned(), user.to_owned(), timestamp)?;
    /// }
    /// let late = driver.output_topic::<String, String>("late").read_key_values()?;
    /// assert_eq!(late, [("/".to_owned(), "cem".to_owned())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// Ours.
    #[must_use]
    pub fn with_late_stream(
        mut self,
        consumer: impl Fn(KStream<Windowed<K>, V>) + 'static,
    ) -> Self {
        self.late.consumer = Some(Rc::new(consumer));
        self
    }

    /// Counts the records of each key and window.
    ///
    /// **Shape**: `(K, V)` records → `(Windowed<K>, i64)` rows; a window store with a changelog.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use kstream::{KStream, StreamsBuilder, TimeWindows};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let views: KStream<String, String> = builder.stream("views");
    /// let minutes = TimeWindows::of_size_with_no_grace(Duration::from_secs(60));
    /// let counts = views.group_by_key().windowed_by(minutes).count();
    /// counts.to_stream().select_key(|windowed, _| windowed.window.start).to("counts");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let input = driver.input_topic::<String, String>("views");
    /// for timestamp in [1_000, 2_000, 61_000] {
    ///     input.pipe_at("/".to_owned(), "ann".to_owned(), timestamp)?;
    /// }
    /// let counts = driver.output_topic::<i64, i64>("counts").read_key_values()?;
    /// assert_eq!(counts, [(0, 1), (0, 2), (60_000, 1)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn count(&self) -> KTable<Windowed<K>, i64> {
        self.aggregate_windows(Aggregation::count(Named::default(), Materialized::new()))
    }

    /// [`TimeWindowedKStream::count`] with options.
    #[track_caller]
    pub fn count_with(
        &self,
        named: impl Into<Named>,
        materialized: Materialized<K, i64>,
    ) -> KTable<Windowed<K>, i64> {
        if !matches!(self.windows, TimeWindowing::Sliding(_)) {
            self.group.use_up_store_name(&materialized);
        }
        self.aggregate_windows(Aggregation::count(named.into(), materialized))
    }

    /// Combines the values of each key and window, two at a time; the first is taken as it is. `None`
    /// deletes the row.
    ///
    /// **Shape**: `(K, V)` records → `(Windowed<K>, V)` rows; a window store with a changelog.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use kstream::{KStream, StreamsBuilder, TimeWindows};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let load: KStream<String, i64> = builder.stream("load");
    /// let minutes = TimeWindows::of_size_with_no_grace(Duration::from_secs(60));
    /// let peaks = load.group_by_key().windowed_by(minutes).reduce(|peak, load| peak.max(load));
    /// peaks.to_stream().select_key(|windowed, _| windowed.window.start).to("peaks");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let input = driver.input_topic::<String, i64>("load");
    /// for (load, timestamp) in [(5, 1_000), (8, 2_000), (2, 61_000)] {
    ///     input.pipe_at("host".to_owned(), load, timestamp)?;
    /// }
    /// let peaks = driver.output_topic::<i64, i64>("peaks").read_key_values()?;
    /// assert_eq!(peaks, [(0, 5), (0, 8), (60_000, 2)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn reduce<R: Into<Option<V>>>(
        &self,
        reducer: impl Fn(V, V) -> R + Send + Sync + 'static,
    ) -> KTable<Windowed<K>, V> {
        self.reduce_with(reducer, Named::default(), self.group.materialized_values())
    }

    /// [`TimeWindowedKStream::reduce`] with options.
    #[track_caller]
    pub fn reduce_with<R: Into<Option<V>>>(
        &self,
        reducer: impl Fn(V, V) -> R + Send + Sync + 'static,
        named: impl Into<Named>,
        materialized: Materialized<K, V>,
    ) -> KTable<Windowed<K>, V> {
        self.aggregate_windows(Aggregation::reduce(reducer, named.into(), materialized))
    }

    /// Folds the values of each key and window, beginning with `initializer`'s. `None` deletes the row.
    ///
    /// **Shape**: `(K, V)` records → `(Windowed<K>, A)` rows; a window store with a changelog.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use kstream::{KStream, StreamsBuilder, TimeWindows};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let views: KStream<String, String> = builder.stream("views");
    /// let windows = TimeWindows::of_size_with_no_grace(Duration::from_secs(60));
    /// let hopping = windows.advance_by(Duration::from_secs(30));
    /// let paths = views.group_by_key().windowed_by(hopping).aggregate(
    ///     String::new,
    ///     |_user, path, paths: String| paths + &path,
    /// );
    /// paths.to_stream().select_key(|windowed, _| windowed.window.start).to("paths");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let input = driver.input_topic::<String, String>("views");
    /// input.pipe_at("ann".to_owned(), "/a".to_owned(), 1_000)?;
    /// input.pipe_at("ann".to_owned(), "/b".to_owned(), 31_000)?;
    /// let paths = driver.output_topic::<i64, String>("paths").read_key_values()?;
    /// assert_eq!(paths, [(0, "/a".to_owned()), (0, "/a/b".to_owned()), (30_000, "/b".to_owned())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn aggregate<A: Data + DefaultSerde, R: Into<Option<A>>>(
        &self,
        initializer: impl Fn() -> A + Send + Sync + 'static,
        aggregator: impl Fn(&K, V, A) -> R + Send + Sync + 'static,
    ) -> KTable<Windowed<K>, A> {
        self.aggregate_with(initializer, aggregator, Named::default(), Materialized::new())
    }

    /// [`TimeWindowedKStream::aggregate`] with options.
    #[track_caller]
    pub fn aggregate_with<A: Data, R: Into<Option<A>>>(
        &self,
        initializer: impl Fn() -> A + Send + Sync + 'static,
        aggregator: impl Fn(&K, V, A) -> R + Send + Sync + 'static,
        named: impl Into<Named>,
        materialized: Materialized<K, A>,
    ) -> KTable<Windowed<K>, A> {
        let named = named.into();
        self.aggregate_windows(Aggregation::aggregate(initializer, aggregator, named, materialized))
    }

    #[track_caller]
    fn aggregate_windows<A: Data>(
        &self,
        aggregation: Aggregation<K, V, A>,
    ) -> KTable<Windowed<K>, A> {
        let placement = Placement::Windows(self.windows);
        let (node, rows) = self.group.aggregate_rows(aggregation, placement, self.emit, &self.late);
        KTable::new(Rc::clone(&self.group.plan), node, rows.windowed_table())
    }
}
