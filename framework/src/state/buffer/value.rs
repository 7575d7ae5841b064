//! What a buffer keeps of a record, and its bytes in Kafka Streams' changelogs.
//!
//! The layout is big-endian: the record's origin (timestamp, offset, topic, partition, headers), then the
//! prior, the old and the new value, each behind its length; −1 is null, and −2 says that the old value
//! is the prior one.

use std::sync::Arc;

use crate::processor::context::TaskContext;
use crate::record::{Headers, Timestamp};

/// The length of null.
const NULL: i32 = -1;
/// The length of an old value that equals the prior one.
const SAME_AS_PRIOR: i32 = -2;

/// Where a record came from, with its time and headers: a later operator sees the record as if it were
/// processed now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) timestamp: Timestamp,
    pub(crate) offset: i64,
    pub(crate) topic: Arc<str>,
    pub(crate) partition: i32,
    pub(crate) headers: Headers,
}

impl Origin {
    /// The origin of a record of the task's present input.
    pub(crate) fn of(task: &TaskContext, timestamp: Timestamp, headers: Headers) -> Self {
        Self {
            timestamp,
            offset: task.offset,
            topic: Arc::clone(&task.topic),
            partition: task.partition,
            headers,
        }
    }

    /// Makes this the task's present input; the answer is what was that before.
    pub(crate) fn enter(&self, task: &mut TaskContext) -> (Arc<str>, i32, i64) {
        let topic = std::mem::replace(&mut task.topic, Arc::clone(&self.topic));
        let partition = std::mem::replace(&mut task.partition, self.partition);
        let offset = std::mem::replace(&mut task.offset, self.offset);
        (topic, partition, offset)
    }

    /// Gives the task the input back that [`Origin::enter`] has replaced.
    pub(crate) fn leave(task: &mut TaskContext, before: (Arc<str>, i32, i64)) {
        (task.topic, task.partition, task.offset) = before;
    }

    /// Bytes of memory, as Kafka Streams counts them: text by its UTF-16 units, and no references.
    fn counted_bytes(&self) -> usize {
        let header = |header: &crate::record::Header| {
            header.name.encode_utf16().count()
                + header.value.as_ref().map_or(0, |value| value.len())
        };
        let headers: usize = self.headers.iter().map(header).sum();
        8 + 8 + self.topic.encode_utf16().count() + 4 + headers
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.timestamp.to_be_bytes());
        bytes.extend_from_slice(&self.offset.to_be_bytes());
        write_value(Some(self.topic.as_bytes()), bytes);
        bytes.extend_from_slice(&self.partition.to_be_bytes());
        bytes.extend_from_slice(&length(self.headers.len()).to_be_bytes());
        for header in &self.headers {
            write_value(Some(header.name.as_bytes()), bytes);
            write_value(header.value.as_deref(), bytes);
        }
    }
}

/// A value that may be null; its memory is used again when it changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NullableBytes(Option<Vec<u8>>);

impl NullableBytes {
    fn set(&mut self, value: Option<&[u8]>) {
        match (&mut self.0, value) {
            (Some(bytes), Some(value)) => {
                bytes.clear();
                bytes.extend_from_slice(value);
            }
            (place, value) => *place = value.map(<[u8]>::to_vec),
        }
    }

    /// The value.
    pub(crate) fn get(&self) -> Option<&[u8]> {
        self.0.as_deref()
    }

    fn len(&self) -> usize {
        self.0.as_ref().map_or(0, Vec::len)
    }
}

/// A record in a buffer: the last update of its row since it was first buffered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Buffered {
    /// What those downstream know: the row's value before it was buffered.
    pub(crate) prior: NullableBytes,
    pub(crate) old: NullableBytes,
    pub(crate) new: NullableBytes,
    pub(crate) origin: Origin,
}

impl Buffered {
    /// A row's first update: what it was before is what those downstream know.
    pub(super) fn first(old: Option<&[u8]>, new: Option<&[u8]>, origin: Origin) -> Self {
        let owned = |value: Option<&[u8]>| NullableBytes(value.map(<[u8]>::to_vec));
        Self { prior: owned(old), old: owned(old), new: owned(new), origin }
    }

    /// A row's next update.
    pub(super) fn update(&mut self, old: Option<&[u8]>, new: Option<&[u8]>, origin: Origin) {
        self.old.set(old);
        self.new.set(new);
        self.origin = origin;
    }

    /// Bytes of memory, as Kafka Streams counts them: an old value that is the prior one counts once.
    pub(super) fn counted_bytes(&self) -> usize {
        let old = if self.old == self.prior { 0 } else { self.old.len() };
        self.prior.len() + old + self.new.len() + self.origin.counted_bytes()
    }

    /// Appends the record's bytes.
    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        self.origin.write(bytes);
        write_value(self.prior.get(), bytes);
        match self.old.get() {
            Some(_) if self.old == self.prior => {
                bytes.extend_from_slice(&SAME_AS_PRIOR.to_be_bytes());
            }
            old => write_value(old, bytes),
        }
        write_value(self.new.get(), bytes);
    }

    /// Reads a record back; `None` for what is none.
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let origin = reader.origin()?;
        let prior = reader.value()?;
        let old = match reader.i32()? {
            SAME_AS_PRIOR => prior,
            length => reader.bytes(length)?,
        };
        let new = reader.value()?;
        let owned = |value: Option<&[u8]>| NullableBytes(value.map(<[u8]>::to_vec));
        Some(Self { prior: owned(prior), old: owned(old), new: owned(new), origin })
    }
}

fn length(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}

fn write_value(value: Option<&[u8]>, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&value.map_or(NULL, |value| length(value.len())).to_be_bytes());
    bytes.extend_from_slice(value.unwrap_or_default());
}

/// Reads what [`Buffered::write`] has written, from the front.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    fn chunk<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (chunk, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*chunk)
    }

    fn i32(&mut self) -> Option<i32> {
        self.chunk().map(i32::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Option<i64> {
        self.chunk().map(i64::from_be_bytes)
    }

    /// So many bytes; null for a length of −1. `None` if there are not so many.
    #[expect(clippy::option_option, reason = "null is a value")]
    fn bytes(&mut self, length: i32) -> Option<Option<&'a [u8]>> {
        if length == NULL {
            return Some(None);
        }
        let (value, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some(Some(value))
    }

    #[expect(clippy::option_option, reason = "null is a value")]
    fn value(&mut self) -> Option<Option<&'a [u8]>> {
        let length = self.i32()?;
        self.bytes(length)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.value()??).ok()
    }

    fn origin(&mut self) -> Option<Origin> {
        let (timestamp, offset) = (self.i64()?, self.i64()?);
        let topic = self.text()?.into();
        let partition = self.i32()?;
        let mut headers = Headers::new();
        for _ in 0..self.i32()? {
            let name = self.text()?;
            headers.add(name, self.value()?);
        }
        Some(Origin { timestamp, offset, topic, partition, headers })
    }
}
