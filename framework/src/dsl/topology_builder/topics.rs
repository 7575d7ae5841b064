//! Sources of a pattern, and sinks whose records choose their topic.

use std::panic::Location;

use super::{ParentNode, TopologyBuilder};
use crate::dsl::kstream::topics::SinkOptions;
use crate::dsl::options::{Consumed, Produced};
use crate::dsl::streams_builder::Reading;
use crate::graph::{GraphNodeKind, PatternSourceNode};
use crate::processor::Data;
use crate::processor::topic_name_extractor::TopicNameExtractor;
use crate::topology::TopicPattern;

impl TopologyBuilder {
    /// Adds a source of all topics whose names match a pattern; see
    /// [`StreamsBuilder::stream_pattern`](crate::StreamsBuilder::stream_pattern). The name in `consumed` is not
    /// used.
    ///
    /// # Source
    /// `Topology.addSource` with a `Pattern`.
    #[track_caller]
    pub fn add_pattern_source<K: Data, V: Data>(
        &self,
        name: &str,
        pattern: &str,
        consumed: Consumed<K, V>,
    ) -> ParentNode<K, V> {
        let location = Location::caller();
        let Consumed { key_serde, value_serde, reset, timestamps, handler, .. } = consumed;
        let supplier =
            Reading { timestamps, handler }.supplier(name.to_owned(), key_serde, value_serde);
        let mut plan = self.plan.borrow_mut();
        let pattern = TopicPattern::new(pattern).unwrap_or_else(|error| {
            plan.report(format!("source {name}"), error.to_string(), location);
            TopicPattern::none()
        });
        let source = PatternSourceNode { name: name.to_owned(), pattern, reset, supplier };
        let node = plan.add_node(Vec::new(), GraphNodeKind::PatternSource(source), location);
        drop(plan);
        self.parent(node)
    }

    /// Adds a sink that asks for the topic of each record; see
    /// [`KStream::to_extracted`](crate::KStream::to_extracted). The name in `produced` is not used.
    ///
    /// # Source
    /// `Topology.addSink` with a `TopicNameExtractor`.
    #[track_caller]
    pub fn add_extracted_sink<K: Data, V: Data>(
        &self,
        name: &str,
        extractor: TopicNameExtractor<K, V>,
        produced: Produced<K, V>,
        parents: &[&ParentNode<K, V>],
    ) {
        let location = Location::caller();
        let parents = self.parents(&format!("sink {name}"), parents, location);
        let options = SinkOptions::named(name.to_owned(), produced);
        let kind = options.routing_node(extractor);
        self.plan.borrow_mut().add_node(parents, kind, location);
    }
}
