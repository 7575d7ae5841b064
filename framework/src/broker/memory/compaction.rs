//! Log compaction: the last record of each key stays, and a tombstone goes once every reader has had
//! `delete.retention.ms` to see it. Aborted records go, and count for nothing.
//!
//! KAFKA: the newest record of a log stays even when it is a tombstone that may go; Kafka keeps an
//! empty batch in its place, so that readers get to the end of the log all the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::log::{Compacted, Uncompacted};
use super::segment::{NewRecord, Segment};
use crate::broker::RawRecord;
use crate::record::Timestamp;

/// Compacts segments at `now`; tombstones seen for the first time may go at `tombstones_until`.
pub(super) fn compact(log: &Uncompacted, now: Timestamp, tombstones_until: Timestamp) -> Compacted {
    let mut last_offsets: FxHashMap<&[u8], i64> = FxHashMap::default();
    for record in log.segments.iter().flat_map(|segment| segment.records()) {
        if let Some(key) = record.key
            && !log.aborted.contains(record.offset)
        {
            last_offsets.insert(key, record.offset);
        }
    }
    let stays = |record: &RawRecord<'_>| {
        let is_last = record.key.and_then(|key| last_offsets.get(key)) == Some(&record.offset);
        let due = log.tombstones.get(&record.offset).is_some_and(|due| *due <= now);
        record.offset >= log.start_offset && is_last && (!due || record.offset == log.newest)
    };
    let mut output = Output::new(log.segment_bytes);
    let mut tombstones = BTreeMap::new();
    for segment in &log.segments {
        let kept: Vec<_> = segment.records().filter(stays).collect();
        for tombstone in kept.iter().filter(|record| record.value.is_none()) {
            let due = log.tombstones.get(&tombstone.offset).copied();
            tombstones.insert(tombstone.offset, due.unwrap_or(tombstones_until));
        }
        output.add(segment, &kept);
    }
    Compacted { segments: output.finish(), tombstones }
}

/// Gathers what stays into segments of full size.
struct Output {
    done: Vec<Arc<Segment>>,
    current: Segment,
    segment_bytes: usize,
}

impl Output {
    fn new(segment_bytes: usize) -> Self {
        Self { done: Vec::new(), current: Segment::new(0), segment_bytes }
    }

    fn add(&mut self, segment: &Arc<Segment>, kept: &[RawRecord<'_>]) {
        if kept.len() == segment.len() && segment.size_bytes() >= self.segment_bytes / 2 {
            self.end_segment();
            self.done.push(Arc::clone(segment));
            return;
        }
        for record in kept {
            let full = self.current.size_bytes() >= self.segment_bytes;
            if full || self.current.is_empty() || !self.current.reaches(record.offset) {
                self.end_segment();
                self.current = Segment::new(record.offset);
            }
            let RawRecord { timestamp, key, value, ref headers, .. } = *record;
            self.current.push(record.offset, NewRecord { timestamp, key, value, headers });
        }
    }

    fn end_segment(&mut self) {
        let mut ended = std::mem::replace(&mut self.current, Segment::new(0));
        if !ended.is_empty() {
            ended.shrink();
            self.done.push(Arc::new(ended));
        }
    }

    fn finish(mut self) -> Vec<Arc<Segment>> {
        self.end_segment();
        self.done
    }
}
