//! From plan to typed task: one instance of every node and store of a task, edges resolved, once.
//!
//! Nodes are built children first, so that a node finds its children's ports. A port is kept without
//! its type until its parents ask for it; both ends of an edge must agree on the record type, which is
//! checked here and never again.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::{NodeId, StoreId, StoreKind, Topology, TopologyStore, UNCONNECTED};
use crate::config::{ChangelogUpdates, DslStoreFormat, StreamsConfig};
use crate::error::{Error, ErrorKind};
use crate::ids::TaskId;
use crate::processor::calls::{CallRuntime, Calls, RunningRuntime};
use crate::processor::operators::guard::Guard;
use crate::processor::operators::source::RawNode;
use crate::processor::operators::table_rows::TableRows;
use crate::processor::processor_context::ProcessorNode;
use crate::processor::progress::Progress;
use crate::processor::timestamp_extractor::BuiltInTimestampExtractor;
use crate::processor::{Data, Edge, Flush, Lifecycle, Node, Outlet, Port, ProcessorId};
use crate::record::Timestamp;
use crate::state::RowStore;
use crate::state::buffer::TimeOrderedBuffer;
use crate::state::handle::RecordClock;
use crate::state::rows::{ManagedStore, RowBudget, Rows};
use crate::state::versioned::VersionedRows;

/// Builds one instance of a node for one task.
pub(crate) type NodeSupplier =
    Arc<dyn Fn(&mut Linker<'_>) -> Result<BuiltNode, Error> + Send + Sync>;

/// Builds the typed layer of a store for one task.
pub(crate) type StoreSupplier =
    Arc<dyn Fn(Box<dyn RowStore>, StoreSettings) -> Result<BuiltStore, Error> + Send + Sync>;

/// What a store has to know of the configuration and of its task.
#[derive(Debug, Clone)]
pub(crate) struct StoreSettings {
    /// Memory for its committed rows.
    pub(crate) budget: RowBudget,
    /// Whether its changelog gets every update instead of the latest per key.
    pub(crate) log_every_update: bool,
    /// Whether the record cache holds its updates back.
    pub(crate) cached: bool,
    /// What the stores of tables and aggregations keep.
    pub(crate) dsl_format: DslStoreFormat,
    /// For the handle: the time of a write.
    pub(crate) clock: RecordClock,
}

/// Opens the row store of a store: `(store, its topology entry)`.
pub(crate) type OpenRows<'a> = dyn FnMut(StoreId) -> Result<Box<dyn RowStore>, Error> + 'a;

/// A node instance.
pub(crate) enum BuiltNode {
    /// A source; it takes raw records.
    Source(Rc<RefCell<dyn RawNode>>),
    /// Any other node: a boxed `Port<K, V>`.
    Inner(Box<dyn Any>),
}

/// A store instance.
pub(crate) struct BuiltStore {
    pub(crate) managed: Rc<RefCell<dyn ManagedStore>>,
    /// An `Rc<RefCell<Rows<V>>>`, or an `Rc<RefCell<TimeOrderedBuffer>>`.
    pub(crate) rows: Box<dyn Any>,
    /// A [`StateStoreHandle`](crate::state::StateStoreHandle), if processors can ask for the store.
    pub(crate) handle: Option<Rc<dyn Any>>,
}

impl BuiltStore {
    pub(crate) fn of_rows<V: Clone + 'static>(rows: Rows<V>) -> Self {
        let rows = Rc::new(RefCell::new(rows));
        let managed: Rc<RefCell<dyn ManagedStore>> = Rc::<RefCell<Rows<V>>>::clone(&rows);
        Self { managed, rows: Box::new(rows), handle: None }
    }

    pub(crate) fn of_buffer(buffer: TimeOrderedBuffer) -> Self {
        let buffer = Rc::new(RefCell::new(buffer));
        let managed: Rc<RefCell<dyn ManagedStore>> =
            Rc::<RefCell<TimeOrderedBuffer>>::clone(&buffer);
        Self { managed, rows: Box::new(buffer), handle: None }
    }
}

