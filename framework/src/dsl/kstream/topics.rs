//! Streams into topics: the user's own, and those of repartitions.

use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use crate::dsl::KStream;
use crate::dsl::options::{Produced, Repartitioned};
use crate::dsl::repartition::{RepartitionSpec, partitioned_node};
use crate::graph::GraphNodeKind;
use crate::processor::Data;
use crate::processor::operators::sink::{Sink, SinkTopic};
use crate::processor::stream_partitioner::StreamPartitioner;
use crate::processor::topic_name_extractor::TopicNameExtractor;
use crate::serdes::{ArcSerde, DefaultSerde};
use crate::topology::link::{Linker, NodeSupplier, node};

impl<K: Data, V: Data> KStream<K, V> {
    /// Sends all records through a topic of the application's own, partitioned by key, with default
    /// serdes. Records with a null key are dropped.
    ///
    /// # Examples
    /// ```
    /// use kstream::{KStream, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let views: KStream<String, String> = builder.stream("views");
    /// views.select_key(|_, country| country.clone()).repartition().to("views-by-country");
    /// let topology = builder.build()?;
    /// assert_eq!(topology.subtopologies().len(), 2);
    /// let driver = TopologyTestDriver::new(topology)?;
    /// driver.input_topic::<String, String>("views").pipe("/".to_owned(), "NL".to_owned())?;
    /// let views = driver.output_topic::<String, String>("views-by-country");
    /// assert_eq!(views.read_key_values()?, [("NL".to_owned(), "NL".to_owned())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    #[track_caller]
    pub fn repartition(&self) -> Self
    where
        K: DefaultSerde,
        V: DefaultSerde,
    {
        self.repartition_with(Repartitioned::with(self.inferred_key_serde(), V::default_serde()))
    }

    /// [`KStream::repartition`] with options.
    ///
    /// # Source
    /// `KStream.repartition` (KIP-221).
    #[must_use]
    #[track_caller]
    pub fn repartition_with(&self, repartitioned: Repartitioned<K, V>) -> Self {
        let Repartitioned { key_serde, value_serde, name, partitions, partitioner } = repartitioned;
        let mut plan = self.plan.borrow_mut();
        let prefix = name.unwrap_or_else(|| plan.processor_name("KSTREAM-REPARTITION-"));
        let names = plan.repartition_names(&prefix);
        let repartition = RepartitionSpec { names, partitions, key_serde, value_serde };
        let location = Location::caller();
        let kind =
            GraphNodeKind::Repartition(partitioned_node::<K, V, V>(repartition, partitioner));
        let node = plan.add_node(vec![self.node], kind, location);
        drop(plan);
        Self::new(Rc::clone(&self.plan), node, false).with_key_serde(self.key_serde.clone())
    }

    /// Writes all records to a topic, with default serdes; keys of windows as the table has them that they come
    /// from.
    ///
    /// **Shape**: the partition is the one that Java's default partitioner gives the key; records with a null
    /// key are spread. A windowed key is partitioned by the key inside.
    #[track_caller]
    pub fn to(&self, topic: &str)
    where
        K: DefaultSerde,
        V: DefaultSerde,
    {
        self.to_with(topic, Produced::with(self.inferred_key_serde(), V::default_serde()));
    }

    /// [`KStream::to`] with options.
    #[track_caller]
    pub fn to_with(&self, topic: &str, produced: Produced<K, V>) {
        let Produced { key_serde, value_serde, name, partitioner } = produced;
        let mut plan = self.plan.borrow_mut();
        let name = plan.name_or(name, "KSTREAM-SINK-");
        let location = Location::caller();
        if topic.is_empty() {
            let problem = "the topic's name must not be empty".to_owned();
            plan.report(format!("sink {name}"), problem, location);
        }
        let sink = SinkSpec { name: name.clone(), topic: topic.to_owned(), internal: false };
        let supplier = sink.supplier_with(key_serde, value_serde, partitioner);
        let kind = GraphNodeKind::Sink { name, topic: topic.to_owned(), supplier };
        plan.add_node(vec![self.node], kind, location);
    }

