//! A topology put together node by node.

mod topics;

use std::any::TypeId;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::marker::PhantomData;
use std::panic::Location;
use std::rc::Rc;

use super::global_ktable::{GlobalStore, add_global};
use super::kstream::SinkSpec;
use super::kstream::process::{process_supplier, process_values_supplier};
use super::options::{Consumed, Produced};
use super::processor_supplier::{FixedKeyProcessorSupplier, ProcessorSupplier};
use super::state_store::AnyStoreBuilder;
use super::streams_builder::{Reading, Topics};
use crate::error::TopologyErrors;
use crate::graph::{GraphNodeId, GraphNodeKind, SharedPlan, SourceNode, UserStores};
use crate::processor::Data;
use crate::serdes::DefaultSerde;
use crate::topology::link::NodeSupplier;
use crate::topology::{Topology, TopologyConfig, TopologyStore};

/// Builds a topology node by node: sources, processors, sinks and stores, all named by the user.
///
/// Each call gives a handle with the types that the node forwards, and a node takes handles of what it reads as
/// its parents: edges that do not fit do not compile. As with
/// [`StreamsBuilder`](crate::StreamsBuilder), no call fails: [`TopologyBuilder::build`] reports all mistakes
/// together.
///
/// # Examples
/// ```
/// use kstream::{Processor, ProcessorContext, ProcessorError, Record, TopologyBuilder};
/// use kstream_test_utils::TopologyTestDriver;
///
/// /// Sends loud words to one child, all others to the other.
/// struct Router;
///
/// impl Processor<String, String, String, String> for Router {
///     fn process(
///         &mut self,
///         context: &mut ProcessorContext<'_, String, String>,
///         record: Record<String, String>,
///     ) -> Result<(), ProcessorError> {
///         let child = if record.value.ends_with('!') { "loud" } else { "quiet" };
///         context.forward_to(child, record)?;
///         Ok(())
///     }
/// }
///
/// let builder = TopologyBuilder::new();
/// let words = builder.add_source::<String, String>("words", "words");
/// let router = builder.add_processor("router", || Router, &[&words]);
/// builder.add_sink("loud", "loud-words", &[&router]);
/// builder.add_sink("quiet", "quiet-words", &[&router]);
///
/// let driver = TopologyTestDriver::new(builder.build()?)?;
/// driver.input_topic::<String, String>("words").pipe("a".to_owned(), "hey!".to_owned())?;
/// let loud = driver.output_topic::<String, String>("loud-words").read_key_values()?;
/// assert_eq!(loud, [("a".to_owned(), "hey!".to_owned())]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Source
/// `org.apache.kafka.streams.Topology`.
#[derive(Default)]
pub struct TopologyBuilder {
    plan: SharedPlan,
    topics: RefCell<BTreeSet<String>>,
}

/// A source or processor of a [`TopologyBuilder`], by the types that it forwards.
pub struct ParentNode<K, V> {
    plan: SharedPlan,
    node: GraphNodeId,
    types: PhantomData<fn() -> (K, V)>,
}

/// Where the rows of a global or read-only store come from: a source and its topic.
#[derive(Debug)]
pub struct StoreSource<K, V> {
    name: String,
    topic: String,
    consumed: Consumed<K, V>,
}

impl<K: DefaultSerde, V: DefaultSerde> StoreSource<K, V> {
    /// A source of this name, with default serdes.
    pub fn new(name: impl Into<String>, topic: impl Into<String>) -> Self {
        Self::with(name, topic, Consumed::new())
    }
}

impl<K, V> StoreSource<K, V> {
    /// A source with these serdes and timestamps; the name in `consumed` is not used.
    pub fn with(
        name: impl Into<String>,
        topic: impl Into<String>,
        consumed: Consumed<K, V>,
    ) -> Self {
        Self { name: name.into(), topic: topic.into(), consumed }
    }
}

impl<K, V> Clone for ParentNode<K, V> {
    fn clone(&self) -> Self {
        Self { plan: Rc::clone(&self.plan), node: self.node, types: PhantomData }
    }
}

impl<K, V> std::fmt::Debug for ParentNode<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParentNode").field("node", &self.node).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for TopologyBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TopologyBuilder").finish_non_exhaustive()
    }
}

impl TopologyBuilder {
    /// An empty builder.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a source of topics, with default serdes.
    ///
    /// # Source
    /// `Topology.addSource`.
    #[track_caller]
    pub fn add_source<K, V>(&self, name: &str, topics: impl Topics) -> ParentNode<K, V>
    where
        K: Data + DefaultSerde,
        V: Data + DefaultSerde,
    {
        self.add_source_with(name, topics, Consumed::new())
    }