/// A store of a linked task.
pub(crate) struct LinkedStore {
    pub(crate) id: StoreId,
    pub(crate) built: BuiltStore,
}

/// The user's processors of a task.
pub(crate) type Processors = BTreeMap<ProcessorId, Rc<RefCell<dyn Lifecycle>>>;

/// A linked task: what a runtime drives.
pub(crate) struct LinkedTask {
    /// Source nodes with the topics they read (bare names for internal topics).
    pub(crate) sources: Vec<(NodeId, Rc<RefCell<dyn RawNode>>)>,
    /// The user's processors, parents before children.
    pub(crate) processors: Processors,
    /// Nodes that hold records back, in the order a record meets them.
    pub(crate) flushers: Vec<Rc<RefCell<dyn Flush>>>,
    /// Nodes whose records wait for calls, in the order a record meets them.
    pub(crate) calls: Vec<Rc<RefCell<dyn Calls>>>,
    pub(crate) stores: Vec<LinkedStore>,
    /// What operators remember from run to run.
    pub(crate) progress: Progress,
    /// Set to the timestamp of each record that a processor works on.
    pub(crate) clock: RecordClock,
}

/// The edges of a node that forwards two kinds of records.
pub(crate) type TwoOutlets<K, V, K2, V2> = (Outlet<K, V>, Outlet<K2, V2>);

/// What a node's supplier sees while a task is linked.
pub(crate) struct Linker<'a> {
    topology: &'a Topology,
    node: NodeId,
    ports: Vec<Option<Box<dyn Any>>>,
    stores: Vec<LinkedStore>,
    flushers: Vec<Rc<RefCell<dyn Flush>>>,
    calls: Vec<Rc<RefCell<dyn Calls>>>,
    /// What nodes of this task share beside stores, by the store that it goes with.
    shared: Vec<(StoreId, Rc<dyn Any>)>,
    processors: Processors,
    progress: Progress,
    settings: &'a LinkSettings,
}

/// What a task's stores and nodes have to know of the configuration.
#[derive(Debug, Clone)]
pub(crate) struct LinkSettings {
    /// The application id: the names of internal topics begin with it.
    pub(crate) application_id: String,
    /// Which nodes the task has.
    pub(crate) scope: TaskScope,
    /// Whether the record cache is on: updates are held back until the task commits.
    pub(crate) record_cache: bool,
    /// Whether there is a processing handler.
    pub(crate) guarded: bool,
    /// How long, in milliseconds, an empty partition holds up the others of its task; `None`: not at all.
    pub(crate) max_idle_ms: Option<i64>,
    /// Where timestamps come from where a source does not say.
    pub(crate) timestamps: BuiltInTimestampExtractor,
    /// Memory for each store's committed rows.
    pub(crate) budget: RowBudget,
    /// What changelogs of stores without record cache get.
    pub(crate) changelog_updates: ChangelogUpdates,
    /// What the stores of tables and aggregations keep.
    pub(crate) dsl_store_format: DslStoreFormat,
    /// What runs the calls of asynchronous operators.
    pub(crate) call_runtime: CallRuntime,
}

impl LinkSettings {
    /// How long the task's empty partitions hold up the others. Those of global stores never do.
    pub(crate) fn max_idle_ms(&self) -> Option<i64> {
        self.max_idle_ms.filter(|_| self.scope != TaskScope::Global)
    }

    /// What `config` says about linking.
    pub(crate) fn of(config: &StreamsConfig, scope: TaskScope) -> Self {
        Self {
            application_id: config.application_id.clone(),
            scope,
            record_cache: config.statestore_cache_max_bytes > 0,
            guarded: config.processing_handler.is_some(),
            max_idle_ms: config.max_task_idle.milliseconds(),
            timestamps: config.default_timestamp_extractor,
            budget: RowBudget { cached_bytes: config.statestore_row_cache_max_bytes },
            changelog_updates: config.changelog_updates,
            dsl_store_format: config.dsl_store_format,
            call_runtime: CallRuntime::new(config.async_runtime.clone()),
        }
    }

