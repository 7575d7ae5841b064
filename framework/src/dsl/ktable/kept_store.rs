//! The store of a table that an operator keeps.

use std::panic::Location;
use std::sync::Arc;

use super::origin::SendOld;
use crate::dsl::options::Materialized;
use crate::dsl::stores::add_table_store;
use crate::error::Error;
use crate::graph::Plan;
use crate::processor::Data;
use crate::processor::operators::kept_rows::KeptRows;
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

/// The node that keeps a table, and its keys.
pub(super) struct KeptBy<'a, K> {
    pub(super) node: &'a str,
    pub(super) key_serde: &'a ArcSerde<K>,
    pub(super) send_old: &'a SendOld,
}

impl<K: Data> KeptStore<K> {
    /// Adds the store to the plan; `materialized` has a name by now.
    pub(super) fn add<V: Data>(
        plan: &mut Plan,
        materialized: Materialized<K, V>,
        by: &KeptBy<'_, K>,
        location: &'static Location<'static>,
    ) -> Self {
        let caching = materialized.caching;
        let key_serde = Some(Arc::clone(by.key_serde));
        let materialized = Materialized { key_serde, ..materialized };
        Self {
            id: add_table_store(plan, materialized, by.key_serde, location),
            node: by.node.to_owned(),
            key_serde: Arc::clone(by.key_serde),
            caching,
            send_old: by.send_old.clone(),
        }
    }

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
