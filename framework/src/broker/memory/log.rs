//! The log of one partition: sealed segments, and the active one that is appended to.
//!
//! What always holds: offsets grow and are never given twice; `start ≤ stable end ≤ end`; a reader below
//! the stable end always gets on, by records or over a gap. Nothing at or above the stable end is read,
//! cleaned or compacted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::isolation::{Aborted, Isolation, NotOpen, Outcome, ProducerLife};
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

/// What a fetch gives: records, or else a position further on.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) batch: Option<Batch>,
    /// Where to go on.
    pub(super) position: i64,
}

impl Read {
    fn nothing(position: i64) -> Self {
        Self { batch: None, position }
    }
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
    isolation: Isolation,
}

/// What a compaction reads: immutable, so that it can work without the partition's lock.
#[derive(Debug)]
pub(super) struct Uncompacted {
    pub(super) segments: Vec<Arc<Segment>>,
    pub(super) start_offset: i64,
    /// The offset of the newest record of the log, which stays.
    pub(super) newest: i64,
    pub(super) tombstones: BTreeMap<i64, Timestamp>,
    pub(super) aborted: Aborted,
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
            isolation: Isolation::default(),
        }
    }

    pub(super) fn start_offset(&self) -> i64 {
        self.start_offset
    }

    pub(super) fn end_offset(&self) -> i64 {
        self.end_offset
    }

    /// The offset of the first record that is not decided yet; the end when there is none. Readers stop
    /// there.
    pub(super) fn stable_end(&self) -> i64 {
        let undecided = self.isolation.first_undecided();
        undecided.map_or(self.end_offset, |offset| offset.max(self.start_offset))
    }

    pub(super) fn has_open_transactions(&self) -> bool {
        self.isolation.has_open()
    }

    /// When the first of the open transactions is aborted for its age.
    pub(super) fn transaction_deadline(&self) -> Option<Duration> {
        self.isolation.deadline()
    }

    /// Lets a producer append in a transaction, which is aborted at `deadline`.
    pub(super) fn begin(&mut self, producer: ProducerLife, deadline: Duration) {
        self.isolation.begin(producer, deadline);
    }

    /// Appends a record in the producer's transaction and gives its offset.
    pub(super) fn append_in(
        &mut self,
        producer: ProducerLife,
        record: NewRecord<'_>,
    ) -> Result<i64, NotOpen> {
        self.isolation.add(producer, self.end_offset)?;
        Ok(self.append(record))
    }

    /// Ends the producer's transaction; the marker takes an offset.
    pub(super) fn end(&mut self, producer: ProducerLife, outcome: Outcome) -> Result<(), NotOpen> {
        self.isolation.end(producer, outcome)?;
        self.end_offset += 1;
        Ok(())
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

    /// Up to `max_records` records from the first at or above `position` that may be read, up to the
    /// stable end. A batch ends with its segment, and before an aborted record.
    pub(super) fn read(&mut self, position: i64, max_records: usize) -> Result<Read, OutOfRange> {
        if position < self.start_offset || position > self.end_offset {
            return Err(OutOfRange { start: self.start_offset, end: self.end_offset });
        }
        let stable_end = self.stable_end();
        if position >= stable_end || max_records == 0 {
            return Ok(Read::nothing(position));
        }
        let mut position = position;
        loop {
            // Where there is a gap, the record behind it may be an aborted one.
            let first = self.first_at(self.isolation.aborted.skip(position));
            let Some(first) = first.filter(|offset| *offset < stable_end) else {
                return Ok(Read::nothing(stable_end));
            };
            position = first;
            if !self.isolation.aborted.contains(position) {
                break;
            }
        }
        let aborted = self.isolation.aborted.next_after(position).unwrap_or(stable_end);
        let batch = self.read_records(position, stable_end.min(aborted), max_records);
        let position = batch.as_ref().map_or(stable_end, Batch::next_offset);
        Ok(Read { batch, position })
    }

    /// The offset of the first record at or above `position`.
    fn first_at(&self, position: i64) -> Option<i64> {
        if position < self.active.base_offset() {
            let at = self.sealed.partition_point(|segment| segment.last_offset() < position);
            if let Some(segment) = self.sealed.get(at) {
                return segment.offset_of(segment.position_of(position));
            }
        }
        self.active.offset_of(self.active.position_of(position))
    }

    /// Up to `max_records` of the records from `position`, where there is one, to before `end`.
    fn read_records(&mut self, position: i64, end: i64, max_records: usize) -> Option<Batch> {
        let in_active = position >= self.active.base_offset();
        if in_active && self.active.size_bytes() <= COPY_BYTES {
            let first = self.active.position_of(position);
            let len = max_records.min(self.active.position_of(end) - first);
            let copy = self.active.copy_of(first, len);
            return Some(Batch::new(Arc::new(copy), 0, len));
        }
        if in_active {
            self.seal();
        }
        let at = self.sealed.partition_point(|segment| segment.last_offset() < position);
        let segment = self.sealed.get(at)?;
        let first = segment.position_of(position);
        let len = max_records.min(segment.position_of(end) - first);
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
        self.isolation.aborted.forget_below(self.start_offset);
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
        let stable_end = self.stable_end();
        let stays = |segment: &&Arc<Segment>| {
            segment.max_timestamp() >= oldest || segment.last_offset() >= stable_end
        };
        let kept = self.sealed.iter().find(stays);
        let start = kept.map_or(self.active.base_offset(), |segment| segment.base_offset());
        self.start_offset = self.start_offset.max(start);
        self.drop_below_start();
    }

    /// Drops the oldest sealed segments without which the log still has `max_bytes`.
    pub(super) fn delete_beyond(&mut self, max_bytes: usize) {
        let stable_end = self.stable_end();
        let mut size = self.size_bytes();
        while let Some(front) = self.sealed.front() {
            size -= front.size_bytes();
            if size < max_bytes || front.last_offset() >= stable_end {
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

    /// The segments without records newer than `newest_ms` and without undecided ones, for a compaction at
    /// `now`; `None` when it would find nothing to do.
    pub(super) fn uncompacted(
        &mut self,
        newest_ms: Timestamp,
        now: Timestamp,
    ) -> Option<Uncompacted> {
        self.seal();
        let stable_end = self.stable_end();
        let old = |segment: &&Arc<Segment>| {
            segment.max_timestamp() <= newest_ms && segment.last_offset() < stable_end
        };
        let segments: Vec<_> = self.sealed.iter().take_while(old).cloned().collect();
        let last_offset = segments.last()?.last_offset();
        let due = self.tombstones.values().any(|due| *due <= now);
        (last_offset > self.compacted_to || due).then(|| Uncompacted {
            segments,
            start_offset: self.start_offset,
            newest: self.end_offset - 1,
            tombstones: self.tombstones.clone(),
            aborted: self.isolation.aborted.clone(),
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
        self.isolation.aborted.forget_below(last_offset + 1);
        self.drop_below_start();
    }
}
