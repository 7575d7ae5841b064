//! The log of one partition: sealed segments, and the active one that is appended to.
//!
//! What always holds: offsets grow and are never given twice; `start ≤ end`; between them there is
//! at least one record unless they are equal, because the newest record is never cleaned away, so a
//! reader below the end always gets on.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::segment::{Batch, NewRecord, Segment};
use crate::record::Timestamp;

/// A segment is sealed at this size. Small beside Kafka's, because retention drops whole segments
/// and memory is dearer than disk.
pub(super) const SEGMENT_BYTES: usize = 1 << 20;

/// A fetch from an active segment up to this size copies what it takes; a larger one is sealed and
/// shared. So a reader at the end of the log does not leave a trail of tiny segments.
const COPY_BYTES: usize = 32 << 10;

/// The log does not have the position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OutOfRange {
    pub(super) start: i64,
    pub(super) end: i64,
}

/// The records of a partition.
#[derive(Debug)]
pub(super) struct PartitionLog {
    /// Never empty ones, in offset order.
    sealed: VecDeque<Arc<Segment>>,
    active: Segment,
    start_offset: i64,
    end_offset: i64,
    segment_bytes: usize,
    /// When the tombstones that a compaction has kept may go, by offset.
    tombstones: BTreeMap<i64, Timestamp>,
    /// The last offset that the last compaction has seen; −1 before the first.
    compacted_to: i64,
}

/// What a compaction reads: immutable, so that it can work without the partition's lock.
#[derive(Debug)]
pub(super) struct Uncompacted {
    pub(super) segments: Vec<Arc<Segment>>,
    pub(super) start_offset: i64,
    /// The offset of the newest record of the log, which stays.
    pub(super) newest: i64,
    pub(super) tombstones: BTreeMap<i64, Timestamp>,
    pub(super) segment_bytes: usize,
}

/// What a compaction leaves of the segments it has read.
#[derive(Debug)]
pub(super) struct Compacted {
    pub(super) segments: Vec<Arc<Segment>>,
    pub(super) tombstones: BTreeMap<i64, Timestamp>,
}

impl PartitionLog {
    /// An empty log whose segments are sealed at `segment_bytes`.
    pub(super) fn new(segment_bytes: usize) -> Self {
        Self {
            sealed: VecDeque::new(),
            active: Segment::new(0),
            start_offset: 0,
            end_offset: 0,
            segment_bytes,
            tombstones: BTreeMap::new(),
            compacted_to: -1,
        }
    }

    pub(super) fn start_offset(&self) -> i64 {
        self.start_offset
    }

    pub(super) fn end_offset(&self) -> i64 {
        self.end_offset
    }

    /// Appends a record and gives its offset.
    pub(super) fn append(&mut self, record: NewRecord<'_>) -> i64 {
        let offset = self.end_offset;
        if self.active.size_bytes() >= self.segment_bytes || !self.active.reaches(offset) {
            self.seal();
        }
        self.active.push(offset, record);
        self.end_offset = offset + 1;
        offset
    }

    /// Leaves offsets below this one out, as compaction does: the next record, which has to follow at once,
    /// has it, unless the log is there already.
    #[cfg(any(test, feature = "__test-utils"))]
    pub(super) fn skip_to(&mut self, offset: i64) {
        self.end_offset = self.end_offset.max(offset);
    }

    /// Up to `max_records` records from the first at or above `position`; `None` at the end of the
    /// log. A batch ends with its segment.
    pub(super) fn read(
        &mut self,
        position: i64,
        max_records: usize,
    ) -> Result<Option<Batch>, OutOfRange> {
        if position < self.start_offset || position > self.end_offset {
            return Err(OutOfRange { start: self.start_offset, end: self.end_offset });
        }
        if position == self.end_offset || max_records == 0 {
            return Ok(None);
        }
        let in_active = position >= self.active.base_offset();
        if in_active && self.active.size_bytes() <= COPY_BYTES {
            let first = self.active.position_of(position);
            let len = max_records.min(self.active.len() - first);
            let copy = self.active.copy_of(first, len);
            return Ok(Some(Batch::new(Arc::new(copy), 0, len)));
        }
        if in_active {
            self.seal();
        }
        Ok(self.read_sealed(position, max_records))
    }

