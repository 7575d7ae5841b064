//! Topics that sources with a pattern read: they come to be when a test first writes to them.
//!
//! KAFKA: in its driver the topics of one pattern count their offsets together, and so do they here.

use std::collections::BTreeMap;

use crate::topology::NodeId;

/// Which source reads which topic, and the next offset of each source.
#[derive(Debug, Default)]
pub(super) struct PatternTopics {
    sources: BTreeMap<String, NodeId>,
    next_offsets: BTreeMap<NodeId, i64>,
}

impl PatternTopics {
    /// Notes that a source reads a topic.
    pub(super) fn add(&mut self, topic: &str, source: NodeId) {
        self.sources.insert(topic.to_owned(), source);
    }

    /// The offset of the next record of a topic; `None`: no pattern matches it.
    pub(super) fn next_offset(&mut self, topic: &str) -> Option<i64> {
        let next = self.next_offsets.entry(*self.sources.get(topic)?).or_default();
        *next += 1;
        Some(*next - 1)
    }
}
