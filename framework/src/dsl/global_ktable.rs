//! Tables that every task sees whole, and stores that are filled for all tasks.

use std::any::TypeId;
use std::convert::Infallible;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use super::kstream::process::process_supplier;
use super::options::{Consumed, Materialized};
use super::processor_supplier::ProcessorSupplier;
use super::state_store::AnyStoreBuilder;
use super::stores::add_store;
use super::streams_builder::{Reading, StreamsBuilder};
use crate::graph::{GraphNodeKind, Plan, SharedPlan, SourceNode};
use crate::processor::Data;
use crate::processor::operators::global_table::GlobalTableSource;
use crate::processor::timestamp_extractor::TimestampExtractor;
use crate::serdes::{ArcSerde, DefaultSerde, OptionSerde};
use crate::topology::link::{NodeSupplier, node};
use crate::topology::{StoreId, StoreKind, TopologyStore};

/// A table that every process keeps whole, whatever the partitions of its tasks: for each key its latest
/// value. Streams look it up with [`KStream::join_global`](crate::KStream::join_global), processors by its
/// store's name.
///
/// # Source
/// `org.apache.kafka.streams.kstream.GlobalKTable`.
pub struct GlobalKTable<K, V> {
    pub(super) plan: SharedPlan,
    pub(super) store: StoreId,
    pub(super) key_serde: ArcSerde<K>,
    store_name: String,
    values: std::marker::PhantomData<fn() -> V>,
}

impl<K, V> Clone for GlobalKTable<K, V> {
    fn clone(&self) -> Self {
        Self {
            plan: Rc::clone(&self.plan),
            store: self.store,
            key_serde: Arc::clone(&self.key_serde),
            store_name: self.store_name.clone(),
            values: std::marker::PhantomData,
        }
    }
}

impl<K, V> std::fmt::Debug for GlobalKTable<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GlobalKTable").field("store", &self.store_name).finish_non_exhaustive()
    }
}

impl<K, V> GlobalKTable<K, V> {
    /// The name of its store.
    pub fn store_name(&self) -> &str {
        &self.store_name
    }
}

/// A source and the node behind it that fills a global store.
pub(crate) struct GlobalStore {
    pub(crate) source_name: String,
    pub(crate) topic: String,
    pub(crate) types: TypeId,
    pub(crate) source: NodeSupplier,
    pub(crate) processor_name: String,
    pub(crate) processor: NodeSupplier,
    pub(crate) store: StoreId,
}

impl GlobalStore {
    /// Adds the nodes to the plan.
    pub(crate) fn add_to(self, plan: &mut Plan, location: &'static Location<'static>) {
        if self.topic.is_empty() {
            let problem = "the topic's name must not be empty".to_owned();
            plan.report(format!("source {}", self.source_name), problem, location);
        }
        let source = GraphNodeKind::GlobalSource(SourceNode {
            name: self.source_name,
            topics: vec![self.topic],
            reset: crate::topology::AutoOffsetReset::Earliest,
            types: self.types,
            supplier: self.source,
        });
        let source = plan.add_node(Vec::new(), source, location);
        plan.share_store(self.store);
        let kind = GraphNodeKind::Processor {
            name: self.processor_name,
            supplier: self.processor,
            stores: vec![self.store],
        };
        plan.add_node(vec![source], kind, location);
    }
}

impl StreamsBuilder {
    /// Reads a topic as a table that every process keeps whole, with default serdes.
    ///
    /// **Shape**: records of all partitions → `(K, V)` rows; a null value deletes its row, records with a null
    /// key are dropped. No changelog: the topic is read anew from where the local rows stand. Tasks begin
    /// when the table is complete; then it follows its topic, without regard to the tasks' event time.
    /// [`KStream::join_global`](crate::KStream::join_global) has an example.
    ///
    /// # Source
    /// `StreamsBuilder.globalTable`.
    #[track_caller]
    pub fn global_table<K, V>(&self, topic: &str) -> GlobalKTable<K, V>
    where
        K: Data + DefaultSerde,
        V: Data + DefaultSerde,
    {
        self.global_table_with(topic, Consumed::new(), Materialized::new())
    }

    /// [`StreamsBuilder::global_table`] with options.
    #[track_caller]
    pub fn global_table_with<K: Data, V: Data>(
        &self,
        topic: &str,
        consumed: Consumed<K, V>,
        materialized: Materialized<K, V>,
    ) -> GlobalKTable<K, V> {
        let Consumed { key_serde, value_serde, name, timestamps, handler, .. } = consumed;
        let location = Location::caller();
        let mut plan = self.plan.borrow_mut();
        let name_of_store = |plan: &mut Plan| plan.store_name(&format!("{topic}-"));
        let store_name = materialized.name.clone().unwrap_or_else(|| name_of_store(&mut plan));
        let store_key_serde =
            materialized.key_serde.clone().unwrap_or_else(|| Arc::clone(&key_serde));
        let materialized = Materialized {
            name: Some(store_name.clone()),
            key_serde: Some(Arc::clone(&store_key_serde)),
            ..materialized
        };
        let mut materialized = materialized.with_logging_disabled().with_caching_disabled();
        if materialized.history.take().is_some() {
            let problem = "a global table keeps no history; remove it".to_owned();
            plan.report(format!("store {store_name}"), problem, location);
        }
        let store = add_store(&mut plan, materialized, StoreKind::KeyValue, location);
        let (source_name, processor_name) = global_names(&mut plan, name);
        let nullable: ArcSerde<Option<V>> = Arc::new(OptionSerde::new(value_serde));
        let timestamps = timestamps.map(TimestampExtractor::nullable);
        let reading = Reading { timestamps, handler };
        let source = reading.supplier(source_name.clone(), key_serde, nullable);
        let (node_name, node_serde) = (processor_name.clone(), Arc::clone(&store_key_serde));
        let processor = node(move |linker| {
            Ok(GlobalTableSource::<K, V> {
                name: node_name.clone(),
                key_serde: Arc::clone(&node_serde),
                rows: linker.rows(store)?,
                key_bytes: Vec::new(),
            })
        });
        let (topic, types) = (topic.to_owned(), TypeId::of::<(K, Option<V>)>());
        let parts =
            GlobalStore { source_name, topic, types, source, processor_name, processor, store };
        parts.add_to(&mut plan, location);
        drop(plan);
        GlobalKTable {
            plan: Rc::clone(&self.plan),
            store,
            key_serde: store_key_serde,
            store_name,
            values: std::marker::PhantomData,
        }
    }

