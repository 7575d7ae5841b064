//! A stream of records, and the operators on it.

mod as_of_joins;
mod distinct;
mod global_join;
pub(crate) mod process;
mod stream_joins;
mod table_joins;
mod to_table;

use std::marker::PhantomData;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use super::branched_kstream::BranchedKStream;
use super::kgrouped_stream::KGroupedStream;
use super::options::{Grouped, Named, Produced, Repartitioned};
use super::repartition::{RepartitionSpec, repartition_node};
use crate::graph::{GraphNodeId, GraphNodeKind, SharedPlan};
use crate::processor::Data;
use crate::processor::operators::filter::{Filter, Predicate};
use crate::processor::operators::flat_map::{FlatMap, FlatMapValues, FlatMapper, FlatValueMapper};
use crate::processor::operators::map::{
    KeySelector, Map, MapValues, Mapper, SelectKey, ValueMapper,
};
use crate::processor::operators::merge::PassThrough;
use crate::processor::operators::peek::{Action, Peek};
use crate::processor::operators::sink::Sink;
use crate::serdes::DefaultSerde;
use crate::topology::link::{NodeSupplier, node};

/// A stream of records of key type `K` and value type `V`.
///
/// A handle is small; clones refer to the same stream. `KStream<String, View>` has neither null keys nor
/// null values; a stream that has them is a `KStream<Option<String>, Option<View>>`.
///
/// Every operator has a short form, and where it has options a form that ends in `_with`. Closures take
/// references where they look and values where they consume.
///
/// # Source
/// `org.apache.kafka.streams.kstream.KStream`.
pub struct KStream<K, V> {
    pub(super) plan: SharedPlan,
    pub(super) node: GraphNodeId,
    /// Whether the key has changed since the records were last partitioned by it.
    pub(super) repartition_required: bool,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K, V> Clone for KStream<K, V> {
    fn clone(&self) -> Self {
        Self {
            plan: Rc::clone(&self.plan),
            node: self.node,
            repartition_required: self.repartition_required,
            types: PhantomData,
        }
    }
}

impl<K, V> std::fmt::Debug for KStream<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KStream")
            .field("node", &self.node)
            .field("repartition_required", &self.repartition_required)
            .finish_non_exhaustive()
    }
}

/// Operators that may change the value, but not the key.
const VALUE_CHANGING: [&str; 3] =
    ["KSTREAM-MAPVALUES-", "KSTREAM-FLATMAPVALUES-", "KSTREAM-PROCESSVALUES-"];

/// What an operator is called when the user names it not.
struct Operator {
    prefix: &'static str,
    named: Named,
    changes_key: bool,
}

impl<K: Data, V: Data> KStream<K, V> {
    pub(crate) fn new(plan: SharedPlan, node: GraphNodeId, repartition_required: bool) -> Self {
        Self { plan, node, repartition_required, types: PhantomData }
    }

    /// Adds an operator behind this stream.
    #[track_caller]
    fn add<K2: Data, V2: Data>(
        &self,
        operator: Operator,
        supplier: NodeSupplier,
    ) -> KStream<K2, V2> {
        let mut plan = self.plan.borrow_mut();
        let name = plan.name_or(operator.named.0, operator.prefix);
        let kind = GraphNodeKind::Processor { name, supplier, stores: Vec::new() };
        let node = plan.add_node(vec![self.node], kind, Location::caller());
        if operator.changes_key {
            plan.mark_key_changing::<(K2, V2)>(node);
        } else if VALUE_CHANGING.contains(&operator.prefix) {
            plan.mark_value_changing(node);
        }
        drop(plan);
        let repartition_required = self.repartition_required || operator.changes_key;
        KStream::new(Rc::clone(&self.plan), node, repartition_required)
    }

    /// Keeps the records that `predicate` accepts.
    ///
    /// **Shape**: `(K, V)` → `(K, V)`, none or one per record; the key does not change.
    ///
    /// # Examples
    /// ```
    /// use kstream::{KStream, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let sizes: KStream<String, i64> = builder.stream("sizes");
    /// sizes.filter(|_, size| *size > 100).to("large");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let input = driver.input_topic::<String, i64>("sizes");
    /// input.pipe("a".to_owned(), 7)?;
    /// input.pipe("b".to_owned(), 700)?;
    /// let large = driver.output_topic::<String, i64>("large");
    /// assert_eq!(large.read_key_values()?, [("b".to_owned(), 700)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    #[track_caller]
    pub fn filter(&self, predicate: impl Fn(&K, &V) -> bool + Send + Sync + 'static) -> Self {
        self.filter_with(predicate, Named::default())
    }