    fn store(&self, store: &TopologyStore, clock: &RecordClock) -> StoreSettings {
        let cached = store.caching && self.record_cache;
        let every = self.changelog_updates == ChangelogUpdates::Every;
        StoreSettings {
            budget: self.budget,
            log_every_update: every && store.logging && !cached,
            cached,
            dsl_format: self.dsl_store_format,
            clock: clock.clone(),
        }
    }
}

impl Linker<'_> {
    /// Whether a store that asks for caching gets it.
    pub(crate) fn record_cache(&self) -> bool {
        self.settings.record_cache
    }

    /// What runs the calls of asynchronous operators; the first to ask starts it.
    pub(crate) fn call_runtime(&self) -> Result<RunningRuntime, Error> {
        self.settings.call_runtime.start()
    }

    /// Where timestamps come from where a source does not say.
    pub(crate) fn default_timestamps(&self) -> BuiltInTimestampExtractor {
        self.settings.timestamps
    }

    /// What an operator remembers from run to run, by the name of its store.
    pub(crate) fn progress(&mut self, store: StoreId) -> Rc<Cell<Timestamp>> {
        self.progress.of(&self.topology.store(store).name)
    }

    /// The application id.
    pub(crate) fn application_id(&self) -> &str {
        &self.settings.application_id
    }

    /// The node's name.
    pub(crate) fn node_name(&self) -> String {
        self.topology.node(self.node).name.clone()
    }

    /// The edge to the node's children.
    pub(crate) fn outlet<K: Data, V: Data>(&self) -> Result<Outlet<K, V>, Error> {
        let node = self.topology.node(self.node);
        let mut edges = Vec::with_capacity(node.children.len());
        for child in &node.children {
            let Some(port) = self.edge::<K, V>(*child) else {
                return Err(self.mismatch(*child, std::any::type_name::<(K, V)>()));
            };
            edges.push(port);
        }
        Ok(Outlet::new(edges))
    }

    /// The port of the present node: the node itself, or a guard around it.
    fn port<K: Data, V: Data>(&self, node: Port<K, V>) -> BuiltNode {
        let port: Port<K, V> = if self.settings.guarded {
            let name = self.topology.node(self.node).name.as_str().into();
            Rc::new(RefCell::new(Guard { name, node }))
        } else {
            node
        };
        BuiltNode::Inner(Box::new(port))
    }

    /// The edges to the children of a node that forwards two kinds of records: each child takes one of them.
    pub(crate) fn outlets<K: Data, V: Data, K2: Data, V2: Data>(
        &self,
    ) -> Result<TwoOutlets<K, V, K2, V2>, Error> {
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for child in &self.topology.node(self.node).children {
            if let Some(port) = self.edge::<K, V>(*child) {
                first.push(port);
            } else if let Some(port) = self.edge::<K2, V2>(*child) {
                second.push(port);
            } else {
                return Err(self.mismatch(*child, std::any::type_name::<((K, V), (K2, V2))>()));
            }
        }
        Ok((Outlet::new(first), Outlet::new(second)))
    }

    fn edge<K: Data, V: Data>(&self, child: NodeId) -> Option<Edge<K, V>> {
        let port = self.ports.get(child.0)?.as_ref()?;
        let port = Rc::clone(port.downcast_ref::<Port<K, V>>()?);
        Some(Edge { port, name: self.topology.node(child).name.as_str().into() })
    }

    #[cold]
    fn mismatch(&self, child: NodeId, types: &str) -> Error {
        let node = &self.topology.node(self.node).name;
        let child = &self.topology.node(child).name;
        let message = format!("{node} forwards {types}, which {child} does not take");
        Error::new(ErrorKind::Config, message)
    }

    /// Memory for each store's committed rows, in bytes.
    pub(crate) fn row_cache_bytes(&self) -> usize {
        self.settings.budget.cached_bytes
    }

    /// What the nodes of this task that ask for the same store and type share; made for the first.
    pub(crate) fn shared<T: Default + 'static>(&mut self, of: StoreId) -> Rc<T> {
        let found = self.shared.iter().filter(|(store, _)| *store == of);
        let mut found = found.filter_map(|(_, shared)| Rc::clone(shared).downcast::<T>().ok());
        if let Some(shared) = found.next() {
            return shared;
        }
        drop(found);
        let made = Rc::new(T::default());
        self.shared.push((of, Rc::<T>::clone(&made)));
        made
    }

    /// The node as a processor's context shows it.
    pub(crate) fn processor_node(&self) -> ProcessorNode {
        let node = self.topology.node(self.node);
        let children = node.children.iter();
        let seen = |store: &&LinkedStore| {
            node.stores.contains(&store.id) || self.topology.is_global(store.id)
        };
        let connected = self.stores.iter().filter(seen);
        ProcessorNode {
            id: ProcessorId(self.node.0),
            name: node.name.clone(),
            application_id: self.settings.application_id.clone(),
            children: children.map(|child| self.topology.node(*child).name.clone()).collect(),
            stores: connected
                .map(|store| {
                    (self.topology.store(store.id).name.clone(), store.built.handle.clone())
                })
                .collect(),
        }
    }

    /// The rows of a table's store, with or without their history.
    pub(crate) fn table_rows<V: 'static>(&self, store: StoreId) -> Result<TableRows<V>, Error> {
        if let StoreKind::Versioned { .. } = self.topology.store(store).kind {
            self.versioned_rows(store).map(TableRows::Versioned)
        } else {
            self.rows(store).map(TableRows::Latest)
        }
    }

    /// The versioned rows of a store that the node is connected to.
    pub(crate) fn versioned_rows<V: 'static>(
        &self,
        store: StoreId,
    ) -> Result<Rc<RefCell<VersionedRows<V>>>, Error> {
        self.built_store(store, std::any::type_name::<V>())
    }

    /// The typed rows of a store that the node is connected to.
    pub(crate) fn rows<V: 'static>(&self, store: StoreId) -> Result<Rc<RefCell<Rows<V>>>, Error> {
        self.built_store(store, std::any::type_name::<V>())
    }

    /// A buffer that the node is connected to.
    pub(crate) fn buffer(&self, store: StoreId) -> Result<Rc<RefCell<TimeOrderedBuffer>>, Error> {
        self.built_store(store, "what waits for its time")
    }

    fn built_store<S: 'static>(
        &self,
        store: StoreId,
        content: &str,
    ) -> Result<Rc<RefCell<S>>, Error> {
        let linked = self.stores.iter().find(|linked| linked.id == store);
        let built = linked.and_then(|linked| linked.built.rows.downcast_ref::<Rc<RefCell<S>>>());
        built.map(Rc::clone).ok_or_else(|| {
            let store = &self.topology.store(store).name;
            Error::new(ErrorKind::Config, format!("store {store} does not hold {content}"))
        })
    }
}

