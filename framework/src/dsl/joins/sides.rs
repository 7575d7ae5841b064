//! The nodes of one side of a stream-stream join.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use crate::error::Error;
use crate::processor::Data;
use crate::processor::operators::join_window::JoinWindow;
use crate::processor::operators::stream_join::{JoinRows, Joiner, Outer, StreamJoin};
use crate::processor::operators::unmatched::{JoinClock, Side, Unmatched};
use crate::serdes::ArcSerde;
use crate::state::recent_rows::RecentRows;
use crate::time::windows::JoinWindows;
use crate::topology::StoreId;
use crate::topology::link::{Linker, NodeSupplier, node};

/// One side, as its supplier keeps it.
pub(super) struct SideSpec<K, A, B, O> {
    pub(super) name: String,
    pub(super) side: Side,
    pub(super) windows: JoinWindows,
    pub(super) key_serde: ArcSerde<K>,
    pub(super) value_serde: ArcSerde<A>,
    pub(super) matched: Joiner<K, A, B, O>,
    /// The store of the other side.
    pub(super) others: StoreId,
    /// The clock belongs to it.
    pub(super) left_store: StoreId,
}

impl<K: Data, A: Data, B: Data, O: Data> SideSpec<K, A, B, O> {
    fn clock(&self, linker: &mut Linker<'_>) -> Rc<JoinClock> {
        linker.shared(self.left_store)
    }

    pub(super) fn unmatched<L: Data, R: Data>(
        &self,
        linker: &mut Linker<'_>,
        store: StoreId,
    ) -> Result<Unmatched<K, L, R>, Error> {
        Ok(Unmatched {
            rows: linker.rows(store)?,
            clock: self.clock(linker),
            windows: self.windows,
            key_serde: Arc::clone(&self.key_serde),
            key_bytes: Vec::new(),
        })
    }

    pub(super) fn build<L: Data, R: Data>(
        &self,
        linker: &mut Linker<'_>,
        outer: Option<Outer<K, A, L, R, O>>,
    ) -> Result<StreamJoin<K, A, B, L, R, O>, Error> {
        Ok(StreamJoin {
            name: self.name.clone(),
            side: self.side,
            windows: self.windows,
            key_serde: Arc::clone(&self.key_serde),
            value_serde: Arc::clone(&self.value_serde),
            matched: Arc::clone(&self.matched),
            others: JoinRows::new(linker.rows(self.others)?, linker.shared(self.others)),
            clock: self.clock(linker),
            outer,
            next: linker.outlet()?,
            key_bytes: Vec::new(),
            results: Vec::new(),
        })
    }
}

/// The node that keeps the records of one side, as its supplier keeps it.
pub(super) struct WindowedSpec<K> {
    pub(super) name: String,
    pub(super) key_serde: ArcSerde<K>,
    pub(super) store: StoreId,
    pub(super) retention_ms: i64,
    /// Whether the store is in memory.
    pub(super) in_memory: bool,
}

impl<K: Data> WindowedSpec<K> {
    pub(super) fn supplier<V: Data>(self) -> NodeSupplier {
        node(move |linker| {
            let recent: Rc<RefCell<RecentRows<V>>> = linker.shared(self.store);
            recent.borrow_mut().configure(self.retention_ms, linker.row_cache_bytes());
            Ok(JoinWindow::<K, V> {
                name: self.name.clone(),
                key_serde: Arc::clone(&self.key_serde),
                rows: linker.rows(self.store)?,
                recent,
                in_memory: self.in_memory,
                next: linker.outlet()?,
                key_bytes: Vec::new(),
                sequence: 0,
            })
        })
    }
}
