//! A run of records in one piece of memory: a byte arena and an index over it.
//!
//! What always holds: offsets grow strictly; a segment that is shared (behind an `Arc`) never
//! changes; a record costs its bytes and one 32-byte index entry, and its headers if it has any.

use std::fmt;
use std::sync::Arc;

use crate::broker::{RawRecord, RecordBatch};
use crate::record::{Headers, Timestamp};

/// What a record is before it has an offset.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewRecord<'a> {
    pub(super) timestamp: Timestamp,
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) headers: &'a Headers,
}

/// Where a record lies. Positions count from the start of the segment the entry was written to;
/// see [`Segment::copy_of`].
#[derive(Debug, Clone, Copy)]
struct Entry {
    timestamp: Timestamp,
    start: u32,
    offset_delta: u32,
    /// −1: null.
    key_len: i32,
    /// −1: null.
    value_len: i32,
    /// 0: none; n: the n-th headers of the segment.
    headers: u32,
}

/// Bytes of an index entry: the memory that a record costs beside its own bytes.
const ENTRY_BYTES: usize = size_of::<Entry>();

/// Records with growing offsets, perhaps with gaps.
pub(super) struct Segment {
    base_offset: i64,
    /// Position of `bytes[0]`; above 0 only in a copy of a part.
    byte_base: u32,
    /// How many headers came before `headers[0]`; above 0 only in a copy of a part.
    header_base: u32,
    bytes: Vec<u8>,
    index: Vec<Entry>,
    headers: Vec<Headers>,
    max_timestamp: Timestamp,
}

impl Segment {
    /// An empty segment whose first record will have `base_offset` or a higher offset.
    pub(super) fn new(base_offset: i64) -> Self {
        Self::with_capacity(base_offset, 0, 0)
    }

    /// An empty segment after this full one: a partition that has been busy stays busy, so it gets
    /// as much room at once.
    pub(super) fn after(&self, base_offset: i64) -> Self {
        Self::with_capacity(base_offset, self.bytes.len(), self.index.len())
    }

    fn with_capacity(base_offset: i64, bytes: usize, records: usize) -> Self {
        Self {
            base_offset,
            byte_base: 0,
            header_base: 0,
            bytes: Vec::with_capacity(bytes),
            index: Vec::with_capacity(records),
            headers: Vec::new(),
            max_timestamp: Timestamp::MIN,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The memory the records cost.
    pub(super) fn size_bytes(&self) -> usize {
        self.bytes.len() + self.index.len() * ENTRY_BYTES
    }

    pub(super) fn max_timestamp(&self) -> Timestamp {
        self.max_timestamp
    }

    pub(super) fn base_offset(&self) -> i64 {
        self.base_offset
    }

    /// The offset of the last record; below the base offset when there is none.
    pub(super) fn last_offset(&self) -> i64 {
        self.index
            .last()
            .map_or(self.base_offset - 1, |entry| self.base_offset + i64::from(entry.offset_delta))
    }

    /// Whether a record at `offset` can be counted from this segment's base.
    pub(super) fn reaches(&self, offset: i64) -> bool {
        u32::try_from(offset - self.base_offset).is_ok()
    }

    /// Appends a record. `offset` is above all offsets so far, and [`Segment::reaches`] it.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a log ends a segment long before 4 GiB, and starts one where offsets do not reach"
    )]
    pub(super) fn push(&mut self, offset: i64, record: NewRecord<'_>) {
        let start = self.bytes.len() as u32;
        let key_len = push_bytes(&mut self.bytes, record.key);
        let value_len = push_bytes(&mut self.bytes, record.value);
        let headers = if record.headers.is_empty() {
            0
        } else {
            self.headers.push(record.headers.clone());
            self.headers.len() as u32
        };
        self.max_timestamp = self.max_timestamp.max(record.timestamp);
        self.index.push(Entry {
            timestamp: record.timestamp,
            start,
            offset_delta: (offset - self.base_offset) as u32,
            key_len,
            value_len,
            headers,
        });
    }

