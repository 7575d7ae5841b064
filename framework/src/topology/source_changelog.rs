//! Stores that are restored from a source topic instead of a changelog of their own.

use std::fmt::Debug;
use std::sync::Arc;

use super::{StoreId, TopicName};
use crate::broker::{RawRecord, RecordBatch};
use crate::processor::timestamp_extractor::{ConsumedRecord, TimestampExtractor};
use crate::record::{Headers, Timestamp};
use crate::serdes::{ArcSerde, SerdeError};

/// Makes a row of a record of the source topic; `None` for a record that is no row: its key is null, or
/// it cannot be read. The number is the wall clock.
pub(crate) type ReadRow = Arc<dyn Fn(&RawRecord<'_>, Timestamp) -> Option<SourceRow> + Send + Sync>;

/// A row as a changelog would have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourceRow {
    key: Vec<u8>,
    value: Option<Vec<u8>>,
    timestamp: Timestamp,
}

/// A store and the topic that it is restored from.
pub(crate) struct SourceChangelog {
    pub(crate) store: StoreId,
    pub(crate) topic: TopicName,
    pub(crate) read: ReadRow,
}

/// Reads a topic's records as the source node does, and writes them as the store does.
pub(crate) fn read_row<K: 'static, V: 'static>(
    topic: &str,
    (source_key, source_value): (ArcSerde<K>, ArcSerde<Option<V>>),
    timestamps: TimestampExtractor<K, Option<V>>,
    (store_key, store_value): (ArcSerde<K>, ArcSerde<V>),
) -> ReadRow {
    let topic: Arc<str> = topic.into();
    Arc::new(move |raw, wall_clock| {
        let key = source_key.deserialize(raw.key?).ok()?;
        if store_key.is_null(&key) {
            return None;
        }
        let value = raw.value.map(|bytes| source_value.deserialize(bytes)).transpose().ok()?;
        let value = value.flatten();
        // The partition's time is not known any more: the broker's takes its place.
        let partition_time = raw.timestamp.max(0);
        let timestamp = match &timestamps {
            TimestampExtractor::BuiltIn(extractor) => {
                extractor.extract(raw.timestamp, partition_time, wall_clock).ok()?
            }
            TimestampExtractor::Record(extract) => {
                let record = ConsumedRecord {
                    topic: &topic,
                    partition: -1,
                    offset: raw.offset,
                    timestamp: raw.timestamp,
                    headers: &raw.headers,
                    key: &key,
                    value: &value,
                };
                extract(&record, partition_time)
            }
        };
        let row = || {
            let mut bytes = (Vec::new(), Vec::new());
            store_key.serialize(&key, &mut bytes.0)?;
            let value = match &value {
                Some(value) if !store_value.is_null(value) => {
                    store_value.serialize(value, &mut bytes.1)?;
                    Some(bytes.1)
                }
                _ => None,
            };
            Ok::<_, SerdeError>(SourceRow { key: bytes.0, value, timestamp })
        };
        row().ok().filter(|row| row.timestamp >= 0)
    })
}

/// Takes a topic's records as they are: their bytes are those of the store's rows.
pub(crate) fn raw_row() -> ReadRow {
    Arc::new(|raw, _| {
        let (key, value) = (raw.key?.to_vec(), raw.value.map(<[u8]>::to_vec));
        Some(SourceRow { key, value, timestamp: raw.timestamp })
    })
}

/// Rows in the place of the records that they were made of.
#[derive(Debug)]
pub(crate) struct SourceRows(Vec<(i64, SourceRow)>);

impl SourceRows {
    /// The rows of a batch below an offset; `None` if there are none.
    pub(crate) fn of(
        batch: &dyn RecordBatch,
        read: &ReadRow,
        end_offset: i64,
        wall_clock: Timestamp,
    ) -> Option<Self> {
        let rows = (0..batch.len()).map(|index| batch.record(index));
        let rows = rows.take_while(|record| record.offset < end_offset);
        let rows = rows.filter_map(|record| Some((record.offset, read(&record, wall_clock)?)));
        let rows: Vec<_> = rows.collect();
        (!rows.is_empty()).then_some(Self(rows))
    }
}

impl RecordBatch for SourceRows {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn record(&self, index: usize) -> RawRecord<'_> {
        #[expect(clippy::indexing_slicing, reason = "the trait asks for index < len()")]
        let (offset, row) = &self.0[index];
        RawRecord {
            offset: *offset,
            timestamp: row.timestamp,
            key: Some(&row.key),
            value: row.value.as_deref(),
            headers: Headers::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serdes::{DefaultSerde, OptionSerde};

    fn raw<'a>(key: Option<&'a [u8]>, value: Option<&'a [u8]>) -> RawRecord<'a> {
        RawRecord { offset: 7, timestamp: 100, key, value, headers: Headers::new() }
    }

    fn reader(timestamps: TimestampExtractor<i32, Option<i64>>) -> ReadRow {
        let value: ArcSerde<Option<i64>> = Arc::new(OptionSerde::new(i64::default_serde()));
        let source = (i32::default_serde(), value);
        read_row("in", source, timestamps, (i32::default_serde(), i64::default_serde()))
    }

    #[test]
    fn records_become_rows_as_when_they_were_first_read() {
        let read = reader(TimestampExtractor::record(|key: &i32, value: &Option<i64>, broker| {
            i64::from(*key) + value.unwrap_or(0) + broker
        }));
        let (key, value) = (5_i32.to_be_bytes(), 20_i64.to_be_bytes());
        let row = read(&raw(Some(&key), Some(&value)), 0).unwrap();
        assert_eq!((row.key, row.value), (key.to_vec(), Some(value.to_vec())));
        assert_eq!(row.timestamp, 125);
        assert_eq!(read(&raw(Some(&key), None), 0).unwrap().value, None);
    }

    #[test]
    fn what_cannot_be_read_is_no_row() {
        let read = reader(TimestampExtractor::default());
        let (key, value) = (5_i32.to_be_bytes(), 20_i64.to_be_bytes());
        assert_eq!(read(&raw(None, Some(&value)), 0), None);
        assert_eq!(read(&raw(Some(b"?"), Some(&value)), 0), None);
        assert_eq!(read(&raw(Some(&key), Some(b"?")), 0), None);
    }
}
