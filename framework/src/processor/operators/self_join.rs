//! A stream joined with itself, with one store: the records and their results are those of an inner join of
//! two equal streams.

use super::row_errors::unwritable_key;
use super::stream_join::{JoinRows, Joiner};
use crate::error::Error;
use crate::processor::context::{DropReason, TaskContext};
use crate::processor::{Data, Node, Outlet};
use crate::record::{Record, Timestamp};
use crate::serdes::ArcSerde;
use crate::time::windows::JoinWindows;

/// The join node of a self-join.
///
/// # Source
/// `KStreamKStreamSelfJoin` (KAFKA-14209).
pub(crate) struct SelfJoin<K, V, O> {
    pub(crate) name: String,
    pub(crate) windows: JoinWindows,
    pub(crate) key_serde: ArcSerde<K>,
    pub(crate) value_serde: ArcSerde<V>,
    pub(crate) joiner: Joiner<K, V, V, O>,
    pub(crate) rows: JoinRows<V>,
    pub(crate) next: Outlet<K, O>,
    pub(crate) key_bytes: Vec<u8>,
    pub(crate) stream_time: Timestamp,
    /// The results of the record at hand.
    pub(crate) results: Vec<(Timestamp, O)>,
}

impl<K: Data, V: Data, O: Data> Node<K, V> for SelfJoin<K, V, O> {
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
        self.stream_time = self.stream_time.max(record.timestamp);
        self.join(&record)?;
        let Record { key, timestamp, headers, .. } = record;
        for (time, value) in self.results.drain(..) {
            let (key, headers) = (key.clone(), headers.clone());
            let timestamp = timestamp.max(time);
            self.next.forward(task, Record { key, value, timestamp, headers })?;
        }
        Ok(())
    }
}

impl<K: Data, V: Data, O: Data> SelfJoin<K, V, O> {
    /// Finds the results: the record on the left, then on the right, and with itself where the order of
    /// timestamps has it.
    fn join(&mut self, record: &Record<K, V>) -> Result<(), Error> {
        let Record { key, value, timestamp, .. } = record;
        let (joiner, results, windows) = (&self.joiner, &mut self.results, &self.windows);
        results.clear();
        self.rows.for_each(
            &self.key_bytes,
            windows.matches(*timestamp, false),
            &mut |time, other| {
                results.push((time, joiner(key, value, other)));
            },
        )?;
        // A record that its store would drop at once does not meet itself.
        let oldest = self.stream_time.saturating_sub(windows.retention_ms()).saturating_add(1);
        let mut with_itself =
            (*timestamp > oldest).then(|| (*timestamp, joiner(key, value, value)));
        self.rows.for_each(
            &self.key_bytes,
            windows.matches(*timestamp, true),
            &mut |time, other| {
                if time > *timestamp {
                    results.extend(with_itself.take());
                }
                results.push((time, joiner(key, other, value)));
            },
        )?;
        results.extend(with_itself);
        Ok(())
    }
}
