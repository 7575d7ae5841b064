//! A stream grouped by key and by numbers of records, and the aggregations on it.

use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use super::aggregation::Aggregation;
use super::kgrouped_stream::KGroupedStream;
use super::kstream::KStream;
use super::options::{EmitStrategy, Materialized, Named};
use super::stores::add_store;
use crate::graph::GraphNodeKind;
use crate::processor::Data;
use crate::processor::operators::count_aggregate::{CountAggregate, Counted};
use crate::serdes::{CountedSerde, DefaultSerde};
use crate::time::windows::{CountWindowed, CountWindows};
use crate::topology::StoreKind;
use crate::topology::link::node;

/// Records grouped by key and by windows of a number of records, ready to be aggregated.
///
/// A result comes with the last record of a window, once, or with every record, if
/// [`EmitStrategy::on_window_update`] says so. Records with a null key or value are dropped; they are not
/// numbered. No record is late.
///
/// # Source
/// Ours.
pub struct CountWindowedKStream<K, V> {
    group: KGroupedStream<K, V>,
    windows: CountWindows,
    emit: EmitStrategy,
}

impl<K, V> std::fmt::Debug for CountWindowedKStream<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CountWindowedKStream")
            .field("windows", &self.windows)
            .field("emit", &self.emit)
            .finish_non_exhaustive()
    }
}

impl<K: Data, V: Data> CountWindowedKStream<K, V> {
    pub(crate) fn new(group: KGroupedStream<K, V>, windows: CountWindows) -> Self {
        Self { group, windows, emit: EmitStrategy::on_window_close() }
    }

