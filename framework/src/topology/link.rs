//! From plan to typed task: one instance of every node and store of a task, edges resolved, once.
//!
//! Nodes are built children first, so that a node finds its children's ports. A port is kept without
//! its type until its parents ask for it; both ends of an edge must agree on the record type, which is
//! checked here and never again.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::{NodeId, StoreId, StoreKind, Topology, TopologyStore, UNCONNECTED};
use crate::config::{ChangelogUpdates, DslStoreFormat};
use crate::error::{Error, ErrorKind};
use crate::ids::TaskId;
use crate::processor::operators::source::RawNode;
use crate::processor::operators::table_rows::TableRows;
use crate::processor::processor_context::ProcessorNode;
use crate::processor::{Data, Flush, Lifecycle, Node, Outlet, Port, ProcessorId};
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
    pub(crate) stores: Vec<LinkedStore>,
    /// Set to the timestamp of each record that a processor works on.
    pub(crate) clock: RecordClock,
}

/// What a node's supplier sees while a task is linked.
pub(crate) struct Linker<'a> {
    topology: &'a Topology,
    node: NodeId,
    ports: Vec<Option<Box<dyn Any>>>,
    stores: Vec<LinkedStore>,
    flushers: Vec<Rc<RefCell<dyn Flush>>>,
    /// What nodes of this task share beside stores, by the store that it goes with.
    shared: Vec<(StoreId, Rc<dyn Any>)>,
    processors: Processors,
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
    /// Memory for each store's committed rows.
    pub(crate) budget: RowBudget,
    /// What changelogs of stores without record cache get.
    pub(crate) changelog_updates: ChangelogUpdates,
    /// What the stores of tables and aggregations keep.
    pub(crate) dsl_store_format: DslStoreFormat,
}

impl LinkSettings {
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

    /// The application id.
    pub(crate) fn application_id(&self) -> &str {
        &self.settings.application_id
    }

    /// The edge to the node's children.
    pub(crate) fn outlet<K: Data, V: Data>(&self) -> Result<Outlet<K, V>, Error> {
        let node = self.topology.node(self.node);
        let mut ports = Vec::with_capacity(node.children.len());
        for child in &node.children {
            let Some(port) = self.port::<K, V>(*child) else {
                return Err(self.mismatch(*child, std::any::type_name::<(K, V)>()));
            };
            ports.push(port);
        }
        Ok(Outlet::new(ports))
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

    /// The edges to the children of a node that forwards two kinds of records: each child takes one of them.
    pub(crate) fn outlets<K: Data, V: Data, K2: Data, V2: Data>(
        &self,
    ) -> Result<(Outlet<K, V>, Outlet<K2, V2>), Error> {
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for child in &self.topology.node(self.node).children {
            if let Some(port) = self.port::<K, V>(*child) {
                first.push(port);
            } else if let Some(port) = self.port::<K2, V2>(*child) {
                second.push(port);
            } else {
                return Err(self.mismatch(*child, std::any::type_name::<((K, V), (K2, V2))>()));
            }
        }
        Ok((Outlet::new(first), Outlet::new(second)))
    }

    fn port<K: Data, V: Data>(&self, child: NodeId) -> Option<Port<K, V>> {
        let port = self.ports.get(child.0)?.as_ref()?;
        port.downcast_ref::<Port<K, V>>().map(Rc::clone)
    }

    #[cold]
    fn mismatch(&self, child: NodeId, types: &str) -> Error {
        let node = &self.topology.node(self.node).name;
        let child = &self.topology.node(child).name;
        let message = format!("{node} forwards {types}, which {child} does not take");
        Error::new(ErrorKind::Config, message)
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
        let port: Port<K, V> = Rc::new(RefCell::new(make(linker)?));
        Ok(BuiltNode::Inner(Box::new(port)))
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
        let port: Port<K, V> = node;
        Ok(BuiltNode::Inner(Box::new(port)))
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
        let port: Port<K, V> = node;
        Ok(BuiltNode::Inner(Box::new(port)))
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
        processors: Processors::new(),
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
    sources.reverse();
    let Linker { mut stores, flushers, processors, .. } = linker;
    // Global stores are another task's, except in that task.
    stores.retain(|store| global || !topology.is_global(store.id));
    Ok(LinkedTask { sources, processors, flushers, stores, clock })
}
