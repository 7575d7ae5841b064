//! Folds the records of a key and a session into one row; sessions that a record bridges are merged.
//!
//! A session is closed when its end is before stream time − gap − grace. A merge takes the old sessions back
//! before it forwards the new one.

use std::sync::Arc;

use super::windowed_rows::{RowUpdate, WindowedRows};
use crate::error::Error;
use crate::processor::context::{DropReason, TaskContext};
use crate::processor::{Data, Flush, Node};
use crate::record::{Record, Timestamp};
use crate::state::key_layout::{session_bounds, write_session_suffix};
use crate::time::windows::{SessionWindows, Window, Windowed};

/// The merged row of those merged so far, `None` before the first, and one more.
pub(crate) type Merger<K, A> = Arc<dyn Fn(&K, Option<A>, A) -> Option<A> + Send + Sync>;

/// An aggregation in sessions. Records with a null key are dropped; null values count.
pub(crate) struct SessionAggregate<K, V, A> {
    pub(crate) windows: SessionWindows,
    pub(crate) merger: Merger<K, A>,
    pub(crate) rows: WindowedRows<K, V, A>,
    /// The sessions that the record is part of, the earliest first; kept for its memory.
    pub(crate) found: Vec<(Window, A)>,
    /// Bounds of the search, kept for their memory.
    pub(crate) bounds: (Vec<u8>, Vec<u8>),
}

impl<K: Data, V: Data, A: Data> Node<K, V> for SessionAggregate<K, V, A> {
    fn process(&mut self, task: &mut TaskContext, record: Record<K, V>) -> Result<(), Error> {
        if self.rows.key_serde.is_null(&record.key) {
            task.drop_record(DropReason::NullKey);
            return Ok(());
        }
        self.rows.observe(&record.key, record.timestamp)?;
        let open_for = self.windows.inactivity_gap_ms().saturating_add(self.windows.grace_ms());
        let close_time = self.rows.stream_time.saturating_sub(open_for);
        let closing = self.rows.finals.is_some().then(|| record.headers.clone());
        self.find_sessions(record.timestamp)?;
        let mut found = std::mem::take(&mut self.found);
        let result = self.merge(task, record, &mut found, close_time);
        found.clear();
        self.found = found;
        result?;
        match closing {
            // An end at the close time itself is open.
            Some(headers) => {
                self.rows.give_out_closed(task, close_time.saturating_sub(1), &headers)
            }
            None => Ok(()),
        }
    }
}

impl<K: Data, V: Data, A: Data> SessionAggregate<K, V, A> {
    /// Finds the sessions of the observed key that reach to within the gap of `timestamp`.
    fn find_sessions(&mut self, timestamp: Timestamp) -> Result<(), Error> {
        let gap = self.windows.inactivity_gap_ms();
        let (earliest_end, latest_start) =
            (timestamp.saturating_sub(gap).max(0), timestamp.saturating_add(gap));
        let key = self.rows.key_bytes.get(..self.rows.key_length).unwrap_or_default();
        let (from, to) = &mut self.bounds;
        for bound in [&mut *from, &mut *to] {
            bound.clear();
            bound.extend_from_slice(key);
        }
        write_session_suffix(0, earliest_end, from);
        write_session_suffix(Timestamp::MAX, Timestamp::MAX, to);
        let (length, found) = (from.len(), &mut self.found);
        let times = earliest_end..=Timestamp::MAX;
        self.rows.fold.rows.borrow_mut().scan_times(
            times,
            from,
            Some(to),
            false,
            &mut |row_key, row| {
                // Longer keys that begin alike stand in between.
                if row_key.len() == length && row_key.starts_with(key) {
                    let (start, end) = session_bounds(row_key);
                    if end >= earliest_end && start <= latest_start {
                        found.push((Window { start, end }, row.value.clone()));
                    }
                }
                true
            },
        )
    }

    fn merge(
        &mut self,
        task: &mut TaskContext,
        record: Record<K, V>,
        found: &mut Vec<(Window, A)>,
        close_time: Timestamp,
    ) -> Result<(), Error> {
        let own = Window { start: record.timestamp, end: record.timestamp };
        let session = found.iter().fold(own, |merged, (window, _)| Window {
            start: merged.start.min(window.start),
            end: merged.end.max(window.end),
        });
        if session.end < close_time {
            return self.rows.late.refuse(task, &record, session);
        }
        let Record { key, value, timestamp: written_at, headers } = record;
        let mut merged = None;
        let replaces = session != own;
        for (window, old) in found.drain(..) {
            merged = (self.merger)(&key, merged, old);
            if replaces {
                let key = Windowed { key: key.clone(), window };
                let timestamp = window.end;
                let headers = headers.clone();
                let gone = RowUpdate { value: None, timestamp, written_at, headers };
                self.rows.set(task, key, gone)?;
            }
        }
        let value = self.rows.fold.update.apply(&key, value, merged);
        // The changelog record has the time of the record, the result that of the session's end.
        let update = RowUpdate { value, timestamp: written_at, written_at, headers };
        self.rows.set(task, Windowed { key, window: session }, update)
    }
}

impl<K: Data, V: Data, A: Data> Flush for SessionAggregate<K, V, A> {
    fn flush(&mut self, task: &mut TaskContext) -> Result<(), Error> {
        self.rows.flush(task)
    }
}
