//! A table grouped by a new key, and the aggregations on it.

use std::cell::Cell;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use super::kstream::SinkSpec;
use super::ktable::origin::SendOld;
use super::ktable::{KTable, Table};
use super::options::{Grouped, Materialized, Named};
use super::stores::add_table_store;
use super::streams_builder::source_supplier;
use crate::graph::{
    GraphNodeId, GraphNodeKind, NullKeys, Plan, RepartitionNames, RepartitionNode, SharedPlan,
};
use crate::processor::operators::aggregate::Aggregate;
use crate::processor::operators::fold::{Fold, Update};
use crate::processor::operators::versioned_aggregate::VersionedAggregate;
use crate::processor::timestamp_extractor::TimestampExtractor;
use crate::processor::{Change, Data};
use crate::serdes::change::ChangeSerde;
use crate::serdes::{ArcSerde, DefaultSerde};
use crate::topology::link::{flushing_node, node};

/// Rows of a table grouped by a new key, ready to be aggregated.
///
/// An aggregation is told of values that come into a group and of values that leave it, since a row of the
/// table may change and may move to another group. Of an update whose old and new value are in the same group
/// the old one leaves first.
///
/// # Source
/// `org.apache.kafka.streams.kstream.KGroupedTable`.
pub struct KGroupedTable<K, V> {
    pub(super) plan: SharedPlan,
    pub(super) node: GraphNodeId,
    pub(super) grouped: Grouped<K, V>,
    /// The repartition node of a named group, shared by its aggregations.
    pub(super) repartition: Rc<Cell<Option<GraphNodeId>>>,
}

impl<K, V> std::fmt::Debug for KGroupedTable<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KGroupedTable").field("grouped", &self.grouped).finish_non_exhaustive()
    }
}

/// An aggregation to be added.
struct Aggregation<K, V, A> {
    prefix: &'static str,
    update: Update<K, Change<V>, A>,
    named: Named,
    materialized: Materialized<K, A>,
}

impl<K: Data, V: Data> KGroupedTable<K, V> {
    /// Counts the rows of each group.
    ///
    /// **Shape**: `(K, V)` rows → `(K, i64)` rows; a store with a changelog. A group that has lost all its rows
    /// has the count 0.
    ///
    /// # Examples
    /// See [`KTable::group_by`].
    ///
    /// # Source
    /// `KGroupedTable.count`.
    #[track_caller]
    pub fn count(&self) -> KTable<K, i64> {
        self.count_with(Named::default(), Materialized::new())
    }

    /// [`KGroupedTable::count`] with options.
    #[track_caller]
    pub fn count_with(
        &self,
        named: impl Into<Named>,
        materialized: Materialized<K, i64>,
    ) -> KTable<K, i64> {
        let add = |_: &K, _, count| count + 1;
        let subtract = |_: &K, _, count| count - 1;
        self.aggregate_with(|| 0, add, subtract, named, materialized)
    }

    /// Combines the values of each group, two at a time: `adder` takes the result so far and a value that
    /// comes in, `subtractor` the result so far and a value that leaves. The first value is taken as it is;
    /// `None` deletes the row.
    ///
    /// **Shape**: `(K, V)` rows → `(K, V)` rows; a store with a changelog.
    ///
    /// # Examples
    /// ```
    /// use kstream::{KTable, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let orders: KTable<i64, i64> = builder.table("orders");
    /// let by_parity = orders.group_by(|_, amount| (amount % 2 == 0, amount));
    /// by_parity.reduce(|sum, new| sum + new, |sum, old| sum - old).to_stream().to("sums");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let input = driver.input_topic::<i64, i64>("orders");
    /// input.pipe(1, 10)?;
    /// input.pipe(2, 20)?;
    /// input.pipe(1, 12)?;
    /// let sums = driver.output_topic::<bool, Option<i64>>("sums");
    /// assert_eq!(sums.read_key_values()?, [(true, Some(10)), (true, Some(30)), (true, Some(32))]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// `KGroupedTable.reduce`.
    #[track_caller]
    pub fn reduce<R: Into<Option<V>>, S: Into<Option<V>>>(
        &self,
        adder: impl Fn(V, V) -> R + Send + Sync + 'static,
        subtractor: impl Fn(V, V) -> S + Send + Sync + 'static,
    ) -> KTable<K, V> {
        let materialized = Materialized::with_value_serde(Arc::clone(&self.grouped.value_serde));
        self.reduce_with(adder, subtractor, Named::default(), materialized)
    }

