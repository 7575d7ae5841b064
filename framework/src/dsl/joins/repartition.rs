//! What a join does with a stream whose key has changed: it goes through a topic first.

use std::panic::Location;
use std::sync::Arc;

use crate::dsl::kstream::KStream;
use crate::dsl::repartition::{RepartitionSpec, add_repartition};
use crate::graph::{GraphNodeId, Plan};
use crate::processor::Data;
use crate::serdes::ArcSerde;

/// One side of a join.
pub(crate) struct JoinSide<'a, K, V> {
    pub(crate) stream: &'a KStream<K, V>,
    pub(crate) key_serde: &'a ArcSerde<K>,
    pub(crate) value_serde: &'a ArcSerde<V>,
    /// The user's name for the repartition topic, without its suffix.
    pub(crate) name: Option<String>,
}

impl<K: Data, V: Data> JoinSide<'_, K, V> {
    /// The node whose records are partitioned by the stream's key. Joins of the same stream that are not
    /// named share one topic.
    pub(crate) fn partitioned(
        self,
        plan: &mut Plan,
        location: &'static Location<'static>,
    ) -> GraphNodeId {
        let node = self.stream.node;
        if !self.stream.repartition_required {
            return node;
        }
        let own_name = plan.node_name(node).to_owned();
        let prefix = self.name.unwrap_or_else(|| own_name.clone());
        // KAFKA: the names use numbers up even where the topic is shared.
        let names = plan.repartition_names(&prefix);
        if prefix == own_name
            && let Some(shared) = plan.join_repartition(node)
        {
            return shared;
        }
        let repartition = RepartitionSpec {
            names,
            partitions: None,
            key_serde: Arc::clone(self.key_serde),
            value_serde: Arc::clone(self.value_serde),
        };
        let repartition = add_repartition(plan, node, repartition, location);
        plan.note_join_repartition(node, repartition);
        repartition
    }
}
