//! The stores that joins keep their records in.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::processor::Data;
use crate::serdes::ArcSerde;
use crate::state::buffer::{BufferKind, TimeOrderedBuffer};
use crate::state::key_layout::KeyLayout;
use crate::state::rows::{RowHeaders, Rows, RowsOptions};
use crate::topology::link::BuiltStore;
use crate::topology::{StoreKind, StoreType, TopologyStore};

/// A store of a join; the record cache never holds its updates back.
pub(crate) struct JoinStoreSpec<V> {
    pub(crate) name: String,
    pub(crate) kind: StoreKind,
    pub(crate) store_type: StoreType,
    pub(crate) logging: bool,
    pub(crate) topic_configs: BTreeMap<String, String>,
    pub(crate) value_serde: ArcSerde<V>,
    /// What becomes of the headers of the records that it keeps.
    pub(crate) headers: RowHeaders,
}

impl<V: Data> JoinStoreSpec<V> {
    pub(crate) fn store(self) -> TopologyStore {
        let Self { name, kind, store_type, logging, topic_configs, value_serde, headers } = self;
        let layout = match kind {
            StoreKind::Window { retention_ms } => KeyLayout::windowed(retention_ms),
            _ => KeyLayout::Plain,
        };
        TopologyStore {
            name,
            kind,
            store_type,
            logging,
            caching: false,
            topic_configs,
            subtopology: 0,
            supplier: Arc::new(move |backing, settings| {
                let options = RowsOptions {
                    layout: layout.clone(),
                    budget: settings.budget,
                    headers,
                    log_every_update: settings.log_every_update,
                };
                Ok(BuiltStore::of_rows(Rows::new(backing, Arc::clone(&value_serde), options)?))
            }),
        }
    }
}

/// A store of records that wait.
pub(crate) fn buffer_store(
    name: String,
    logging: bool,
    topic_configs: BTreeMap<String, String>,
) -> TopologyStore {
    TopologyStore {
        name,
        kind: StoreKind::KeyValue,
        store_type: StoreType::InMemory,
        logging,
        caching: false,
        topic_configs,
        subtopology: 0,
        supplier: Arc::new(move |_, _| {
            Ok(BuiltStore::of_buffer(TimeOrderedBuffer::new(BufferKind::Grace, logging)))
        }),
    }
}