    /// [`KGroupedTable::reduce`] with options.
    #[track_caller]
    pub fn reduce_with<R: Into<Option<V>>, S: Into<Option<V>>>(
        &self,
        adder: impl Fn(V, V) -> R + Send + Sync + 'static,
        subtractor: impl Fn(V, V) -> S + Send + Sync + 'static,
        named: impl Into<Named>,
        materialized: Materialized<K, V>,
    ) -> KTable<K, V> {
        let serde = Arc::clone(&materialized.value_serde);
        let update = Update::new(move |_: &K, change: Change<V>, row| {
            let rest = match (change.old, row) {
                (Some(old), Some(row)) => subtractor(row, old).into(),
                (_, row) => row,
            };
            match (change.new, rest.filter(|rest| !serde.is_null(rest))) {
                (Some(new), Some(rest)) => adder(rest, new).into(),
                (Some(new), None) => Some(new),
                (None, rest) => rest,
            }
        });
        let (prefix, named) = ("KTABLE-REDUCE-", named.into());
        self.add_aggregation(
            Aggregation { prefix, update, named, materialized },
            Location::caller(),
        )
    }

    /// Folds the values of each group, beginning with `initializer`'s: `adder` with each value that comes in,
    /// `subtractor` with each that leaves. `None` deletes the row; a value that leaves when there is no row
    /// changes nothing.
    ///
    /// **Shape**: `(K, V)` rows → `(K, A)` rows; a store with a changelog.
    ///
    /// # Examples
    /// ```
    /// use kstream::{KTable, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let orders: KTable<i64, i64> = builder.table("orders");
    /// let by_parity = orders.group_by(|_, amount| (amount % 2 == 0, amount));
    /// let total = by_parity.aggregate(|| 0, |_, new, sum: i64| sum + new, |_, old, sum| sum - old);
    /// total.to_stream().to("totals");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let input = driver.input_topic::<i64, i64>("orders");
    /// input.pipe(1, 10)?;
    /// input.pipe(1, 11)?;
    /// let totals = driver.output_topic::<bool, Option<i64>>("totals");
    /// assert_eq!(totals.read_key_values()?, [(true, Some(10)), (true, Some(0)), (false, Some(11))]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// `KGroupedTable.aggregate`.
    #[track_caller]
    pub fn aggregate<A, R, S>(
        &self,
        initializer: impl Fn() -> A + Send + Sync + 'static,
        adder: impl Fn(&K, V, A) -> R + Send + Sync + 'static,
        subtractor: impl Fn(&K, V, A) -> S + Send + Sync + 'static,
    ) -> KTable<K, A>
    where
        A: Data + DefaultSerde,
        R: Into<Option<A>>,
        S: Into<Option<A>>,
    {
        self.aggregate_with(initializer, adder, subtractor, Named::default(), Materialized::new())
    }