    /// [`KStream::filter`] with a name.
    #[must_use]
    #[track_caller]
    pub fn filter_with(
        &self,
        predicate: impl Fn(&K, &V) -> bool + Send + Sync + 'static,
        named: impl Into<Named>,
    ) -> Self {
        self.add_filter(Arc::new(predicate), true, named.into())
    }

    /// Keeps the records that `predicate` refuses.
    ///
    /// **Shape**: `(K, V)` → `(K, V)`, none or one per record; the key does not change.
    #[must_use]
    #[track_caller]
    pub fn filter_not(&self, predicate: impl Fn(&K, &V) -> bool + Send + Sync + 'static) -> Self {
        self.filter_not_with(predicate, Named::default())
    }

    /// [`KStream::filter_not`] with a name.
    #[must_use]
    #[track_caller]
    pub fn filter_not_with(
        &self,
        predicate: impl Fn(&K, &V) -> bool + Send + Sync + 'static,
        named: impl Into<Named>,
    ) -> Self {
        self.add_filter(Arc::new(predicate), false, named.into())
    }

    #[track_caller]
    fn add_filter(&self, predicate: Predicate<K, V>, keep_if: bool, named: Named) -> Self {
        let supplier = node(move |linker| {
            Ok(Filter { predicate: Arc::clone(&predicate), keep_if, next: linker.outlet()? })
        });
        self.add(Operator { prefix: "KSTREAM-FILTER-", named, changes_key: false }, supplier)
    }

    /// Makes a new key and value of each record.
    ///
    /// **Shape**: `(K, V)` → `(K2, V2)`, one per record. The key may change: a grouping behind it goes through a
    /// repartition topic. Where only the value changes, [`KStream::map_values`] saves that.
    #[track_caller]
    pub fn map<K2: Data, V2: Data>(
        &self,
        mapper: impl Fn(K, V) -> (K2, V2) + Send + Sync + 'static,
    ) -> KStream<K2, V2> {
        self.map_with(mapper, Named::default())
    }

    /// [`KStream::map`] with a name.
    #[track_caller]
    pub fn map_with<K2: Data, V2: Data>(
        &self,
        mapper: impl Fn(K, V) -> (K2, V2) + Send + Sync + 'static,
        named: impl Into<Named>,
    ) -> KStream<K2, V2> {
        let mapper: Mapper<K, V, K2, V2> = Arc::new(mapper);
        let supplier =
            node(move |linker| Ok(Map { mapper: Arc::clone(&mapper), next: linker.outlet()? }));
        let named = named.into();
        self.add(Operator { prefix: "KSTREAM-MAP-", named, changes_key: true }, supplier)
    }

    /// Makes a new value of each record.
    ///
    /// **Shape**: `(K, V)` → `(K, V2)`, one per record; the key does not change.
    #[track_caller]
    pub fn map_values<V2: Data>(
        &self,
        mapper: impl Fn(V) -> V2 + Send + Sync + 'static,
    ) -> KStream<K, V2> {
        self.add_map_values(Arc::new(move |_, value| mapper(value)), Named::default())
    }

    /// [`KStream::map_values`] with a name, and with a look at the key.
    #[track_caller]
    pub fn map_values_with<V2: Data>(
        &self,
        mapper: impl Fn(&K, V) -> V2 + Send + Sync + 'static,
        named: impl Into<Named>,
    ) -> KStream<K, V2> {
        self.add_map_values(Arc::new(mapper), named.into())
    }

    #[track_caller]
    fn add_map_values<V2: Data>(
        &self,
        mapper: ValueMapper<K, V, V2>,
        named: Named,
    ) -> KStream<K, V2> {
        let supplier = node(move |linker| {
            Ok(MapValues { mapper: Arc::clone(&mapper), next: linker.outlet()? })
        });
        self.add(Operator { prefix: "KSTREAM-MAPVALUES-", named, changes_key: false }, supplier)
    }

