//! Topics as a test sees them: typed records in and out.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use kstream::broker::{OutgoingRecord, RawRecord};
use kstream::driver::TaskDriver;
use kstream::serdes::ArcSerde;
use kstream::{Record, Timestamp};

use crate::error::TestError;

/// A topic that a test pipes records into.
///
/// # Source
/// `org.apache.kafka.streams.TestInputTopic`.
pub struct TestInputTopic<K, V> {
    task: Rc<RefCell<TaskDriver>>,
    topic: String,
    key_serde: ArcSerde<K>,
    value_serde: ArcSerde<V>,
}

impl<K, V> fmt::Debug for TestInputTopic<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestInputTopic").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl<K: 'static, V: 'static> TestInputTopic<K, V> {
    pub(crate) fn new(
        task: Rc<RefCell<TaskDriver>>,
        topic: &str,
        key_serde: ArcSerde<K>,
        value_serde: ArcSerde<V>,
    ) -> Self {
        Self { task, topic: topic.to_owned(), key_serde, value_serde }
    }

    /// Sends a record with the wall clock's time, and does everything it causes.
    pub fn pipe(&self, key: K, value: V) -> Result<(), TestError> {
        let now = self.task.borrow().now_ms();
        self.pipe_record(&Record::new(key, value, now))
    }

    /// Sends a record with this timestamp, and does everything it causes.
    pub fn pipe_at(&self, key: K, value: V, timestamp: Timestamp) -> Result<(), TestError> {
        self.pipe_record(&Record::new(key, value, timestamp))
    }

    /// Sends a record, and does everything it causes.
    pub fn pipe_record(&self, record: &Record<K, V>) -> Result<(), TestError> {
        let key = self.bytes(&self.key_serde, &record.key, "key")?;
        let value = self.bytes(&self.value_serde, &record.value, "value")?;
        let mut task = self.task.borrow_mut();
        let (key, value, timestamp) = (key.as_deref(), value.as_deref(), Some(record.timestamp));
        let headers = &record.headers;
        task.pipe(&self.topic, OutgoingRecord { partition: 0, key, value, timestamp, headers })?;
        Ok(())
    }

    fn bytes<T: 'static>(
        &self,
        serde: &ArcSerde<T>,
        value: &T,
        part: &'static str,
    ) -> Result<Option<Vec<u8>>, TestError> {
        if serde.is_null(value) {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        serde.serialize(value, &mut bytes).map_err(|source| TestError::Serde {
            topic: self.topic.clone(),
            part,
            source,
        })?;
        Ok(Some(bytes))
    }
}

/// A topic that a test reads; each record is read once.
///
/// # Source
/// `org.apache.kafka.streams.TestOutputTopic`.
pub struct TestOutputTopic<K, V> {
    task: Rc<RefCell<TaskDriver>>,
    topic: String,
    key_serde: ArcSerde<K>,
    value_serde: ArcSerde<V>,
    next: Cell<i64>,
}

impl<K, V> fmt::Debug for TestOutputTopic<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestOutputTopic").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl<K: 'static, V: 'static> TestOutputTopic<K, V> {
    pub(crate) fn new(
        task: Rc<RefCell<TaskDriver>>,
        topic: &str,
        key_serde: ArcSerde<K>,
        value_serde: ArcSerde<V>,
    ) -> Self {
        Self { task, topic: topic.to_owned(), key_serde, value_serde, next: Cell::new(0) }
    }

    /// The records that have come since the last call.
    pub fn read_records(&self) -> Result<Vec<Record<K, V>>, TestError> {
        let mut records = Vec::new();
        let task = self.task.borrow();
        let next =
            task.read(&self.topic, self.next.get(), &mut |raw| records.push(self.record(raw)))?;
        self.next.set(next);
        records.into_iter().collect()
    }

    /// The keys and values that have come since the last call.
    pub fn read_key_values(&self) -> Result<Vec<(K, V)>, TestError> {
        let records = self.read_records()?;
        Ok(records.into_iter().map(|record| (record.key, record.value)).collect())
    }

    /// The values that have come since the last call.
    pub fn read_values(&self) -> Result<Vec<V>, TestError> {
        Ok(self.read_records()?.into_iter().map(|record| record.value).collect())
    }

    fn record(&self, raw: &RawRecord<'_>) -> Result<Record<K, V>, TestError> {
        Ok(Record {
            key: self.typed(&self.key_serde, raw.key, "key")?,
            value: self.typed(&self.value_serde, raw.value, "value")?,
            timestamp: raw.timestamp,
            headers: raw.headers.clone(),
        })
    }

    fn typed<T: 'static>(
        &self,
        serde: &ArcSerde<T>,
        bytes: Option<&[u8]>,
        part: &'static str,
    ) -> Result<T, TestError> {
        let Some(bytes) = bytes else {
            return serde.null().ok_or_else(|| TestError::Null { topic: self.topic.clone(), part });
        };
        serde.deserialize(bytes).map_err(|source| TestError::Serde {
            topic: self.topic.clone(),
            part,
            source,
        })
    }
}
