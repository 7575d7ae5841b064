//! A grouped stream, and the aggregations on it.

use std::cell::Cell;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use super::aggregation::{AggregateNode, Aggregation, SharedRows, StoreSpec};
use super::cogrouped_kstream::CogroupedKStream;
use super::kstream::KStream;
use super::ktable::KTable;
use super::late_records::LateRecords;
use super::options::{EmitStrategy, Grouped, Materialized, Named};
use super::placement::Placement;
use super::repartition::{RepartitionSpec, add_repartition};
use super::time_windowing::Windowing;
use crate::graph::{GraphNodeId, GraphNodeKind, Plan, SharedPlan};
use crate::processor::Data;
use crate::serdes::DefaultSerde;

/// Records grouped by key, ready to be aggregated.
///
/// # Source
/// `org.apache.kafka.streams.kstream.KGroupedStream`.
pub struct KGroupedStream<K, V> {
    pub(super) plan: SharedPlan,
    node: GraphNodeId,
    repartition_required: bool,
    pub(super) grouped: Grouped<K, V>,
    /// The repartition node of a named group, shared by its aggregations.
    repartition: Rc<Cell<Option<GraphNodeId>>>,
}

impl<K, V> Clone for KGroupedStream<K, V> {
    fn clone(&self) -> Self {
        Self {
            plan: Rc::clone(&self.plan),
            node: self.node,
            repartition_required: self.repartition_required,
            grouped: Grouped {
                key_serde: Arc::clone(&self.grouped.key_serde),
                value_serde: Arc::clone(&self.grouped.value_serde),
                name: self.grouped.name.clone(),
            },
            repartition: Rc::clone(&self.repartition),
        }
    }
}

impl<K, V> std::fmt::Debug for KGroupedStream<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KGroupedStream").field("grouped", &self.grouped).finish_non_exhaustive()
    }
}

impl<K: Data, V: Data> KGroupedStream<K, V> {
    pub(crate) fn new(stream: &KStream<K, V>, grouped: Grouped<K, V>) -> Self {
        Self {
            plan: Rc::clone(&stream.plan),
            node: stream.node,
            repartition_required: stream.repartition_required,
            grouped,
            repartition: Rc::default(),
        }
    }