    /// [`KGroupedTable::aggregate`] with options.
    #[expect(
        clippy::too_many_arguments,
        reason = "three functions and two options, as in Kafka Streams"
    )]
    #[track_caller]
    pub fn aggregate_with<A: Data, R: Into<Option<A>>, S: Into<Option<A>>>(
        &self,
        initializer: impl Fn() -> A + Send + Sync + 'static,
        adder: impl Fn(&K, V, A) -> R + Send + Sync + 'static,
        subtractor: impl Fn(&K, V, A) -> S + Send + Sync + 'static,
        named: impl Into<Named>,
        materialized: Materialized<K, A>,
    ) -> KTable<K, A> {
        let serde = Arc::clone(&materialized.value_serde);
        let update = Update::new(move |key: &K, change: Change<V>, row| {
            let rest = match (change.old, row) {
                (Some(old), Some(row)) => subtractor(key, old, row).into(),
                (_, row) => row,
            };
            let rest = rest.filter(|rest| !serde.is_null(rest));
            match change.new {
                Some(new) => adder(key, new, rest.unwrap_or_else(&initializer)).into(),
                None => rest,
            }
        });
        let (prefix, named) = ("KTABLE-AGGREGATE-", named.into());
        self.add_aggregation(
            Aggregation { prefix, update, named, materialized },
            Location::caller(),
        )
    }

    fn add_aggregation<A: Data>(
        &self,
        aggregation: Aggregation<K, V, A>,
        location: &'static Location<'static>,
    ) -> KTable<K, A> {
        let Aggregation { prefix, update, named, mut materialized } = aggregation;
        let mut plan = self.plan.borrow_mut();
        let user_name = materialized.name.take();
        // KAFKA: stores of `reduce` are called after `aggregate` as well.
        let store_name = user_name.clone().unwrap_or_else(|| plan.store_name("KTABLE-AGGREGATE-"));
        let names = self.repartition_names(&mut plan, &named, &store_name);
        let name = plan.name_or(named.0, prefix);
        let parent = self.repartitioned(&mut plan, names, location);
        let key_serde =
            materialized.key_serde.clone().unwrap_or_else(|| Arc::clone(&self.grouped.key_serde));
        let change_serde = self.change_serde();
        let (caching, send_old) = (materialized.caching, SendOld::default());
        let row_serde = Arc::clone(&materialized.value_serde);
        materialized.name = Some(store_name);
        let versioned = materialized.history.is_some();
        let store = add_table_store(&mut plan, materialized, &key_serde, location);
        let table = Table::stored(store, Arc::clone(&key_serde), row_serde, send_old.clone())
            .with_store_name(user_name.as_deref())
            .with_history(versioned);
        let node_name = name.clone();
        let supplier = if versioned {
            node(move |linker| {
                Ok(VersionedAggregate {
                    name: node_name.clone(),
                    key_serde: Arc::clone(&key_serde),
                    value_serde: Arc::clone(&change_serde),
                    update: update.clone(),
                    rows: linker.versioned_rows(store)?,
                    send_old: send_old.is_enabled(),
                    next: linker.outlet()?,
                    key_bytes: Vec::new(),
                })
            })
        } else {
            flushing_node(move |linker| {
                Ok(Aggregate {
                    name: node_name.clone(),
                    key_serde: Arc::clone(&key_serde),
                    value_serde: Arc::clone(&change_serde),
                    fold: Fold {
                        update: update.clone(),
                        rows: linker.rows(store)?,
                        caching: caching && linker.record_cache(),
                        send_old: send_old.is_enabled(),
                    },
                    next: linker.outlet()?,
                    key_bytes: Vec::new(),
                })
            })
        };
        let kind = GraphNodeKind::Processor { name, supplier, stores: vec![store] };
        let node = plan.add_node(vec![parent], kind, location);
        drop(plan);
        KTable::new(Rc::clone(&self.plan), node, table)
    }

    /// The names around the repartition topic; they use numbers up even where the topic is shared.
    fn repartition_names(
        &self,
        plan: &mut Plan,
        named: &Named,
        store_name: &str,
    ) -> RepartitionNames {
        let suffixed = |suffix| named.0.as_ref().map(|name| format!("{name}{suffix}"));
        let sink = plan.name_or(suffixed("-sink"), "KSTREAM-SINK-");
        let source = plan.name_or(suffixed("-source"), "KSTREAM-SOURCE-");
        let topic = self.grouped.name.as_deref().unwrap_or(store_name);
        RepartitionNames {
            topic: format!("{topic}-repartition"),
            filter: String::new(),
            sink,
            source,
        }
    }

    /// The source behind the repartition topic.
    fn repartitioned(
        &self,
        plan: &mut Plan,
        names: RepartitionNames,
        location: &'static Location<'static>,
    ) -> GraphNodeId {
        if let (Some(node), Some(_)) = (self.repartition.get(), &self.grouped.name) {
            plan.use_again(node);
            return node;
        }
        let sink =
            SinkSpec { name: names.sink.clone(), topic: names.topic.clone(), internal: true };
        let sink = sink.supplier(Arc::clone(&self.grouped.key_serde), self.change_serde());
        let source = source_supplier(
            names.source.clone(),
            Arc::clone(&self.grouped.key_serde),
            self.change_serde(),
            TimestampExtractor::default(),
        );
        let kind = GraphNodeKind::Repartition(RepartitionNode {
            names,
            partitions: None,
            null_keys: NullKeys::default(),
            filter: None,
            sink,
            source,
            mergeable: None,
        });
        let node = plan.add_node(vec![self.node], kind, location);
        self.repartition.set(Some(node));
        node
    }

    fn change_serde(&self) -> ArcSerde<Change<V>> {
        Arc::new(ChangeSerde::new(Arc::clone(&self.grouped.value_serde)))
    }
}