    /// Has results go out once per window, when it is full, which is the default, or with every record.
    ///
    /// # Examples
    /// ```
    /// use kstream::{CountWindows, EmitStrategy, KStream, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let orders: KStream<String, i64> = builder.stream("orders");
    /// let tens = orders.group_by_key().windowed_by(CountWindows::of_size(10));
    /// let stamps = tens.emit_strategy(EmitStrategy::on_window_update()).count();
    /// stamps.select_key(|windowed, _| windowed.key.clone()).to("stamps");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let input = driver.input_topic::<String, i64>("orders");
    /// for price in [3, 4] {
    ///     input.pipe("ann".to_owned(), price)?;
    /// }
    /// assert_eq!(driver.output_topic::<String, i64>("stamps").read_values()?, [1, 2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn emit_strategy(self, emit: EmitStrategy) -> Self {
        Self { emit, ..self }
    }

    /// Counts the records of each key and window: of interest where every update goes out.
    ///
    /// **Shape**: `(K, V)` records → `(CountWindowed<K>, i64)` records; a store with a changelog. The key changes.
    #[track_caller]
    pub fn count(&self) -> KStream<CountWindowed<K>, i64> {
        self.count_with(Named::default(), Materialized::new())
    }

    /// [`CountWindowedKStream::count`] with options.
    #[track_caller]
    pub fn count_with(
        &self,
        named: impl Into<Named>,
        materialized: Materialized<K, i64>,
    ) -> KStream<CountWindowed<K>, i64> {
        self.aggregate_windows(Aggregation::count(named.into(), materialized))
    }

    /// Combines the values of each key and window, two at a time; the first is taken as it is. `None` begins
    /// anew with the next record.
    ///
    /// **Shape**: `(K, V)` records → `(CountWindowed<K>, V)` records; a store with a changelog. The key changes.
    ///
    /// # Examples
    /// ```
    /// use kstream::{CountWindows, KStream, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let orders: KStream<String, i64> = builder.stream("orders");
    /// let pairs = orders.group_by_key().windowed_by(CountWindows::of_size(2));
    /// pairs.reduce(|sum, price| sum + price).select_key(|windowed, _| windowed.key.clone()).to("sums");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let input = driver.input_topic::<String, i64>("orders");
    /// for price in [3, 4, 5] {
    ///     input.pipe("ann".to_owned(), price)?;
    /// }
    /// assert_eq!(driver.output_topic::<String, i64>("sums").read_values()?, [7]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn reduce<R: Into<Option<V>>>(
        &self,
        reducer: impl Fn(V, V) -> R + Send + Sync + 'static,
    ) -> KStream<CountWindowed<K>, V> {
        self.reduce_with(reducer, Named::default(), self.group.materialized_values())
    }

    /// [`CountWindowedKStream::reduce`] with options.
    #[track_caller]
    pub fn reduce_with<R: Into<Option<V>>>(
        &self,
        reducer: impl Fn(V, V) -> R + Send + Sync + 'static,
        named: impl Into<Named>,
        materialized: Materialized<K, V>,
    ) -> KStream<CountWindowed<K>, V> {
        self.aggregate_windows(Aggregation::reduce(reducer, named.into(), materialized))
    }

    /// Folds the values of each key and window, beginning with `initializer`'s. `None` begins anew with the next
    /// record.
    ///
    /// **Shape**: `(K, V)` records → `(CountWindowed<K>, A)` records; a store with a changelog. The key changes.
    ///
    /// # Examples
    /// ```
    /// use kstream::{CountWindows, KStream, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let clicks: KStream<String, String> = builder.stream("clicks");
    /// let last_two = clicks.group_by_key().windowed_by(CountWindows::sliding(2));
    /// let steps = last_two.aggregate(String::new, |_user, path, steps: String| steps + &path);
    /// steps.select_key(|windowed, _| windowed.key.clone()).to("steps");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let input = driver.input_topic::<String, String>("clicks");
    /// for path in ["/a", "/b", "/c"] {
    ///     input.pipe("ann".to_owned(), path.to_owned())?;
    /// }
    /// assert_eq!(driver.output_topic::<String, String>("steps").read_values()?, ["/a/b", "/b/c"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn aggregate<A: Data + DefaultSerde, R: Into<Option<A>>>(
        &self,
        initializer: impl Fn() -> A + Send + Sync + 'static,
        aggregator: impl Fn(&K, V, A) -> R + Send + Sync + 'static,
    ) -> KStream<CountWindowed<K>, A> {
        self.aggregate_with(initializer, aggregator, Named::default(), Materialized::new())
    }

    /// [`CountWindowedKStream::aggregate`] with options.
    #[track_caller]
    pub fn aggregate_with<A: Data, R: Into<Option<A>>>(
        &self,
        initializer: impl Fn() -> A + Send + Sync + 'static,
        aggregator: impl Fn(&K, V, A) -> R + Send + Sync + 'static,
        named: impl Into<Named>,
        materialized: Materialized<K, A>,
    ) -> KStream<CountWindowed<K>, A> {
        let named = named.into();
        self.aggregate_windows(Aggregation::aggregate(initializer, aggregator, named, materialized))
    }

    #[track_caller]
    fn aggregate_windows<A: Data>(
        &self,
        aggregation: Aggregation<K, V, A>,
    ) -> KStream<CountWindowed<K>, A> {
        let location = Location::caller();
        let Aggregation { update, prefix, named, materialized } = aggregation;
        let mut plan = self.group.plan.borrow_mut();
        let store_name = materialized.name.clone().unwrap_or_else(|| plan.store_name(prefix));
        let name = plan.name_or(named.0, prefix);
        if let Some(problem) = self.windows.problem() {
            plan.report(format!("node {name}"), problem, location);
        }
        let parent = self.group.grouped_node(&mut plan, &store_name, None, location);
        let Materialized { store_type, logging, topic_configs, .. } = materialized;
        let key_serde =
            materialized.key_serde.unwrap_or_else(|| Arc::clone(&self.group.grouped.key_serde));
        let rows = Materialized::<K, Counted<A>> {
            name: Some(store_name),
            store_type,
            logging,
            topic_configs,
            ..Materialized::with_value_serde(Arc::new(CountedSerde(materialized.value_serde)))
        };
        let store =
            add_store(&mut plan, rows.with_caching_disabled(), StoreKind::KeyValue, location);
        let value_serde = Arc::clone(&self.group.grouped.value_serde);
        let (windows, full_only, node_name) = (self.windows, self.emit.is_final(), name.clone());
        let supplier = node(move |linker| {
            Ok(CountAggregate {
                name: node_name.clone(),
                windows,
                key_serde: Arc::clone(&key_serde),
                value_serde: Arc::clone(&value_serde),
                update: update.clone(),
                rows: linker.rows(store)?,
                full_only,
                next: linker.outlet()?,
                key_bytes: Vec::new(),
                results: Vec::new(),
            })
        });
        let kind = GraphNodeKind::Processor { name, supplier, stores: vec![store] };
        let node = plan.add_node(vec![parent], kind, location);
        drop(plan);
        KStream::new(Rc::clone(&self.group.plan), node, true)
    }
}
