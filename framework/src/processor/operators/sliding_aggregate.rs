//! Folds the records of a key and a sliding window into one row.
//!
//! Each record has a window that ends at it, its left one, and one that begins a millisecond behind it, its
//! right one, as soon as a later record falls in there. A window's row has the timestamp of its latest
//! record, which is how a record's neighbors are known without keeping the records. A window is closed when
//! its end is before stream time − grace.

use super::windowed_rows::{RowUpdate, WindowedRows};
use crate::error::Error;
use crate::processor::context::{DropReason, TaskContext};
use crate::processor::{Data, Flush, Node};
use crate::record::{Record, Timestamp};
use crate::serdes::ArcSerde;
use crate::state::key_layout::{window_start, write_window_suffix};
use crate::state::rows::Stamped;
use crate::time::windows::{SlidingWindows, Window, Windowed};

/// An aggregation in sliding windows. Records with a null key or value are dropped.
pub(crate) struct SlidingAggregate<K, V, A> {
    pub(crate) windows: SlidingWindows,
    pub(crate) value_serde: ArcSerde<V>,
    pub(crate) rows: WindowedRows<K, V, A>,
    /// Windows that end before this are closed, as of the current record.
    pub(crate) close_time: Timestamp,
    /// The windows around the record, by their starts; kept for its memory.
    pub(crate) found: Vec<(Timestamp, Stamped<A>)>,
    /// Bounds of the search, kept for their memory.
    pub(crate) bounds: (Vec<u8>, Vec<u8>),
}

/// What the windows around a record say about those that it needs.
struct Neighbors<A> {
    /// The latest window that ends before the record: the record's left window has what it has.
    left: Option<Stamped<A>>,
    /// A window with the record that, of the records behind it, has those of its right window.
    right: Option<Stamped<A>>,
    left_exists: bool,
    right_exists: bool,
    /// The time of the latest record before this one, where it is near enough to matter.
    previous: Option<Timestamp>,
}

impl<A> Default for Neighbors<A> {
    fn default() -> Self {
        Self { left: None, right: None, left_exists: false, right_exists: false, previous: None }
    }
}

impl<A> Neighbors<A> {
    /// The row of a right window that has to be made for a record at this time.
    fn new_right(&mut self, timestamp: Timestamp) -> Option<Stamped<A>> {
        let row = self.right.take().filter(|row| row.timestamp > timestamp);
        row.filter(|_| !self.right_exists)
    }
}

/// Windows by their starts.
type Found<A> = Vec<(Timestamp, Stamped<A>)>;

impl<K: Data, V: Data, A: Data> Node<K, V> for SlidingAggregate<K, V, A> {
    fn process(&mut self, task: &mut TaskContext, record: Record<K, V>) -> Result<(), Error> {
        if self.rows.key_serde.is_null(&record.key) {
            task.drop_record(DropReason::NullKey);
            return Ok(());
        }
        if self.value_serde.is_null(&record.value) {
            task.drop_record(DropReason::NullValue);
            return Ok(());
        }
        self.rows.observe(&record.key, record.timestamp)?;
        self.close_time = self.rows.stream_time.saturating_sub(self.windows.grace_ms());
        let newest = self.windows.window_at(record.timestamp);
        if newest.end < self.close_time {
            return self.rows.late.refuse(task, &record, newest);
        }
        let difference = self.windows.time_difference_ms();
        let early = record.timestamp < difference;
        self.find_windows(record.timestamp, early)?;
        let mut found = std::mem::take(&mut self.found);
        let result = if early {
            self.process_early(task, &record, &mut found)
        } else {
            self.process_with_left_window(task, &record, &mut found)
        };
        found.clear();
        self.found = found;
        result?;
        if early {
            // KAFKA: such a record closes no windows.
            return Ok(());
        }
        // An end at the close time itself is open.
        let last = self.close_time.saturating_sub(difference).saturating_sub(1);
        self.rows.give_out_closed(task, last, &record.headers)
    }
}

impl<K: Data, V: Data, A: Data> SlidingAggregate<K, V, A> {
    /// Finds the windows of the observed key that may concern a record at `timestamp`: the latest first, or
    /// the earliest.
    fn find_windows(&mut self, timestamp: Timestamp, earliest_first: bool) -> Result<(), Error> {
        let reach = self.windows.time_difference_ms().saturating_mul(2);
        let earliest = timestamp.saturating_sub(reach).max(0);
        // The record's right window is among them, if there is one.
        let latest = timestamp.saturating_add(1);
        let key = self.rows.key_bytes.get(..self.rows.key_length).unwrap_or_default();
        let (from, to) = &mut self.bounds;
        for bound in [&mut *from, &mut *to] {
            bound.clear();
            bound.extend_from_slice(key);
        }
        write_window_suffix(earliest, from);
        write_window_suffix(latest.saturating_add(1), to);
        let (length, found) = (from.len(), &mut self.found);
        self.rows.fold.rows.borrow_mut().scan_times(
            earliest..=latest,
            from,
            Some(to),
            !earliest_first,
            &mut |row_key, row| {
                // Longer keys that begin alike stand in between.
                if row_key.len() == length && row_key.starts_with(key) {
                    found.push((window_start(row_key), row.clone()));
                }
                true
            },
        )
    }

