//! The store of a table that an operator keeps.

use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use super::origin::SendOld;
use crate::dsl::options::Materialized;
use crate::dsl::stores::add_table_store;
use crate::error::Error;
use crate::graph::Plan;
use crate::processor::Data;
use crate::processor::operators::kept_rows::KeptRows;
use crate::processor::value_getter::{StoreKey, plain_store_key};
use crate::serdes::ArcSerde;
use crate::topology::StoreId;
use crate::topology::link::Linker;

/// The store of a table as the node that keeps it sees it.
pub(super) struct KeptStore<K> {
    pub(super) id: StoreId,
    node: String,
    key_serde: ArcSerde<K>,
    caching: bool,
    send_old: SendOld,
}

/// The table behind an operator, as its options describe it.
pub(super) struct OutputTable<K, V> {
    pub(super) key_serde: ArcSerde<K>,
    /// None without options.
    pub(super) value_serde: Option<ArcSerde<V>>,
    /// The store, if there is one, and its name.
    pub(super) kept: Option<KeptStore<K>>,
    pub(super) store_name: Option<Rc<str>>,
    /// Whether the store keeps its history.
    pub(super) versioned: bool,
}

impl<K: Data, V: Data> OutputTable<K, V> {
    /// Adds the store to the plan, if `materialized` names one. Keys are written as the options say, or
    /// with `key_serde`.
    pub(super) fn new(
        plan: &mut Plan,
        materialized: Option<Materialized<K, V>>,
        key_serde: &ArcSerde<K>,
        (node, send_old): (&str, &SendOld),
        location: &'static Location<'static>,
    ) -> Self {
        let Some(materialized) = materialized else {
            let key_serde = Arc::clone(key_serde);
            return Self {
                key_serde,
                value_serde: None,
                kept: None,
                store_name: None,
                versioned: false,
            };
        };
        let key_serde = materialized.key_serde.clone().unwrap_or_else(|| Arc::clone(key_serde));
        let value_serde = Some(Arc::clone(&materialized.value_serde));
        let versioned = materialized.history.is_some();
        let store_name = materialized.name.as_deref().map(Into::into);
        let kept = store_name.is_some().then(|| {
            let caching = materialized.caching;
            let id = add_table_store(plan, materialized, &key_serde, location);
            let (node, key_serde) = (node.to_owned(), Arc::clone(&key_serde));
            KeptStore { id, node, key_serde, caching, send_old: send_old.clone() }
        });
        Self { key_serde, value_serde, kept, store_name, versioned }
    }

    /// The store and how it is read.
    pub(super) fn store(&self) -> Option<(StoreId, StoreKey<K>)> {
        self.kept.as_ref().map(|kept| (kept.id, plain_store_key(&self.key_serde)))
    }
}

impl<K: Data> KeptStore<K> {
    /// The rows, for one task.
    pub(super) fn link<V: Data>(&self, linker: &Linker<'_>) -> Result<KeptRows<K, V>, Error> {
        Ok(KeptRows {
            node: self.node.clone(),
            key_serde: Arc::clone(&self.key_serde),
            rows: linker.table_rows(self.id)?,
            caching: self.caching && linker.record_cache(),
            send_old: self.send_old.is_enabled(),
            key_bytes: Vec::new(),
        })
    }
}