    /// Makes any number of records of each record.
    ///
    /// **Shape**: `(K, V)` → `(K2, V2)`, as many as the mapper's iterator gives, with the record's timestamp
    /// and headers. The key may change: a grouping behind it goes through a repartition topic.
    #[track_caller]
    pub fn flat_map<K2: Data, V2: Data, I: IntoIterator<Item = (K2, V2)>>(
        &self,
        mapper: impl Fn(K, V) -> I + Send + Sync + 'static,
    ) -> KStream<K2, V2> {
        self.flat_map_with(mapper, Named::default())
    }

    /// [`KStream::flat_map`] with a name.
    #[track_caller]
    pub fn flat_map_with<K2: Data, V2: Data, I: IntoIterator<Item = (K2, V2)>>(
        &self,
        mapper: impl Fn(K, V) -> I + Send + Sync + 'static,
        named: impl Into<Named>,
    ) -> KStream<K2, V2> {
        let mapper: FlatMapper<K, V, (K2, V2)> =
            Arc::new(move |key, value, emit| mapper(key, value).into_iter().try_for_each(emit));
        let supplier =
            node(move |linker| Ok(FlatMap { mapper: Arc::clone(&mapper), next: linker.outlet()? }));
        let named = named.into();
        self.add(Operator { prefix: "KSTREAM-FLATMAP-", named, changes_key: true }, supplier)
    }

    /// Makes any number of values of each value.
    ///
    /// **Shape**: `(K, V)` → `(K, V2)`, as many as the mapper's iterator gives; the key does not change.
    #[track_caller]
    pub fn flat_map_values<V2: Data, I: IntoIterator<Item = V2>>(
        &self,
        mapper: impl Fn(V) -> I + Send + Sync + 'static,
    ) -> KStream<K, V2> {
        self.flat_map_values_with(move |_, value| mapper(value), Named::default())
    }

    /// [`KStream::flat_map_values`] with a name, and with a look at the key.
    #[track_caller]
    pub fn flat_map_values_with<V2: Data, I: IntoIterator<Item = V2>>(
        &self,
        mapper: impl Fn(&K, V) -> I + Send + Sync + 'static,
        named: impl Into<Named>,
    ) -> KStream<K, V2> {
        let mapper: FlatValueMapper<K, V, V2> =
            Arc::new(move |key, value, emit| mapper(key, value).into_iter().try_for_each(emit));
        let supplier = node(move |linker| {
            Ok(FlatMapValues { mapper: Arc::clone(&mapper), next: linker.outlet()? })
        });
        let named = named.into();
        self.add(Operator { prefix: "KSTREAM-FLATMAPVALUES-", named, changes_key: false }, supplier)
    }

    /// Gives each record a new key.
    ///
    /// **Shape**: `(K, V)` → `(K2, V)`, one per record. The key changes: a grouping behind it goes through a
    /// repartition topic.
    #[track_caller]
    pub fn select_key<K2: Data>(
        &self,
        mapper: impl Fn(&K, &V) -> K2 + Send + Sync + 'static,
    ) -> KStream<K2, V> {
        self.select_key_with(mapper, Named::default())
    }

    /// [`KStream::select_key`] with a name.
    #[track_caller]
    pub fn select_key_with<K2: Data>(
        &self,
        mapper: impl Fn(&K, &V) -> K2 + Send + Sync + 'static,
        named: impl Into<Named>,
    ) -> KStream<K2, V> {
        let mapper: KeySelector<K, V, K2> = Arc::new(mapper);
        let supplier = node(move |linker| {
            Ok(SelectKey { mapper: Arc::clone(&mapper), next: linker.outlet()? })
        });
        let named = named.into();
        self.add(Operator { prefix: "KSTREAM-KEY-SELECT-", named, changes_key: true }, supplier)
    }

    /// Calls `action` with each record and passes it on.
    ///
    /// **Shape**: `(K, V)` → `(K, V)`, one per record. After a failure records are processed again, and so
    /// the action may see a record more than once.
    #[expect(clippy::return_self_not_must_use, reason = "the action runs either way")]
    #[track_caller]
    pub fn peek(&self, action: impl Fn(&K, &V) + Send + Sync + 'static) -> Self {
        self.peek_with(action, Named::default())
    }

