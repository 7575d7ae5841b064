//! What an application does with records that come too late for their window.

use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use super::kstream::KStream;
use crate::graph::{GraphNodeId, GraphNodeKind, SharedPlan};
use crate::processor::Data;
use crate::processor::operators::late::LateHandler;
use crate::processor::operators::merge::PassThrough;
use crate::time::windows::Windowed;
use crate::topology::link::node;

/// Deals with the stream of late records.
type Consumer<K, V> = Rc<dyn Fn(KStream<Windowed<K>, V>)>;

/// Who wants to see late records.
pub(super) struct LateRecords<K, V> {
    pub(super) handler: Option<LateHandler<K, V>>,
    pub(super) consumer: Option<Consumer<K, V>>,
}

impl<K, V> Default for LateRecords<K, V> {
    fn default() -> Self {
        Self { handler: None, consumer: None }
    }
}

impl<K, V> LateRecords<K, V> {
    /// The part that goes into a node.
    pub(super) fn handler(&self) -> Option<LateHandler<K, V>> {
        self.handler.as_ref().map(Arc::clone)
    }
}

impl<K: Data, V: Data> LateRecords<K, V> {
    /// Adds the stream of late records behind their aggregation, if somebody wants it.
    pub(super) fn add_stream(
        &self,
        plan: &SharedPlan,
        aggregation: GraphNodeId,
        location: &'static Location<'static>,
    ) {
        let Some(consumer) = &self.consumer else { return };
        let mut open = plan.borrow_mut();
        let name = open.processor_name("KSTREAM-LATE-");
        let supplier = node(|linker| Ok(PassThrough::<Windowed<K>, V> { next: linker.outlet()? }));
        let kind = GraphNodeKind::Processor { name, supplier, stores: Vec::new() };
        let late = open.add_node(vec![aggregation], kind, location);
        drop(open);
        consumer(KStream::new(Rc::clone(plan), late, true));
    }
}