/// A supplier of a node that only processes.
pub(crate) fn node<K: Data, V: Data, N: Node<K, V> + 'static>(
    make: impl Fn(&mut Linker<'_>) -> Result<N, Error> + Send + Sync + 'static,
) -> NodeSupplier {
    Arc::new(move |linker| {
        let node = Rc::new(RefCell::new(make(linker)?));
        Ok(linker.port(node))
    })
}

/// A supplier of a node that may hold records back until the task commits.
pub(crate) fn flushing_node<K: Data, V: Data, N: Node<K, V> + Flush + 'static>(
    make: impl Fn(&mut Linker<'_>) -> Result<N, Error> + Send + Sync + 'static,
) -> NodeSupplier {
    Arc::new(move |linker| {
        let node = Rc::new(RefCell::new(make(linker)?));
        let flusher: Rc<RefCell<dyn Flush>> = Rc::<RefCell<N>>::clone(&node);
        linker.flushers.push(flusher);
        Ok(linker.port(node))
    })
}

/// A supplier of a node whose records wait for calls.
pub(crate) fn calling_node<K: Data, V: Data, N: Node<K, V> + Calls + 'static>(
    make: impl Fn(&mut Linker<'_>) -> Result<N, Error> + Send + Sync + 'static,
) -> NodeSupplier {
    Arc::new(move |linker| {
        let node = Rc::new(RefCell::new(make(linker)?));
        linker.calls.push(Rc::<RefCell<N>>::clone(&node));
        Ok(linker.port(node))
    })
}

