//! The end of a stream: serializes each record once and hands it to the collector.

use rustc_hash::FxHashMap;

use crate::broker::TopicHandle;
use crate::error::{Error, ErrorKind};
use crate::processor::collector::{Outgoing, RecordCollector};
use crate::processor::context::{DropReason, TaskContext};
use crate::processor::handler::{FailedRecord, ProducedRecord, RecordPart};
use crate::processor::stream_partitioner::{Partitions, StreamPartitioner};
use crate::processor::topic_name_extractor::{RecordContext, TopicNameExtractor};
use crate::processor::{Data, Node};
use crate::record::Record;
use crate::serdes::{ArcSerde, Serde, SerdeError};

/// Writes to one topic, or to the topic that each record names.
pub(crate) struct Sink<K, V> {
    pub(crate) name: String,
    pub(crate) topic: SinkTopic<K, V>,
    pub(crate) partitioner: Option<StreamPartitioner<K, V>>,
    pub(crate) key_serde: ArcSerde<K>,
    pub(crate) value_serde: ArcSerde<V>,
    pub(crate) key_bytes: Vec<u8>,
    pub(crate) value_bytes: Vec<u8>,
    /// KAFKA: on its way to a repartition topic a windowed key is partitioned with its window, elsewhere
    /// without.
    pub(crate) whole_key: bool,
}

/// Where a sink writes.
pub(crate) enum SinkTopic<K, V> {
    /// The handle is looked up at the first record.
    Fixed(String, Option<TopicHandle>),
    /// The handles of the topics so far.
    Extracted(TopicNameExtractor<K, V>, FxHashMap<String, TopicHandle>),
}

/// The topic of one record.
#[derive(Clone, Copy)]
struct Target<'a> {
    name: &'a str,
    handle: TopicHandle,
}

impl<K: Data, V: Data> Node<K, V> for Sink<K, V> {
    fn process(&mut self, task: &mut TaskContext, record: Record<K, V>) -> Result<(), Error> {
        let topic = self.topic.of(task, &record)?;
        let key = match nullable(&*self.key_serde, &record.key, &mut self.key_bytes) {
            Ok(key) => key,
            Err(error) => {
                return refused((&self.name, topic), task, &record, RecordPart::Key, error);
            }
        };
        let value = match nullable(&*self.value_serde, &record.value, &mut self.value_bytes) {
            Ok(value) => value,
            Err(error) => {
                return refused((&self.name, topic), task, &record, RecordPart::Value, error);
            }
        };
        let outgoing =
            Outgoing { key, value, timestamp: record.timestamp, headers: &record.headers };
        let chosen = self.partitioner.as_ref().map(|partitioner| {
            let partitions = task.collector.partition_count(topic.handle);
            partitioner.partitions(topic.name, &record.key, &record.value, partitions)
        });
        match chosen {
            None | Some(Partitions::Default) => {
                let part = |key| self.key_serde.partition_bytes(key);
                let key = if self.whole_key { key } else { key.map(part) };
                let partition = task.collector.default_partition(topic.handle, key);
                send(&self.name, topic, task, partition, outgoing)
            }
            Some(Partitions::One(partition)) => send(&self.name, topic, task, partition, outgoing),
            Some(Partitions::Each(partitions)) => {
                if partitions.is_empty() {
                    task.drop_record(DropReason::Unrouted);
                }
                partitions
                    .into_iter()
                    .try_for_each(|partition| send(&self.name, topic, task, partition, outgoing))
            }
        }
    }
}

impl<K, V> SinkTopic<K, V> {
    /// One topic for all records.
    pub(crate) fn fixed(name: String) -> Self {
        Self::Fixed(name, None)
    }

    /// A topic for each record.
    pub(crate) fn extracted(extractor: TopicNameExtractor<K, V>) -> Self {
        Self::Extracted(extractor, FxHashMap::default())
    }

    #[inline]
    fn of(&mut self, task: &TaskContext, record: &Record<K, V>) -> Result<Target<'_>, Error> {
        match self {
            Self::Fixed(name, handle) => {
                let handle = match handle {
                    Some(handle) => *handle,
                    None => *handle.insert(task.collector.topic(name)?),
                };
                Ok(Target { name, handle })
            }
            Self::Extracted(extractor, handles) => {
                let context = RecordContext {
                    metadata: task.metadata(),
                    timestamp: record.timestamp,
                    headers: &record.headers,
                };
                let name = extractor.extract(&record.key, &record.value, &context);
                look_up(&task.collector, handles, &name)
            }
        }
    }
}

fn look_up<'a>(
    collector: &RecordCollector,
    handles: &'a mut FxHashMap<String, TopicHandle>,
    name: &str,
) -> Result<Target<'a>, Error> {
    if !handles.contains_key(name) {
        let handle = collector.topic(name)?;
        handles.insert(name.to_owned(), handle);
    }
    match handles.get_key_value(name) {
        Some((name, handle)) => Ok(Target { name, handle: *handle }),
        None => Err(Error::new(ErrorKind::Fatal, "a topic that was looked up is gone")),
    }
}

#[inline]
fn send(
    node: &str,
    topic: Target<'_>,
    task: &mut TaskContext,
    partition: i32,
    record: Outgoing<'_>,
) -> Result<(), Error> {
    loop {
        let Err(error) = task.collector.send_to(topic.handle, partition, record) else {
            return Ok(());
        };
        let Outgoing { key, value, timestamp, headers } = record;
        let produced = ProducedRecord { topic: topic.name, key, value, timestamp, headers };
        if !task.send_failed(node, &produced, error)? {
            return Ok(());
        }
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
fn refused<K: Data, V: Data>(
    (node, topic): (&str, Target<'_>),
    task: &mut TaskContext,
    record: &Record<K, V>,
    part: RecordPart,
    error: SerdeError,
) -> Result<(), Error> {
    let failed = FailedRecord::new(&record.key, &record.value, record.timestamp, &record.headers);
    task.serialization_failed((node, topic.name), &failed, part, error)
}
