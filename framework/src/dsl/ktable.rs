//! A table: the latest value of each key.

mod derive;
mod filter;
mod foreign_key_join;
mod group_by;
mod join;
mod kept_store;
mod map_values;
pub(crate) mod origin;
pub(crate) mod source;
mod suppress;
mod to_stream;
mod transform_values;

use std::rc::Rc;
use std::sync::Arc;

use crate::graph::{GraphNodeId, SharedPlan};
use crate::processor::Data;
use crate::processor::value_getter::plain_store_key;
use crate::serdes::ArcSerde;
use crate::topology::StoreId;
use origin::{Origin, SendOld, Stored, TableView};

/// A table: for each key its latest value, and a stream of updates.
///
/// A handle is small; clones refer to the same table. Values are never null: a deletion is not a value, and
/// a row that a filter refuses is none.
///
/// Operators with options end in `_with`, those that keep their rows in a store of their own, to be queried
/// or read by other operators, in `_materialized`. A store is only made if
/// [`Materialized`](crate::Materialized) names one; the other operators work their rows out from those of
/// the tables before them, whenever somebody reads them.
///
/// # Source
/// `org.apache.kafka.streams.kstream.KTable`.
pub struct KTable<K, V> {
    pub(super) plan: SharedPlan,
    pub(super) node: GraphNodeId,
    pub(super) table: Table<K, V>,
}

/// What is known of a table beside its node.
pub(crate) struct Table<K, V> {
    pub(crate) origin: Rc<dyn Origin<K, V>>,
    pub(crate) key_serde: ArcSerde<K>,
    /// Unknown where values were mapped and not kept.
    pub(crate) value_serde: Option<ArcSerde<V>>,
    /// The name of the store that keeps the rows, if the user asked for one.
    pub(crate) store_name: Option<Rc<str>>,
    /// Whether the rows before it keep their history.
    pub(crate) versioned: bool,
    /// The grace of the windows it comes from.
    pub(crate) grace_ms: Option<i64>,
}

impl<K, V> Clone for Table<K, V> {
    fn clone(&self) -> Self {
        Self {
            origin: Rc::clone(&self.origin),
            key_serde: Arc::clone(&self.key_serde),
            value_serde: self.value_serde.clone(),
            store_name: self.store_name.clone(),
            versioned: self.versioned,
            grace_ms: self.grace_ms,
        }
    }
}

impl<K: Data, V: Data> Table<K, V> {
    /// A table that comes from `origin`.
    pub(crate) fn new(origin: Rc<dyn Origin<K, V>>, key_serde: ArcSerde<K>) -> Self {
        Self {
            origin,
            key_serde,
            value_serde: None,
            store_name: None,
            versioned: false,
            grace_ms: None,
        }
    }

    /// A table that is kept in a store under its keys as they are.
    pub(crate) fn stored(
        store: StoreId,
        key_serde: ArcSerde<K>,
        value_serde: ArcSerde<V>,
        send_old: SendOld,
    ) -> Self {
        let store_key = plain_store_key(&key_serde);
        let origin = Rc::new(Stored { store, store_key, send_old });
        Self::new(origin, key_serde).with_value_serde(value_serde)
    }

    #[must_use]
    pub(crate) fn with_value_serde(mut self, value_serde: ArcSerde<V>) -> Self {
        self.value_serde = Some(value_serde);
        self
    }

    #[must_use]
    pub(crate) fn with_store_name(mut self, store_name: Option<&str>) -> Self {
        self.store_name = store_name.map(Into::into);
        self
    }

    /// Whether its store keeps its history.
    #[must_use]
    pub(crate) fn with_history(mut self, versioned: bool) -> Self {
        self.versioned = versioned;
        self
    }

    #[must_use]
    pub(crate) fn with_grace_ms(mut self, grace_ms: Option<i64>) -> Self {
        self.grace_ms = grace_ms;
        self
    }
}

impl<K, V> Clone for KTable<K, V> {
    fn clone(&self) -> Self {
        Self { plan: Rc::clone(&self.plan), node: self.node, table: self.table.clone() }
    }
}

impl<K, V> std::fmt::Debug for KTable<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KTable")
            .field("node", &self.node)
            .field("store", &self.table.store_name)
            .finish_non_exhaustive()
    }
}

impl<K, V> KTable<K, V> {
    pub(crate) fn new(plan: SharedPlan, node: GraphNodeId, table: Table<K, V>) -> Self {
        Self { plan, node, table }
    }

    /// The name of the store that keeps the table's rows, if the user asked for one.
    ///
    /// # Source
    /// `KTable.queryableStoreName`.
    pub fn queryable_store_name(&self) -> Option<&str> {
        self.table.store_name.as_deref()
    }

    /// Has updates carry old values; see [`Origin::enable_sending_old_values`]. Not to be called while
    /// the plan is borrowed.
    pub(crate) fn enable_sending_old_values(&self, force: bool) -> bool {
        self.table.origin.enable_sending_old_values(&mut self.plan.borrow_mut(), force)
    }

    /// The table as other nodes read it; see [`Origin::view`]. Not to be called while the plan is borrowed.
    pub(crate) fn view(&self) -> TableView<K, V> {
        self.table.origin.view(&mut self.plan.borrow_mut())
    }
}
