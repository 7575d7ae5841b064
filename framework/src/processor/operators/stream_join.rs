//! One side of a stream-stream join: looks for the matches of each record in the store of the other side.
//!
//! A result has the later timestamp of the two records and the headers of the one that came last. Unmatched
//! records of left and outer joins wait in a store of their own until their window has closed.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::row_errors::unwritable_key;
use super::unmatched::{Closed, Either, JoinClock, Side, Unmatched};
use crate::error::Error;
use crate::processor::context::{DropReason, TaskContext};
use crate::processor::{Data, Node, Outlet};
use crate::record::{Headers, Record, Timestamp};
use crate::serdes::ArcSerde;
use crate::state::key_layout::{
    window_record_key, window_start, write_window_suffix_with_sequence,
};
use crate::state::recent_rows::RecentRows;
use crate::state::rows::Rows;
use crate::time::windows::JoinWindows;

/// Joins two values of a key.
pub(crate) type Joiner<K, A, B, O> = Arc<dyn Fn(&K, &A, &B) -> O + Send + Sync>;

/// Makes a result of one value alone.
pub(crate) type Alone<K, A, O> = Arc<dyn Fn(&K, &A) -> O + Send + Sync>;

/// What the sides of a join make of their records.
pub(crate) struct Joiners<K, L, R, O> {
    pub(crate) matched: Joiner<K, L, R, O>,
    /// For left records without a match, in left and outer joins.
    pub(crate) left: Option<Alone<K, L, O>>,
    /// For right records without a match, in outer joins.
    pub(crate) right: Option<Alone<K, R, O>>,
}

impl<K, L, R, O> Clone for Joiners<K, L, R, O> {
    fn clone(&self) -> Self {
        Self {
            matched: Arc::clone(&self.matched),
            left: self.left.clone(),
            right: self.right.clone(),
        }
    }
}

/// The store of one side as the other side reads it.
pub(crate) struct JoinRows<V> {
    rows: Rc<RefCell<Rows<V>>>,
    recent: Rc<RefCell<RecentRows<V>>>,
    from: Vec<u8>,
    to: Vec<u8>,
}

impl<V: Data> JoinRows<V> {
    /// Rows of a store, and the newest of them.
    pub(crate) fn new(rows: Rc<RefCell<Rows<V>>>, recent: Rc<RefCell<RecentRows<V>>>) -> Self {
        Self { rows, recent, from: Vec::new(), to: Vec::new() }
    }

    /// Shows the values of a key between two times, both inclusive, in the order of time and arrival.
    pub(crate) fn for_each(
        &mut self,
        record_key: &[u8],
        (earliest, latest): (Timestamp, Timestamp),
        visit: &mut dyn FnMut(Timestamp, &V),
    ) -> Result<(), Error> {
        if self.recent.borrow().for_each(record_key, (earliest, latest), visit) {
            return Ok(());
        }
        let Self { rows, from, to, .. } = self;
        for (bound, time, sequence) in [(&mut *from, earliest, 0), (&mut *to, latest, u32::MAX)] {
            bound.clear();
            bound.extend_from_slice(record_key);
            write_window_suffix_with_sequence(time, sequence, bound);
        }
        rows.borrow_mut().scan_times(earliest..=latest, from, Some(to), false, &mut |key, row| {
            let time = window_start(key);
            if window_record_key(key) == record_key && (earliest..=latest).contains(&time) {
                visit(time, &row.value);
            }
            true
        })
    }
}

/// What a side needs to tell of unmatched records: in left and outer joins both sides do, because each
/// finds matches for the other's.
pub(crate) struct Outer<K, A, L, R, O> {
    pub(crate) store: Unmatched<K, L, R>,
    /// This side's value as the store keeps it.
    pub(crate) keep: fn(A) -> Either<L, R>,
    /// The results of this side's records without a match; `None` if it drops them.
    pub(crate) alone: Option<Alone<K, A, O>>,
    /// The results of both sides' records, for those whose window has closed.
    pub(crate) joiners: Joiners<K, L, R, O>,
}

/// The join node of one side. `A` is this side's value, `B` the other's.
pub(crate) struct StreamJoin<K, A, B, L, R, O> {
    pub(crate) name: String,
    pub(crate) side: Side,
    pub(crate) windows: JoinWindows,
    pub(crate) key_serde: ArcSerde<K>,
    pub(crate) value_serde: ArcSerde<A>,
    pub(crate) matched: Joiner<K, A, B, O>,
    pub(crate) others: JoinRows<B>,
    pub(crate) clock: Rc<JoinClock>,
    pub(crate) outer: Option<Outer<K, A, L, R, O>>,
    pub(crate) next: Outlet<K, O>,
    pub(crate) key_bytes: Vec<u8>,
    /// The results of the record at hand.
    pub(crate) results: Vec<(Timestamp, O)>,
}