    /// Writes each record to the topic that `extractor` names, with default serdes. The topics have to exist.
    ///
    /// **Shape**: as [`KStream::to`].
    ///
    /// # Examples
    /// ```
    /// use kstream::{KStream, StreamsBuilder, TopicNameExtractor};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let orders: KStream<String, i64> = builder.stream("orders");
    /// let by_size = |_: &String, amount: &i64| if *amount < 100 { "small" } else { "large" };
    /// orders.to_extracted(TopicNameExtractor::new("by-size", move |key, amount, _context| {
    ///     format!("{}-orders", by_size(key, amount))
    /// }));
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let input = driver.input_topic::<String, i64>("orders");
    /// input.pipe("a".to_owned(), 7)?;
    /// input.pipe("b".to_owned(), 700)?;
    /// assert_eq!(driver.output_topic::<String, i64>("large-orders").read_values()?, [700]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// `KStream.to(TopicNameExtractor)` (KIP-303).
    #[track_caller]
    pub fn to_extracted(&self, extractor: TopicNameExtractor<K, V>)
    where
        K: DefaultSerde,
        V: DefaultSerde,
    {
        let produced = Produced::with(self.inferred_key_serde(), V::default_serde());
        self.to_extracted_with(extractor, produced);
    }

    /// [`KStream::to_extracted`] with options.
    #[track_caller]
    pub fn to_extracted_with(&self, extractor: TopicNameExtractor<K, V>, produced: Produced<K, V>) {
        let mut plan = self.plan.borrow_mut();
        let name = plan.name_or(produced.name.clone(), "KSTREAM-SINK-");
        let kind = SinkOptions::named(name, produced).routing_node(extractor);
        plan.add_node(vec![self.node], kind, Location::caller());
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
        key_serde: ArcSerde<K>,
        value_serde: ArcSerde<V>,
    ) -> NodeSupplier {
        self.supplier_with(key_serde, value_serde, None)
    }

    pub(crate) fn supplier_with<K: Data, V: Data>(
        self,
        key_serde: ArcSerde<K>,
        value_serde: ArcSerde<V>,
        partitioner: Option<StreamPartitioner<K, V>>,
    ) -> NodeSupplier {
        let Self { name, topic, internal } = self;
        let topic = move |linker: &Linker<'_>| {
            SinkTopic::fixed(if internal {
                format!("{}-{topic}", linker.application_id())
            } else {
                topic.clone()
            })
        };
        SinkOptions { name, key_serde, value_serde, partitioner }.supplier(topic, internal)
    }
}

/// What all sinks have.
pub(in crate::dsl) struct SinkOptions<K, V> {
    name: String,
    key_serde: ArcSerde<K>,
    value_serde: ArcSerde<V>,
    partitioner: Option<StreamPartitioner<K, V>>,
}

impl<K: Data, V: Data> SinkOptions<K, V> {
    /// A sink of this name, whatever name is in the options.
    pub(in crate::dsl) fn named(name: String, produced: Produced<K, V>) -> Self {
        let Produced { key_serde, value_serde, partitioner, .. } = produced;
        Self { name, key_serde, value_serde, partitioner }
    }

    /// A sink that asks for the topic of each record.
    pub(in crate::dsl) fn routing_node(self, extractor: TopicNameExtractor<K, V>) -> GraphNodeKind {
        let (name, described) = (self.name.clone(), extractor.name().to_owned());
        let supplier = self.supplier(move |_| SinkTopic::extracted(extractor.clone()), false);
        GraphNodeKind::RoutingSink { name, extractor: described, supplier }
    }

    fn supplier(
        self,
        topic: impl Fn(&Linker<'_>) -> SinkTopic<K, V> + Send + Sync + 'static,
        whole_key: bool,
    ) -> NodeSupplier {
        node(move |linker| {
            Ok(Sink {
                name: self.name.clone(),
                topic: topic(linker),
                partitioner: self.partitioner.clone(),
                key_serde: Arc::clone(&self.key_serde),
                value_serde: Arc::clone(&self.value_serde),
                key_bytes: Vec::new(),
                value_bytes: Vec::new(),
                whole_key,
            })
        })
    }
}
