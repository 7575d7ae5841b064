//! A stream of records, and the operators on it.

mod as_of_joins;
mod distinct;
mod global_join;
mod merge;
mod print;
pub(crate) mod process;
mod stream_joins;
mod table_joins;
mod to_table;
pub(super) mod topics;

use std::any::Any;
use std::marker::PhantomData;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use super::branched_kstream::BranchedKStream;
use super::kgrouped_stream::KGroupedStream;
use super::options::{Grouped, Named};
use crate::graph::{GraphNodeId, GraphNodeKind, SharedPlan};
use crate::processor::Data;
use crate::processor::operators::filter::{Filter, Predicate};
use crate::processor::operators::flat_map::{FlatMap, FlatMapValues, FlatMapper, FlatValueMapper};
use crate::processor::operators::map::{
    KeySelector, Map, MapValues, Mapper, SelectKey, ValueMapper,
};
use crate::processor::operators::peek::{Action, Peek};
use crate::serdes::{ArcSerde, DefaultSerde};
use crate::topology::link::{NodeSupplier, node};
pub(crate) use topics::SinkSpec;

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
    /// How keys are written where no option says so, if that is known from a table of windows before it.
    pub(super) key_serde: Option<ArcSerde<K>>,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K, V> Clone for KStream<K, V> {
    fn clone(&self) -> Self {
        Self {
            plan: Rc::clone(&self.plan),
            node: self.node,
            repartition_required: self.repartition_required,
            key_serde: self.key_serde.clone(),
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
        Self { plan, node, repartition_required, key_serde: None, types: PhantomData }
    }

    /// The same stream, of which it is known how its keys are written.
    #[must_use]
    pub(super) fn with_key_serde(self, key_serde: Option<ArcSerde<K>>) -> Self {
        Self { key_serde, ..self }
    }

    /// How the keys of a stream are written that are the same as this one's.
    pub(super) fn key_serde_of<K2: Data>(&self) -> Option<ArcSerde<K2>> {
        (&self.key_serde as &dyn Any).downcast_ref::<Option<ArcSerde<K2>>>().cloned().flatten()
    }

    /// How keys are written where no option says so.
    pub(super) fn inferred_key_serde(&self) -> ArcSerde<K>
    where
        K: DefaultSerde,
    {
        self.key_serde.clone().unwrap_or_else(K::default_serde)
    }

    /// Adds an operator behind this stream.
    #[track_caller]
    fn add<K2: Data, V2: Data>(
        &self,
        operator: Operator,
        supplier: NodeSupplier,
    ) -> KStream<K2, V2> {
        let name = self.plan.borrow_mut().name_or(operator.named.0, operator.prefix);
        let mut stream = self.add_named(name, supplier);
        let mut plan = self.plan.borrow_mut();
        if operator.changes_key {
            plan.mark_key_changing::<(K2, V2)>(stream.node);
            stream.repartition_required = true;
            stream.key_serde = None;
        } else if VALUE_CHANGING.contains(&operator.prefix) {
            plan.mark_value_changing(stream.node);
        }
        drop(plan);
        stream
    }

    /// Adds an operator that has its name already.
    #[track_caller]
    fn add_named<K2: Data, V2: Data>(
        &self,
        name: String,
        supplier: NodeSupplier,
    ) -> KStream<K2, V2> {
        let kind = GraphNodeKind::Processor { name, supplier, stores: Vec::new() };
        let location = Location::caller();
        let node = self.plan.borrow_mut().add_node(vec![self.node], kind, location);
        KStream::new(Rc::clone(&self.plan), node, self.repartition_required)
            .with_key_serde(self.key_serde_of())
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
        self.group_by_key_with(Grouped::with(self.inferred_key_serde(), V::default_serde()))
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
}
