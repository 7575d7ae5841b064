//! A repartition: a filter for null keys and a sink, a topic, and a source behind it.

use std::panic::Location;
use std::sync::Arc;

use super::kstream::SinkSpec;
use super::streams_builder::source_supplier;
use crate::graph::{
    GraphNodeId, GraphNodeKind, NullKeys, Plan, RepartitionNames, RepartitionNode,
};
use crate::processor::Data;
use crate::processor::operators::repartition_filter::RepartitionFilter;
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

/// Adds a repartition behind `parent`.
pub(crate) fn add_repartition<K: Data, V: Data>(
    plan: &mut Plan,
    parent: GraphNodeId,
    repartition: RepartitionSpec<K, V>,
    location: &'static Location<'static>,
) -> GraphNodeId {
    add_converting_repartition::<K, V, V>(plan, parent, repartition, location)
}

/// Adds a repartition behind `parent`, whose records have values of type `I`.
pub(crate) fn add_converting_repartition<K: Data, I: Data + Into<V>, V: Data>(
    plan: &mut Plan,
    parent: GraphNodeId,
    repartition: RepartitionSpec<K, V>,
    location: &'static Location<'static>,
) -> GraphNodeId {
    let RepartitionSpec { names, partitions, key_serde, value_serde } = repartition;
    let null_keys = NullKeys::default();
    let (filter_serde, pass) = (Arc::clone(&key_serde), null_keys.clone());
    let filter = node::<K, I, _>(move |linker| {
        let (key_serde, null_keys_pass) = (Arc::clone(&filter_serde), pass.pass());
        Ok(RepartitionFilter::<K, V> { key_serde, null_keys_pass, next: linker.outlet()? })
    });
    let sink = SinkSpec { name: names.sink.clone(), topic: names.topic.clone(), internal: true }
        .supplier(Arc::clone(&key_serde), Arc::clone(&value_serde));
    let source =
        source_supplier(names.source.clone(), key_serde, value_serde, TimestampExtractor::Broker);
    let node = RepartitionNode { names, partitions, null_keys, filter: Some(filter), sink, source };
    plan.add_node(vec![parent], GraphNodeKind::Repartition(node), location)
}