    /// Gives back memory that was reserved and not used.
    pub(super) fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        self.index.shrink_to_fit();
        self.headers.shrink_to_fit();
    }

    /// The index of the first record at or above `offset`; `len()` if there is none.
    pub(super) fn position_of(&self, offset: i64) -> usize {
        let Ok(delta) = u32::try_from(offset - self.base_offset) else {
            return if offset < self.base_offset { 0 } else { self.index.len() };
        };
        let dense = delta as usize;
        match self.index.get(dense) {
            // Without gaps the n-th record has delta n.
            Some(entry) if entry.offset_delta == delta => dense,
            _ => self.index.partition_point(|entry| entry.offset_delta < delta),
        }
    }

    /// The offset of the record at `index`, if there is one.
    pub(super) fn offset_of(&self, index: usize) -> Option<i64> {
        self.index.get(index).map(|entry| self.base_offset + i64::from(entry.offset_delta))
    }

    /// A segment of its own with `len` records from `start`: one copy of the bytes between, and one
    /// of the index. Not of a copy again.
    pub(super) fn copy_of(&self, start: usize, len: usize) -> Self {
        let entries = self.index.get(start..start + len).unwrap_or_default();
        let first = entries.first().map_or(0, |entry| entry.start);
        let end = entries.last().map_or(first, Entry::end);
        let mut numbers = entries.iter().map(|entry| entry.headers).filter(|number| *number > 0);
        let (skipped, taken) = numbers
            .next()
            .map_or((0, 0), |number| (number - 1, numbers.next_back().unwrap_or(number)));
        let headers = self.headers.get(skipped as usize..taken as usize).unwrap_or_default();
        Self {
            base_offset: self.base_offset,
            byte_base: first,
            header_base: skipped,
            bytes: self.slice(first, (end - first) as usize).to_vec(),
            index: entries.to_vec(),
            headers: headers.to_vec(),
            max_timestamp: self.max_timestamp,
        }
    }

    /// The record at `index < len()`.
    #[expect(clippy::indexing_slicing, reason = "an index beyond the end is the caller's mistake")]
    pub(super) fn record(&self, index: usize) -> RawRecord<'_> {
        let entry = &self.index[index];
        let key = self.optional(entry.start, entry.key_len);
        let value_start = entry.start + entry.key_len.max(0).cast_unsigned();
        RawRecord {
            offset: self.base_offset + i64::from(entry.offset_delta),
            timestamp: entry.timestamp,
            key,
            value: self.optional(value_start, entry.value_len),
            headers: self.headers_of(entry).cloned().unwrap_or_default(),
        }
    }

    /// All records in order.
    pub(super) fn records(&self) -> impl Iterator<Item = RawRecord<'_>> {
        (0..self.len()).map(|index| self.record(index))
    }

    fn headers_of(&self, entry: &Entry) -> Option<&Headers> {
        let number = entry.headers.checked_sub(1)?;
        self.headers.get((number - self.header_base) as usize)
    }

    fn optional(&self, start: u32, len: i32) -> Option<&[u8]> {
        usize::try_from(len).ok().map(|len| self.slice(start, len))
    }

    #[expect(clippy::indexing_slicing, reason = "entries only point at bytes pushed before them")]
    fn slice(&self, start: u32, len: usize) -> &[u8] {
        let start = (start - self.byte_base) as usize;
        &self.bytes[start..start + len]
    }
}

impl Entry {
    fn end(&self) -> u32 {
        self.start + self.key_len.max(0).cast_unsigned() + self.value_len.max(0).cast_unsigned()
    }
}

/// Appends the bytes; the answer is their length, or −1 for null.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "max.message.bytes"
)]
fn push_bytes(arena: &mut Vec<u8>, bytes: Option<&[u8]>) -> i32 {
    bytes.map_or(-1, |bytes| {
        arena.extend_from_slice(bytes);
        bytes.len() as i32
    })
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment")
            .field("base_offset", &self.base_offset)
            .field("records", &self.len())
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

/// Some records of a segment: what a fetch hands out.
#[derive(Debug)]
pub(super) struct Batch {
    segment: Arc<Segment>,
    start: usize,
    len: usize,
}

impl Batch {
    /// `len` records from `start`, all of which the segment has.
    pub(super) fn new(segment: Arc<Segment>, start: usize, len: usize) -> Self {
        Self { segment, start, len }
    }

    /// The offset behind the last record.
    pub(super) fn next_offset(&self) -> i64 {
        self.record(self.len - 1).offset + 1
    }
}

impl RecordBatch for Batch {
    fn len(&self) -> usize {
        self.len
    }

    fn record(&self, index: usize) -> RawRecord<'_> {
        self.segment.record(self.start + index)
    }
}
