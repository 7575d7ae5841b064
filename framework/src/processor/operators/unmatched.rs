//! The records of left and outer joins that have found no match yet.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use super::row_errors::unreadable_key;
use crate::error::Error;
use crate::processor::Data;
use crate::record::Timestamp;
use crate::serdes::{ArcSerde, Serde, SerdeError};
use crate::state::rows::{Rows, Stamped};
use crate::time::windows::JoinWindows;

/// The side that a record came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

/// A value of either side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Either<L, R> {
    Left(L),
    Right(R),
}

/// The clocks that both sides of a join share.
///
/// # Source
/// `KStreamImplJoin.TimeTracker`.
#[derive(Debug)]
pub(crate) struct JoinClock {
    /// The highest timestamp that either side has seen, dropped records included.
    pub(crate) stream_time: Cell<Timestamp>,
    /// A time that stream time has to be past, by window and grace, before it pays to look for unmatched
    /// records whose window has closed.
    watermark: Cell<Watermark>,
}

impl Default for JoinClock {
    fn default() -> Self {
        Self { stream_time: Cell::new(-1), watermark: Cell::new(Watermark::Unknown) }
    }
}

/// What is known of the unmatched records' times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watermark {
    /// Nothing: the store may hold records of an earlier run.
    Unknown,
    /// The store is empty.
    Empty,
    /// KAFKA: of the record that the last look ended at, or of an earlier one that came since.
    At(Timestamp),
}

impl JoinClock {
    /// Takes a record's time into account.
    #[inline]
    pub(crate) fn advance(&self, timestamp: Timestamp) {
        self.stream_time.set(self.stream_time.get().max(timestamp));
    }

    fn added(&self, timestamp: Timestamp) {
        let watermark = match self.watermark.get() {
            Watermark::At(earliest) => Watermark::At(earliest.min(timestamp)),
            Watermark::Empty => Watermark::At(timestamp),
            // A look will tell.
            Watermark::Unknown => Watermark::Unknown,
        };
        self.watermark.set(watermark);
    }
}

/// One row: the unmatched values of a key, a time and a side, in the order they came.
pub(crate) type UnmatchedRow<L, R> = Vec<Either<L, R>>;

/// The unmatched records of both sides, by time, side and key.
pub(crate) struct Unmatched<K, L, R> {
    pub(crate) rows: Rc<RefCell<Rows<UnmatchedRow<L, R>>>>,
    pub(crate) clock: Rc<JoinClock>,
    pub(crate) windows: JoinWindows,
    pub(crate) key_serde: ArcSerde<K>,
    pub(crate) key_bytes: Vec<u8>,
}

/// Bytes in front of the record key in a row's key: time and side.
const PREFIX_BYTES: usize = 9;

impl Side {
    /// KAFKA: right records come out before left ones of the same time.
    fn byte(self) -> u8 {
        match self {
            Self::Left => 1,
            Self::Right => 0,
        }
    }

    fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }
}

/// Unmatched records of one key, time and side whose window has closed.
pub(crate) struct Closed<K, L, R> {
    pub(crate) key: K,
    pub(crate) timestamp: Timestamp,
    pub(crate) values: UnmatchedRow<L, R>,
}

impl<K: Data, L: Data, R: Data> Unmatched<K, L, R> {
    fn write_key(&mut self, side: Side, timestamp: Timestamp, record_key: &[u8]) {
        self.key_bytes.clear();
        self.key_bytes.extend_from_slice(&timestamp.to_be_bytes());
        self.key_bytes.push(side.byte());
        self.key_bytes.extend_from_slice(record_key);
    }

    /// Keeps a record for which there was no match.
    pub(crate) fn add(
        &mut self,
        side: Side,
        timestamp: Timestamp,
        record_key: &[u8],
        value: Either<L, R>,
    ) -> Result<(), Error> {
        self.write_key(side, timestamp, record_key);
        let mut rows = self.rows.borrow_mut();
        let id = rows.find(&self.key_bytes)?;
        let mut values = rows.take(id).map(|row| row.value).unwrap_or_default();
        values.push(value);
        rows.put(id, Some(Stamped { value: values, timestamp }), timestamp);
        self.clock.added(timestamp);
        Ok(())
    }

    /// Forgets the records of the side opposite to `side` that have just been matched.
    pub(crate) fn matched(
        &mut self,
        side: Side,
        timestamp: Timestamp,
        record_key: &[u8],
        written_at: Timestamp,
    ) -> Result<(), Error> {
        if self.clock.watermark.get() == Watermark::Empty {
            return Ok(());
        }
        self.write_key(side.other(), timestamp, record_key);
        let mut rows = self.rows.borrow_mut();
        let id = rows.find(&self.key_bytes)?;
        if rows.take(id).is_some() {
            rows.put(id, None, written_at);
        }
        Ok(())
    }

    /// Whether it pays to look for closed windows when a record of `side` has moved stream time.
    pub(crate) fn may_close(&self, side: Side) -> bool {
        match self.clock.watermark.get() {
            Watermark::Unknown => true,
            Watermark::Empty => false,
            Watermark::At(earliest) => !self.is_open(earliest, side),
        }
    }

    /// Whether a record of this side can still be matched.
    fn is_open(&self, timestamp: Timestamp, side: Side) -> bool {
        let (_, ahead) = self.windows.seen_from(side == Side::Right);
        let end = timestamp.saturating_add(ahead).saturating_add(self.windows.grace_ms());
        end >= self.clock.stream_time.get()
    }

