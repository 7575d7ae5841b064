//! Where a store's restore begins, or why its rows are of no use.
//!
//! Rows are of no use when the changelog cannot bring them up to date: it is another topic than the one they
//! follow, it has no longer or not any more the offset they stand at, or it may have dropped tombstones that
//! they have not seen. What else makes a task's state useless shows when its database is opened or read:
//! `state/persistent` reports damaged files and unknown formats.

use std::time::Duration;

use super::lookup::LogFacts;
use crate::record::Timestamp;
use crate::state::StorePosition;

/// Clocks differ, and a restore takes its time: tombstones are taken to be gone this much earlier.
const MOST_MARGIN: Duration = Duration::from_hours(1);
/// The margin of a short retention is this part of it.
const MARGIN_PART: u32 = 24;

/// Where to read from; an error says why the rows are of no use.
pub(crate) fn start_offset(facts: &LogFacts, now_ms: Timestamp) -> Result<i64, String> {
    let (beginning, end) = (facts.log.beginning, facts.log.end);
    let Some(StorePosition { next_offset, written_at_ms, topic_id }) = facts.position else {
        return Ok(beginning);
    };
    // A broker that gives no ids, and rows of a build before this one, leave only the offsets to compare.
    if let (Some(followed), Some(present)) = (topic_id, facts.topic_id)
        && followed != present
    {
        return Err(format!(
            "it follows topic {followed}, but {} was created anew as {present}",
            facts.partition.topic
        ));
    }
    if next_offset > end {
        return Err(format!("it stands at offset {next_offset}, but the changelog ends at {end}"));
    }
    if next_offset < beginning {
        return Err(format!(
            "it stands at offset {next_offset}, but the changelog begins at {beginning}"
        ));
    }
    if let Some(reason) = is_too_old(facts, written_at_ms, now_ms) {
        return Err(reason);
    }
    Ok(next_offset)
}

/// Whether compaction may have removed a tombstone that the rows lack.
///
/// KAFKA: the last record of a log is never compacted away. A gap of one offset that has no record is thus
/// the marker of the transaction that wrote the rows, and they lack nothing.
fn is_too_old(facts: &LogFacts, written_at_ms: Timestamp, now_ms: Timestamp) -> Option<String> {
    let kept = facts.tombstones_kept?;
    let margin = MOST_MARGIN.min(kept / MARGIN_PART);
    let most_ms = i64::try_from(kept.saturating_sub(margin).as_millis()).unwrap_or(i64::MAX);
    let age_ms = now_ms.saturating_sub(written_at_ms);
    (facts.gap() > 1 && age_ms > most_ms).then(|| {
        format!(
            "it was left behind {} s ago, but the changelog keeps tombstones for {} s only \
             (delete.retention.ms)",
            age_ms / 1000,
            kept.as_secs()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{TopicId, TopicPartition};
    use crate::runtime::restore::lookup::LogRange;

    const HOUR_MS: i64 = 60 * 60 * 1000;
    const NOW_MS: i64 = 1000 * HOUR_MS;

    /// A store at this offset of a changelog, brought there a while ago.
    fn store(next_offset: i64, age_ms: i64, log: std::ops::Range<i64>) -> LogFacts {
        let written_at_ms = NOW_MS - age_ms;
        LogFacts {
            store: 0,
            partition: TopicPartition::new("app-rows-changelog", 0),
            position: Some(StorePosition { next_offset, written_at_ms, topic_id: None }),
            log: LogRange { beginning: log.start, end: log.end, wanted: log.end },
            topic_id: None,
            tombstones_kept: Some(Duration::from_hours(24)),
        }
    }

    fn named(followed: Option<u8>, present: Option<u8>) -> LogFacts {
        let id = |number: Option<u8>| number.and_then(|number| TopicId::from_bytes([number; 16]));
        let position =
            StorePosition { next_offset: 7, written_at_ms: NOW_MS, topic_id: id(followed) };
        LogFacts { position: Some(position), topic_id: id(present), ..store(7, 0, 3..9) }
    }

    fn start(facts: &LogFacts) -> Result<i64, String> {
        start_offset(facts, NOW_MS)
    }

    #[test]
    fn a_new_store_reads_everything() {
        assert_eq!(start(&LogFacts { position: None, ..store(0, 0, 3..9) }), Ok(3));
    }

    #[test]
    fn a_store_reads_the_tail_from_its_position() {
        for next_offset in [3, 7, 9] {
            assert_eq!(start(&store(next_offset, 0, 3..9)), Ok(next_offset));
        }
    }

    #[test]
    fn a_store_off_its_changelog_is_of_no_use() {
        assert!(start(&store(10, 0, 3..9)).unwrap_err().contains("ends at 9"));
        assert!(start(&store(2, 0, 3..9)).unwrap_err().contains("begins at 3"));
    }

    #[test]
    fn a_store_may_be_ahead_of_what_the_group_has_committed() {
        let log = LogRange { beginning: 3, end: 9, wanted: 5 };
        assert_eq!(start(&LogFacts { log, ..store(7, 999 * HOUR_MS, 3..9) }), Ok(7));
    }

    #[test]
    fn a_store_of_another_topic_is_of_no_use() {
        assert!(start(&named(Some(1), Some(2))).unwrap_err().contains("created anew"));
        for (followed, present) in [(Some(1), Some(1)), (None, Some(2)), (Some(1), None)] {
            assert_eq!(start(&named(followed, present)), Ok(7));
        }
    }

    #[test]
    fn an_old_store_is_of_use_only_if_it_missed_nothing() {
        assert!(start(&store(7, 24 * HOUR_MS, 3..9)).unwrap_err().contains("delete.retention.ms"));
        assert_eq!(start(&store(7, 22 * HOUR_MS, 3..9)), Ok(7));
        assert_eq!(start(&store(9, 24 * HOUR_MS, 3..9)), Ok(9));
        // The one offset behind it is its own transaction's marker.
        assert_eq!(start(&store(8, 24 * HOUR_MS, 3..9)), Ok(8));
    }

    #[test]
    fn tombstones_are_taken_to_be_gone_a_little_early() {
        assert_eq!(start(&store(7, 23 * HOUR_MS, 3..9)), Ok(7));
        assert!(start(&store(7, 23 * HOUR_MS + 1, 3..9)).is_err());
        let short = |age_ms| LogFacts {
            tombstones_kept: Some(Duration::from_secs(24)),
            ..store(7, age_ms, 3..9)
        };
        assert_eq!(start(&short(23_000)), Ok(7));
        assert!(start(&short(23_001)).is_err());
    }

    #[test]
    fn a_changelog_that_is_not_compacted_loses_no_tombstones() {
        let facts = LogFacts { tombstones_kept: None, ..store(7, 999 * HOUR_MS, 3..9) };
        assert_eq!(start(&facts), Ok(7));
    }
}
