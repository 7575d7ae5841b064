//! A repartition: a filter for null keys and a sink, a topic, and a source behind it.

use std::any::TypeId;
use std::panic::Location;
use std::sync::Arc;

use super::kstream::SinkSpec;
use super::streams_builder::source_supplier;
use crate::graph::{
    GraphNodeId, GraphNodeKind, Mergeable, NullKeys, Plan, RepartitionNames, RepartitionNode,
};
use crate::processor::Data;
use crate::processor::operators::repartition_filter::RepartitionFilter;
use crate::processor::stream_partitioner::StreamPartitioner;
use crate::processor::timestamp_extractor::TimestampExtractor;
use crate::serdes::ArcSerde;
use crate::topology::link::node;

/// A repartition topic and what it holds.
pub(crate) struct RepartitionSpec<K, V> {
    pub(crate) names: RepartitionNames,
    /// The number of partitions the user asked for.
    pub(crate) partitions: Option<i32>,
    pub(crate) key_serde: ArcSerde<K>,
    pub(crate) value_serde: ArcSerde<V>,
}

impl<K, V> RepartitionSpec<K, V> {
    fn with_names(&self, names: RepartitionNames) -> Self {
        Self {
            names,
            partitions: self.partitions,
            key_serde: Arc::clone(&self.key_serde),
            value_serde: Arc::clone(&self.value_serde),
        }
    }
}

/// Adds a repartition behind `parent`; it may be merged with others.
pub(crate) fn add_repartition<K: Data, V: Data>(
    plan: &mut Plan,
    parent: GraphNodeId,
    repartition: RepartitionSpec<K, V>,
    location: &'static Location<'static>,
) -> GraphNodeId {
    add_converting_repartition::<K, V, V>(plan, parent, repartition, location)
}

/// Adds a repartition behind `parent`, whose records have values of type `I`; it may be merged with others
/// if `I` is `V`.
pub(crate) fn add_converting_repartition<K: Data, I: Data + Into<V>, V: Data>(
    plan: &mut Plan,
    parent: GraphNodeId,
    repartition: RepartitionSpec<K, V>,
    location: &'static Location<'static>,
) -> GraphNodeId {
    let mut node = repartition_node::<K, I, V>(repartition.with_names(repartition.names.clone()));
    node.mergeable = (TypeId::of::<I>() == TypeId::of::<V>()).then(|| Mergeable {
        types: TypeId::of::<(K, V)>(),
        with_names: Arc::new(move |names| {
            repartition_node::<K, I, V>(repartition.with_names(names))
        }),
    });
    plan.add_node(vec![parent], GraphNodeKind::Repartition(node), location)
}

/// A repartition that stays as it is.
pub(crate) fn repartition_node<K: Data, I: Data + Into<V>, V: Data>(
    repartition: RepartitionSpec<K, V>,
) -> RepartitionNode {
    partitioned_node::<K, I, V>(repartition, None)
}

/// The same with a choice of partitions.
pub(crate) fn partitioned_node<K: Data, I: Data + Into<V>, V: Data>(
    repartition: RepartitionSpec<K, V>,
    partitioner: Option<StreamPartitioner<K, V>>,
) -> RepartitionNode {
    let RepartitionSpec { names, partitions, key_serde, value_serde } = repartition;
    let null_keys = NullKeys::default();
    let (filter_serde, pass) = (Arc::clone(&key_serde), null_keys.clone());
    let filter = node::<K, I, _>(move |linker| {
        let (key_serde, null_keys_pass) = (Arc::clone(&filter_serde), pass.pass());
        Ok(RepartitionFilter::<K, V> { key_serde, null_keys_pass, next: linker.outlet()? })
    });
    let sink = SinkSpec { name: names.sink.clone(), topic: names.topic.clone(), internal: true }
        .supplier_with(Arc::clone(&key_serde), Arc::clone(&value_serde), partitioner);
    let timestamps = TimestampExtractor::default();
    let source = source_supplier(names.source.clone(), key_serde, value_serde, timestamps);
    let filter = Some(filter);
    RepartitionNode { names, partitions, null_keys, filter, sink, source, mergeable: None }
}
