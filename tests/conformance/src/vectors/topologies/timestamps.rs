//! Where timestamps come from.

use std::time::Duration;

use kstream::{
    BuiltInTimestampExtractor, Consumed, ConsumedRecord, Grouped, KStream, Materialized, Named,
    StreamsBuilder, TimeWindows, TimestampExtractor,
};

use super::{Build, Text, shown, text};

pub(super) fn topology(name: &str) -> Option<Build> {
    Some(match name {
        "timestamp-fail" | "timestamp-log-and-skip" => copy,
        "timestamp-partition-time" => partition_time,
        "timestamp-extractor" => extractor,
        _ => return None,
    })
}

fn copy(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    stream.to("out");
}

fn partition_time(builder: &StreamsBuilder) {
    let timestamps = BuiltInTimestampExtractor::UsePartitionTimeOnInvalidTimestamp;
    let consumed = Consumed::<Text, Text>::new().with_timestamp_extractor(timestamps);
    builder.stream_with("in", consumed).to("out");
}

/// The number behind the value's last `@`, else the record's timestamp; the partition's time of null.
fn value_time() -> TimestampExtractor<Text, Text> {
    TimestampExtractor::new(|record: &ConsumedRecord<'_, Text, Text>, partition_time| {
        let Some(value) = record.value else { return partition_time };
        let number = value.rsplit_once('@').map(|(_, number)| number.parse());
        // What is no number is dropped, as if it were negative.
        number.map_or(record.timestamp, |number| number.unwrap_or(-1))
    })
}

fn extractor(builder: &StreamsBuilder) {
    let consumed = Consumed::new().with_timestamp_extractor(value_time());
    let stream: KStream<Text, Text> = builder.stream_with("in", consumed);
    stream.to("out");
    let windows = TimeWindows::of_size_with_no_grace(Duration::from_millis(100));
    stream
        .group_by_key_with(Grouped::new())
        .windowed_by(windows)
        .count_with(Named::default(), Materialized::named("w"))
        .to_stream()
        .select_key(|windowed, _| {
            let window = windowed.window;
            Some(format!("{}@{}-{}", shown(&windowed.key), window.start, window.end))
        })
        .map_values(text)
        .to("out-count");
}
