//! The beginning of a stream: bytes become a typed record, once.

use crate::broker::RawRecord;
use crate::error::{Error, ErrorKind};
use crate::ids::TopicPartition;
use crate::processor::collector::Outgoing;
use crate::processor::context::{DropReason, TaskContext};
use crate::processor::handler::{ErrorContext, HandlerResponse};
use crate::processor::timestamp_extractor::TimestampExtractor;
use crate::processor::{Data, Outlet};
use crate::record::{Record, Timestamp};
use crate::serdes::{ArcSerde, Serde, SerdeError};

/// A source node as its task sees it: it takes raw records.
pub(crate) trait RawNode {
    /// Handles one raw record to the end.
    fn process(&mut self, task: &mut TaskContext, raw: &RawRecord<'_>) -> Result<(), Error>;
}

/// Reads topics of one key and value type.
pub(crate) struct Source<K, V> {
    pub(crate) name: String,
    pub(crate) key_serde: ArcSerde<K>,
    pub(crate) value_serde: ArcSerde<V>,
    pub(crate) timestamps: TimestampExtractor<K, V>,
    pub(crate) next: Outlet<K, V>,
}

impl<K: Data, V: Data> RawNode for Source<K, V> {
    fn process(&mut self, task: &mut TaskContext, raw: &RawRecord<'_>) -> Result<(), Error> {
        let key = match read(&*self.key_serde, raw.key) {
            Ok(Some(key)) => key,
            Ok(None) => {
                task.drop_record(DropReason::NullKey);
                return Ok(());
            }
            Err(error) => return self.refuse(task, raw, "key", error),
        };
        let value = match read(&*self.value_serde, raw.value) {
            Ok(Some(value)) => value,
            Ok(None) => {
                task.drop_record(DropReason::NullValue);
                return Ok(());
            }
            Err(error) => return self.refuse(task, raw, "value", error),
        };
        let timestamp = self.timestamps.extract(&key, &value, raw.timestamp, task.wall_clock);
        if timestamp < 0 {
            return Err(negative_timestamp(task, raw, timestamp).at_node(&self.name));
        }
        self.next.forward(task, Record { key, value, timestamp, headers: raw.headers.clone() })
    }
}

impl<K: Data, V: Data> Source<K, V> {
    /// Asks the user's handler about bytes that are no `K` or `V`.
    #[cold]
    fn refuse(
        &self,
        task: &mut TaskContext,
        raw: &RawRecord<'_>,
        part: &str,
        error: SerdeError,
    ) -> Result<(), Error> {
        let context = ErrorContext {
            task: task.task,
            node: &self.name,
            metadata: task.metadata(),
            raw_key: raw.key,
            raw_value: raw.value,
        };
        match task.deserialization_handler.handle(&context, &error) {
            HandlerResponse::Continue => {
                task.drop_record(DropReason::Deserialization);
                dead_letter(task, raw, &error)
            }
            HandlerResponse::Fail => {
                let message = format!(
                    "the {part} cannot be read; skip such records with a handler that continues"
                );
                Err(Error::new(ErrorKind::BadRecord, message)
                    .with_source(error)
                    .at_node(&self.name))
            }
        }
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

/// Sends the raw record to the dead-letter topic with Kafka's header names (KIP-1034).
fn dead_letter(
    task: &mut TaskContext,
    raw: &RawRecord<'_>,
    error: &SerdeError,
) -> Result<(), Error> {
    let mut headers = raw.headers.clone();
    let mut add = |name: &str, value: &str| headers.add(name, Some(value.as_bytes()));
    add("__streams.errors.exception", "kstream::serdes::SerdeError");
    add("__streams.errors.message", &error.to_string());
    add("__streams.errors.topic", &task.topic);
    add("__streams.errors.partition", &task.partition.to_string());
    add("__streams.errors.offset", &raw.offset.to_string());
    task.collector.send_dead_letter(Outgoing {
        key: raw.key,
        value: raw.value,
        timestamp: raw.timestamp,
        headers: &headers,
    })
}

#[cold]
fn negative_timestamp(task: &TaskContext, raw: &RawRecord<'_>, timestamp: Timestamp) -> Error {
    let message = format!("the record has no valid timestamp ({timestamp})");
    Error::new(ErrorKind::BadRecord, message)
        .at_record(TopicPartition::new(&*task.topic, task.partition), raw.offset)
}
