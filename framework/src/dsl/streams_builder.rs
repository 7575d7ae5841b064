//! Where a topology begins: topics in, a checked topology out.

use std::any::TypeId;
use std::cell::RefCell;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use super::kstream::KStream;
use super::ktable::KTable;
use super::ktable::source::{TableSourceSpec, add_table_source};
use super::options::{Consumed, Materialized};
use crate::error::TopologyErrors;
use crate::graph::{
    GraphNodeId, GraphNodeKind, PatternSourceNode, SharedPlan, SourceNode, TableSourceMark,
};
use crate::processor::Data;
use crate::processor::handler::DeserializationHandler;
use crate::processor::operators::source::Source;
use crate::processor::timestamp_extractor::TimestampExtractor;
use crate::serdes::{ArcSerde, DefaultSerde, OptionSerde};
use crate::topology::link::{BuiltNode, NodeSupplier};
use crate::topology::source_changelog::read_row;
use crate::topology::{TopicPattern, Topology, TopologyConfig};

/// One topic or several.
#[diagnostic::on_unimplemented(
    message = "`{Self}` names no topics",
    label = "neither a topic's name nor a list of them",
    note = "give the name of one topic, or the names of several as an array or as a `Vec<String>`"
)]
pub trait Topics {
    /// Their names.
    fn into_topics(self) -> Vec<String>;
}

impl Topics for &str {
    fn into_topics(self) -> Vec<String> {
        vec![self.to_owned()]
    }
}

impl Topics for String {
    fn into_topics(self) -> Vec<String> {
        vec![self]
    }
}

impl Topics for &String {
    fn into_topics(self) -> Vec<String> {
        vec![self.clone()]
    }
}

impl Topics for &[&str] {
    fn into_topics(self) -> Vec<String> {
        self.iter().map(|&topic| topic.to_owned()).collect()
    }
}

impl<const N: usize> Topics for [&str; N] {
    fn into_topics(self) -> Vec<String> {
        self.as_slice().into_topics()
    }
}

impl Topics for Vec<String> {
    fn into_topics(self) -> Vec<String> {
        self
    }
}

/// Builds a topology from sources to sinks.
///
/// No call fails or panics on a mistake: [`StreamsBuilder::build`] reports all of them together, each with
/// the line of code that asked for it.
///
/// # Examples
/// ```
/// use kstream::{KStream, StreamsBuilder};
///
/// let builder = StreamsBuilder::new();
/// let lines: KStream<(), String> = builder.stream("lines");
/// lines
///     .flat_map_values(|line: String| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
///     .group_by(|_, word| word.clone())
///     .count()
///     .to_stream()
///     .to("word-counts");
/// let topology = builder.build()?;
/// assert_eq!(topology.subtopologies().len(), 2);
/// # Ok::<(), kstream::TopologyErrors>(())
/// ```
///
/// # Source
/// `org.apache.kafka.streams.StreamsBuilder`.
#[derive(Default)]
pub struct StreamsBuilder {
    pub(super) plan: SharedPlan,
}

impl std::fmt::Debug for StreamsBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamsBuilder").finish_non_exhaustive()
    }
}

impl StreamsBuilder {
    /// An empty builder.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads topics as a stream, with default serdes.
    ///
    /// **Shape**: one record out per record in. A null key or value that `K` or `V` does not have is
    /// dropped and counted; `Option` has it.
    #[track_caller]
    pub fn stream<K, V>(&self, topics: impl Topics) -> KStream<K, V>
    where
        K: Data + DefaultSerde,
        V: Data + DefaultSerde,
    {
        self.stream_with(topics, Consumed::new())
    }

    /// Reads topics as a stream.
    #[track_caller]
    pub fn stream_with<K: Data, V: Data>(
        &self,
        topics: impl Topics,
        consumed: Consumed<K, V>,
    ) -> KStream<K, V> {
        let name = self.plan.borrow_mut().name_or(consumed.name, "KSTREAM-SOURCE-");
        let (key_serde, value_serde) = (consumed.key_serde, consumed.value_serde);
        let reading = Reading { timestamps: consumed.timestamps, handler: consumed.handler };
        let supplier = reading.supplier(name.clone(), key_serde, value_serde);
        let types = TypeId::of::<(K, V)>();
        let topics = topics.into_topics();
        let node =
            self.add_source(SourceNode { name, topics, reset: consumed.reset, types, supplier });
        KStream::new(Rc::clone(&self.plan), node, false)
    }

