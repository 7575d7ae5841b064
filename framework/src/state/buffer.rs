//! Records that wait for their time, in memory: the store behind `suppress` and behind joins with grace.
//!
//! Rows come out in the order of (time, key bytes). All of it is bytes: what waits is serialized once per
//! update and deserialized when it is given out.
//!
//! INVARIANT: a row keeps the place that its first update gave it. The rows are in memory only; the
//! changelog, if there is one, brings them back. What was given out leaves the changelog only when what
//! came of it is acknowledged (see [`ManagedStore::gave_out`](super::rows::ManagedStore::gave_out)).

mod hash_set_order;
mod managed;
#[cfg(test)]
mod tests;
mod value;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use foldhash::fast::RandomState;

use super::StorePosition;
use crate::record::Timestamp;
use hash_set_order::HashSetOrder;
pub(crate) use value::{Buffered, Origin};

/// What a buffer is for; decides what its changelog looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BufferKind {
    /// `suppress`: one row per key, the last update wins. The changelog gets the rows that have changed since the
    /// last commit.
    Suppression,
    /// A join with grace: every record is a row of its own, under a key that
    /// [`write_grace_key`] makes. The changelog gets every row and its deletion, in order.
    Grace,
}

/// A row's place in the order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) time: Timestamp,
    pub(crate) key: Rc<[u8]>,
}

/// What the changelog does not have yet.
#[derive(Debug)]
enum Unlogged {
    /// There is no changelog.
    Nothing,
    /// The keys of changed rows, in the order in which they were first changed.
    Keys { order: HashSetOrder, keys: Vec<Rc<[u8]>>, set: HashSet<Rc<[u8]>, RandomState> },
    /// Rows and deletions, in order.
    Writes(Vec<Write>),
}

/// A row's key and its value in the changelog, or its deletion.
type Write = (Rc<[u8]>, Option<Box<[u8]>>);

/// Rows ordered by time.
#[derive(Debug)]
pub(crate) struct TimeOrderedBuffer {
    kind: BufferKind,
    rows: BTreeMap<Place, Buffered>,
    /// The time of each key's place.
    times: HashMap<Rc<[u8]>, Timestamp, RandomState>,
    bytes: usize,
    unlogged: Unlogged,
    unlogged_bytes: usize,
    /// Whether a row has been given out since the last commit.
    gave_out: bool,
    /// The highest sequence number of a grace buffer's keys.
    sequence: u32,
    position: Option<StorePosition>,
    scratch: Vec<u8>,
}

/// Bytes of a place beside its key, as Kafka Streams counts them.
const TIME_BYTES: usize = 8;

impl TimeOrderedBuffer {
    pub(crate) fn new(kind: BufferKind, logging: bool) -> Self {
        let unlogged = match (logging, kind) {
            (false, _) => Unlogged::Nothing,
            (true, BufferKind::Suppression) => Unlogged::Keys {
                order: HashSetOrder::new(),
                keys: Vec::new(),
                set: HashSet::default(),
            },
            (true, BufferKind::Grace) => Unlogged::Writes(Vec::new()),
        };
        Self {
            kind,
            rows: BTreeMap::new(),
            times: HashMap::default(),
            bytes: 0,
            unlogged,
            unlogged_bytes: 0,
            gave_out: false,
            sequence: 0,
            position: None,
            scratch: Vec::new(),
        }
    }

    /// Sets a row. A row that is there already keeps its place and its prior value; `time` is for a new
    /// one.
    #[expect(clippy::too_many_arguments, reason = "a row's place, its values, and their origin")]
    pub(crate) fn put(
        &mut self,
        time: Timestamp,
        key: &[u8],
        old: Option<&[u8]>,
        new: Option<&[u8]>,
        origin: Origin,
    ) {
        let place = self.place_of(key).unwrap_or_else(|| Place { time, key: key.into() });
        self.times.entry(Rc::clone(&place.key)).or_insert(time);
        let key = Rc::clone(&place.key);
        let (row, before) = match self.rows.entry(place) {
            std::collections::btree_map::Entry::Occupied(entry) => {
                let row = entry.into_mut();
                let before = counted_bytes(&key, row);
                row.update(old, new, origin);
                (row, before)
            }
            std::collections::btree_map::Entry::Vacant(entry) => {
                (entry.insert(Buffered::first(old, new, origin)), 0)
            }
        };
        let bytes = counted_bytes(&key, row);
        self.bytes = self.bytes + bytes - before;
        let written = matches!(self.unlogged, Unlogged::Writes(_)).then(|| {
            self.scratch.clear();
            row.write(&mut self.scratch);
            self.scratch.extend_from_slice(&0_i64.to_be_bytes());
            self.scratch.as_slice().into()
        });
        self.note(key, written, bytes);
    }