/// A supplier of a user's processor that may hold records back until the task commits.
pub(crate) fn flushing_processor<K: Data, V: Data, N: Node<K, V> + Flush + Lifecycle + 'static>(
    make: impl Fn(&mut Linker<'_>) -> Result<N, Error> + Send + Sync + 'static,
) -> NodeSupplier {
    Arc::new(move |linker| {
        let node = Rc::new(RefCell::new(make(linker)?));
        linker.flushers.push(Rc::<RefCell<N>>::clone(&node));
        linker.processors.insert(ProcessorId(linker.node.0), Rc::<RefCell<N>>::clone(&node));
        Ok(linker.port(node))
    })
}

/// A supplier of a user's processor.
pub(crate) fn processor<K: Data, V: Data, N: Node<K, V> + Lifecycle + 'static>(
    make: impl Fn(&mut Linker<'_>) -> Result<N, Error> + Send + Sync + 'static,
) -> NodeSupplier {
    Arc::new(move |linker| {
        let node = Rc::new(RefCell::new(make(linker)?));
        let lifecycle: Rc<RefCell<dyn Lifecycle>> = Rc::<RefCell<N>>::clone(&node);
        linker.processors.insert(ProcessorId(linker.node.0), lifecycle);
        Ok(linker.port(node))
    })
}

/// Which nodes a task has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TaskScope {
    /// Those of the sub-topology that the task's id names.
    Subtopology,
    /// Those that fill global stores.
    Global,
    /// All others: the test driver runs every sub-topology in one task, as Kafka's does.
    Everything,
}

/// Builds all nodes and stores of a task.
pub(crate) fn link(
    topology: &Topology,
    task: TaskId,
    settings: &LinkSettings,
    open_rows: &mut OpenRows<'_>,
) -> Result<LinkedTask, Error> {
    let global = settings.scope == TaskScope::Global;
    let belongs = |subtopology: u32| match settings.scope {
        TaskScope::Subtopology => subtopology == task.subtopology,
        TaskScope::Global => topology.global_subtopology(subtopology),
        TaskScope::Everything => {
            subtopology != UNCONNECTED && !topology.global_subtopology(subtopology)
        }
    };
    let clock = RecordClock::default();
    let mut stores = Vec::new();
    for (index, store) in topology.stores.iter().enumerate() {
        let id = StoreId(index);
        if belongs(store.subtopology) || topology.is_global(id) {
            let built = (store.supplier)(open_rows(id)?, settings.store(store, &clock))?;
            if settings.guarded {
                built.managed.borrow_mut().keep_taken_rows();
            }
            stores.push(LinkedStore { id, built });
        }
    }
    let ports = topology.nodes.iter().map(|_| None).collect();
    let mut linker = Linker {
        topology,
        node: NodeId(0),
        ports,
        stores,
        flushers: Vec::new(),
        calls: Vec::new(),
        processors: Processors::new(),
        progress: Progress::default(),
        shared: Vec::new(),
        settings,
    };
    let mut sources = Vec::new();
    // Parents come before their children in `nodes`: backwards, children come first.
    for (index, node) in topology.nodes.iter().enumerate().rev() {
        if !belongs(node.subtopology) {
            continue;
        }
        linker.node = NodeId(index);
        match (node.supplier)(&mut linker)? {
            BuiltNode::Source(source) => sources.push((NodeId(index), source)),
            BuiltNode::Inner(port) => {
                if let Some(place) = linker.ports.get_mut(index) {
                    *place = Some(port);
                }
            }
        }
    }
    linker.flushers.reverse();
    linker.calls.reverse();
    sources.reverse();
    let Linker { mut stores, flushers, calls, processors, progress, .. } = linker;
    // Global stores are another task's, except in that task.
    stores.retain(|store| global || !topology.is_global(store.id));
    Ok(LinkedTask { sources, processors, flushers, calls, stores, progress, clock })
}
