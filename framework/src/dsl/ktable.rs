//! A table: the latest value of each key.

use std::marker::PhantomData;
use std::panic::Location;
use std::rc::Rc;

use super::kstream::KStream;
use super::options::Named;
use crate::graph::{GraphNodeId, GraphNodeKind, SharedPlan};
use crate::processor::Data;
use crate::processor::operators::to_stream::ToStream;
use crate::topology::link::node;

/// A table: for each key its latest value, and a stream of updates.
///
/// A handle is small; clones refer to the same table.
///
/// # Source
/// `org.apache.kafka.streams.kstream.KTable`.
pub struct KTable<K, V> {
    plan: SharedPlan,
    node: GraphNodeId,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K, V> Clone for KTable<K, V> {
    fn clone(&self) -> Self {
        Self { plan: Rc::clone(&self.plan), node: self.node, types: PhantomData }
    }
}

impl<K, V> std::fmt::Debug for KTable<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KTable").field("node", &self.node).finish_non_exhaustive()
    }
}

impl<K: Data, V: Data> KTable<K, V> {
    pub(crate) fn new(plan: SharedPlan, node: GraphNodeId) -> Self {
        Self { plan, node, types: PhantomData }
    }

    /// The table's updates as a stream.
    ///
    /// **Shape**: `(K, V)` rows → `(K, Option<V>)` records; a deletion is `None`. The key does not change.
    ///
    /// # Source
    /// `KTable.toStream`; there a deletion is a null value of the same type.
    #[track_caller]
    pub fn to_stream(&self) -> KStream<K, Option<V>> {
        self.to_stream_with(Named::default())
    }

    /// [`KTable::to_stream`] with a name.
    #[track_caller]
    pub fn to_stream_with(&self, named: impl Into<Named>) -> KStream<K, Option<V>> {
        let mut plan = self.plan.borrow_mut();
        let name = plan.name_or(named.into().0, "KTABLE-TOSTREAM-");
        let supplier = node(|linker| Ok(ToStream::<K, V> { next: linker.outlet()? }));
        let kind = GraphNodeKind::Processor { name, supplier, stores: Vec::new() };
        let node = plan.add_node(vec![self.node], kind, Location::caller());
        drop(plan);
        KStream::new(Rc::clone(&self.plan), node, false)
    }
}
