//! A stream of records, and the operators on it.

mod as_of_joins;
mod distinct;
mod filter;
mod global_join;
mod map;
mod map_async;
mod merge;
mod peek;
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

use super::branched_kstream::BranchedKStream;
use super::kgrouped_stream::KGroupedStream;
use super::options::{Grouped, Named};
use crate::graph::{GraphNodeId, GraphNodeKind, SharedPlan};
use crate::processor::Data;
use crate::serdes::{ArcSerde, DefaultSerde};
use crate::topology::link::NodeSupplier;
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
const VALUE_CHANGING: [&str; 4] = [
    "KSTREAM-MAPVALUES-",
    "KSTREAM-FLATMAPVALUES-",
    "KSTREAM-PROCESSVALUES-",
    "KSTREAM-MAPVALUESASYNC-",
];

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
    ///
    /// # Examples
    /// ```
    /// use kstream::{KStream, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let stream: KStream<String, i64> = builder.stream("in");
    /// stream.group_by_key().reduce(|a, b| a.max(b)).to_stream().to("highest");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let input = driver.input_topic::<String, i64>("in");
    /// input.pipe("a".to_owned(), 3)?;
    /// input.pipe("a".to_owned(), 9)?;
    /// let out = driver.output_topic::<String, Option<i64>>("highest").read_key_values()?;
    /// assert_eq!(out, [("a".to_owned(), Some(3)), ("a".to_owned(), Some(9))]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    ///
    /// # Examples
    /// ```
    /// use kstream::{KStream, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let stream: KStream<String, String> = builder.stream("in");
    /// stream.group_by(|_page, country| country.clone()).count().to_stream().to("countries");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let input = driver.input_topic::<String, String>("in");
    /// input.pipe("/".to_owned(), "NL".to_owned())?;
    /// input.pipe("/about".to_owned(), "NL".to_owned())?;
    /// let out = driver.output_topic::<String, i64>("countries").read_key_values()?;
    /// assert_eq!(out, [("NL".to_owned(), 1), ("NL".to_owned(), 2)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
