//! Folds the records of a key and a window of time into one row: tumbling and hopping windows.
//!
//! A window is closed when its end is at or before stream time − grace; stream time here is the highest
//! timestamp that this operator has seen, taken before lateness is checked.

use super::aggregate::unwritable_key;
use super::fold::{Fold, Folded};
use super::held_back::forward_held_back;
use crate::error::Error;
use crate::processor::context::{DropReason, TaskContext};
use crate::processor::{Change, Data, Flush, Node, Outlet};
use crate::record::{Record, Timestamp};
use crate::serdes::ArcSerde;
use crate::state::key_layout::{window_record_key, window_start, write_window_suffix};
use crate::time::windows::{TimeWindows, Window, Windowed};

/// An aggregation in time windows. Records with a null key are dropped; null values count.
pub(crate) struct WindowedAggregate<K, V, A> {
    pub(crate) name: String,
    pub(crate) windows: TimeWindows,
    pub(crate) key_serde: ArcSerde<K>,
    pub(crate) fold: Fold<K, V, A>,
    pub(crate) next: Outlet<Windowed<K>, Change<A>>,
    pub(crate) key_bytes: Vec<u8>,
    pub(crate) stream_time: Timestamp,
}

impl<K: Data, V: Data, A: Data> Node<K, V> for WindowedAggregate<K, V, A> {
    fn process(&mut self, task: &mut TaskContext, record: Record<K, V>) -> Result<(), Error> {
        if self.key_serde.is_null(&record.key) {
            task.drop_record(DropReason::NullKey);
            return Ok(());
        }
        self.stream_time = self.stream_time.max(record.timestamp);
        let close_time = self.stream_time.saturating_sub(self.windows.grace_ms());
        self.key_bytes.clear();
        self.key_serde
            .serialize(&record.key, &mut self.key_bytes)
            .map_err(|error| unwritable_key(&self.name, error))?;
        let key_length = self.key_bytes.len();
        let mut windows = self.windows.windows_for(record.timestamp).peekable();
        let mut record = Some(record);
        while let Some(window) = windows.next() {
            let current = if windows.peek().is_some() { record.clone() } else { record.take() };
            let Some(current) = current else { break };
            if window.end <= close_time {
                task.drop_record(DropReason::Late);
                continue;
            }
            self.key_bytes.truncate(key_length);
            write_window_suffix(window.start, &mut self.key_bytes);
            self.update_window(task, window, current)?;
        }
        Ok(())
    }
}

impl<K: Data, V: Data, A: Data> WindowedAggregate<K, V, A> {
    fn update_window(
        &self,
        task: &mut TaskContext,
        window: Window,
        record: Record<K, V>,
    ) -> Result<(), Error> {
        let Record { key, value, timestamp, headers } = record;
        let looked_at = Record { key: &key, value, timestamp, headers };
        let has_children = !self.next.is_empty();
        match self.fold.fold(&self.key_bytes, looked_at, has_children)? {
            None => Ok(()),
            Some(Folded { value, timestamp, headers }) => {
                let key = Windowed { key, window };
                self.next.forward(task, Record { key, value, timestamp, headers })
            }
        }
    }
}

impl<K: Data, V: Data, A: Data> Flush for WindowedAggregate<K, V, A> {
    fn flush(&mut self, task: &mut TaskContext) -> Result<(), Error> {
        let (key_serde, windows) = (&self.key_serde, &self.windows);
        forward_held_back(&self.name, &self.fold.rows, &self.next, task, |key| {
            let window = windows.window_at(window_start(key));
            Ok(Windowed { key: key_serde.deserialize(window_record_key(key))?, window })
        })
    }
}
