//! Sources of all topics whose names match a pattern: which topics these are is settled when the application
//! starts.

use std::fmt;

use regex::Regex;

use super::{NodeId, NodeKind, TopicName, Topology};

/// A pattern that a topic's whole name matches.
#[derive(Debug, Clone)]
pub(crate) struct TopicPattern {
    text: String,
    regex: Regex,
}

impl TopicPattern {
    pub(crate) fn new(text: &str) -> Result<Self, regex::Error> {
        // On its own first: what closes a bracket of ours is no pattern.
        Regex::new(text)?;
        let regex = Regex::new(&format!("^(?:{text})$"))?;
        Ok(Self { text: text.to_owned(), regex })
    }

    /// A pattern that nothing matches, in place of one that is none.
    #[expect(clippy::expect_used, reason = "the text is a constant")]
    pub(crate) fn none() -> Self {
        Self::new("[^\\s\\S]").expect("an empty class is a pattern")
    }

    pub(crate) fn matches(&self, topic: &str) -> bool {
        self.regex.is_match(topic)
    }

    /// The pattern as the user wrote it.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

impl PartialEq for TopicPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for TopicPattern {}

impl fmt::Display for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Topology {
    /// The patterns of sources.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = &TopicPattern> {
        self.pattern_sources().map(|(_, pattern, _)| pattern)
    }

    /// Names and patterns of the sources that have found no topic.
    pub(crate) fn unmatched_patterns(&self) -> impl Iterator<Item = (&str, &TopicPattern)> {
        let sources = self.pattern_sources().filter(|(_, _, topics)| topics.is_empty());
        sources.map(|(name, pattern, _)| (name, pattern))
    }

    fn pattern_sources(&self) -> impl Iterator<Item = (&str, &TopicPattern, &[TopicName])> {
        self.nodes.iter().filter_map(|node| match &node.kind {
            NodeKind::Source { topics, pattern, .. } => {
                Some((node.name.as_str(), pattern.as_ref()?, topics.as_slice()))
            }
            NodeKind::Processor | NodeKind::Sink { .. } | NodeKind::RoutingSink { .. } => None,
        })
    }

    /// Lets the first source whose pattern matches read a topic, and says which one that is.
    pub(crate) fn add_matching_topic(&mut self, topic: &str) -> Option<NodeId> {
        let reads = |node: &mut super::TopologyNode| match &mut node.kind {
            NodeKind::Source { topics, pattern: Some(pattern), .. } if pattern.matches(topic) => {
                topics.push(TopicName::External(topic.to_owned()));
                true
            }
            NodeKind::Source { .. }
            | NodeKind::Processor
            | NodeKind::Sink { .. }
            | NodeKind::RoutingSink { .. } => false,
        };
        let node = NodeId(self.nodes.iter_mut().position(reads)?);
        let subtopology = self.node(node).subtopology;
        let subtopology = self.subtopologies.iter_mut().find(|other| other.id == subtopology)?;
        subtopology.sources.push(TopicName::External(topic.to_owned()));
        subtopology.sources.sort();
        Some(node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_name_has_to_match() {
        let pattern = TopicPattern::new("p-[0-9]+|q").unwrap();
        for (topic, matches) in [("p-1", true), ("p-22", true), ("q", true), ("p-1x", false)] {
            assert_eq!(pattern.matches(topic), matches, "{topic}");
        }
        assert!(!pattern.matches("xp-1"));
        assert!(TopicPattern::new("p-[").is_err());
    }
}
