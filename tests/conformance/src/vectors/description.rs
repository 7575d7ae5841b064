//! Topology descriptions as sets: nodes with their sub-topology, stores or topics, and edges. The order
//! of siblings in the text is an artefact of Java's hash maps.

use std::collections::{BTreeMap, BTreeSet};

/// What the text says of one node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Node {
    sub_topology: String,
    /// `Source`, `Processor` or `Sink`.
    kind: String,
    /// What stands in brackets: stores, topics, a pattern.
    attributes: BTreeSet<String>,
    successors: BTreeSet<String>,
    predecessors: BTreeSet<String>,
}

/// The first thing that differs between two descriptions, if anything does.
pub(super) fn difference(expected: &str, got: &str) -> Option<String> {
    let (expected, got) = match (parse(expected), parse(got)) {
        (Ok(expected), Ok(got)) => (expected, got),
        (Err(line), _) => return Some(format!("the recorded text has a strange line: {line}")),
        (_, Err(line)) => return Some(format!("strange line: {line}")),
    };
    let missing = expected.iter().find_map(|(name, node)| match got.get(name) {
        None => Some(format!("{} {name} is missing", node.kind)),
        Some(other) => node.difference(name, other),
    });
    let surplus = || {
        let (name, node) = got.iter().find(|(name, _)| !expected.contains_key(*name))?;
        Some(format!("{} {name} is too many", node.kind))
    };
    missing.or_else(surplus)
}

impl Node {
    fn difference(&self, name: &str, got: &Self) -> Option<String> {
        let differ = |what: &str, expected: String, got: String| {
            (expected != got).then(|| format!("{name}: expected {what} {expected}, got {got}"))
        };
        let set = |set: &BTreeSet<String>| format!("{set:?}");
        differ("kind", self.kind.clone(), got.kind.clone())
            .or_else(|| differ("sub-topology", self.sub_topology.clone(), got.sub_topology.clone()))
            .or_else(|| differ("stores or topics", set(&self.attributes), set(&got.attributes)))
            .or_else(|| differ("successors", set(&self.successors), set(&got.successors)))
            .or_else(|| differ("predecessors", set(&self.predecessors), set(&got.predecessors)))
    }
}

/// The nodes by name; a line that is none of Kafka Streams' is the error.
fn parse(text: &str) -> Result<BTreeMap<String, Node>, String> {
    let mut nodes: BTreeMap<String, Node> = BTreeMap::new();
    let mut sub_topology = String::new();
    let mut current = String::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let node = nodes.entry(current.clone());
        if let Some(names) = line.strip_prefix("-->") {
            node.or_default().successors = list(names);
        } else if let Some(names) = line.strip_prefix("<--") {
            node.or_default().predecessors = list(names);
        } else if let Some(heading) = line.strip_prefix("Sub-topology:") {
            heading.trim().clone_into(&mut sub_topology);
        } else if line != "Topologies:" {
            let (name, node) = parse_node(line, &sub_topology).ok_or(line)?;
            current.clone_from(&name);
            nodes.insert(name, node);
        }
    }
    Ok(nodes)
}

/// `Processor: NAME (stores: [a, b])`
fn parse_node(line: &str, sub_topology: &str) -> Option<(String, Node)> {
    let (kind, rest) = line.split_once(": ")?;
    if !["Source", "Processor", "Sink"].contains(&kind) {
        return None;
    }
    let (name, attributes) = rest.split_once(" (")?;
    let (_, attributes) = attributes.strip_suffix(')')?.split_once(": ")?;
    // A pattern may itself have brackets, a list always has them around.
    let listed = attributes.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
    let node = Node {
        sub_topology: sub_topology.to_owned(),
        kind: kind.to_owned(),
        attributes: list(listed.unwrap_or(attributes)),
        ..Node::default()
    };
    Some((name.to_owned(), node))
}

fn list(names: &str) -> BTreeSet<String> {
    names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Topologies:
   Sub-topology: 0
    Source: src (topics: [one, two])
      --> map, filter
    Processor: filter (stores: [])
      --> sink
      <-- src
    Processor: map (stores: [s])
      --> none
      <-- src
    Sink: sink (topic: out)
      <-- filter
";

    #[track_caller]
    fn changed(from: &str, to: &str, expected: &str) {
        assert!(TEXT.contains(from));
        assert_eq!(difference(TEXT, &TEXT.replace(from, to)).as_deref(), Some(expected));
    }

    #[test]
    fn order_of_siblings_does_not_matter() {
        assert_eq!(difference(TEXT, TEXT), None);
        let turned = TEXT.replace("map, filter", "filter, map").replace("one, two", "two, one");
        assert_eq!(difference(TEXT, &turned), None);
    }

    #[test]
    fn first_differing_node_is_named() {
        changed("--> sink", "--> none", r#"filter: expected successors {"sink"}, got {"none"}"#);
        changed("<-- filter", "<-- map", r#"sink: expected predecessors {"filter"}, got {"map"}"#);
        changed("[s]", "[]", r#"map: expected stores or topics {"s"}, got {}"#);
        changed(
            "topic: out",
            "topic: in",
            r#"sink: expected stores or topics {"out"}, got {"in"}"#,
        );
        changed("Sub-topology: 0", "Sub-topology: 1", "filter: expected sub-topology 0, got 1");
        changed("Source: src", "Source: source", "Source src is missing");
        changed("Sink: sink (", "Sink: more (topic: t)\n  Sink: sink (", "Sink more is too many");
        changed("Topologies:", "Topology", "strange line: Topology");
    }
}