    /// [`KStream::peek`] with a name.
    #[expect(clippy::return_self_not_must_use, reason = "the action runs either way")]
    #[track_caller]
    pub fn peek_with(
        &self,
        action: impl Fn(&K, &V) + Send + Sync + 'static,
        named: impl Into<Named>,
    ) -> Self {
        let named = named.into();
        self.add(
            Operator { prefix: "KSTREAM-PEEK-", named, changes_key: false },
            Self::peek_supplier(action),
        )
    }

    /// Calls `action` with each record; the stream ends here. See [`KStream::peek`].
    #[track_caller]
    pub fn for_each(&self, action: impl Fn(&K, &V) + Send + Sync + 'static) {
        self.for_each_with(action, Named::default());
    }

    /// [`KStream::for_each`] with a name.
    #[track_caller]
    pub fn for_each_with(
        &self,
        action: impl Fn(&K, &V) + Send + Sync + 'static,
        named: impl Into<Named>,
    ) {
        let named = named.into();
        let operator = Operator { prefix: "KSTREAM-FOREACH-", named, changes_key: false };
        self.add::<K, V>(operator, Self::peek_supplier(action));
    }

    fn peek_supplier(action: impl Fn(&K, &V) + Send + Sync + 'static) -> NodeSupplier {
        let action: Action<K, V> = Arc::new(action);
        node(move |linker| Ok(Peek { action: Arc::clone(&action), next: linker.outlet()? }))
    }

    /// One stream of the records of both; in the order in which they are processed.
    ///
    /// **Shape**: `(K, V)` → `(K, V)`. A grouping behind it is repartitioned if either stream's would be.
    #[must_use]
    #[track_caller]
    pub fn merge(&self, other: &Self) -> Self {
        self.merge_with(other, Named::default())
    }

    /// [`KStream::merge`] with a name.
    #[must_use]
    #[track_caller]
    pub fn merge_with(&self, other: &Self, named: impl Into<Named>) -> Self {
        let mut plan = self.plan.borrow_mut();
        let name = plan.name_or(named.into().0, "KSTREAM-MERGE-");
        if !Rc::ptr_eq(&self.plan, &other.plan) {
            let problem = "the streams come from different builders".to_owned();
            plan.report(format!("node {name}"), problem, Location::caller());
        }
        let supplier = node(|linker| Ok(PassThrough::<K, V> { next: linker.outlet()? }));
        let kind = GraphNodeKind::Processor { name, supplier, stores: Vec::new() };
        let node = plan.add_node(vec![self.node, other.node], kind, Location::caller());
        plan.mark_merge::<(K, V)>(node);
        drop(plan);
        let repartition_required = self.repartition_required || other.repartition_required;
        Self::new(Rc::clone(&self.plan), node, repartition_required)
    }

    /// Sends each record down the first branch that accepts it.
    ///
    /// # Examples
    /// ```
    /// use kstream::{KStream, StreamsBuilder};
    ///
    /// let builder = StreamsBuilder::new();
    /// let views: KStream<String, i64> = builder.stream("views");
    /// let branches = views.split().branch(|_, status| *status >= 500).default_branch();
    /// assert_eq!(branches.len(), 2);
    /// # for (_, stream) in &branches { stream.to("out"); }
    /// # builder.build()?;
    /// # Ok::<(), kstream::TopologyErrors>(())
    /// ```
    ///
    /// # Source
    /// `KStream.split` (KIP-418).
    #[track_caller]
    pub fn split(&self) -> BranchedKStream<K, V> {
        self.split_with(Named::default())
    }

    /// [`KStream::split`] with a name; the names of the branches begin with it.
    #[track_caller]
    pub fn split_with(&self, named: impl Into<Named>) -> BranchedKStream<K, V> {
        BranchedKStream::new(self, named.into())
    }

    /// Groups records by their key, with default serdes.
    ///
    /// **Shape**: if the key has changed since the records were last partitioned, aggregations behind it go
    /// through a repartition topic.
    pub fn group_by_key(&self) -> KGroupedStream<K, V>
    where
        K: DefaultSerde,
        V: DefaultSerde,
    {
        self.group_by_key_with(Grouped::new())
    }

    /// [`KStream::group_by_key`] with options.
    pub fn group_by_key_with(&self, grouped: Grouped<K, V>) -> KGroupedStream<K, V> {
        KGroupedStream::new(self, grouped)
    }