    /// A record with a left window: updates the windows that it is in, and makes those that it needs.
    fn process_with_left_window(
        &mut self,
        task: &mut TaskContext,
        record: &Record<K, V>,
        found: &mut Found<A>,
    ) -> Result<(), Error> {
        let at = record.timestamp;
        let neighbors = self.survey(at, found);
        let new_right_of_previous = neighbors.as_ref().and_then(|neighbors| {
            let start = neighbors.previous? + 1;
            let is_new = found.iter().all(|(other, _)| *other != start);
            (is_new && self.windows.window_at(start).end >= at).then_some(start)
        });
        for (start, row) in found.drain(..) {
            let window = self.windows.window_at(start);
            if window.start <= at && window.end >= at {
                self.update(task, window, record, Some(row))?;
            }
        }
        let Some(mut neighbors) = neighbors else { return Ok(()) };
        if let Some(start) = new_right_of_previous {
            self.update(task, self.windows.window_at(start), record, None)?;
        }
        if !neighbors.left_exists {
            let window = self.windows.window_at(at - self.windows.time_difference_ms());
            let has_previous = neighbors.previous.is_some_and(|previous| window.start <= previous);
            let left = neighbors.left.take().filter(|_| has_previous);
            let left = left.map(|row| Stamped { value: row.value, timestamp: at });
            self.update(task, window, record, left)?;
        }
        match neighbors.new_right(at) {
            Some(row) => self.make_right_window(task, record, row),
            None => Ok(()),
        }
    }

    /// Looks at the windows around a record, the latest first. Nothing comes back if there has been a record
    /// at the same time, which made all windows.
    fn survey(&self, at: Timestamp, found: &Found<A>) -> Option<Neighbors<A>> {
        let mut neighbors = Neighbors::default();
        for (start, row) in found {
            let window = self.windows.window_at(*start);
            if window.start > at {
                neighbors.right_exists = true;
            } else if window.end > at {
                neighbors.right.get_or_insert_with(|| row.clone());
            } else if window.end == at {
                if row.timestamp >= at {
                    return None;
                }
                neighbors.left_exists = true;
                neighbors.previous = Some(row.timestamp);
            } else {
                neighbors.previous = Some(row.timestamp);
                neighbors.left = Some(row.clone());
                break;
            }
        }
        Some(neighbors)
    }

    /// A record in the first time difference since the epoch: its left window is the one that begins there,
    /// which may have records behind it too.
    fn process_early(
        &mut self,
        task: &mut TaskContext,
        record: &Record<K, V>,
        found: &mut Found<A>,
    ) -> Result<(), Error> {
        let at = record.timestamp;
        let mut neighbors = Neighbors::default();
        let mut first = None;
        let new_right_of_previous = found
            .first()
            .filter(|(start, row)| *start == 0 && row.timestamp < at)
            .map(|(_, row)| row.timestamp + 1)
            .filter(|start| found.iter().all(|(other, _)| other != start));
        for (start, row) in found.drain(..) {
            if start == 0 {
                first = Some(row);
            } else if start <= at {
                neighbors.right = Some(row.clone());
                self.update(task, self.windows.window_at(start), record, Some(row))?;
            } else {
                neighbors.right_exists = true;
            }
        }
        if neighbors.right.is_none() {
            neighbors.right.clone_from(&first);
        }
        if let Some(row) = neighbors.new_right(at) {
            self.make_right_window(task, record, row)?;
        }
        if let Some(start) = new_right_of_previous {
            self.update(task, self.windows.window_at(start), record, None)?;
        }
        self.update(task, self.windows.window_at(0), record, first)
    }

    fn update(
        &mut self,
        task: &mut TaskContext,
        window: Window,
        record: &Record<K, V>,
        old: Option<Stamped<A>>,
    ) -> Result<(), Error> {
        if window.end < self.close_time {
            return self.rows.late.refuse(task, record, window);
        }
        self.rows.update_from(task, window, record.clone(), old)
    }

    /// Makes the window behind the record, of records that are known from another window.
    fn make_right_window(
        &mut self,
        task: &mut TaskContext,
        record: &Record<K, V>,
        row: Stamped<A>,
    ) -> Result<(), Error> {
        let window = self.windows.window_at(record.timestamp.saturating_add(1));
        let key = Windowed { key: record.key.clone(), window };
        let Stamped { value, timestamp } = row;
        let (written_at, headers) = (record.timestamp, record.headers.clone());
        self.rows.set(task, key, RowUpdate { value: Some(value), timestamp, written_at, headers })
    }
}

impl<K: Data, V: Data, A: Data> Flush for SlidingAggregate<K, V, A> {
    fn flush(&mut self, task: &mut TaskContext) -> Result<(), Error> {
        self.rows.flush(task)
    }
}
