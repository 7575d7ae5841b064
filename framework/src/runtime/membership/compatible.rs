//! Whether two members can share the work: what one calls a task must be what the other calls so.
//!
//! That one knows more than the other is no hindrance: instances are being replaced one after the other,
//! and a member gets only tasks that it knows.

use super::messages::{MemberRecord, SubtopologyRecord};
use crate::topology::fingerprint::{ChangeKind, Fingerprint};

/// What stands against both being members of one group, in words for the one that joins; empty: nothing.
pub(super) fn conflicts(joining: &MemberRecord, running: &MemberRecord) -> Vec<String> {
    let mut conflicts = Vec::new();
    for (number, theirs) in &running.subtopologies {
        if let Some(ours) = joining.subtopologies.get(number) {
            compare(*number, ours, theirs, &mut conflicts);
        }
        for topic in theirs.topics.keys() {
            let mut others = joining.subtopologies.iter();
            let other =
                others.find(|(other, part)| *other != number && part.topics.contains_key(topic));
            if let Some((other, _)) = other {
                conflicts.push(format!(
                    "topic {topic} is read by sub-topology {other} here, and by sub-topology {number} there"
                ));
            }
        }
    }
    // One that cannot be read is of a later version, which is compared over there.
    if let (Ok(ours), Ok(theirs)) =
        (Fingerprint::read(&joining.fingerprint), Fingerprint::read(&running.fingerprint))
    {
        let changes = ours.changes_since(&theirs).into_iter();
        let serious = changes.filter(|change| change.kind == ChangeKind::Conflict);
        conflicts.extend(serious.map(|change| change.to_string()));
    }
    conflicts
}

fn compare(
    number: u32,
    ours: &SubtopologyRecord,
    theirs: &SubtopologyRecord,
    conflicts: &mut Vec<String>,
) {
    let list = |part: &SubtopologyRecord| {
        part.topics.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
    };
    let common = ours.topics.iter().filter(|(topic, _)| theirs.topics.contains_key(*topic));
    if common.clone().count() < ours.topics.len().min(theirs.topics.len()) {
        conflicts.push(format!(
            "sub-topology {number} reads {} here, and {} there",
            list(ours),
            list(theirs)
        ));
    }
    for (topic, partitions) in common {
        if let Some(other) = theirs.topics.get(topic)
            && other != partitions
        {
            conflicts.push(format!(
                "topic {topic} has {partitions} partitions now, and the running instances were started with {other}"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(parts: &[(u32, &[(&str, i32)])]) -> MemberRecord {
        let part = |topics: &[(&str, i32)]| SubtopologyRecord {
            topics: topics.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
            stateful: false,
        };
        let subtopologies = parts.iter().map(|(number, topics)| (*number, part(topics))).collect();
        MemberRecord { subtopologies, ..MemberRecord::default() }
    }

    #[test]
    fn the_same_work_is_shared() {
        let both = record(&[(0, &[("a", 2), ("b", 2)]), (1, &[("c", 4)])]);
        assert!(conflicts(&both, &both).is_empty());
    }

    #[test]
    fn one_side_may_know_more() {
        let old = record(&[(0, &[("a", 2)])]);
        let new = record(&[(0, &[("a", 2), ("matched", 2)]), (1, &[("c", 4)])]);
        assert!(conflicts(&new, &old).is_empty());
        assert!(conflicts(&old, &new).is_empty());
    }

    #[test]
    fn a_topic_has_one_sub_topology() {
        let old = record(&[(0, &[("a", 2)])]);
        let new = record(&[(0, &[("b", 2)]), (1, &[("a", 2)])]);
        let found = conflicts(&new, &old);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("reads b here, and a there"), "{found:?}");
        assert!(found[1].contains("topic a is read by sub-topology 1 here"), "{found:?}");
    }

    #[test]
    fn a_topic_has_one_number_of_partitions() {
        let found = conflicts(&record(&[(0, &[("a", 3)])]), &record(&[(0, &[("a", 2)])]));
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("topic a has 3 partitions now"), "{found:?}");
    }
}
