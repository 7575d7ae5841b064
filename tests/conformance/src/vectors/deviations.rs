//! Where we differ from Kafka Streams on purpose; `DEVIATIONS.md` says why. Nothing else is loosened.

use super::VectorRecord;

/// Topologies and changelog topics of stores without record cache that a single source record updates
/// more than once per key. Their changelog has one record per key and commit here.
const CHANGELOG_AT_COMMIT: [(&str, &str); 1] = [("cache-count", "app-raw-changelog")];

/// The expected changelog records of a step that holds a single commit, as we write them.
pub(super) fn changelog(topology: &str, expected: &[VectorRecord]) -> Vec<VectorRecord> {
    let mut kept: Vec<VectorRecord> = Vec::with_capacity(expected.len());
    for record in expected {
        let listed = CHANGELOG_AT_COMMIT.contains(&(topology, record.topic.as_str()));
        let same =
            |other: &&mut VectorRecord| (&other.topic, &other.key) == (&record.topic, &record.key);
        match kept.iter_mut().find(same) {
            // The place is that of the key's first update, the rest that of its last.
            Some(earlier) if listed => earlier.clone_from(record),
            _ => kept.push(record.clone()),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(topic: &str, key_values: [(&str, &str); 4]) -> Vec<VectorRecord> {
        let record = |(key, value): (&str, &str)| VectorRecord {
            topic: topic.to_owned(),
            key: Some(key.into()),
            value: Some(value.into()),
            timestamp: Some(0),
            headers: Vec::new(),
        };
        key_values.map(record).to_vec()
    }

    #[test]
    fn last_update_of_each_key_is_left_where_it_is_listed_and_nowhere_else() {
        let updates = [("a", "1"), ("b", "1"), ("a", "2"), ("a", "3")];
        let listed = records("app-raw-changelog", updates);
        let shown: Vec<_> = changelog("cache-count", &listed)
            .into_iter()
            .map(|record| (record.key.unwrap_or_default(), record.value.unwrap_or_default()))
            .collect();
        assert_eq!(shown, [(b"a".to_vec(), b"3".to_vec()), (b"b".to_vec(), b"1".to_vec())]);
        assert_eq!(changelog("count", &listed), listed);
        let cached = records("app-counts-changelog", updates);
        assert_eq!(changelog("cache-count", &cached), cached);
    }
}