    /// Counts the records of each key.
    ///
    /// **Shape**: `(K, V)` records → `(K, i64)` rows; a store with a changelog. Records with a null key or
    /// value are dropped.
    ///
    /// # Examples
    /// ```
    /// use kstream::{KStream, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let views: KStream<String, String> = builder.stream("views");
    /// views.group_by_key().count().to_stream().to("counts");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let input = driver.input_topic::<String, String>("views");
    /// input.pipe("US".to_owned(), "/".to_owned())?;
    /// input.pipe("US".to_owned(), "/about".to_owned())?;
    /// let counts = driver.output_topic::<String, i64>("counts");
    /// assert_eq!(counts.read_key_values()?, [("US".to_owned(), 1), ("US".to_owned(), 2)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn count(&self) -> KTable<K, i64> {
        self.aggregate_keys(Aggregation::count(Named::default(), Materialized::new()))
    }

    /// [`KGroupedStream::count`] with options.
    #[track_caller]
    pub fn count_with(
        &self,
        named: impl Into<Named>,
        materialized: Materialized<K, i64>,
    ) -> KTable<K, i64> {
        self.use_up_store_name(&materialized);
        self.aggregate_keys(Aggregation::count(named.into(), materialized))
    }

    /// Combines the values of each key, two at a time; the first is taken as it is. `None` deletes the
    /// row.
    ///
    /// **Shape**: `(K, V)` records → `(K, V)` rows; a store with a changelog. Records with a null key or value
    /// are dropped.
    ///
    /// # Examples
    /// ```
    /// use kstream::{KStream, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let bids: KStream<String, i64> = builder.stream("bids");
    /// bids.group_by_key().reduce(|highest, bid| highest.max(bid)).to_stream().to("highest");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let input = driver.input_topic::<String, i64>("bids");
    /// for bid in [3, 9, 7] {
    ///     input.pipe("vase".to_owned(), bid)?;
    /// }
    /// assert_eq!(driver.output_topic::<String, i64>("highest").read_values()?, [3, 9, 9]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn reduce<R: Into<Option<V>>>(
        &self,
        reducer: impl Fn(V, V) -> R + Send + Sync + 'static,
    ) -> KTable<K, V> {
        self.reduce_with(reducer, Named::default(), self.materialized_values())
    }

    /// [`KGroupedStream::reduce`] with options.
    #[track_caller]
    pub fn reduce_with<R: Into<Option<V>>>(
        &self,
        reducer: impl Fn(V, V) -> R + Send + Sync + 'static,
        named: impl Into<Named>,
        materialized: Materialized<K, V>,
    ) -> KTable<K, V> {
        self.aggregate_keys(Aggregation::reduce(reducer, named.into(), materialized))
    }

    /// Folds the values of each key, beginning with `initializer`'s. `None` deletes the row.
    ///
    /// **Shape**: `(K, V)` records → `(K, A)` rows; a store with a changelog. Records with a null key or value
    /// are dropped.
    ///
    /// # Examples
    /// ```
    /// use kstream::{KStream, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let words: KStream<String, String> = builder.stream("words");
    /// let lengths = words.group_by_key().aggregate(|| 0, |_key, word, sum: i64| sum + word.len() as i64);
    /// lengths.to_stream().to("lengths");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let input = driver.input_topic::<String, String>("words");
    /// input.pipe("ann".to_owned(), "good".to_owned())?;
    /// input.pipe("ann".to_owned(), "day".to_owned())?;
    /// assert_eq!(driver.output_topic::<String, i64>("lengths").read_values()?, [4, 7]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn aggregate<A: Data + DefaultSerde, R: Into<Option<A>>>(
        &self,
        initializer: impl Fn() -> A + Send + Sync + 'static,
        aggregator: impl Fn(&K, V, A) -> R + Send + Sync + 'static,
    ) -> KTable<K, A> {
        self.aggregate_with(initializer, aggregator, Named::default(), Materialized::new())
    }

    /// [`KGroupedStream::aggregate`] with options.
    #[track_caller]
    pub fn aggregate_with<A: Data, R: Into<Option<A>>>(
        &self,
        initializer: impl Fn() -> A + Send + Sync + 'static,
        aggregator: impl Fn(&K, V, A) -> R + Send + Sync + 'static,
        named: impl Into<Named>,
        materialized: Materialized<K, A>,
    ) -> KTable<K, A> {
        let named = named.into();
        self.aggregate_keys(Aggregation::aggregate(initializer, aggregator, named, materialized))
    }

    /// Groups records by time as well, by [`TimeWindows`](crate::TimeWindows),
    /// [`SlidingWindows`](crate::SlidingWindows), [`UnlimitedWindows`](crate::UnlimitedWindows) or
    /// [`SessionWindows`](crate::SessionWindows), or by numbers of records, by
    /// [`CountWindows`](crate::CountWindows).
    pub fn windowed_by<W: Windowing>(&self, windows: W) -> W::Stream<K, V> {
        windows.divide(self.clone())
    }

    /// Begins an aggregation of several grouped streams into one table, this one's records being folded by
    /// `aggregator`. `None` deletes the row.
    ///
    /// **Shape**: see [`CogroupedKStream::aggregate`].
    pub fn cogroup<A: Data, R: Into<Option<A>>>(
        &self,
        aggregator: impl Fn(&K, V, A) -> R + Send + Sync + 'static,
    ) -> CogroupedKStream<K, A> {
        CogroupedKStream::new(self, aggregator)
    }

    #[track_caller]
    fn aggregate_keys<A: Data>(&self, aggregation: Aggregation<K, V, A>) -> KTable<K, A> {
        let (late, emit) = (LateRecords::default(), EmitStrategy::default());
        let (node, rows) = self.aggregate_rows(aggregation, Placement::Keys, emit, &late);
        KTable::new(Rc::clone(&self.plan), node, rows.table())
    }

    /// Options of a table that has the group's values.
    pub(super) fn materialized_values(&self) -> Materialized<K, V> {
        Materialized::with_value_serde(Arc::clone(&self.grouped.value_serde))
    }

    /// KAFKA: where a store has no name, some operators with options use up one more number than the same
    /// ones without.
    pub(super) fn use_up_store_name<A>(&self, materialized: &Materialized<K, A>) {
        if materialized.name.is_none() {
            self.plan.borrow_mut().store_name("");
        }
    }

    /// Adds an aggregation of this stream alone.
    #[track_caller]
    pub(super) fn aggregate_rows<A: Data>(
        &self,
        aggregation: Aggregation<K, V, A>,
        placement: Placement<K, A>,
        emit: EmitStrategy,
        late: &LateRecords<K, V>,
    ) -> (GraphNodeId, Arc<SharedRows<K, A>>) {
        let location = Location::caller();
        let Aggregation { update, prefix, named, materialized } = aggregation;
        let mut plan = self.plan.borrow_mut();
        let store_name = materialized.name.clone().unwrap_or_else(|| plan.store_name(prefix));
        let name = plan.name_or(named.0, prefix);
        let parent = self.grouped_node(&mut plan, &store_name, None, location);
        let group_key_serde = Arc::clone(&self.grouped.key_serde);
        let spec = StoreSpec { store_name, placement, emit, materialized, group_key_serde };
        let shared = Arc::new(SharedRows::add(&mut plan, spec, &name, location));
        let value_serde = Arc::clone(&self.grouped.value_serde);
        let on_late = late.handler();
        let supplier =
            shared.supplier(AggregateNode { name: name.clone(), value_serde, update, on_late });
        let kind = GraphNodeKind::Processor { name, supplier, stores: vec![shared.store] };
        let node = plan.add_node(vec![parent], kind, location);
        drop(plan);
        late.add_stream(&self.plan, node, location);
        (node, shared)
    }

    /// The node whose records are partitioned by the group's key: the stream's own, or the source behind
    /// a repartition topic, which is `known` or that of the named group.
    pub(super) fn grouped_node(
        &self,
        plan: &mut Plan,
        store_name: &str,
        known: Option<GraphNodeId>,
        location: &'static Location<'static>,
    ) -> GraphNodeId {
        if !self.repartition_required {
            return self.node;
        }
        // The names use numbers up even where the topic is shared.
        let names = plan.repartition_names(self.grouped.name.as_deref().unwrap_or(store_name));
        let shared = self.repartition.get().filter(|_| self.grouped.name.is_some());
        if let Some(node) = known.or(shared) {
            plan.use_again(node);
            return node;
        }
        let repartition = RepartitionSpec {
            names,
            partitions: None,
            key_serde: Arc::clone(&self.grouped.key_serde),
            value_serde: Arc::clone(&self.grouped.value_serde),
        };
        let node = add_repartition(plan, self.node, repartition, location);
        self.repartition.set(Some(node));
        node
    }
}