    fn read_sealed(&self, position: i64, max_records: usize) -> Option<Batch> {
        let at = self.sealed.partition_point(|segment| segment.last_offset() < position);
        let segment = self.sealed.get(at)?;
        let first = segment.position_of(position);
        let len = max_records.min(segment.len() - first);
        Some(Batch::new(Arc::clone(segment), first, len))
    }

    /// Makes the active segment immutable and starts another.
    fn seal(&mut self) {
        let next = if self.active.size_bytes() >= self.segment_bytes {
            self.active.after(self.end_offset)
        } else {
            Segment::new(self.end_offset)
        };
        let mut full = std::mem::replace(&mut self.active, next);
        if !full.is_empty() {
            full.shrink();
            self.sealed.push_back(Arc::new(full));
        }
    }

    /// Drops the records before `offset`, which lies in the log or at its end.
    pub(super) fn truncate_before(&mut self, offset: i64) -> Result<(), OutOfRange> {
        if offset < 0 || offset > self.end_offset {
            return Err(OutOfRange { start: self.start_offset, end: self.end_offset });
        }
        if offset > self.start_offset {
            self.start_offset = offset;
            self.drop_below_start();
        }
        Ok(())
    }

    fn drop_below_start(&mut self) {
        while self.sealed.front().is_some_and(|front| front.last_offset() < self.start_offset) {
            self.sealed.pop_front();
        }
        if self.start_offset == self.end_offset {
            self.active = Segment::new(self.end_offset);
        }
        self.tombstones = self.tombstones.split_off(&self.start_offset);
    }

    /// Drops everything; later offsets go on from the end.
    pub(super) fn clear(&mut self) {
        self.start_offset = self.end_offset;
        self.drop_below_start();
    }

    /// Drops the oldest segments whose newest record is older than `oldest`.
    pub(super) fn delete_older_than(&mut self, oldest: Timestamp) {
        // KAFKA: a segment goes as a whole; the active one too when all of it is old.
        if self.active.max_timestamp() < oldest {
            self.seal();
        }
        let kept = self.sealed.iter().find(|segment| segment.max_timestamp() >= oldest);
        let start = kept.map_or(self.active.base_offset(), |segment| segment.base_offset());
        self.start_offset = self.start_offset.max(start);
        self.drop_below_start();
    }

    /// Drops the oldest sealed segments without which the log still has `max_bytes`.
    pub(super) fn delete_beyond(&mut self, max_bytes: usize) {
        let mut size = self.size_bytes();
        while let Some(front) = self.sealed.front() {
            size -= front.size_bytes();
            if size < max_bytes {
                return;
            }
            self.start_offset = front.last_offset() + 1;
            self.drop_below_start();
        }
    }

    /// The memory that the records cost, those before the start of the log that share a segment
    /// with later ones included.
    pub(super) fn size_bytes(&self) -> usize {
        self.sealed.iter().map(|segment| segment.size_bytes()).sum::<usize>()
            + self.active.size_bytes()
    }

    /// The segments without records newer than `newest_ms`, for a compaction at `now`; `None` when
    /// it would find nothing to do.
    pub(super) fn uncompacted(
        &mut self,
        newest_ms: Timestamp,
        now: Timestamp,
    ) -> Option<Uncompacted> {
        self.seal();
        let old = |segment: &&Arc<Segment>| segment.max_timestamp() <= newest_ms;
        let segments: Vec<_> = self.sealed.iter().take_while(old).cloned().collect();
        let last_offset = segments.last()?.last_offset();
        let due = self.tombstones.values().any(|due| *due <= now);
        (last_offset > self.compacted_to || due).then(|| Uncompacted {
            segments,
            start_offset: self.start_offset,
            newest: self.end_offset - 1,
            tombstones: self.tombstones.clone(),
            segment_bytes: self.segment_bytes,
        })
    }

    /// Puts compacted segments in the place of those up to `last_offset`. The log may have grown and
    /// its start may have moved meanwhile, but nothing else has compacted it.
    pub(super) fn replace(&mut self, last_offset: i64, compacted: Compacted) {
        let behind = self.sealed.partition_point(|segment| segment.last_offset() <= last_offset);
        self.sealed.drain(..behind);
        for segment in compacted.segments.into_iter().rev() {
            self.sealed.push_front(segment);
        }
        self.tombstones = compacted.tombstones;
        self.compacted_to = last_offset;
        self.drop_below_start();
    }
}
