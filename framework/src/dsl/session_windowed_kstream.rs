//! A stream grouped by key and session, and the aggregations on it.

use std::rc::Rc;
use std::sync::Arc;

use super::aggregation::Aggregation;
use super::kgrouped_stream::KGroupedStream;
use super::kstream::KStream;
use super::ktable::KTable;
use super::late_records::LateRecords;
use super::options::{EmitStrategy, Materialized, Named};
use super::placement::Placement;
use crate::processor::Data;
use crate::processor::operators::session_aggregate::Merger;
use crate::record::Record;
use crate::serdes::DefaultSerde;
use crate::time::windows::{SessionWindows, Window, Windowed};

/// Records grouped by key and by sessions, ready to be aggregated.
///
/// A record that extends a session, or merges several, takes them back, each with a deletion, and forwards the
/// new one. Results have the session's end as their timestamp, and no headers. Late records are dropped and
/// counted, as are records with a null key; null values are aggregated.
///
/// Sessions on a topic are written with a
/// [`SessionWindowedSerde`](crate::serdes::SessionWindowedSerde).
///
/// # Source
/// `org.apache.kafka.streams.kstream.SessionWindowedKStream`.
pub struct SessionWindowedKStream<K, V> {
    group: KGroupedStream<K, V>,
    windows: SessionWindows,
    emit: EmitStrategy,
    late: LateRecords<K, V>,
}

impl<K, V> std::fmt::Debug for SessionWindowedKStream<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionWindowedKStream")
            .field("windows", &self.windows)
            .field("emit", &self.emit)
            .finish_non_exhaustive()
    }
}

impl<K: Data, V: Data> SessionWindowedKStream<K, V> {
    pub(crate) fn new(group: KGroupedStream<K, V>, windows: SessionWindows) -> Self {
        Self { group, windows, emit: EmitStrategy::default(), late: LateRecords::default() }
    }

    /// Has results go out with every update, which is the default, or once per session. Sessions that are
    /// merged are not taken back then.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use kstream::{EmitStrategy, KStream, SessionWindows, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let clicks: KStream<String, String> = builder.stream("clicks");
    /// let visits = SessionWindows::of_inactivity_gap_with_no_grace(Duration::from_secs(60));
    /// let windowed = clicks.group_by_key().windowed_by(visits);
    /// let counts = windowed.emit_strategy(EmitStrategy::on_window_close()).count();
    /// counts.to_stream().select_key(|visit, _| visit.key.clone()).to("visits");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let input = driver.input_topic::<String, String>("clicks");
    /// for timestamp in [1_000, 31_000, 91_001] {
    ///     input.pipe_at("ann".to_owned(), "/".to_owned(), timestamp)?;
    /// }
    /// let visits = driver.output_topic::<String, i64>("visits").read_key_values()?;
    /// assert_eq!(visits, [("ann".to_owned(), 2)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// `SessionWindowedKStream.emitStrategy` (KIP-825).
    #[must_use]
    pub fn emit_strategy(self, emit: EmitStrategy) -> Self {
        Self { emit, ..self }
    }

    /// Shows `handler` each record that is too late, with the session that it would have been part of. See
    /// [`TimeWindowedKStream::on_late`](crate::TimeWindowedKStream::on_late).
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

    /// Gives the records that are too late to `consumer` as a stream, under the session that each would have
    /// been part of. See
    /// [`TimeWindowedKStream::with_late_stream`](crate::TimeWindowedKStream::with_late_stream).
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

