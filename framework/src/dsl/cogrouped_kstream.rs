//! Several grouped streams that are aggregated into one table.

use std::cell::Cell;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use super::aggregation::{AggregateNode, SharedRows, StoreSpec};
use super::kgrouped_stream::KGroupedStream;
use super::ktable::KTable;
use super::options::{EmitStrategy, Materialized, Named};
use super::placement::Placement;
use super::time_windowing::CogroupWindowing;
use crate::graph::{GraphNodeId, GraphNodeKind, Plan, SharedPlan};
use crate::processor::operators::fold::Update;
use crate::processor::operators::merge::PassThrough;
use crate::processor::{Change, Data};
use crate::serdes::{ArcSerde, DefaultSerde};
use crate::time::windows::Windowed;
use crate::topology::link::{NodeSupplier, node};

/// Several grouped streams whose records are folded into rows of one table, each stream's by an aggregator of
/// its own.
///
/// The streams have the same keys, and are partitioned alike: those whose key has changed go through a
/// repartition topic each.
///
/// # Source
/// `org.apache.kafka.streams.kstream.CogroupedKStream` (KIP-150).
pub struct CogroupedKStream<K, A> {
    plan: SharedPlan,
    parts: Vec<Rc<dyn Part<K, A>>>,
    key_serde: ArcSerde<K>,
}

/// Makes the value that a row begins with.
pub(super) type Initializer<A> = Arc<dyn Fn() -> A + Send + Sync>;

/// Folds a value into a row.
type Aggregator<K, V, A> = Arc<dyn Fn(&K, V, A) -> Option<A> + Send + Sync>;

/// One of the streams, whatever its values.
trait Part<K, A> {
    /// The node with the stream's records, partitioned by the key.
    fn grouped_node(
        &self,
        plan: &mut Plan,
        store_name: &str,
        location: &'static Location<'static>,
    ) -> GraphNodeId;

    /// Builds the node of this name that folds the stream's records.
    fn supplier(
        &self,
        name: String,
        rows: &Arc<SharedRows<K, A>>,
        initializer: &Initializer<A>,
    ) -> NodeSupplier;
}

struct Stream<K, V, A> {
    group: KGroupedStream<K, V>,
    aggregator: Aggregator<K, V, A>,
    /// Aggregations of the same cogrouped streams share a stream's repartition topic.
    repartition: Cell<Option<GraphNodeId>>,
}

impl<K: Data, V: Data, A: Data> Part<K, A> for Stream<K, V, A> {
    fn grouped_node(
        &self,
        plan: &mut Plan,
        store_name: &str,
        location: &'static Location<'static>,
    ) -> GraphNodeId {
        let known = self.repartition.get();
        let node = self.group.grouped_node(plan, store_name, known, location);
        self.repartition.set(Some(node));
        node
    }

    fn supplier(
        &self,
        name: String,
        rows: &Arc<SharedRows<K, A>>,
        initializer: &Initializer<A>,
    ) -> NodeSupplier {
        let (aggregator, initializer) = (Arc::clone(&self.aggregator), Arc::clone(initializer));
        let update = Update::beginning_with(initializer, move |key: &K, value, old| {
            aggregator(key, value, old)
        });
        let value_serde = Arc::clone(&self.group.grouped.value_serde);
        rows.supplier(AggregateNode { name, value_serde, update, on_late: None })
    }
}

impl<K, A> Clone for CogroupedKStream<K, A> {
    fn clone(&self) -> Self {
        Self {
            plan: Rc::clone(&self.plan),
            parts: self.parts.clone(),
            key_serde: Arc::clone(&self.key_serde),
        }
    }
}

impl<K, A> std::fmt::Debug for CogroupedKStream<K, A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CogroupedKStream")
            .field("streams", &self.parts.len())
            .finish_non_exhaustive()
    }
}

impl<K: Data, A: Data> CogroupedKStream<K, A> {
    pub(super) fn new<V: Data, R: Into<Option<A>>>(
        group: &KGroupedStream<K, V>,
        aggregator: impl Fn(&K, V, A) -> R + Send + Sync + 'static,
    ) -> Self {
        let key_serde = Arc::clone(&group.grouped.key_serde);
        let first = Self { plan: Rc::clone(&group.plan), parts: Vec::new(), key_serde };
        first.cogroup(group, aggregator)
    }

    /// Adds a grouped stream, whose records are folded by `aggregator`. `None` deletes the row.
    #[must_use]
    pub fn cogroup<V: Data, R: Into<Option<A>>>(
        mut self,
        group: &KGroupedStream<K, V>,
        aggregator: impl Fn(&K, V, A) -> R + Send + Sync + 'static,
    ) -> Self {
        let aggregator: Aggregator<K, V, A> =
            Arc::new(move |key, value, row| aggregator(key, value, row).into());
        let repartition = Cell::new(None);
        self.parts.push(Rc::new(Stream { group: group.clone(), aggregator, repartition }));
        self
    }