    /// The row that comes out next.
    pub(crate) fn first(&self) -> Option<(&Place, &Buffered)> {
        self.rows.first_key_value()
    }

    /// Removes the row that [`TimeOrderedBuffer::first`] has shown; it has gone downstream by now.
    pub(crate) fn remove_first(&mut self) {
        let Some((place, row)) = self.rows.pop_first() else { return };
        self.forget(&place.key, &row);
        self.gave_out = true;
        let bytes = place.key.len();
        self.note(place.key, None, bytes);
    }

    /// What those downstream know of a row that waits: `None` if no such row does.
    #[expect(clippy::option_option, reason = "of a row that waits nothing may be known")]
    pub(crate) fn prior_value(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        self.rows.get(&self.place_of(key)?).map(|row| row.prior.get())
    }

    /// How many rows wait.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Bytes of the rows, as Kafka Streams counts them.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The next sequence number of a grace buffer's keys: it tells records of one key and time apart.
    pub(crate) fn next_sequence(&mut self) -> u32 {
        self.sequence = (self.sequence + 1) & 0x7fff_ffff;
        self.sequence
    }

    fn place_of(&self, key: &[u8]) -> Option<Place> {
        let (key, time) = self.times.get_key_value(key)?;
        Some(Place { time: *time, key: Rc::clone(key) })
    }

    /// Takes a row that is gone out of the books.
    fn forget(&mut self, key: &[u8], row: &Buffered) {
        self.times.remove(key);
        self.bytes -= counted_bytes(key, row);
    }

    /// Notes a change for the changelog; it takes about so many bytes of memory.
    fn note(&mut self, key: Rc<[u8]>, written: Option<Box<[u8]>>, bytes: usize) {
        match &mut self.unlogged {
            Unlogged::Nothing => {}
            Unlogged::Keys { keys, set, .. } => {
                if set.insert(Rc::clone(&key)) {
                    keys.push(key);
                    self.unlogged_bytes += bytes;
                }
            }
            Unlogged::Writes(writes) => {
                writes.push((key, written));
                self.unlogged_bytes += bytes;
            }
        }
    }
}

fn counted_bytes(key: &[u8], row: &Buffered) -> usize {
    TIME_BYTES + key.len() + row.counted_bytes()
}

/// The first byte of a grace buffer's keys: time comes first.
const TIME_FIRST: u8 = 0;

/// Writes the key of a record in a grace buffer: its time, its key, and a number that tells it from others
/// of that key and time.
///
/// # Source
/// `PrefixedWindowKeySchemas.TimeFirstWindowKeySchema`.
pub(crate) fn write_grace_key(time: Timestamp, key: &[u8], sequence: u32, bytes: &mut Vec<u8>) {
    bytes.clear();
    bytes.push(TIME_FIRST);
    bytes.extend_from_slice(&time.to_be_bytes());
    bytes.extend_from_slice(key);
    bytes.extend_from_slice(&sequence.to_be_bytes());
}

/// Time, record key and sequence number of a grace buffer's key; `None` for what is none.
pub(crate) fn read_grace_key(bytes: &[u8]) -> Option<(Timestamp, &[u8], u32)> {
    let (time, rest) = bytes.strip_prefix(&[TIME_FIRST])?.split_first_chunk::<8>()?;
    let (key, sequence) = rest.split_last_chunk::<4>()?;
    Some((i64::from_be_bytes(*time), key, u32::from_be_bytes(*sequence)))
}
