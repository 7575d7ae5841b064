//! The beginning of a stream: bytes become a typed record, once.

use std::sync::Arc;

use crate::broker::RawRecord;
use crate::error::Error;
use crate::processor::context::{DropReason, TaskContext};
use crate::processor::handler::DeserializationHandler;
use crate::processor::timestamp_extractor::{
    BuiltInTimestampExtractor, ConsumedRecord, TimestampExtractor,
};
use crate::processor::{Data, Outlet};
use crate::record::{Record, Timestamp};
use crate::serdes::{ArcSerde, Serde, SerdeError};

/// A source node as its task sees it: it takes raw records.
pub(crate) trait RawNode {
    /// How its records get their timestamps.
    fn timing(&self) -> Timing;

    /// Reads a record that has become the next of its queue and finds its timestamp; what was read is kept
    /// until `process`. `None`: the record is dropped. Only for [`Timing::Record`].
    fn extract(
        &mut self,
        task: &mut TaskContext,
        raw: &RawRecord<'_>,
        queue: QueueTime,
    ) -> Result<Option<Timestamp>, Error>;

    /// Handles one record of a queue to the end; false: it could not be read and is dropped.
    fn process(
        &mut self,
        task: &mut TaskContext,
        raw: &RawRecord<'_>,
        queue: QueueTime,
    ) -> Result<bool, Error>;
}

/// How a source's records get their timestamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timing {
    /// From what the broker says of them.
    BuiltIn(BuiltInTimestampExtractor),
    /// From a function that looks at the record.
    Record,
}

/// A queue of a task, and a time: to extract a timestamp, that of its partition, and to process a record, the
/// timestamp that was extracted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueueTime {
    pub(crate) queue: usize,
    pub(crate) time: Timestamp,
}

/// Reads topics of one key and value type.
pub(crate) struct Source<K, V> {
    pub(crate) name: String,
    pub(crate) key_serde: ArcSerde<K>,
    pub(crate) value_serde: ArcSerde<V>,
    pub(crate) timestamps: TimestampExtractor<K, V>,
    /// The source's own handler, instead of the application's.
    pub(crate) handler: Option<Arc<dyn DeserializationHandler>>,
    pub(crate) next: Outlet<K, V>,
    /// By queue: what was read to find the timestamp.
    pub(crate) heads: Vec<Option<(K, V)>>,
}

impl<K: Data, V: Data> RawNode for Source<K, V> {
    fn timing(&self) -> Timing {
        match &self.timestamps {
            TimestampExtractor::BuiltIn(extractor) => Timing::BuiltIn(*extractor),
            TimestampExtractor::Record(_) => Timing::Record,
        }
    }

    fn extract(
        &mut self,
        task: &mut TaskContext,
        raw: &RawRecord<'_>,
        queue: QueueTime,
    ) -> Result<Option<Timestamp>, Error> {
        let Some((key, value)) = self.read(task, raw)? else { return Ok(None) };
        let TimestampExtractor::Record(extract) = &self.timestamps else {
            return Ok(Some(raw.timestamp));
        };
        let record = ConsumedRecord {
            topic: &task.topic,
            partition: task.partition,
            offset: raw.offset,
            timestamp: raw.timestamp,
            headers: &raw.headers,
            key: &key,
            value: &value,
        };
        let timestamp = extract(&record, queue.time);
        if timestamp < 0 {
            return Ok(Some(timestamp));
        }
        if self.heads.len() <= queue.queue {
            self.heads.resize_with(queue.queue + 1, || None);
        }
        if let Some(head) = self.heads.get_mut(queue.queue) {
            *head = Some((key, value));
        }
        Ok(Some(timestamp))
    }

    fn process(
        &mut self,
        task: &mut TaskContext,
        raw: &RawRecord<'_>,
        queue: QueueTime,
    ) -> Result<bool, Error> {
        let timestamp = queue.time;
        let head = self.heads.get_mut(queue.queue).and_then(Option::take);
        let (key, value) = match head {
            Some(read) => read,
            None => match self.read(task, raw)? {
                Some(read) => read,
                None => return Ok(false),
            },
        };
        task.stream_time = task.stream_time.max(timestamp);
        task.record_clock.set_stream_time(task.stream_time);
        let headers = raw.headers.clone();
        self.next.forward(task, Record { key, value, timestamp, headers })?;
        Ok(true)
    }
}

impl<K: Data, V: Data> Source<K, V> {
    /// The record's key and value; `None`: it is dropped.
    #[inline]
    fn read(&self, task: &mut TaskContext, raw: &RawRecord<'_>) -> Result<Option<(K, V)>, Error> {
        let key = match read(&*self.key_serde, raw.key) {
            Ok(Some(key)) => key,
            Ok(None) => return Ok(dropped(task, DropReason::NullKey)),
            Err(error) => return self.refuse(task, raw, error),
        };
        match read(&*self.value_serde, raw.value) {
            Ok(Some(value)) => Ok(Some((key, value))),
            Ok(None) => Ok(dropped(task, DropReason::NullValue)),
            Err(error) => self.refuse(task, raw, error),
        }
    }

    /// Asks the user's handler about bytes that are no `K` or `V`.
    #[cold]
    fn refuse<T>(
        &self,
        task: &mut TaskContext,
        raw: &RawRecord<'_>,
        error: SerdeError,
    ) -> Result<Option<T>, Error> {
        let handler = Arc::clone(self.handler.as_ref().unwrap_or(&task.handlers.deserialization));
        task.deserialization_failed(&*handler, &self.name, raw, error)?;
        Ok(None)
    }
}

/// The value of the bytes; `None` for a null that the type does not have.
#[inline]
fn read<T: 'static>(serde: &dyn Serde<T>, bytes: Option<&[u8]>) -> Result<Option<T>, SerdeError> {
    match bytes {
        Some(bytes) => serde.deserialize(bytes).map(Some),
        None => Ok(serde.null()),
    }
}

#[cold]
fn dropped<T>(task: &mut TaskContext, reason: DropReason) -> Option<T> {
    task.drop_record(reason);
    None
}
