//! Kafka's `range` strategy: per topic, contiguous ranges in the order of the member ids, the first
//! members taking the remainder. Topics with equal counts and subscribers are dealt alike, so what is
//! co-partitioned stays together.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::ids::TopicPartition;

/// The partitions of each subscriber, in its order; `subscriptions` are in the order of the member
/// ids. Topics without a partition count do not exist.
pub(super) fn range_assignment(
    subscriptions: &[&[String]],
    partition_counts: &BTreeMap<String, i32>,
) -> Vec<Vec<TopicPartition>> {
    let mut assignments = vec![Vec::new(); subscriptions.len()];
    for (topic, count) in partition_counts {
        let name: Arc<str> = topic.as_str().into();
        let subscribers = subscriptions.iter().filter(|topics| topics.contains(topic)).count();
        let mut ranges = ranges(*count, i32::try_from(subscribers).unwrap_or(i32::MAX));
        for (assignment, subscription) in assignments.iter_mut().zip(subscriptions) {
            if subscription.contains(topic) {
                let partition =
                    |number| TopicPartition { topic: Arc::clone(&name), partition: number };
                assignment.extend(ranges.next().unwrap_or_default().map(partition));
            }
        }
    }
    assignments
}

/// Cuts `0..count` into contiguous ranges, the first ones longer by one if it does not come out even.
fn ranges(count: i32, parts: i32) -> impl Iterator<Item = Range<i32>> {
    let start = move |part: i32| count / parts * part + part.min(count % parts);
    (0..parts).map(move |part| start(part)..start(part + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dealt(subscriptions: &[&[&str]], counts: &[(&str, i32)]) -> Vec<String> {
        let owned: Vec<Vec<String>> = subscriptions
            .iter()
            .map(|topics| topics.iter().map(ToString::to_string).collect())
            .collect();
        let slices: Vec<_> = owned.iter().map(Vec::as_slice).collect();
        let counts = counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        let text = |assignment: &Vec<TopicPartition>| {
            assignment.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        range_assignment(&slices, &counts).iter().map(text).collect()
    }

    #[test]
    fn the_first_members_take_the_remainder() {
        assert_eq!(dealt(&[&["a"], &["a"], &["a"]], &[("a", 5)]), ["a-0 a-1", "a-2 a-3", "a-4"]);
    }

    #[test]
    fn members_beyond_the_partitions_get_none() {
        assert_eq!(dealt(&[&["a"], &["a"], &["a"]], &[("a", 2)]), ["a-0", "a-1", ""]);
    }

    #[test]
    fn co_partitioned_topics_stay_together() {
        let both: &[&str] = &["a", "b"];
        assert_eq!(dealt(&[both, both], &[("a", 3), ("b", 3)]), ["a-0 a-1 b-0 b-1", "a-2 b-2"]);
    }

    #[test]
    fn only_subscribers_of_a_topic_share_it() {
        assert_eq!(dealt(&[&["a"], &["a", "b"]], &[("a", 2), ("b", 2)]), ["a-0", "a-1 b-0 b-1"]);
    }

    #[test]
    fn a_topic_that_does_not_exist_is_nobodys() {
        assert_eq!(dealt(&[&["a", "missing"]], &[("a", 1)]), ["a-0"]);
    }
}