    /// Adds a store that every process keeps whole; a processor of the user's own fills it from a topic, and every
    /// other processor can read it by its name.
    ///
    /// **Shape**: records of all partitions → what the processor puts into the store. It forwards nothing. No
    /// changelog: after a restart the processor sees records again that were not yet safe on disk.
    ///
    /// # Examples
    /// ```
    /// use std::convert::Infallible;
    /// use kstream::state::KeyValueStore;
    /// use kstream::{
    ///     Consumed, Processor, ProcessorContext, ProcessorError, Record, Stores, StreamsBuilder,
    /// };
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// /// Keeps the highest value of each key.
    /// #[derive(Default)]
    /// struct Highest {
    ///     store: Option<KeyValueStore<String, i64>>,
    /// }
    ///
    /// impl Processor<String, i64, Infallible, Infallible> for Highest {
    ///     fn init(
    ///         &mut self,
    ///         context: &mut ProcessorContext<'_, Infallible, Infallible>,
    ///     ) -> Result<(), ProcessorError> {
    ///         self.store = Some(context.store("highest")?);
    ///         Ok(())
    ///     }
    ///
    ///     fn process(
    ///         &mut self,
    ///         _: &mut ProcessorContext<'_, Infallible, Infallible>,
    ///         record: Record<String, i64>,
    ///     ) -> Result<(), ProcessorError> {
    ///         let store = self.store.as_ref().ok_or("init comes first")?;
    ///         let highest = store.get(&record.key)?.unwrap_or(i64::MIN);
    ///         store.put(&record.key, highest.max(record.value))?;
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let builder = StreamsBuilder::new();
    /// let highest = Stores::in_memory_key_value_store("highest");
    /// let highest = Stores::key_value_store_builder::<String, i64>(highest);
    /// builder.add_global_store(highest, "levels", Consumed::new(), Highest::default);
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let levels = driver.input_topic::<String, i64>("levels");
    /// for level in [3, 9, 4] {
    ///     levels.pipe("a".to_owned(), level)?;
    /// }
    /// let rows = driver.store_rows::<String, i64>("highest")?;
    /// assert_eq!(rows.iter().map(|row| row.value).collect::<Vec<_>>(), [9]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// `StreamsBuilder.addGlobalStore`.
    #[track_caller]
    pub fn add_global_store<K: Data, V: Data>(
        &self,
        builder: impl Into<AnyStoreBuilder>,
        topic: &str,
        consumed: Consumed<K, V>,
        supplier: impl ProcessorSupplier<K, V, Infallible, Infallible>,
    ) {
        let Consumed { key_serde, value_serde, name, timestamps, handler, .. } = consumed;
        let location = Location::caller();
        let mut plan = self.plan.borrow_mut();
        let store = add_global(&mut plan, builder.into(), location);
        let (source_name, processor_name) = global_names(&mut plan, name);
        let reading = Reading { timestamps, handler };
        let source = reading.supplier(source_name.clone(), key_serde, value_serde);
        let parts = GlobalStore {
            source_name,
            topic: topic.to_owned(),
            types: TypeId::of::<(K, V)>(),
            source,
            processor_name,
            processor: process_supplier(supplier),
            store,
        };
        parts.add_to(&mut plan, location);
    }
}

/// Adds a global store: it has no changelog, and every update is written at once.
pub(super) fn add_global(
    plan: &mut Plan,
    builder: AnyStoreBuilder,
    location: &'static Location<'static>,
) -> StoreId {
    let AnyStoreBuilder { store, mut problem } = builder;
    if let StoreKind::Versioned { .. } = store.kind {
        problem.get_or_insert_with(|| "a versioned store cannot be global".to_owned());
    }
    let store = TopologyStore { logging: false, caching: false, ..store };
    plan.add_built(AnyStoreBuilder { store, problem }, location)
}

/// The names of a source and of the node behind it.
fn global_names(plan: &mut Plan, name: Option<String>) -> (String, String) {
    let source = name.as_ref().map(|name| format!("{name}-source"));
    (plan.name_or(source, "KSTREAM-SOURCE-"), plan.name_or(name, "KTABLE-SOURCE-"))
}
