//! Where a record's timestamp comes from.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, ErrorKind};
use crate::record::{Headers, Timestamp};

/// Gives the records of a source their timestamps.
///
/// **Time and units**: milliseconds since the epoch. The timestamp is found when a record becomes the next one
/// of its partition, and counts from there on: for the order in which a task takes records from its
/// partitions, for stream time, for windows and results, and for what is written. A record with a negative
/// timestamp is dropped and counted.
///
/// # Examples
/// ```
/// use kstream::{Consumed, ConsumedRecord, StreamsBuilder, TimestampExtractor};
/// use kstream_test_utils::TopologyTestDriver;
///
/// let builder = StreamsBuilder::new();
/// // The value is a time; values before the epoch take the highest time that the partition has seen.
/// type Input<'a> = ConsumedRecord<'a, String, i64>;
/// let extractor = TimestampExtractor::new(|record: &Input<'_>, partition_time| {
///     if *record.value < 0 { partition_time } else { *record.value }
/// });
/// let consumed = Consumed::new().with_timestamp_extractor(extractor);
/// builder.stream_with("times", consumed).to("out");
/// let driver = TopologyTestDriver::new(builder.build()?)?;
/// let input = driver.input_topic::<String, i64>("times");
/// for time in [-1, 70, -1] {
///     input.pipe("k".to_owned(), time)?;
/// }
/// let out = driver.output_topic::<String, i64>("out").read_records()?;
/// assert_eq!(out.iter().map(|record| record.timestamp).collect::<Vec<_>>(), [70, 70]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Source
/// `org.apache.kafka.streams.processor.TimestampExtractor`.
#[non_exhaustive]
pub enum TimestampExtractor<K, V> {
    /// Looks at no key and no value.
    BuiltIn(BuiltInTimestampExtractor),
    /// What this function finds in the record and the partition's time.
    Record(ExtractTimestamp<K, V>),
}

/// Finds a timestamp in a record and the highest timestamp so far of its partition, −1 before the first.
pub type ExtractTimestamp<K, V> =
    Arc<dyn Fn(&ConsumedRecord<'_, K, V>, Timestamp) -> Timestamp + Send + Sync>;

/// The timestamps of Kafka Streams' own extractors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum BuiltInTimestampExtractor {
    /// The broker's timestamp; a negative one stops the application (`FailOnInvalidTimestamp`).
    #[default]
    FailOnInvalidTimestamp,
    /// The broker's timestamp; a record with a negative one is logged, dropped and counted
    /// (`LogAndSkipOnInvalidTimestamp`).
    LogAndSkipOnInvalidTimestamp,
    /// The broker's timestamp, or, where it is negative, the highest timestamp so far of the partition; where
    /// there is none either, the application stops (`UsePartitionTimeOnInvalidTimestamp`).
    UsePartitionTimeOnInvalidTimestamp,
    /// The wall clock (`WallclockTimestampExtractor`).
    WallClock,
}

/// A record as it was read, for a timestamp extractor.
#[derive(Debug)]
#[non_exhaustive]
pub struct ConsumedRecord<'a, K, V> {
    /// The topic it was read from.
    pub topic: &'a str,
    /// The topic's partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// The broker's timestamp; −1 if it has none.
    pub timestamp: Timestamp,
    /// Its headers.
    pub headers: &'a Headers,
    /// Its key.
    pub key: &'a K,
    /// Its value.
    pub value: &'a V,
}

impl BuiltInTimestampExtractor {
    /// The record's timestamp; a negative one means that the record is to be dropped.
    #[inline]
    pub(crate) fn extract(
        self,
        broker: Timestamp,
        partition_time: Timestamp,
        wall_clock: Timestamp,
    ) -> Result<Timestamp, Error> {
        match self {
            Self::WallClock => Ok(wall_clock),
            _ if broker >= 0 => Ok(broker),
            Self::UsePartitionTimeOnInvalidTimestamp if partition_time >= 0 => Ok(partition_time),
            Self::LogAndSkipOnInvalidTimestamp => Ok(broker),
            Self::FailOnInvalidTimestamp | Self::UsePartitionTimeOnInvalidTimestamp => {
                Err(invalid(self, broker))
            }
        }
    }
}

