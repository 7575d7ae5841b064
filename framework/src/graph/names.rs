//! What names may be, and which of them the user has to give.

use std::collections::BTreeSet;

use super::{GraphNodeKind, Plan};
use crate::error::TopologyError;
use crate::topology::StoreId;

/// Kafka takes no longer topic names.
const MAX_BYTES: usize = 249;

/// The names that were generated, for a plan that must not have any.
#[derive(Default)]
pub(super) struct GeneratedNames(BTreeSet<String>);

impl GeneratedNames {
    pub(super) fn add(&mut self, name: &str) {
        self.0.insert(name.to_owned());
    }

    /// Whether a name is generated, or made of a generated one: `<generated>-changelog`.
    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|generated| name.contains(generated.as_str()))
    }
}

impl Plan {
    /// Reports names that Kafka would refuse, and generated ones if names have to be explicit.
    pub(super) fn check_names(&mut self, explicit: bool) {
        let mut errors = Vec::new();
        self.check_stores(explicit, &mut errors);
        self.check_nodes(explicit, &mut errors);
        self.errors.append(&mut errors);
    }

    fn check_stores(&self, explicit: bool, errors: &mut Vec<TopologyError>) {
        let used = self.used_stores();
        for (number, (store, location)) in self.stores.iter().zip(&self.store_locations).enumerate()
        {
            let mut report = |problem: String| {
                let subject = format!("store {}", store.name.escape_debug());
                errors.push(TopologyError { subject, problem, location: Some(*location) });
            };
            if let Some(problem) = problem_of(&store.name) {
                report(problem);
            } else if explicit && used.contains(&StoreId(number)) && self.generated.has(&store.name)
            {
                let topic = if store.logging { " and its changelog topic" } else { "" };
                report(format!(
                    "it{topic} would get a generated name, which changes with the code in front of it; name \
                     it, for example with Materialized::named"
                ));
            }
        }
    }

    /// The stores that some node has; rewrites leave others behind.
    fn used_stores(&self) -> BTreeSet<StoreId> {
        let nodes = self.order.iter().filter_map(|id| self.nodes.get(id.0));
        let stores = nodes.filter_map(|node| match &node.kind {
            GraphNodeKind::Processor { stores, .. } => Some(stores),
            GraphNodeKind::Source(_)
            | GraphNodeKind::GlobalSource(_)
            | GraphNodeKind::PatternSource(_)
            | GraphNodeKind::Sink { .. }
            | GraphNodeKind::RoutingSink { .. }
            | GraphNodeKind::Repartition(_) => None,
        });
        stores.flatten().copied().collect()
    }

    fn check_nodes(&self, explicit: bool, errors: &mut Vec<TopologyError>) {
        for id in &self.order {
            let Some(node) = self.nodes.get(id.0) else { continue };
            let mut report = |what: &str, name: &str, problem: String| {
                let subject = format!("{what} {}", name.escape_debug());
                errors.push(TopologyError { subject, problem, location: Some(node.location) });
            };
            let mut check = |what: &str, name: &str| {
                // An empty topic name is reported where it was given.
                if let Some(problem) = problem_of(name).filter(|_| !name.is_empty()) {
                    report(what, name, problem);
                }
            };
            match &node.kind {
                GraphNodeKind::Source(source) | GraphNodeKind::GlobalSource(source) => {
                    check("source", &source.name);
                    source.topics.iter().for_each(|topic| check("topic", topic));
                }
                GraphNodeKind::PatternSource(source) => check("source", &source.name),
                GraphNodeKind::Processor { name, .. } => check("node", name),
                GraphNodeKind::RoutingSink { name, .. } => check("sink", name),
                GraphNodeKind::Sink { name, topic, .. } => {
                    check("sink", name);
                    check("topic", topic);
                }
                GraphNodeKind::Repartition(repartition) => {
                    let topic = &repartition.names.topic;
                    check("repartition topic", topic);
                    if explicit && self.generated.has(topic) {
                        let problem = "it would get a generated name, which changes with the code in front \
                                       of it; name it with Grouped::named or Repartitioned::named, or name \
                                       the store that it is made for";
                        report("repartition topic", topic, problem.to_owned());
                    }
                }
            }
        }
    }
}

/// Why Kafka would refuse the name; the rule is that of topics.
fn problem_of(name: &str) -> Option<String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || matches!(name, "." | "..") {
        return Some("the name must not be empty, `.` or `..`".to_owned());
    }
    if let Some(wrong) = name.chars().find(|c| !legal(*c)) {
        return Some(format!(
            "the name contains {wrong:?}; use ASCII letters, digits, `.`, `_` and `-` only"
        ));
    }
    (name.len() > MAX_BYTES)
        .then(|| format!("the name has {} characters; Kafka takes {MAX_BYTES}", name.len()))
}
