//! Where a table's rows come from: what has to happen so that its updates carry old values, and how other
//! nodes read it.
//!
//! Both are asked for by the calls that need them, after the table was made; a source that no store was
//! asked for gets one then. Suppliers read the outcome when a task is linked.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use crate::error::Error;
use crate::graph::{GraphNodeId, Plan};
use crate::processor::Data;
use crate::processor::operators::table_join::{Combine, JoinedGetter};
use crate::processor::operators::table_rows::TableRows;
use crate::processor::value_getter::{BoxedGetter, StoreKey, StoredGetter, VersionedGetter};
use crate::topology::StoreId;
use crate::topology::link::Linker;

/// Whether a table's updates carry the value that they replace.
#[derive(Debug, Clone, Default)]
pub(crate) struct SendOld(Arc<AtomicBool>);

impl SendOld {
    pub(crate) fn enable(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_enabled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Builds a getter for one task.
pub(crate) type GetterSupplier<K, V> =
    Arc<dyn Fn(&Linker<'_>) -> Result<BoxedGetter<K, V>, Error> + Send + Sync>;

/// A table as other nodes read it.
pub(crate) struct TableView<K, V> {
    /// What the reading node has to be connected to.
    pub(crate) stores: Vec<StoreId>,
    pub(crate) getter: GetterSupplier<K, V>,
}

impl<K: Data, V: Data> TableView<K, V> {
    /// A table that is read from its store.
    pub(crate) fn of_store(store: StoreId, store_key: StoreKey<K>) -> Self {
        let getter = move |linker: &Linker<'_>| {
            let store_key = Arc::clone(&store_key);
            let getter: BoxedGetter<K, V> = match linker.table_rows::<V>(store)? {
                TableRows::Latest(rows) => Box::new(StoredGetter::new(store_key, rows)),
                TableRows::Versioned(rows) => Box::new(VersionedGetter::new(store_key, rows)),
            };
            Ok(getter)
        };
        Self { stores: vec![store], getter: Arc::new(getter) }
    }
}

/// Where a table's rows come from.
pub(crate) trait Origin<K, V> {
    /// Has updates carry old values, if the table or those that it comes from have a store to take them
    /// from; `force` gives them one. Answers whether old values come.
    fn enable_sending_old_values(&self, plan: &mut Plan, force: bool) -> bool;

    /// The table as other nodes read it; a source gets a store for that.
    fn view(&self, plan: &mut Plan) -> TableView<K, V>;
}

/// A table that always has a store: an aggregation.
pub(crate) struct Stored<K> {
    pub(crate) store: StoreId,
    pub(crate) store_key: StoreKey<K>,
    pub(crate) send_old: SendOld,
}

impl<K: Data, V: Data> Origin<K, V> for Stored<K> {
    fn enable_sending_old_values(&self, _: &mut Plan, _: bool) -> bool {
        self.send_old.enable();
        true
    }

    fn view(&self, _: &mut Plan) -> TableView<K, V> {
        TableView::of_store(self.store, Arc::clone(&self.store_key))
    }
}

/// The store of a source, once it has one.
pub(crate) type LateStore = Arc<OnceLock<StoreId>>;

/// Adds the store of a source to the plan.
pub(crate) type MakeStore = Box<dyn FnOnce(&mut Plan) -> StoreId>;

/// A topic or a stream as a table: it has a store if the user asked for one, or if somebody reads it.
pub(crate) struct SourceTable<K> {
    pub(crate) node: GraphNodeId,
    pub(crate) store: LateStore,
    pub(crate) make_store: Cell<Option<MakeStore>>,
    pub(crate) store_key: StoreKey<K>,
    pub(crate) send_old: SendOld,
}

impl<K> SourceTable<K> {
    /// The store; there is one from now on.
    pub(crate) fn materialize(&self, plan: &mut Plan) -> Option<StoreId> {
        if let Some(make_store) = self.make_store.take() {
            let store = *self.store.get_or_init(|| make_store(plan));
            plan.connect_store(self.node, store);
        }
        self.store.get().copied()
    }
}

impl<K: Data, V: Data> Origin<K, V> for SourceTable<K> {
    fn enable_sending_old_values(&self, plan: &mut Plan, force: bool) -> bool {
        if !force && self.store.get().is_none() {
            return false;
        }
        self.materialize(plan);
        self.send_old.enable();
        true
    }

    fn view(&self, plan: &mut Plan) -> TableView<K, V> {
        match self.materialize(plan) {
            Some(store) => TableView::of_store(store, Arc::clone(&self.store_key)),
            None => TableView { stores: Vec::new(), getter: Arc::new(|_| Err(no_store())) },
        }
    }
}

#[cold]
fn no_store() -> Error {
    Error::new(crate::error::ErrorKind::Config, "a table that is read has no store")
}

/// Builds a table's getter on its parent's.
pub(crate) type DerivedSupplier<K, P, V> =
    Arc<dyn Fn(&Linker<'_>, BoxedGetter<K, P>) -> Result<BoxedGetter<K, V>, Error> + Send + Sync>;

/// A table that comes from another row by row, with a store of its own or without.
pub(crate) struct DerivedTable<K, P, V> {
    pub(crate) parent: Rc<dyn Origin<K, P>>,
    pub(crate) store: Option<(StoreId, StoreKey<K>)>,
    pub(crate) send_old: SendOld,
    pub(crate) getter: DerivedSupplier<K, P, V>,
}

impl<K: Data, P: Data, V: Data> Origin<K, V> for DerivedTable<K, P, V> {
    fn enable_sending_old_values(&self, plan: &mut Plan, force: bool) -> bool {
        if self.store.is_some() || self.parent.enable_sending_old_values(plan, force) {
            self.send_old.enable();
        }
        self.send_old.is_enabled()
    }

    fn view(&self, plan: &mut Plan) -> TableView<K, V> {
        if let Some((store, store_key)) = &self.store {
            return TableView::of_store(*store, Arc::clone(store_key));
        }
        let TableView { stores, getter: parent } = self.parent.view(plan);
        let derived = Arc::clone(&self.getter);
        TableView { stores, getter: Arc::new(move |linker| derived(linker, parent(linker)?)) }
    }
}

/// A join of two tables, with a store of its own or without.
pub(crate) struct JoinedTable<K, L, R, V> {
    pub(crate) left: Rc<dyn Origin<K, L>>,
    pub(crate) right: Rc<dyn Origin<K, R>>,
    pub(crate) store: Option<(StoreId, StoreKey<K>)>,
    pub(crate) send_old: SendOld,
    pub(crate) combine: Combine<L, R, V>,
    pub(crate) left_required: bool,
}

impl<K: Data, L: Data, R: Data, V: Data> Origin<K, V> for JoinedTable<K, L, R, V> {
    fn enable_sending_old_values(&self, plan: &mut Plan, _: bool) -> bool {
        self.left.enable_sending_old_values(plan, true);
        self.right.enable_sending_old_values(plan, true);
        self.send_old.enable();
        true
    }

    fn view(&self, plan: &mut Plan) -> TableView<K, V> {
        if let Some((store, store_key)) = &self.store {
            return TableView::of_store(*store, Arc::clone(store_key));
        }
        let (left, right) = (self.left.view(plan), self.right.view(plan));
        let (combine, left_required) = (Arc::clone(&self.combine), self.left_required);
        let mut stores = left.stores;
        stores.extend(
            right
                .stores
                .iter()
                .filter(|store| !stores.contains(store))
                .copied()
                .collect::<Vec<_>>(),
        );
        let getter = move |linker: &Linker<'_>| {
            let (left, right) = ((left.getter)(linker)?, (right.getter)(linker)?);
            let combine = Arc::clone(&combine);
            let getter: BoxedGetter<K, V> =
                Box::new(JoinedGetter { left, right, combine, left_required });
            Ok(getter)
        };
        TableView { stores, getter: Arc::new(getter) }
    }
}
