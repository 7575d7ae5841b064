//! The stores that joins keep their records in.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::processor::Data;
use crate::serdes::ArcSerde;
use crate::state::buffer::{BufferKind, TimeOrderedBuffer};
use crate::state::key_layout::KeyLayout;
use crate::state::rows::{RowBudget, RowHeaders, Rows, RowsOptions};
use crate::topology::link::BuiltStore;
use crate::topology::{StoreKind, StoreType, TopologyStore};

/// A store of a join; the record cache never holds its updates back.
pub(crate) struct JoinStoreSpec<V> {
    pub(crate) name: String,
    /// How long a window store keeps rows, in milliseconds; `None` for a key-value store.
    pub(crate) retention_ms: Option<i64>,
    pub(crate) store_type: StoreType,
    pub(crate) logging: bool,
    pub(crate) topic_configs: BTreeMap<String, String>,
    pub(crate) value_serde: ArcSerde<V>,
    /// What becomes of the headers of the records that it keeps.
    pub(crate) headers: RowHeaders,
    /// Whether committed rows stay in memory, as far as there is room, to be looked up by key.
    pub(crate) row_cache: bool,
}

impl<V: Data> JoinStoreSpec<V> {
    pub(crate) fn store(self) -> TopologyStore {
        let Self { name, store_type, logging, topic_configs, value_serde, .. } = self;
        let (headers, row_cache) = (self.headers, self.row_cache);
        let (kind, layout) = match self.retention_ms {
            Some(retention_ms) => {
                (StoreKind::Window { retention_ms }, KeyLayout::windowed(retention_ms))
            }
            None => (StoreKind::KeyValue, KeyLayout::Plain),
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
                let cached_bytes = if row_cache { settings.budget.cached_bytes } else { 0 };
                let options = RowsOptions {
                    layout: layout.clone(),
                    budget: RowBudget { cached_bytes },
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