impl<K: Data, A: Data, B: Data, L: Data, R: Data, O: Data> Node<K, A>
    for StreamJoin<K, A, B, L, R, O>
{
    fn process(&mut self, task: &mut TaskContext, record: Record<K, A>) -> Result<(), Error> {
        self.clock.advance(record.timestamp);
        if self.value_serde.is_null(&record.value) {
            task.drop_record(DropReason::NullValue);
            return Ok(());
        }
        if self.key_serde.is_null(&record.key) {
            return self.without_key(task, record);
        }
        if record.timestamp == self.clock.stream_time.get() {
            self.forward_closed(task, record.timestamp, &record.headers)?;
        }
        self.key_bytes.clear();
        self.key_serde
            .serialize(&record.key, &mut self.key_bytes)
            .map_err(|error| unwritable_key(&self.name, error))?;
        self.find_matches(&record)?;
        if self.results.is_empty() {
            return self.without_match(task, record);
        }
        self.forward_results(task, record)
    }
}

impl<K: Data, A: Data, B: Data, L: Data, R: Data, O: Data> StreamJoin<K, A, B, L, R, O> {
    /// A record without a key matches nothing.
    fn without_key(&self, task: &mut TaskContext, record: Record<K, A>) -> Result<(), Error> {
        let Some(alone) = self.outer.as_ref().and_then(|outer| outer.alone.as_ref()) else {
            task.drop_record(DropReason::NullKey);
            return Ok(());
        };
        let value = alone(&record.key, &record.value);
        self.next.forward(task, record.with_value(value))
    }

    fn find_matches(&mut self, record: &Record<K, A>) -> Result<(), Error> {
        let times = self.windows.matches(record.timestamp, self.side == Side::Right);
        let (matched, results) = (&self.matched, &mut self.results);
        let (side, key, written_at) = (self.side, &self.key_bytes, record.timestamp);
        results.clear();
        self.others.for_each(key, times, &mut |time, other| {
            results.push((time, matched(&record.key, &record.value, other)));
        })?;
        if let Some(outer) = &mut self.outer {
            for (time, _) in results.iter() {
                outer.store.matched(side, *time, key, written_at)?;
            }
        }
        Ok(())
    }

    fn forward_results(
        &mut self,
        task: &mut TaskContext,
        record: Record<K, A>,
    ) -> Result<(), Error> {
        let Record { key, timestamp, headers, .. } = record;
        let last = self.results.pop();
        for (time, value) in self.results.drain(..) {
            let (key, headers) = (key.clone(), headers.clone());
            let timestamp = timestamp.max(time);
            self.next.forward(task, Record { key, value, timestamp, headers })?;
        }
        let Some((time, value)) = last else { return Ok(()) };
        self.next.forward(task, Record { key, value, timestamp: timestamp.max(time), headers })
    }

    /// An unmatched record waits, or goes on alone if stream time is past all that could match it.
    fn without_match(&mut self, task: &mut TaskContext, record: Record<K, A>) -> Result<(), Error> {
        let Some(outer) = &mut self.outer else { return Ok(()) };
        let Some(alone) = &outer.alone else { return Ok(()) };
        let (_, latest) = self.windows.matches(record.timestamp, self.side == Side::Right);
        if latest < self.clock.stream_time.get() {
            let value = alone(&record.key, &record.value);
            return self.next.forward(task, record.with_value(value));
        }
        let value = (outer.keep)(record.value);
        outer.store.add(self.side, record.timestamp, &self.key_bytes, value)
    }

    /// Forwards the unmatched records whose window has closed, with the headers of the record that moved
    /// stream time.
    fn forward_closed(
        &mut self,
        task: &mut TaskContext,
        written_at: Timestamp,
        headers: &Headers,
    ) -> Result<(), Error> {
        let Some(outer) = self.outer.as_mut().filter(|outer| outer.store.may_close(self.side))
        else {
            return Ok(());
        };
        for Closed { key, timestamp, values } in outer.store.take_closed(&self.name, written_at)? {
            for value in values {
                let value = match (&value, &outer.joiners.left, &outer.joiners.right) {
                    (Either::Left(value), Some(alone), _) => alone(&key, value),
                    (Either::Right(value), _, Some(alone)) => alone(&key, value),
                    // Only a store of another join could hold a value of a side that drops them.
                    (Either::Left(_), None, _) | (Either::Right(_), _, None) => continue,
                };
                let (key, headers) = (key.clone(), headers.clone());
                self.next.forward(task, Record { key, value, timestamp, headers })?;
            }
        }
        Ok(())
    }
}
