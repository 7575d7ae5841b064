//! Folds the records of a key and a window of time into one row: tumbling, hopping and unlimited windows.
//!
//! A window is closed when its end is at or before stream time − grace; stream time here is the highest
//! timestamp that this operator has seen, taken before lateness is checked.

use super::windowed_rows::WindowedRows;
use crate::error::Error;
use crate::processor::context::{DropReason, TaskContext};
use crate::processor::{Data, Flush, Node};
use crate::record::Record;
use crate::time::windows::FixedWindows;

/// An aggregation in time windows. Records with a null key are dropped; null values count.
pub(crate) struct WindowedAggregate<K, V, A, W> {
    pub(crate) windows: W,
    pub(crate) rows: WindowedRows<K, V, A>,
}

impl<K: Data, V: Data, A: Data, W: FixedWindows> Node<K, V> for WindowedAggregate<K, V, A, W> {
    fn process(&mut self, task: &mut TaskContext, record: Record<K, V>) -> Result<(), Error> {
        let rows = &mut self.rows;
        if rows.key_serde.is_null(&record.key) {
            task.drop_record(DropReason::NullKey);
            return Ok(());
        }
        rows.observe(&record.key, record.timestamp)?;
        let close_time = rows.stream_time.saturating_sub(self.windows.grace_ms());
        let closing = rows.finals.is_some().then(|| record.headers.clone());
        let mut windows = self.windows.windows_for(record.timestamp).peekable();
        let mut record = Some(record);
        while let Some(window) = windows.next() {
            if window.end <= close_time {
                if let Some(record) = &record {
                    rows.late.refuse(task, record, window)?;
                }
                continue;
            }
            let current = if windows.peek().is_some() { record.clone() } else { record.take() };
            let Some(current) = current else { break };
            rows.update(task, window, current)?;
        }
        drop(windows);
        match closing {
            Some(headers) => {
                let last = close_time.saturating_sub(self.windows.size_ms());
                rows.give_out_closed(task, last, &headers)
            }
            None => Ok(()),
        }
    }
}

impl<K: Data, V: Data, A: Data, W: FixedWindows> Flush for WindowedAggregate<K, V, A, W> {
    fn flush(&mut self, task: &mut TaskContext) -> Result<(), Error> {
        self.rows.flush(task)
    }
}