    /// Takes out the records whose window has closed, in the order of time, side and key.
    ///
    /// KAFKA: the look ends behind the first open record of each side, and the watermark is set to where it
    /// ended; results may come out later than they could, but come out exactly when Kafka Streams' do.
    pub(crate) fn take_closed(
        &self,
        node: &str,
        written_at: Timestamp,
    ) -> Result<Vec<Closed<K, L, R>>, Error> {
        let mut closed_keys: Vec<Box<[u8]>> = Vec::new();
        let (mut left_open, mut right_open) = (false, false);
        let mut ended_at = None;
        let rows = Rc::clone(&self.rows);
        let mut rows = rows.borrow_mut();
        rows.scan(&[], None, false, &mut |key, row| {
            let (timestamp, side) = time_and_side(key);
            ended_at = Some(timestamp);
            if left_open && right_open {
                return false;
            }
            if self.is_open(timestamp, side) {
                match side {
                    Side::Left => left_open = true,
                    Side::Right => right_open = true,
                }
                // Of several values under one key the second ends the look.
                return row.value.len() < 2 || !(left_open && right_open);
            }
            closed_keys.push(key.into());
            true
        })?;
        self.clock.watermark.set(ended_at.map_or(Watermark::Empty, Watermark::At));
        let mut closed = Vec::with_capacity(closed_keys.len());
        for key in closed_keys {
            let id = rows.find(&key)?;
            let Some(row) = rows.take(id) else { continue };
            rows.put(id, None, written_at);
            let record_key = key.get(PREFIX_BYTES..).unwrap_or_default();
            let record_key = self.key_serde.deserialize(record_key);
            let timestamp = time_and_side(&key).0;
            let record_key = record_key.map_err(|error| unreadable_key(node, error))?;
            closed.push(Closed { key: record_key, timestamp, values: row.value });
        }
        Ok(closed)
    }
}

fn time_and_side(key: &[u8]) -> (Timestamp, Side) {
    let time = key.first_chunk::<8>().map_or(0, |time| i64::from_be_bytes(*time));
    let left = key.get(PREFIX_BYTES - 1).is_some_and(|side| *side == Side::Left.byte());
    (time, if left { Side::Left } else { Side::Right })
}

/// The bytes of a row: Kafka's list of byte strings, each a side and a value.
///
/// # Source
/// `ListValueStore` and `LeftOrRightValueSerializer`.
pub(crate) struct UnmatchedSerde<L, R> {
    left: ArcSerde<L>,
    right: ArcSerde<R>,
}

/// KAFKA: the mark of a list whose elements have lengths of their own.
const VARIABLE_SIZE: u8 = 1;

impl<L: Data, R: Data> UnmatchedSerde<L, R> {
    /// A serde of rows with these values.
    pub(crate) fn shared(left: ArcSerde<L>, right: ArcSerde<R>) -> ArcSerde<UnmatchedRow<L, R>> {
        Arc::new(Self { left, right })
    }
}

impl<L: Data, R: Data> Serde<UnmatchedRow<L, R>> for UnmatchedSerde<L, R> {
    fn serialize(
        &self,
        values: &UnmatchedRow<L, R>,
        bytes: &mut Vec<u8>,
    ) -> Result<(), SerdeError> {
        bytes.push(VARIABLE_SIZE);
        bytes.extend_from_slice(&i32::try_from(values.len())?.to_be_bytes());
        for value in values {
            let length_at = bytes.len();
            bytes.extend_from_slice(&[0; 4]);
            match value {
                Either::Left(value) => {
                    bytes.push(Side::Left.byte());
                    self.left.serialize(value, bytes)?;
                }
                Either::Right(value) => {
                    bytes.push(Side::Right.byte());
                    self.right.serialize(value, bytes)?;
                }
            }
            let length = i32::try_from(bytes.len() - length_at - 4)?;
            if let Some(place) = bytes.get_mut(length_at..length_at + 4) {
                place.copy_from_slice(&length.to_be_bytes());
            }
        }
        Ok(())
    }

    fn deserialize(&self, bytes: &[u8]) -> Result<UnmatchedRow<L, R>, SerdeError> {
        let Some((&VARIABLE_SIZE, bytes)) = bytes.split_first() else {
            return Err("a row of unmatched records does not begin with the mark of a list".into());
        };
        let (count, mut bytes) = read_i32(bytes)?;
        let mut values = Vec::new();
        for _ in 0..count {
            let (length, rest) = read_i32(bytes)?;
            let (value, rest) = rest.split_at_checked(usize::try_from(length)?).ok_or(TOO_SHORT)?;
            bytes = rest;
            let (side, value) = value.split_first().ok_or(TOO_SHORT)?;
            values.push(if *side == Side::Left.byte() {
                Either::Left(self.left.deserialize(value)?)
            } else {
                Either::Right(self.right.deserialize(value)?)
            });
        }
        Ok(values)
    }

    fn memory_bytes(&self, values: &UnmatchedRow<L, R>) -> usize {
        let owned = values.iter().map(|value| match value {
            Either::Left(value) => self.left.memory_bytes(value),
            Either::Right(value) => self.right.memory_bytes(value),
        });
        size_of::<UnmatchedRow<L, R>>() + owned.sum::<usize>()
    }
}

const TOO_SHORT: &str = "a row of unmatched records is too short";

fn read_i32(bytes: &[u8]) -> Result<(i32, &[u8]), SerdeError> {
    let (number, rest) = bytes.split_first_chunk::<4>().ok_or(TOO_SHORT)?;
    Ok((i32::from_be_bytes(*number), rest))
}
