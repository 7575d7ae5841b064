//! Where a record's timestamp comes from.

use std::fmt;
use std::sync::Arc;

use crate::record::Timestamp;

/// Gives the records of a source their timestamps.
///
/// **Time and units**: the timestamp counts from the source node on: for windows, results, and what is
/// written. The order in which a task takes records from its partitions stays that of the broker's
/// timestamps.
///
/// **Errors**: a negative timestamp is a bad record, and stops the application.
///
/// # Source
/// `org.apache.kafka.streams.processor.TimestampExtractor`; there it also decides the order between
/// partitions.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum TimestampExtractor<K, V> {
    /// The broker's timestamp: `FailOnInvalidTimestamp`.
    #[default]
    Broker,
    /// The wall clock when the record is processed: `WallclockTimestampExtractor`.
    WallClock,
    /// What this function finds in key, value and the broker's timestamp, in milliseconds.
    Record(ExtractTimestamp<K, V>),
}

/// Finds a timestamp in key, value and the broker's timestamp.
pub type ExtractTimestamp<K, V> = Arc<dyn Fn(&K, &V, Timestamp) -> Timestamp + Send + Sync>;

impl<K, V> TimestampExtractor<K, V> {
    /// What `extract` finds in key, value and the broker's timestamp, in milliseconds.
    pub fn record(
        extract: impl Fn(&K, &V, Timestamp) -> Timestamp + Send + Sync + 'static,
    ) -> Self {
        Self::Record(Arc::new(extract))
    }

    /// The record's timestamp; the wall clock is that of the present slice of records.
    #[inline]
    pub(crate) fn extract(
        &self,
        key: &K,
        value: &V,
        broker: Timestamp,
        wall_clock: Timestamp,
    ) -> Timestamp {
        match self {
            Self::Broker => broker,
            Self::WallClock => wall_clock,
            Self::Record(extract) => extract(key, value, broker),
        }
    }
}

impl<K: 'static, V: 'static> TimestampExtractor<K, V> {
    /// The same for records whose value may be null: those keep the broker's timestamp where a function
    /// would need the value.
    pub(crate) fn nullable(self) -> TimestampExtractor<K, Option<V>> {
        match self {
            Self::Broker => TimestampExtractor::Broker,
            Self::WallClock => TimestampExtractor::WallClock,
            Self::Record(extract) => {
                TimestampExtractor::record(move |key, value: &Option<V>, broker| {
                    value.as_ref().map_or(broker, |value| extract(key, value, broker))
                })
            }
        }
    }
}

impl<K, V> fmt::Debug for TimestampExtractor<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Broker => "Broker",
            Self::WallClock => "WallClock",
            Self::Record(_) => "Record",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_takes_its_own_time() {
        let check = |extractor: TimestampExtractor<i32, i64>, expected| {
            assert_eq!(extractor.extract(&1, &20, 300, 4000), expected);
        };
        check(TimestampExtractor::default(), 300);
        check(TimestampExtractor::WallClock, 4000);
        check(
            TimestampExtractor::record(|key, value, broker| i64::from(*key) + value + broker),
            321,
        );
    }

    #[test]
    fn null_value_keeps_the_broker_timestamp() {
        let extractor = TimestampExtractor::record(|_: &i32, value: &i64, _| *value).nullable();
        assert_eq!(extractor.extract(&1, &Some(20), 300, 4000), 20);
        assert_eq!(extractor.extract(&1, &None, 300, 4000), 300);
    }
}
