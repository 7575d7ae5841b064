//! Co-partitioning: what a join reads on both sides has to have the same number of partitions.

use std::collections::BTreeMap;

use super::{TopicName, Topology};
use crate::error::TopologyError;

/// Topics that have to have the same number of partitions.
pub(crate) type CopartitionGroup = Vec<TopicName>;

impl Topology {
    /// Repartition topics of one group that were given different numbers of partitions.
    pub(crate) fn copartition_problems(&self) -> Vec<TopologyError> {
        let given = |name: &TopicName| {
            let topic = self.repartition_topics.iter().find(|topic| topic.topic == *name)?;
            topic.partitions
        };
        let problem = |group: &CopartitionGroup| {
            let mut given = group.iter().filter_map(|name| Some((name, given(name)?)));
            let (first, partitions) = given.next()?;
            let (other, others) = given.find(|(_, others)| *others != partitions)?;
            Some(TopologyError {
                subject: format!("repartition topic {}", other.bare()),
                problem: format!(
                    "it has {others} partitions, but is joined with {}, which has {partitions}; give \
                     both the same number",
                    first.bare()
                ),
                location: None,
            })
        };
        self.copartition_groups.iter().filter_map(problem).collect()
    }

    /// Gives the repartition topics of each group the number of partitions that the group has: that of the
    /// topics whose number is given, or the largest. Numbers that contradict each other are problems.
    ///
    /// # Source
    /// `CopartitionedTopicsEnforcer`.
    pub(crate) fn agree_on_partitions(
        &self,
        application_id: &str,
        counts: &mut BTreeMap<String, i32>,
        problems: &mut Vec<String>,
    ) {
        for group in &self.copartition_groups {
            let names: Vec<String> =
                group.iter().map(|topic| topic.resolve(application_id)).collect();
            let count = |name: &String| counts.get(name).map(|count| (name.clone(), *count));
            let (free, given): (Vec<_>, Vec<_>) = names
                .iter()
                .filter_map(count)
                .partition(|(name, _)| self.is_free(application_id, name));
            let mut numbers = given.iter().map(|(_, count)| *count);
            let agreed = match numbers.next() {
                Some(first) if numbers.all(|count| count == first) => first,
                Some(_) => {
                    let list: Vec<_> =
                        given.iter().map(|(name, count)| format!("{name} has {count}")).collect();
                    problems.push(format!(
                        "joined topics need the same number of partitions ({}); give them the same, or \
                         put repartition() in between",
                        list.join(", ")
                    ));
                    continue;
                }
                None => free.iter().map(|(_, count)| *count).max().unwrap_or(0),
            };
            counts.extend(free.into_iter().map(|(name, _)| (name, agreed)));
        }
    }

    /// Whether it is a repartition topic whose number of partitions the user did not give.
    fn is_free(&self, application_id: &str, name: &str) -> bool {
        self.repartition_topics
            .iter()
            .any(|topic| topic.partitions.is_none() && topic.topic.resolve(application_id) == name)
    }
}
