//! Where timestamps come from: the broker, the wall clock, the record.

use std::time::Duration;

use kstream::{Consumed, ErrorKind, StreamsBuilder, TimestampExtractor};
use kstream_test_utils::TestError;

use crate::harness::Harness;

fn copy(timestamps: TimestampExtractor<String, String>) -> impl FnOnce(&StreamsBuilder) {
    move |builder| {
        let consumed = Consumed::new().with_timestamp_extractor(timestamps);
        builder.stream_with("in", consumed).to("out");
    }
}

/// The value as a number, else the broker's timestamp.
fn from_value() -> TimestampExtractor<String, String> {
    TimestampExtractor::record(|_: &String, value: &String, broker| value.parse().unwrap_or(broker))
}

#[test]
fn record_keeps_the_brokers_timestamp_unless_told_otherwise() {
    let test = Harness::new(copy(TimestampExtractor::default()));
    test.pipe("k", "5", 300);
    assert_eq!(test.out(), ["k=5@300"]);
}

#[test]
fn wall_clock_is_that_of_processing() {
    let test = Harness::new(copy(TimestampExtractor::WallClock));
    test.driver.advance_wall_clock_time(Duration::from_millis(70)).unwrap();
    test.pipe("k", "5", 300);
    assert_eq!(test.out(), ["k=5@70"]);
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
fn negative_timestamp_is_a_bad_record() {
    let test = Harness::new(copy(from_value()));
    let input = test.driver.input_topic::<String, String>("in");
    let error = input.pipe_at("k".to_owned(), "-1".to_owned(), 300).unwrap_err();
    let TestError::Topology(error) = error else { panic!("{error}") };
    assert_eq!(error.kind(), ErrorKind::BadRecord);
    assert!(error.to_string().contains("no valid timestamp (-1)"), "{error}");
}