    /// Counts the records of each key and session.
    ///
    /// **Shape**: `(K, V)` records → `(Windowed<K>, i64)` rows; a session store with a changelog.
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
    /// let counts = clicks.group_by_key().windowed_by(visits).count();
    /// counts.to_stream().select_key(|visit, _| visit.window.end).to("visits");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let input = driver.input_topic::<String, String>("clicks");
    /// input.pipe_at("ann".to_owned(), "/".to_owned(), 1_000)?;
    /// input.pipe_at("ann".to_owned(), "/".to_owned(), 31_000)?;
    /// let visits = driver.output_topic::<i64, Option<i64>>("visits").read_key_values()?;
    /// assert_eq!(visits, [(1_000, Some(1)), (1_000, None), (31_000, Some(2))]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn count(&self) -> KTable<Windowed<K>, i64> {
        self.aggregate_count(Named::default(), Materialized::new())
    }

    /// [`SessionWindowedKStream::count`] with options.
    #[track_caller]
    pub fn count_with(
        &self,
        named: impl Into<Named>,
        materialized: Materialized<K, i64>,
    ) -> KTable<Windowed<K>, i64> {
        self.group.use_up_store_name(&materialized);
        self.aggregate_count(named.into(), materialized)
    }

    #[track_caller]
    fn aggregate_count(
        &self,
        named: Named,
        materialized: Materialized<K, i64>,
    ) -> KTable<Windowed<K>, i64> {
        let merger: Merger<K, i64> = Arc::new(|_, merged, count| Some(merged.unwrap_or(0) + count));
        self.aggregate_sessions(Aggregation::count(named, materialized), merger)
    }

    /// Combines the values of each key and session, two at a time; the first is taken as it is. Sessions that
    /// meet are combined in the same way, in the order of their ends. `None` deletes the row.
    ///
    /// **Shape**: `(K, V)` records → `(Windowed<K>, V)` rows; a session store with a changelog.
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
    /// let paths = clicks.group_by_key().windowed_by(visits).reduce(|paths, path| paths + &path);
    /// paths.to_stream().select_key(|visit, _| visit.window.end).to("paths");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let input = driver.input_topic::<String, String>("clicks");
    /// input.pipe_at("ann".to_owned(), "/a".to_owned(), 1_000)?;
    /// input.pipe_at("ann".to_owned(), "/b".to_owned(), 31_000)?;
    /// let paths = driver.output_topic::<i64, Option<String>>("paths").read_key_values()?;
    /// assert_eq!(paths.last(), Some(&(31_000, Some("/a/b".to_owned()))));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn reduce<R: Into<Option<V>>>(
        &self,
        reducer: impl Fn(V, V) -> R + Send + Sync + 'static,
    ) -> KTable<Windowed<K>, V> {
        self.reduce_with(reducer, Named::default(), self.group.materialized_values())
    }

    /// [`SessionWindowedKStream::reduce`] with options.
    #[track_caller]
    pub fn reduce_with<R: Into<Option<V>>>(
        &self,
        reducer: impl Fn(V, V) -> R + Send + Sync + 'static,
        named: impl Into<Named>,
        materialized: Materialized<K, V>,
    ) -> KTable<Windowed<K>, V> {
        let reducer = Arc::new(reducer);
        let combine = Arc::clone(&reducer);
        let merger: Merger<K, V> = Arc::new(move |_, merged, session| match merged {
            Some(merged) => combine(merged, session).into(),
            None => Some(session),
        });
        let aggregation =
            Aggregation::reduce(move |old, value| reducer(old, value), named.into(), materialized);
        self.aggregate_sessions(aggregation, merger)
    }

    /// Folds the values of each key and session, beginning with `initializer`'s. `None` deletes the row.
    ///
    /// For each record: `initializer`, then `merger` with each session that the record is part of, in the order
    /// of their ends, then `aggregator`.
    ///
    /// **Shape**: `(K, V)` records → `(Windowed<K>, A)` rows; a session store with a changelog.
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
    /// let lengths = clicks.group_by_key().windowed_by(visits).aggregate(
    ///     || 0,
    ///     |_user, path, length: i64| length + path.len() as i64,
    ///     |_user, one, other| one + other,
    /// );
    /// lengths.to_stream().select_key(|visit, _| visit.window.end).to("lengths");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let input = driver.input_topic::<String, String>("clicks");
    /// input.pipe_at("ann".to_owned(), "/a".to_owned(), 1_000)?;
    /// input.pipe_at("ann".to_owned(), "/bc".to_owned(), 31_000)?;
    /// let lengths = driver.output_topic::<i64, Option<i64>>("lengths").read_key_values()?;
    /// assert_eq!(lengths.last(), Some(&(31_000, Some(5))));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn aggregate<A: Data + DefaultSerde, R: Into<Option<A>>, M: Into<Option<A>>>(
        &self,
        initializer: impl Fn() -> A + Send + Sync + 'static,
        aggregator: impl Fn(&K, V, A) -> R + Send + Sync + 'static,
        merger: impl Fn(&K, A, A) -> M + Send + Sync + 'static,
    ) -> KTable<Windowed<K>, A> {
        let materialized = Materialized::new();
        self.aggregate_with(initializer, aggregator, merger, Named::default(), materialized)
    }

    /// [`SessionWindowedKStream::aggregate`] with options.
    #[expect(clippy::too_many_arguments, reason = "three closures, and the options as everywhere")]
    #[track_caller]
    pub fn aggregate_with<A: Data, R: Into<Option<A>>, M: Into<Option<A>>>(
        &self,
        initializer: impl Fn() -> A + Send + Sync + 'static,
        aggregator: impl Fn(&K, V, A) -> R + Send + Sync + 'static,
        merger: impl Fn(&K, A, A) -> M + Send + Sync + 'static,
        named: impl Into<Named>,
        materialized: Materialized<K, A>,
    ) -> KTable<Windowed<K>, A> {
        let initializer = Arc::new(initializer);
        let merger = merger_from(Arc::clone(&initializer), merger);
        let aggregation =
            Aggregation::aggregate(move || initializer(), aggregator, named.into(), materialized);
        self.aggregate_sessions(aggregation, merger)
    }

    #[track_caller]
    fn aggregate_sessions<A: Data>(
        &self,
        aggregation: Aggregation<K, V, A>,
        merger: Merger<K, A>,
    ) -> KTable<Windowed<K>, A> {
        let placement = Placement::Sessions(self.windows, merger);
        let (node, rows) = self.group.aggregate_rows(aggregation, placement, self.emit, &self.late);
        KTable::new(Rc::clone(&self.group.plan), node, rows.windowed_table())
    }
}

/// The user's merger, which begins with what the initializer gives.
pub(super) fn merger_from<K: 'static, A: 'static, M: Into<Option<A>>>(
    initializer: Arc<impl Fn() -> A + Send + Sync + 'static + ?Sized>,
    merger: impl Fn(&K, A, A) -> M + Send + Sync + 'static,
) -> Merger<K, A> {
    Arc::new(move |key, merged, session| {
        merger(key, merged.unwrap_or_else(|| initializer()), session).into()
    })
}