    /// Groups records by a new key, with default serdes; always goes through a repartition topic.
    #[track_caller]
    pub fn group_by<K2: Data + DefaultSerde>(
        &self,
        mapper: impl Fn(&K, &V) -> K2 + Send + Sync + 'static,
    ) -> KGroupedStream<K2, V>
    where
        V: DefaultSerde,
    {
        self.group_by_with(mapper, Grouped::new())
    }

    /// [`KStream::group_by`] with options.
    #[track_caller]
    pub fn group_by_with<K2: Data>(
        &self,
        mapper: impl Fn(&K, &V) -> K2 + Send + Sync + 'static,
        grouped: Grouped<K2, V>,
    ) -> KGroupedStream<K2, V> {
        self.select_key_with(mapper, Named(grouped.name.clone())).group_by_key_with(grouped)
    }

    /// Sends all records through a topic of the application's own, partitioned by key, with default
    /// serdes. Records with a null key are dropped.
    #[must_use]
    #[track_caller]
    pub fn repartition(&self) -> Self
    where
        K: DefaultSerde,
        V: DefaultSerde,
    {
        self.repartition_with(Repartitioned::new())
    }

    /// [`KStream::repartition`] with options.
    ///
    /// # Source
    /// `KStream.repartition` (KIP-221).
    #[must_use]
    #[track_caller]
    pub fn repartition_with(&self, repartitioned: Repartitioned<K, V>) -> Self {
        let Repartitioned { key_serde, value_serde, name, partitions } = repartitioned;
        let mut plan = self.plan.borrow_mut();
        let prefix = name.unwrap_or_else(|| plan.processor_name("KSTREAM-REPARTITION-"));
        let names = plan.repartition_names(&prefix);
        let repartition = RepartitionSpec { names, partitions, key_serde, value_serde };
        let location = Location::caller();
        let kind = GraphNodeKind::Repartition(repartition_node::<K, V, V>(repartition));
        let node = plan.add_node(vec![self.node], kind, location);
        drop(plan);
        Self::new(Rc::clone(&self.plan), node, false)
    }

    /// Writes all records to a topic, with default serdes.
    ///
    /// **Shape**: the partition is the one that Java's default partitioner gives the key; records with a null
    /// key are spread.
    #[track_caller]
    pub fn to(&self, topic: &str)
    where
        K: DefaultSerde,
        V: DefaultSerde,
    {
        self.to_with(topic, Produced::new());
    }

    /// [`KStream::to`] with options.
    #[track_caller]
    pub fn to_with(&self, topic: &str, produced: Produced<K, V>) {
        let Produced { key_serde, value_serde, name } = produced;
        let mut plan = self.plan.borrow_mut();
        let name = plan.name_or(name, "KSTREAM-SINK-");
        let location = Location::caller();
        if topic.is_empty() {
            let problem = "the topic's name must not be empty".to_owned();
            plan.report(format!("sink {name}"), problem, location);
        }
        let sink = SinkSpec { name: name.clone(), topic: topic.to_owned(), internal: false };
        let supplier = sink.supplier(key_serde, value_serde);
        let kind = GraphNodeKind::Sink { name, topic: topic.to_owned(), supplier };
        plan.add_node(vec![self.node], kind, location);
    }
}

/// What a sink writes to.
pub(crate) struct SinkSpec {
    pub(crate) name: String,
    pub(crate) topic: String,
    /// Whether the topic's name follows the application id.
    pub(crate) internal: bool,
}

impl SinkSpec {
    pub(crate) fn supplier<K: Data, V: Data>(
        self,
        key_serde: crate::serdes::ArcSerde<K>,
        value_serde: crate::serdes::ArcSerde<V>,
    ) -> NodeSupplier {
        node(move |linker| {
            let topic = if self.internal {
                format!("{}-{}", linker.application_id(), self.topic)
            } else {
                self.topic.clone()
            };
            Ok(Sink {
                name: self.name.clone(),
                topic,
                handle: None,
                key_serde: Arc::clone(&key_serde),
                value_serde: Arc::clone(&value_serde),
                key_bytes: Vec::new(),
                value_bytes: Vec::new(),
            })
        })
    }
}