    /// Groups the records by time as well: by [`TimeWindows`](crate::TimeWindows),
    /// [`SlidingWindows`](crate::SlidingWindows), [`UnlimitedWindows`](crate::UnlimitedWindows) or
    /// [`SessionWindows`](crate::SessionWindows).
    pub fn windowed_by<W: CogroupWindowing>(self, windows: W) -> W::Stream<K, A> {
        windows.divide(self)
    }

    /// Folds the values of each key, of all streams in the order in which they come, beginning with
    /// `initializer`'s.
    ///
    /// **Shape**: records of each stream → `(K, A)` rows; a store with a changelog. Records with a null key or
    /// value are dropped.
    ///
    /// # Examples
    /// ```
    /// use kstream::{KStream, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let deposits: KStream<String, i64> = builder.stream("deposits");
    /// let fees: KStream<String, f64> = builder.stream("fees");
    /// let balances = deposits
    ///     .group_by_key()
    ///     .cogroup(|_account, deposit, balance: f64| balance + deposit as f64)
    ///     .cogroup(&fees.group_by_key(), |_account, fee, balance| balance - fee)
    ///     .aggregate(|| 0.0);
    /// balances.to_stream().to("balances");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input_topic::<String, i64>("deposits").pipe("ann".to_owned(), 20)?;
    /// driver.input_topic::<String, f64>("fees").pipe("ann".to_owned(), 0.5)?;
    /// assert_eq!(driver.output_topic::<String, f64>("balances").read_values()?, [20.0, 19.5]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn aggregate(&self, initializer: impl Fn() -> A + Send + Sync + 'static) -> KTable<K, A>
    where
        A: DefaultSerde,
    {
        self.aggregate_with(initializer, Named::default(), Materialized::new())
    }

    /// [`CogroupedKStream::aggregate`] with options. A name is followed by `-cogroup-agg-` and a number in the
    /// nodes that fold, and by `-cogroup-merge` in the node behind them.
    #[track_caller]
    pub fn aggregate_with(
        &self,
        initializer: impl Fn() -> A + Send + Sync + 'static,
        named: impl Into<Named>,
        materialized: Materialized<K, A>,
    ) -> KTable<K, A> {
        let initializer: Initializer<A> = Arc::new(initializer);
        let options = (named.into(), materialized);
        let (node, rows) = self.aggregate_rows::<K>(&initializer, Placement::Keys, options);
        KTable::new(Rc::clone(&self.plan), node, rows.table())
    }

    /// A table of windows or sessions.
    #[track_caller]
    pub(super) fn aggregate_windows(
        &self,
        initializer: &Initializer<A>,
        placement: Placement<K, A>,
        options: (Named, Materialized<K, A>),
    ) -> KTable<Windowed<K>, A> {
        let (node, rows) = self.aggregate_rows::<Windowed<K>>(initializer, placement, options);
        KTable::new(Rc::clone(&self.plan), node, rows.windowed_table())
    }

    /// Adds the nodes and the store of an aggregation of all streams; `K2` is the key type that the placement
    /// gives its table.
    #[track_caller]
    fn aggregate_rows<K2: Data>(
        &self,
        initializer: &Initializer<A>,
        placement: Placement<K, A>,
        options: (Named, Materialized<K, A>),
    ) -> (GraphNodeId, Arc<SharedRows<K, A>>) {
        const AGGREGATE: &str = "COGROUPKSTREAM-AGGREGATE-";
        let location = Location::caller();
        let (Named(name), materialized) = options;
        let mut plan = self.plan.borrow_mut();
        let store_name = materialized.name.clone().unwrap_or_else(|| plan.store_name(AGGREGATE));
        let parents: Vec<GraphNodeId> = self
            .parts
            .iter()
            .map(|part| part.grouped_node(&mut plan, &store_name, location))
            .collect();
        let subject = name.clone().unwrap_or_else(|| format!("of store {store_name}"));
        let group_key_serde = Arc::clone(&self.key_serde);
        let emit = EmitStrategy::default();
        let spec = StoreSpec { store_name, placement, emit, materialized, group_key_serde };
        let rows = Arc::new(SharedRows::add(&mut plan, spec, &subject, location));
        let suffixed = |suffix: String| name.as_ref().map(|name| format!("{name}{suffix}"));
        let mut nodes = Vec::with_capacity(parents.len());
        for (index, (part, parent)) in self.parts.iter().zip(parents).enumerate() {
            let name = plan.name_or(suffixed(format!("-cogroup-agg-{index}")), AGGREGATE);
            let supplier = part.supplier(name.clone(), &rows, initializer);
            let kind = GraphNodeKind::Processor { name, supplier, stores: vec![rows.store] };
            nodes.push(plan.add_node(vec![parent], kind, location));
        }
        let name = plan.name_or(suffixed("-cogroup-merge".to_owned()), "COGROUPKSTREAM-MERGE-");
        let supplier = node(|linker| Ok(PassThrough::<K2, Change<A>> { next: linker.outlet()? }));
        let kind = GraphNodeKind::Processor { name, supplier, stores: Vec::new() };
        let merge = plan.add_node(nodes, kind, location);
        (merge, rows)
    }
}
