//! The two topics of a foreign-key join, and who of their partitions gets what.

use std::sync::Arc;

use crate::dsl::kstream::SinkSpec;
use crate::dsl::ktable::suppress::no_value_serde;
use crate::dsl::options::table_joined::PartitionOfKey;
use crate::dsl::streams_builder::source_supplier;
use crate::graph::{GraphNodeKind, NullKeys, RepartitionNames, RepartitionNode};
use crate::processor::Data;
use crate::processor::operators::foreign_key::wire::{Response, Subscription};
use crate::processor::stream_partitioner::{Partitions, StreamPartitioner};
use crate::processor::timestamp_extractor::TimestampExtractor;
use crate::serdes::ArcSerde;
use crate::topology::link::NodeSupplier;

/// A topic between both sides.
pub(super) struct JoinTopic<K, V> {
    pub(super) names: RepartitionNames,
    pub(super) key_serde: ArcSerde<K>,
    pub(super) value_serde: ArcSerde<V>,
    pub(super) partitioner: Option<StreamPartitioner<K, V>>,
}

impl<K: Data, V: Data> JoinTopic<K, V> {
    /// A sink, the topic, and a source behind it.
    pub(super) fn kind(self) -> GraphNodeKind {
        let Self { names, key_serde, value_serde, partitioner } = self;
        let sink =
            SinkSpec { name: names.sink.clone(), topic: names.topic.clone(), internal: true };
        let (keys, values) = (Arc::clone(&key_serde), Arc::clone(&value_serde));
        let sink = sink.supplier_with(keys, values, partitioner);
        let timestamps = TimestampExtractor::default();
        let source = source_supplier(names.source.clone(), key_serde, value_serde, timestamps);
        kind(names, sink, source)
    }
}

/// Stands for a topic whose values cannot be written; the topology is refused.
pub(super) fn unknown_topic(names: RepartitionNames) -> GraphNodeKind {
    let supplier: NodeSupplier = Arc::new(|_| Err(no_value_serde()));
    kind(names, Arc::clone(&supplier), supplier)
}

fn kind(names: RepartitionNames, sink: NodeSupplier, source: NodeSupplier) -> GraphNodeKind {
    GraphNodeKind::Repartition(RepartitionNode {
        names,
        partitions: None,
        null_keys: NullKeys::default(),
        filter: None,
        sink,
        source,
        mergeable: None,
    })
}

/// Subscriptions go where the foreign row is.
pub(super) fn of_foreign_row<K: 'static, KO: 'static>(
    partition: &PartitionOfKey<KO>,
) -> StreamPartitioner<Option<KO>, Subscription<K>> {
    let partition = Arc::clone(partition);
    StreamPartitioner::new(move |topic, key: &Option<KO>, _: &Subscription<K>, count| {
        chosen(key.as_ref().and_then(|key| partition(topic, key, count)))
    })
}

/// Answers go where the primary row is: to the partition that its subscription came from, or where the user
/// says that its key is.
pub(super) fn of_primary_row<K: 'static, VO: 'static>(
    partition: Option<&PartitionOfKey<K>>,
) -> StreamPartitioner<K, Response<VO>> {
    let partition = partition.cloned();
    StreamPartitioner::new(move |topic, key, response: &Response<VO>, count| {
        chosen(match &partition {
            Some(partition) => partition(topic, key, count),
            None => response.primary_partition,
        })
    })
}

fn chosen(partition: Option<i32>) -> Partitions {
    partition.map_or(Partitions::Default, Partitions::One)
}
