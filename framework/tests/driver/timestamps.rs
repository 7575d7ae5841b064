//! Where timestamps come from: the broker, the wall clock, the record.

use std::time::Duration;

use kstream::{
    BuiltInTimestampExtractor, Consumed, ConsumedRecord, ErrorKind, KStream, KTable,
    StreamsBuilder, TimestampExtractor,
};

use crate::harness::{Harness, Null, Text, config, topology_error};

fn copy(timestamps: impl Into<TimestampExtractor<String, String>>) -> impl FnOnce(&StreamsBuilder) {
    let timestamps = timestamps.into();
    move |builder| {
        let consumed = Consumed::new().with_timestamp_extractor(timestamps);
        builder.stream_with("in", consumed).to("out");
    }
}

/// The value as a number, else the broker's timestamp.
fn from_value() -> TimestampExtractor<String, String> {
    TimestampExtractor::record(|_: &String, value: &String, broker| value.parse().unwrap_or(broker))
}

#[track_caller]
fn refused(test: &Harness, timestamp: i64) -> kstream::Error {
    topology_error(test.try_pipe("in", "k", "v", timestamp))
}

#[test]
fn record_keeps_the_brokers_timestamp_unless_told_otherwise() {
    let test = Harness::new(copy(TimestampExtractor::default()));
    test.pipe("k", "5", 300);
    assert_eq!(test.out(), ["k=5@300"]);
}

#[test]
fn wall_clock_is_that_of_processing() {
    let test = Harness::new(copy(BuiltInTimestampExtractor::WallClock));
    test.driver.advance_wall_clock_time(Duration::from_millis(70)).unwrap();
    test.pipe("k", "5", 300);
    test.pipe("k", "6", -1);
    assert_eq!(test.out(), ["k=5@70", "k=6@70"]);
}

#[test]
fn timestamp_from_the_value_reaches_windows_and_results() {
    let test = Harness::new(|builder| {
        let consumed = Consumed::new().with_timestamp_extractor(from_value());
        let stream = builder.stream_with::<String, String>("in", consumed);
        stream.group_by_key().reduce(|_, new| new).to_stream().to("out");
    });
    test.pipe("k", "20", 300);
    test.pipe("k", "10", 300);
    test.pipe("k", "x", 300);
    assert_eq!(test.out(), ["k=20@20", "k=10@20", "k=x@300"]);
}

#[test]
fn negative_timestamp_of_the_users_drops_the_record_and_counts_it() {
    let test = Harness::new(copy(from_value()));
    test.pipe("k", "-1", 300);
    test.pipe("k", "7", 300);
    assert_eq!(test.out(), ["k=7@7"]);
    assert_eq!(test.driver.dropped_records(), 1);
}

#[test]
fn record_without_a_timestamp_is_refused_by_default_and_named() {
    let test = Harness::new(copy(BuiltInTimestampExtractor::FailOnInvalidTimestamp));
    test.pipe("k", "v", 1);
    let error = refused(&test, -1);
    assert_eq!(error.kind(), ErrorKind::BadRecord);
    for part in ["no valid timestamp (-1)", "KSTREAM-SOURCE-0000000000", "in-0 at offset 1"] {
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
}

#[test]
fn default_extractor_of_the_settings_serves_sources_that_name_none() {
    let skip = BuiltInTimestampExtractor::LogAndSkipOnInvalidTimestamp;
    let test = Harness::with_config(config().default_timestamp_extractor(skip), |builder| {
        builder.stream::<String, String>("in").to("out");
        let fail = BuiltInTimestampExtractor::FailOnInvalidTimestamp;
        let consumed = Consumed::<String, String>::new().with_timestamp_extractor(fail);
        builder.stream_with("strict", consumed).to("out");
    });
    test.pipe("k", "v", -1);
    test.pipe("k", "w", 2);
    assert_eq!(test.out(), ["k=w@2"]);
    assert_eq!(test.driver.dropped_records(), 1);
    test.try_pipe("strict", "k", "v", -1).unwrap_err();
}

#[test]
fn partition_time_is_the_highest_so_far_and_each_topics_own() {
    let use_it = BuiltInTimestampExtractor::UsePartitionTimeOnInvalidTimestamp;
    let test = Harness::new(|builder| {
        let consumed = Consumed::<String, String>::new().with_timestamp_extractor(use_it);
        builder.stream_with(["in", "other"], consumed).to("out");
    });
    test.pipe("k", "a", 50);
    test.pipe("k", "b", 20);
    test.pipe("k", "c", -1);
    test.pipe_to("other", "k", "d", 30);
    test.pipe_to("other", "k", "e", -1);
    assert_eq!(test.out(), ["k=a@50", "k=b@20", "k=c@50", "k=d@30", "k=e@30"]);
}

#[test]
fn partition_time_that_nobody_knows_is_an_error() {
    let use_it = BuiltInTimestampExtractor::UsePartitionTimeOnInvalidTimestamp;
    let error = refused(&Harness::new(copy(use_it)), -1);
    assert!(error.to_string().contains("none has come before it"), "{error}");
}

#[test]
fn extractor_sees_the_record_and_the_partition_time() {
    let test = Harness::new(|builder| {
        let extractor = TimestampExtractor::new(
            |record: &ConsumedRecord<'_, String, String>, partition_time| {
                assert_eq!((record.topic, record.partition), ("in", 0));
                assert!(record.headers.is_empty());
                match record.value.as_str() {
                    "offset" => record.offset,
                    "partition" => partition_time,
                    _ => record.timestamp,
                }
            },
        );
        copy(extractor)(builder);
    });
    for value in ["partition", "x", "offset", "partition"] {
        test.pipe("k", value, 40);
    }
    assert_eq!(test.out(), ["k=x@40", "k=offset@2", "k=partition@40"]);
}

#[test]
fn tombstones_of_a_table_keep_the_brokers_timestamp() {
    let test = Harness::new(|builder| {
        let consumed = Consumed::new().with_timestamp_extractor(from_value());
        let table: KTable<String, String> =
            builder.table_with("in", consumed, kstream::Materialized::named("rows"));
        table.to_stream().to("out");
    });
    test.pipe("k", "20", 300);
    test.pipe("k", Null, 10);
    assert_eq!(test.out(), ["k=20@20", "k=null@10"]);
}

#[test]
fn unreadable_record_moves_no_time() {
    let use_it = BuiltInTimestampExtractor::UsePartitionTimeOnInvalidTimestamp;
    let settings = config().deserialization_handler(kstream::LogAndContinue);
    let test = Harness::with_config(settings, |builder| {
        let consumed = Consumed::<Text, i64>::new().with_timestamp_extractor(use_it);
        let numbers: KStream<Text, i64> = builder.stream_with("in", consumed);
        numbers.to("out");
    });
    test.pipe_number("k", 1, 10);
    test.pipe("k", "x", 99);
    test.pipe_number("k", 2, -1);
    assert_eq!(test.out_numbers(), ["k=1@10", "k=2@10"]);
}