    /// [`TopologyBuilder::add_source`] with serdes, start and timestamps; the name in `consumed` is not
    /// used.
    #[track_caller]
    pub fn add_source_with<K: Data, V: Data>(
        &self,
        name: &str,
        topics: impl Topics,
        consumed: Consumed<K, V>,
    ) -> ParentNode<K, V> {
        let location = Location::caller();
        let Consumed { key_serde, value_serde, reset, timestamps, handler, .. } = consumed;
        let topics = topics.into_topics();
        let reading = Reading { timestamps, handler };
        let supplier = reading.supplier(name.to_owned(), key_serde, value_serde);
        let types = TypeId::of::<(K, V)>();
        let mut plan = self.plan.borrow_mut();
        let report = |problem: &str| (format!("source {name}"), problem.to_owned());
        if topics.is_empty() || topics.iter().any(String::is_empty) {
            let (subject, problem) =
                report("it needs at least one topic, and no topic's name is empty");
            plan.report(subject, problem, location);
        }
        for topic in &topics {
            if !self.topics.borrow_mut().insert(topic.clone()) {
                let (subject, _) = report("");
                let problem =
                    format!("topic {topic} has a source already; give that more children");
                plan.report(subject, problem, location);
            }
        }
        let name = name.to_owned();
        let kind = GraphNodeKind::Source(SourceNode { name, topics, reset, types, supplier });
        let node = plan.add_node(Vec::new(), kind, location);
        drop(plan);
        self.parent(node)
    }

    /// Adds a processor behind its parents.
    ///
    /// # Source
    /// `Topology.addProcessor`.
    #[track_caller]
    pub fn add_processor<K: Data, V: Data, KOut: Data, VOut: Data>(
        &self,
        name: &str,
        supplier: impl ProcessorSupplier<K, V, KOut, VOut>,
        parents: &[&ParentNode<K, V>],
    ) -> ParentNode<KOut, VOut> {
        let brought = supplier.stores();
        let supplier = process_supplier(supplier);
        self.parent(self.add_processor_node(name, supplier, brought, parents))
    }

    /// Adds a processor that keeps the key.
    ///
    /// # Source
    /// `Topology.addProcessor` with a `FixedKeyProcessorSupplier`.
    #[track_caller]
    pub fn add_fixed_key_processor<K: Data, V: Data, VOut: Data>(
        &self,
        name: &str,
        supplier: impl FixedKeyProcessorSupplier<K, V, VOut>,
        parents: &[&ParentNode<K, V>],
    ) -> ParentNode<K, VOut> {
        let brought = supplier.stores();
        let supplier = process_values_supplier(supplier);
        self.parent(self.add_processor_node(name, supplier, brought, parents))
    }

    /// Adds a sink behind its parents, with default serdes.
    ///
    /// # Source
    /// `Topology.addSink`.
    #[track_caller]
    pub fn add_sink<K, V>(&self, name: &str, topic: &str, parents: &[&ParentNode<K, V>])
    where
        K: Data + DefaultSerde,
        V: Data + DefaultSerde,
    {
        self.add_sink_with(name, topic, Produced::new(), parents);
    }

    /// [`TopologyBuilder::add_sink`] with options; the name in `produced` is not used.
    #[track_caller]
    pub fn add_sink_with<K: Data, V: Data>(
        &self,
        name: &str,
        topic: &str,
        produced: Produced<K, V>,
        parents: &[&ParentNode<K, V>],
    ) {
        let location = Location::caller();
        let parents = self.parents(&format!("sink {name}"), parents, location);
        let mut plan = self.plan.borrow_mut();
        if topic.is_empty() {
            let problem = "the topic's name must not be empty".to_owned();
            plan.report(format!("sink {name}"), problem, location);
        }
        let (name, topic) = (name.to_owned(), topic.to_owned());
        let sink = SinkSpec { name: name.clone(), topic: topic.clone(), internal: false };
        let Produced { key_serde, value_serde, partitioner, .. } = produced;
        let supplier = sink.supplier_with(key_serde, value_serde, partitioner);
        plan.add_node(parents, GraphNodeKind::Sink { name, topic, supplier }, location);
    }

    /// Adds a store and connects it to the processors of these names, which may be added later.
    ///
    /// # Source
    /// `Topology.addStateStore`.
    #[track_caller]
    pub fn add_state_store(&self, builder: impl Into<AnyStoreBuilder>, processors: &[&str]) {
        let location = Location::caller();
        let builder = builder.into();
        let mut plan = self.plan.borrow_mut();
        let name = builder.name().to_owned();
        plan.add_built(builder, location);
        for processor in processors {
            plan.connect_by_name(processor, &name, location);
        }
    }

