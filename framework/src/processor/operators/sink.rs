//! The end of a stream: serializes each record once and hands it to the collector.

use crate::broker::TopicHandle;
use crate::error::{Error, ErrorKind};
use crate::processor::collector::Outgoing;
use crate::processor::context::TaskContext;
use crate::processor::{Data, Node};
use crate::record::Record;
use crate::serdes::{ArcSerde, Serde, SerdeError};

/// Writes to one topic.
pub(crate) struct Sink<K, V> {
    pub(crate) name: String,
    pub(crate) topic: String,
    /// Looked up at the first record.
    pub(crate) handle: Option<TopicHandle>,
    pub(crate) key_serde: ArcSerde<K>,
    pub(crate) value_serde: ArcSerde<V>,
    pub(crate) key_bytes: Vec<u8>,
    pub(crate) value_bytes: Vec<u8>,
}

impl<K: Data, V: Data> Node<K, V> for Sink<K, V> {
    fn process(&mut self, task: &mut TaskContext, record: Record<K, V>) -> Result<(), Error> {
        let handle = match self.handle {
            Some(handle) => handle,
            None => *self.handle.insert(task.collector.topic(&self.topic)?),
        };
        let key = nullable(&*self.key_serde, &record.key, &mut self.key_bytes)
            .map_err(|error| refused(&self.name, "key", error))?;
        let value = nullable(&*self.value_serde, &record.value, &mut self.value_bytes)
            .map_err(|error| refused(&self.name, "value", error))?;
        task.collector.send(
            handle,
            Outgoing { key, value, timestamp: record.timestamp, headers: &record.headers },
        )
    }
}

/// The bytes of a value, written into `bytes`; `None` for null.
pub(crate) fn nullable<'a, T: 'static>(
    serde: &dyn Serde<T>,
    value: &T,
    bytes: &'a mut Vec<u8>,
) -> Result<Option<&'a [u8]>, SerdeError> {
    if serde.is_null(value) {
        return Ok(None);
    }
    bytes.clear();
    serde.serialize(value, bytes)?;
    Ok(Some(bytes))
}

#[cold]
fn refused(node: &str, part: &str, error: SerdeError) -> Error {
    Error::new(ErrorKind::BadRecord, format!("the {part} cannot be written"))
        .with_source(error)
        .at_node(node)
}
