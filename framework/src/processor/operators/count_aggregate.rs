//! Folds the records of a key into windows of a number of records.
//!
//! A key has one row: how many records there were, and the aggregates of the windows that are not full. A
//! window leaves the row with its last record.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use super::fold::Update;
use super::row_errors::unwritable_key;
use crate::error::Error;
use crate::processor::context::{DropReason, TaskContext};
use crate::processor::{Data, Node, Outlet};
use crate::record::{Record, Timestamp};
use crate::serdes::ArcSerde;
use crate::state::rows::{Rows, Stamped};
use crate::time::windows::{CountWindow, CountWindowed, CountWindows};

/// The row of a key.
#[derive(Debug, Clone)]
pub(crate) struct Counted<A> {
    /// How many records there were.
    pub(crate) seen: u64,
    /// The windows that are not full, the earliest first.
    pub(crate) open: VecDeque<OpenWindow<A>>,
}

/// A window that is not full.
#[derive(Debug, Clone)]
pub(crate) struct OpenWindow<A> {
    pub(crate) aggregate: Option<A>,
    /// The latest timestamp of its records.
    pub(crate) timestamp: Timestamp,
}

impl<A> Default for Counted<A> {
    fn default() -> Self {
        Self { seen: 0, open: VecDeque::new() }
    }
}

/// An aggregation in count windows. Records with a null key or value are dropped.
pub(crate) struct CountAggregate<K, V, A> {
    pub(crate) name: String,
    pub(crate) windows: CountWindows,
    pub(crate) key_serde: ArcSerde<K>,
    pub(crate) value_serde: ArcSerde<V>,
    pub(crate) update: Update<K, V, A>,
    pub(crate) rows: Rc<RefCell<Rows<Counted<A>>>>,
    /// Whether only full windows go out.
    pub(crate) full_only: bool,
    pub(crate) next: Outlet<CountWindowed<K>, A>,
    pub(crate) key_bytes: Vec<u8>,
    /// What goes out of the current record; kept for its memory.
    pub(crate) results: Vec<(CountWindow, A, Timestamp)>,
}

impl<K: Data, V: Data, A: Data> Node<K, V> for CountAggregate<K, V, A> {
    fn process(&mut self, task: &mut TaskContext, record: Record<K, V>) -> Result<(), Error> {
        if self.key_serde.is_null(&record.key) {
            task.drop_record(DropReason::NullKey);
            return Ok(());
        }
        if self.value_serde.is_null(&record.value) {
            task.drop_record(DropReason::NullValue);
            return Ok(());
        }
        self.key_bytes.clear();
        self.key_serde
            .serialize(&record.key, &mut self.key_bytes)
            .map_err(|error| unwritable_key(&self.name, error))?;
        let Record { key, value, timestamp, headers } = record;
        self.update_windows(&key, value, timestamp)?;
        let mut results = std::mem::take(&mut self.results);
        let forwarded = results.drain(..).try_for_each(|(window, value, timestamp)| {
            let key = CountWindowed { key: key.clone(), window };
            self.next.forward(task, Record { key, value, timestamp, headers: headers.clone() })
        });
        self.results = results;
        forwarded
    }
}

impl<K: Data, V: Data, A: Data> CountAggregate<K, V, A> {
    fn update_windows(&mut self, key: &K, value: V, timestamp: Timestamp) -> Result<(), Error> {
        let mut rows = self.rows.borrow_mut();
        // A copy: where the user's code panics, the row stays as it was.
        let row = rows.get(&self.key_bytes)?.cloned();
        self.results.clear();
        let written_at = row.as_ref().map_or(timestamp, |row| row.timestamp.max(timestamp));
        let mut counted = row.map(|row| row.value).unwrap_or_default();
        let number = counted.seen;
        counted.seen += 1;
        if number.is_multiple_of(self.windows.advance()) {
            counted.open.push_back(OpenWindow { aggregate: None, timestamp });
        }
        let mut start = self.windows.first_open(number);
        let mut values = std::iter::repeat_n(value, counted.open.len());
        for window in &mut counted.open {
            let Some(value) = values.next() else { break };
            window.timestamp = window.timestamp.max(timestamp);
            window.aggregate = self.update.apply(key, value, window.aggregate.take());
            let end = start + self.windows.size();
            if let Some(aggregate) = &window.aggregate
                && (!self.full_only || end == counted.seen)
            {
                let window_of = CountWindow { start, end };
                self.results.push((window_of, aggregate.clone(), window.timestamp));
            }
            start += self.windows.advance();
        }
        if self.windows.first_open(number) + self.windows.size() == counted.seen {
            counted.open.pop_front();
        }
        let row = Stamped { value: counted, timestamp: written_at };
        rows.set(&self.key_bytes, Some(row), timestamp)
    }
}
