//! The record that walks through a topology, its headers, and where it came from.

use std::fmt;
use std::sync::Arc;

/// Milliseconds since the Unix epoch: record timestamps, stream time, window bounds.
pub type Timestamp = i64;

/// A key, a value, a timestamp and headers: what operators take in and forward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<K, V> {
    /// The key.
    pub key: K,
    /// The value.
    pub value: V,
    /// Event time, in milliseconds since the epoch.
    pub timestamp: Timestamp,
    /// Headers, in order; empty headers cost nothing.
    pub headers: Headers,
}

impl<K, V> Record<K, V> {
    /// A record without headers.
    pub fn new(key: K, value: V, timestamp: Timestamp) -> Self {
        Self { key, value, timestamp, headers: Headers::new() }
    }

    /// The same record with another key.
    pub fn with_key<K2>(self, key: K2) -> Record<K2, V> {
        Record { key, value: self.value, timestamp: self.timestamp, headers: self.headers }
    }

    /// The same record with another value.
    pub fn with_value<V2>(self, value: V2) -> Record<K, V2> {
        Record { key: self.key, value, timestamp: self.timestamp, headers: self.headers }
    }
}

/// A record whose key cannot be changed; its fields are those of [`Record`].
///
/// # Source
/// `org.apache.kafka.streams.processor.api.FixedKeyRecord` (KIP-820).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixedKeyRecord<K, V> {
    key: K,
    /// The value.
    pub value: V,
    /// Event time, in milliseconds since the epoch.
    pub timestamp: Timestamp,
    /// Headers, in order; empty headers cost nothing.
    pub headers: Headers,
}

impl<K, V> FixedKeyRecord<K, V> {
    pub(crate) fn new(record: Record<K, V>) -> Self {
        let Record { key, value, timestamp, headers } = record;
        Self { key, value, timestamp, headers }
    }

    pub(crate) fn into_record(self) -> Record<K, V> {
        let Self { key, value, timestamp, headers } = self;
        Record { key, value, timestamp, headers }
    }

    /// The key.
    pub fn key(&self) -> &K {
        &self.key
    }

    /// The same record with another value.
    pub fn with_value<V2>(self, value: V2) -> FixedKeyRecord<K, V2> {
        FixedKeyRecord { key: self.key, value, timestamp: self.timestamp, headers: self.headers }
    }
}

/// One header: a name and a value that may be null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The header's name; names may repeat.
    pub name: Box<str>,
    /// The header's value; `None` is Kafka's null.
    pub value: Option<Box<[u8]>>,
}

/// The headers of a record, in order. Empty headers allocate nothing; clones share until one of
/// them is changed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Option<Arc<Vec<Header>>>);

impl Headers {
    /// No headers.
    pub const fn new() -> Self {
        Self(None)
    }

    /// Appends a header.
    pub fn add(&mut self, name: &str, value: Option<&[u8]>) {
        let list = Arc::make_mut(self.0.get_or_insert_default());
        list.push(Header { name: name.into(), value: value.map(Into::into) });
    }

    /// Removes every header of that name.
    pub fn remove(&mut self, name: &str) {
        if self.iter().any(|header| &*header.name == name) {
            Arc::make_mut(self.0.get_or_insert_default()).retain(|header| &*header.name != name);
        }
    }

    /// The value of the last header of that name: `None` if there is none, `Some(None)` if it is
    /// null.
    pub fn last(&self, name: &str) -> Option<Option<&[u8]>> {
        self.iter().rev().find(|header| &*header.name == name).map(|header| header.value.as_deref())
    }

    /// All headers in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Header> {
        self.0.as_ref().map_or(&[][..], |list| list.as_slice()).iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|list| list.is_empty())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |list| list.len())
    }
}

impl<'a> IntoIterator for &'a Headers {
    type Item = &'a Header;
    type IntoIter = std::slice::Iter<'a, Header>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Where the record being processed came from. In a punctuation there is no topic, and partition and
/// offset are −1, as in Kafka Streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordMetadata {
    /// The source topic.
    pub topic: Option<Arc<str>>,
    /// The partition of the source topic.
    pub partition: i32,
    /// The record's offset.
    pub offset: i64,
}
