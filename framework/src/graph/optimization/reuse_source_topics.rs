//! Reusing source topics: the topic that a table is read from has its rows already, so that the table's
//! store needs no changelog of its own.
//!
//! KAFKA: `reuse.ktable.source.topics`. There a restored row is the topic's record as it is; here it goes
//! through the source's serdes and timestamp extractor, as when it was read first.

use std::sync::Arc;

use crate::graph::{GraphNodeId, GraphNodeKind, Plan};
use crate::topology::TopicName;
use crate::topology::source_changelog::{ReadRow, SourceChangelog};

/// A table that is read from a topic.
pub(crate) struct TableSourceMark {
    /// The node that keeps the table; its first store, if it has one by now, is the table's.
    pub(crate) table: GraphNodeId,
    pub(crate) topic: String,
    /// Makes a row of a record of the topic.
    pub(crate) read: ReadRow,
}

impl Plan {
    pub(super) fn reuse_source_topics(&mut self, tables: &[TableSourceMark]) {
        for TableSourceMark { table, topic, read } in tables {
            let Some(GraphNodeKind::Processor { stores, .. }) =
                self.nodes.get(table.0).map(|node| &node.kind)
            else {
                continue;
            };
            let Some(store) = stores.first().copied() else { continue };
            if let Some(store) = self.stores.get_mut(store.0) {
                store.logging = false;
                store.topic_configs.clear();
            }
            let topic = TopicName::External(topic.clone());
            self.source_changelogs.push(SourceChangelog { store, topic, read: Arc::clone(read) });
        }
    }
}