    /// Connects a processor to stores; all of them may be added later.
    ///
    /// # Source
    /// `Topology.connectProcessorAndStateStores`.
    #[track_caller]
    pub fn connect_processor_and_state_stores(&self, processor: &str, stores: &[&str]) {
        let mut plan = self.plan.borrow_mut();
        for store in stores {
            plan.connect_by_name(processor, store, Location::caller());
        }
    }

    /// Adds a store that a processor fills from a topic, without changing what it takes over, and that others,
    /// connected to it, read.
    ///
    /// **Shape**: one store per task, without a changelog of its own: a task that moves takes keys and values from
    /// the topic as they are, not through the processor.
    ///
    /// # Source
    /// `Topology.addReadOnlyStateStore` (KIP-813).
    #[track_caller]
    pub fn add_read_only_state_store<K: Data, V: Data>(
        &self,
        builder: impl Into<AnyStoreBuilder>,
        source: StoreSource<K, V>,
        processor_name: &str,
        supplier: impl ProcessorSupplier<K, V, Infallible, Infallible>,
    ) {
        let location = Location::caller();
        let StoreSource { name, topic, consumed } = source;
        let source = self.add_source_with(&name, topic.as_str(), consumed);
        self.add_processor(processor_name, supplier, &[&source]);
        let AnyStoreBuilder { store, problem } = builder.into();
        let store = TopologyStore { logging: false, ..store };
        let name = store.name.clone();
        let mut plan = self.plan.borrow_mut();
        let store = plan.add_built(AnyStoreBuilder { store, problem }, location);
        plan.restore_from_source(store, &topic);
        plan.connect_by_name(processor_name, &name, location);
    }

    /// Adds a store that every process keeps whole; a processor fills it from a topic, and all others can read it.
    ///
    /// # Source
    /// `Topology.addGlobalStore`.
    #[track_caller]
    pub fn add_global_store<K: Data, V: Data>(
        &self,
        builder: impl Into<AnyStoreBuilder>,
        source: StoreSource<K, V>,
        processor_name: &str,
        supplier: impl ProcessorSupplier<K, V, Infallible, Infallible>,
    ) {
        let StoreSource { name, topic, consumed } = source;
        let Consumed { key_serde, value_serde, timestamps, handler, .. } = consumed;
        let location = Location::caller();
        let mut plan = self.plan.borrow_mut();
        let parts = GlobalStore {
            source: Reading { timestamps, handler }.supplier(name.clone(), key_serde, value_serde),
            source_name: name,
            topic,
            types: TypeId::of::<(K, V)>(),
            processor_name: processor_name.to_owned(),
            processor: process_supplier(supplier),
            store: add_global(&mut plan, builder.into(), location),
        };
        parts.add_to(&mut plan, location);
    }

    /// Checks everything and makes the topology.
    ///
    /// # Errors
    /// Every mistake that the calls on this builder have made, together.
    pub fn build(self) -> Result<Topology, TopologyErrors> {
        std::mem::take(&mut *self.plan.borrow_mut()).lower(&TopologyConfig::new())
    }

    #[track_caller]
    fn add_processor_node<K, V>(
        &self,
        name: &str,
        supplier: NodeSupplier,
        brought: Vec<AnyStoreBuilder>,
        parents: &[&ParentNode<K, V>],
    ) -> GraphNodeId {
        let location = Location::caller();
        let parents = self.parents(&format!("node {name}"), parents, location);
        let mut plan = self.plan.borrow_mut();
        let name = name.to_owned();
        let kind = GraphNodeKind::Processor { name, supplier, stores: Vec::new() };
        let node = plan.add_node(parents, kind, location);
        plan.connect(node, UserStores::new(&[], brought), location);
        node
    }

    fn parent<K, V>(&self, node: GraphNodeId) -> ParentNode<K, V> {
        ParentNode { plan: Rc::clone(&self.plan), node, types: PhantomData }
    }

    fn parents<K, V>(
        &self,
        subject: &str,
        parents: &[&ParentNode<K, V>],
        location: &'static Location<'static>,
    ) -> Vec<GraphNodeId> {
        let report = |problem: &str| {
            let mut plan = self.plan.borrow_mut();
            plan.report(subject.to_owned(), problem.to_owned(), location);
        };
        if parents.is_empty() {
            report("it has no parent and would never see a record");
        }
        if parents.iter().any(|parent| !Rc::ptr_eq(&parent.plan, &self.plan)) {
            report("a parent comes from another builder");
        }
        parents.iter().map(|parent| parent.node).collect()
    }
}