    /// Reads all topics whose whole names match a regular expression, as a stream with default serdes. Which
    /// topics these are is settled when the application starts; those that Kafka keeps for itself and the
    /// application's own are left out.
    ///
    /// **Shape**: as [`StreamsBuilder::stream`].
    ///
    /// # Examples
    /// ```
    /// use kstream::{KStream, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let orders: KStream<String, i64> = builder.stream_pattern("orders-[0-9]{4}");
    /// orders.to("all-orders");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// for year in ["2025", "2026"] {
    ///     let input = driver.input_topic::<String, i64>(&format!("orders-{year}"));
    ///     input.pipe(year.to_owned(), 7)?;
    /// }
    /// let all = driver.output_topic::<String, i64>("all-orders").read_key_values()?;
    /// assert_eq!(all, [("2025".to_owned(), 7), ("2026".to_owned(), 7)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// `StreamsBuilder.stream(Pattern)`; there topics may join later.
    #[track_caller]
    pub fn stream_pattern<K, V>(&self, pattern: &str) -> KStream<K, V>
    where
        K: Data + DefaultSerde,
        V: Data + DefaultSerde,
    {
        self.stream_pattern_with(pattern, Consumed::new())
    }

    /// [`StreamsBuilder::stream_pattern`] with options.
    #[track_caller]
    pub fn stream_pattern_with<K: Data, V: Data>(
        &self,
        pattern: &str,
        consumed: Consumed<K, V>,
    ) -> KStream<K, V> {
        let location = Location::caller();
        let mut plan = self.plan.borrow_mut();
        let name = plan.name_or(consumed.name, "KSTREAM-SOURCE-");
        let (key_serde, value_serde) = (consumed.key_serde, consumed.value_serde);
        let reading = Reading { timestamps: consumed.timestamps, handler: consumed.handler };
        let supplier = reading.supplier(name.clone(), key_serde, value_serde);
        let pattern = TopicPattern::new(pattern).unwrap_or_else(|error| {
            plan.report(format!("source {name}"), error.to_string(), location);
            TopicPattern::none()
        });
        let source = PatternSourceNode { name, pattern, reset: consumed.reset, supplier };
        let node = plan.add_node(Vec::new(), GraphNodeKind::PatternSource(source), location);
        drop(plan);
        KStream::new(Rc::clone(&self.plan), node, false)
    }

    /// Reads a topic as a table: each record is the new value of its key, null deletes it. Rows are only
    /// kept if an operator behind it reads them.
    ///
    /// # Examples
    /// ```
    /// use kstream::{KTable, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let prices: KTable<String, i64> = builder.table("prices");
    /// prices.filter(|_, price| *price < 100).to_stream().to("cheap");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let input = driver.input_topic::<String, i64>("prices");
    /// input.pipe("tea".to_owned(), 40)?;
    /// input.pipe("tea".to_owned(), 140)?;
    /// let cheap = driver.output_topic::<String, Option<i64>>("cheap").read_key_values()?;
    /// assert_eq!(cheap, [("tea".to_owned(), Some(40)), ("tea".to_owned(), None)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn table<K, V>(&self, topic: &str) -> KTable<K, V>
    where
        K: Data + DefaultSerde,
        V: Data + DefaultSerde,
    {
        self.table_with(topic, Consumed::new(), Materialized::new())
    }

