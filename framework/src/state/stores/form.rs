//! What a store's rows look like to a processor: values alone, with their timestamps, or with headers too.

use crate::record::{Headers, Timestamp};

/// A value and the timestamp of its row.
///
/// # Source
/// `org.apache.kafka.streams.state.ValueAndTimestamp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ValueAndTimestamp<V> {
    /// The value.
    pub value: V,
    /// Its event time, in milliseconds since the epoch.
    pub timestamp: Timestamp,
}

impl<V> ValueAndTimestamp<V> {
    /// A value with its timestamp.
    pub fn new(value: V, timestamp: Timestamp) -> Self {
        Self { value, timestamp }
    }
}

/// A value, its timestamp, and the headers that are kept with it.
///
/// # Source
/// `org.apache.kafka.streams.state.ValueTimestampHeaders` (KIP-1271).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueTimestampHeaders<V> {
    /// The value.
    pub value: V,
    /// Its event time, in milliseconds since the epoch.
    pub timestamp: Timestamp,
    /// The headers.
    pub headers: Headers,
}

impl<V> ValueTimestampHeaders<V> {
    /// A value with its timestamp and headers.
    pub fn new(value: V, timestamp: Timestamp, headers: Headers) -> Self {
        Self { value, timestamp, headers }
    }
}

/// A session's aggregate and the headers that are kept with it.
///
/// # Source
/// `org.apache.kafka.streams.state.AggregationWithHeaders` (KIP-1271).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AggregationWithHeaders<V> {
    /// The aggregate.
    pub aggregation: V,
    /// The headers.
    pub headers: Headers,
}

impl<V> AggregationWithHeaders<V> {
    /// An aggregate with its headers.
    pub fn new(aggregation: V, headers: Headers) -> Self {
        Self { aggregation, headers }
    }
}

/// The parts of a row.
#[derive(Debug)]
pub struct Parts<V> {
    pub(super) value: V,
    pub(super) timestamp: Timestamp,
    pub(super) headers: Headers,
}

/// How a store's rows are read and written. The store types name theirs; it is not for implementing.
pub trait StoredAs<V>: sealed::Sealed + 'static {
    /// What is read and written.
    type Value;
    /// Makes it of a row.
    #[doc(hidden)]
    fn read(value: &V, timestamp: Timestamp, headers: &Headers) -> Self::Value;
    /// Makes a row of it; `now` is the timestamp of the record being processed.
    #[doc(hidden)]
    fn write(value: Self::Value, now: Timestamp) -> Parts<V>;
}

mod sealed {
    /// Only the forms here are forms.
    pub trait Sealed {}
    impl Sealed for super::Plain {}
    impl Sealed for super::Timestamped {}
    impl Sealed for super::WithHeaders {}
    impl Sealed for super::AggregateWithHeaders {}
}

/// Rows are values; their timestamp is that of the record that wrote them.
#[derive(Debug, Clone, Copy)]
pub enum Plain {}

impl<V: Clone> StoredAs<V> for Plain {
    type Value = V;
    fn read(value: &V, _: Timestamp, _: &Headers) -> V {
        value.clone()
    }
    fn write(value: V, now: Timestamp) -> Parts<V> {
        Parts { value, timestamp: now, headers: Headers::new() }
    }
}

/// Rows are values with timestamps.
#[derive(Debug, Clone, Copy)]
pub enum Timestamped {}

impl<V: Clone> StoredAs<V> for Timestamped {
    type Value = ValueAndTimestamp<V>;
    fn read(value: &V, timestamp: Timestamp, _: &Headers) -> Self::Value {
        ValueAndTimestamp { value: value.clone(), timestamp }
    }
    fn write(value: Self::Value, _: Timestamp) -> Parts<V> {
        let ValueAndTimestamp { value, timestamp } = value;
        Parts { value, timestamp, headers: Headers::new() }
    }
}

/// Rows are values with timestamps and headers.
#[derive(Debug, Clone, Copy)]
pub enum WithHeaders {}

impl<V: Clone> StoredAs<V> for WithHeaders {
    type Value = ValueTimestampHeaders<V>;
    fn read(value: &V, timestamp: Timestamp, headers: &Headers) -> Self::Value {
        ValueTimestampHeaders { value: value.clone(), timestamp, headers: headers.clone() }
    }
    fn write(value: Self::Value, _: Timestamp) -> Parts<V> {
        let ValueTimestampHeaders { value, timestamp, headers } = value;
        Parts { value, timestamp, headers }
    }
}

/// Rows are aggregates with headers.
#[derive(Debug, Clone, Copy)]
pub enum AggregateWithHeaders {}

impl<V: Clone> StoredAs<V> for AggregateWithHeaders {
    type Value = AggregationWithHeaders<V>;
    fn read(value: &V, _: Timestamp, headers: &Headers) -> Self::Value {
        AggregationWithHeaders { aggregation: value.clone(), headers: headers.clone() }
    }
    fn write(value: Self::Value, now: Timestamp) -> Parts<V> {
        let AggregationWithHeaders { aggregation, headers } = value;
        Parts { value: aggregation, timestamp: now, headers }
    }
}