#[cold]
fn invalid(extractor: BuiltInTimestampExtractor, broker: Timestamp) -> Error {
    let mut message = format!("the record has no valid timestamp ({broker})");
    if extractor == BuiltInTimestampExtractor::UsePartitionTimeOnInvalidTimestamp {
        message.push_str(", and none has come before it in its partition");
    }
    Error::new(ErrorKind::BadRecord, message)
}

impl<K, V> TimestampExtractor<K, V> {
    /// What `extract` finds in a record, given the highest timestamp so far of its partition: −1 before the
    /// first.
    pub fn new(
        extract: impl Fn(&ConsumedRecord<'_, K, V>, Timestamp) -> Timestamp + Send + Sync + 'static,
    ) -> Self {
        Self::Record(Arc::new(extract))
    }

    /// What `extract` finds in key, value and the broker's timestamp, in milliseconds.
    pub fn record(
        extract: impl Fn(&K, &V, Timestamp) -> Timestamp + Send + Sync + 'static,
    ) -> Self {
        Self::new(move |record, _| extract(record.key, record.value, record.timestamp))
    }
}

impl<K: 'static, V: 'static> TimestampExtractor<K, V> {
    /// The same for records whose value may be null: those keep the broker's timestamp where a function
    /// would need the value.
    pub(crate) fn nullable(self) -> TimestampExtractor<K, Option<V>> {
        match self {
            Self::BuiltIn(extractor) => TimestampExtractor::BuiltIn(extractor),
            Self::Record(extract) => TimestampExtractor::new(
                move |record: &ConsumedRecord<'_, K, Option<V>>, partition_time| {
                    let Some(value) = record.value else { return record.timestamp };
                    let ConsumedRecord {
                        topic, partition, offset, timestamp, headers, key, ..
                    } = *record;
                    let record =
                        ConsumedRecord { topic, partition, offset, timestamp, headers, key, value };
                    extract(&record, partition_time)
                },
            ),
        }
    }
}

impl<K, V> Default for TimestampExtractor<K, V> {
    fn default() -> Self {
        Self::BuiltIn(BuiltInTimestampExtractor::default())
    }
}

impl<K, V> From<BuiltInTimestampExtractor> for TimestampExtractor<K, V> {
    fn from(extractor: BuiltInTimestampExtractor) -> Self {
        Self::BuiltIn(extractor)
    }
}

impl<K, V> Clone for TimestampExtractor<K, V> {
    fn clone(&self) -> Self {
        match self {
            Self::BuiltIn(extractor) => Self::BuiltIn(*extractor),
            Self::Record(extract) => Self::Record(Arc::clone(extract)),
        }
    }
}

impl<K, V> fmt::Debug for TimestampExtractor<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn(extractor) => extractor.fmt(f),
            Self::Record(_) => f.write_str("Record"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_built_in_takes_its_own_time() {
        use BuiltInTimestampExtractor::*;
        let check = |extractor: BuiltInTimestampExtractor, broker, expected| {
            assert_eq!(extractor.extract(broker, 20, 4000).ok(), expected, "{extractor:?}");
        };
        for extractor in [
            FailOnInvalidTimestamp,
            LogAndSkipOnInvalidTimestamp,
            UsePartitionTimeOnInvalidTimestamp,
        ] {
            check(extractor, 0, Some(0));
            check(extractor, 300, Some(300));
        }
        check(FailOnInvalidTimestamp, -1, None);
        check(LogAndSkipOnInvalidTimestamp, -1, Some(-1));
        check(UsePartitionTimeOnInvalidTimestamp, -1, Some(20));
        check(WallClock, -1, Some(4000));
        assert!(UsePartitionTimeOnInvalidTimestamp.extract(-1, -1, 4000).is_err());
    }

    fn of_null(extractor: &TimestampExtractor<i32, Option<i64>>, value: Option<i64>) -> Timestamp {
        let TimestampExtractor::Record(extract) = extractor else { panic!("{extractor:?}") };
        let record = ConsumedRecord {
            topic: "in",
            partition: 0,
            offset: 0,
            timestamp: 300,
            headers: &Headers::new(),
            key: &1,
            value: &value,
        };
        extract(&record, 7)
    }

    #[test]
    fn null_value_keeps_the_broker_timestamp() {
        let extractor = TimestampExtractor::record(|_: &i32, value: &i64, _| *value).nullable();
        assert_eq!(of_null(&extractor, Some(20)), 20);
        assert_eq!(of_null(&extractor, None), 300);
    }
}