    /// Reads a topic as a table; it is kept in a store if `materialized` names one, or if an operator behind
    /// it reads its rows.
    ///
    /// **Shape**: records with a null key are dropped. The store has a changelog topic.
    #[track_caller]
    pub fn table_with<K: Data, V: Data>(
        &self,
        topic: &str,
        consumed: Consumed<K, V>,
        mut materialized: Materialized<K, V>,
    ) -> KTable<K, V> {
        let Consumed { key_serde, value_serde, name, reset, timestamps, handler } = consumed;
        let location = Location::caller();
        let store_key_serde =
            materialized.key_serde.clone().unwrap_or_else(|| Arc::clone(&key_serde));
        let store_value_serde = Arc::clone(&materialized.value_serde);
        let queryable = materialized.name.is_some();
        if !queryable {
            let name = self.plan.borrow_mut().store_name(&format!("{topic}-"));
            materialized.name = Some(name);
        }
        let mut plan = self.plan.borrow_mut();
        let source_name = name.as_ref().map(|name| format!("{name}-source"));
        let source_name = plan.name_or(source_name, "KSTREAM-SOURCE-");
        let table_name = plan.name_or(name, "KTABLE-SOURCE-");
        drop(plan);
        let nullable: ArcSerde<Option<V>> = Arc::new(OptionSerde::new(value_serde));
        let timestamps = timestamps.map(TimestampExtractor::nullable);
        let read = read_row(
            topic,
            (Arc::clone(&key_serde), Arc::clone(&nullable)),
            timestamps.clone().unwrap_or_default(),
            (Arc::clone(&store_key_serde), store_value_serde),
        );
        let supplier =
            Reading { timestamps, handler }.supplier(source_name.clone(), key_serde, nullable);
        let source = self.add_source(SourceNode {
            name: source_name,
            topics: vec![topic.to_owned()],
            reset,
            types: TypeId::of::<(K, Option<V>)>(),
            supplier,
        });
        let spec = TableSourceSpec {
            name: table_name,
            parent: source,
            key_serde: store_key_serde,
            materialized,
            queryable,
        };
        let table = add_table_source::<K, Option<V>, V>(&self.plan, spec, location);
        let mark = TableSourceMark { table: table.node, topic: topic.to_owned(), read };
        self.plan.borrow_mut().mark_table_source(mark);
        table
    }

    /// Checks everything and makes the topology.
    ///
    /// # Errors
    /// Every mistake that the calls on this builder and its streams have made, together.
    pub fn build(self) -> Result<Topology, TopologyErrors> {
        self.build_with(&TopologyConfig::new())
    }

    /// [`StreamsBuilder::build`] with rewrites that save topics and stores, or with stricter checks.
    ///
    /// # Errors
    /// As for [`StreamsBuilder::build`].
    ///
    /// # Source
    /// `StreamsBuilder.build(Properties)`, `new StreamsBuilder(TopologyConfig)`.
    pub fn build_with(self, config: &TopologyConfig) -> Result<Topology, TopologyErrors> {
        std::mem::take(&mut *self.plan.borrow_mut()).lower(config)
    }

    #[track_caller]
    pub(super) fn add_source(&self, source: SourceNode) -> GraphNodeId {
        let location = Location::caller();
        let mut plan = self.plan.borrow_mut();
        if source.topics.is_empty() || source.topics.iter().any(String::is_empty) {
            let problem = "it needs at least one topic, and no topic's name is empty".to_owned();
            plan.report(format!("source {}", source.name), problem, location);
        }
        plan.add_node(Vec::new(), GraphNodeKind::Source(source), location)
    }
}

/// How a source finds timestamps, and what it does with bytes that cannot be read; `None` is what the settings
/// say.
pub(crate) struct Reading<K, V> {
    pub(crate) timestamps: Option<TimestampExtractor<K, V>>,
    pub(crate) handler: Option<Arc<dyn DeserializationHandler>>,
}

impl<K: Data, V: Data> Reading<K, V> {
    /// A supplier of source nodes that read in this way.
    pub(crate) fn supplier(
        self,
        name: String,
        key_serde: ArcSerde<K>,
        value_serde: ArcSerde<V>,
    ) -> NodeSupplier {
        Arc::new(move |linker| {
            let default = || linker.default_timestamps().into();
            Ok(BuiltNode::Source(Rc::new(RefCell::new(Source {
                name: name.clone(),
                key_serde: Arc::clone(&key_serde),
                value_serde: Arc::clone(&value_serde),
                timestamps: self.timestamps.clone().unwrap_or_else(default),
                handler: self.handler.clone(),
                next: linker.outlet()?,
                heads: Vec::new(),
            }))))
        })
    }
}

/// A supplier of source nodes that find timestamps in this way, whatever the settings say.
pub(crate) fn source_supplier<K: Data, V: Data>(
    name: String,
    key_serde: ArcSerde<K>,
    value_serde: ArcSerde<V>,
    timestamps: TimestampExtractor<K, V>,
) -> NodeSupplier {
    let reading = Reading { timestamps: Some(timestamps), handler: None };
    reading.supplier(name, key_serde, value_serde)
}
