//! Records that cannot be read or processed.

use std::error::Error as _;
use std::sync::{Arc, Mutex};

use kstream::serdes::SerdeError;
use kstream::{
    Consumed, DeserializationHandler, Error, ErrorContext, ErrorKind, HandlerResponse, KStream,
    LogAndContinue, StreamsBuilder, StreamsConfig,
};
use kstream_test_utils::TestError;

use crate::harness::{Harness, config};

fn numbers(builder: &StreamsBuilder) {
    let stream: KStream<String, i64> = builder.stream("in");
    stream.map_values(|value| value.to_string()).to("out");
}

#[track_caller]
fn kind(result: Result<(), TestError>) -> ErrorKind {
    let error = result.unwrap_err();
    error.source().and_then(|source| source.downcast_ref::<Error>()).unwrap().kind()
}

#[test]
fn bad_record_stops_the_topology_by_default_and_the_error_names_it() {
    let test = Harness::new(numbers);
    test.pipe_number("a", 7, 0);
    let error = test.try_pipe("in", "a", "x", 1).unwrap_err();
    let text = error.source().unwrap().to_string();
    for part in ["the record cannot be read", "KSTREAM-SOURCE-0000000000", "in-0", "offset 1"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(kind(Err(error)), ErrorKind::BadRecord);
    assert_eq!(test.out(), ["a=7@0"]);
}

fn dead_letters() -> StreamsConfig {
    config().deserialization_handler(LogAndContinue).dead_letter_topic("dead-letters")
}

#[test]
fn skipped_record_is_counted_and_goes_to_the_dead_letter_topic() {
    let test = Harness::with_config(dead_letters(), numbers);
    test.pipe("a", "x", 1);
    test.pipe_number("a", 7, 2);
    assert_eq!(test.out(), ["a=7@2"]);
    assert_eq!(test.driver.dropped_records(), 1);
    assert_eq!(test.read_from::<String>("dead-letters"), ["a=x@1"]);
    let dead = test.records::<String>("dead-letters").pop().unwrap();
    let header = |name: &str| {
        let value = dead.headers.last(&format!("__streams.errors.{name}")).unwrap().unwrap();
        String::from_utf8(value.to_vec()).unwrap()
    };
    assert_eq!(header("topic"), "in");
    assert_eq!(header("partition"), "0");
    assert_eq!(header("offset"), "0");
    assert_eq!(header("message"), "i64 takes 8 bytes, not 1");
}

#[test]
fn handler_without_dead_letter_topic_drops_the_record() {
    let test = Harness::with_config(config().deserialization_handler(LogAndContinue), numbers);
    test.pipe("a", "x", 1);
    assert_eq!(test.driver.dropped_records(), 1);
    assert!(test.out().is_empty());
}

/// Continues at keys that begin with `skip`; notes what it sees.
#[derive(Debug, Default)]
struct SkipSome(Arc<Mutex<Vec<String>>>);

impl DeserializationHandler for SkipSome {
    fn handle(&self, context: &ErrorContext<'_>, error: &SerdeError) -> HandlerResponse {
        let key = String::from_utf8_lossy(context.raw_key.unwrap_or_default()).into_owned();
        let place = format!("{key} {} {} {error}", context.node, context.metadata.offset);
        self.0.lock().unwrap().push(place);
        if key.starts_with("skip") { HandlerResponse::resume() } else { HandlerResponse::fail() }
    }
}

#[test]
fn handler_sees_the_record_and_decides() {
    let seen = Arc::default();
    let handler = SkipSome(Arc::clone(&seen));
    let test = Harness::with_config(config().deserialization_handler(handler), numbers);
    test.pipe("skip-1", "x", 0);
    assert_eq!(kind(test.try_pipe("in", "a", "y", 0)), ErrorKind::BadRecord);
    let expected = [
        "skip-1 KSTREAM-SOURCE-0000000000 0 i64 takes 8 bytes, not 1",
        "a KSTREAM-SOURCE-0000000000 1 i64 takes 8 bytes, not 1",
    ];
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[test]
fn source_may_have_a_handler_of_its_own() {
    let test = Harness::new(|builder| {
        let lenient = Consumed::<String, i64>::new().with_deserialization_handler(LogAndContinue);
        builder.stream_with("lenient", lenient).to("out");
        builder.stream::<String, i64>("strict").to("out");
    });
    test.pipe_to("lenient", "a", "x", 0);
    assert_eq!(test.driver.dropped_records(), 1);
    assert_eq!(kind(test.try_pipe("strict", "a", "x", 0)), ErrorKind::BadRecord);
}

#[test]
fn letter_is_written_before_the_topology_stops() {
    let test = Harness::with_config(config().dead_letter_topic("dead-letters"), numbers);
    assert_eq!(kind(test.try_pipe("in", "a", "x", 3)), ErrorKind::BadRecord);
    assert_eq!(test.read_from::<String>("dead-letters"), ["a=x@3"]);
}

#[test]
fn record_without_a_valid_timestamp_is_refused() {
    let test = Harness::new(|builder| {
        builder.stream::<String, String>("in").to("out");
    });
    assert_eq!(kind(test.try_pipe("in", "a", "1", -1)), ErrorKind::BadRecord);
}

#[test]
fn panic_in_user_code_is_an_error_that_names_the_record() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        stream.filter(|_, value| value.parse::<u8>().unwrap() > 0).to("out");
    });
    test.pipe("a", "1", 0);
    let error = test.try_pipe("in", "a", "b", 0).unwrap_err();
    let text = error.source().unwrap().to_string();
    for part in ["panicked", "InvalidDigit", "in-0", "offset 1"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn panic_behind_the_record_cache_is_an_error_too() {
    let test = Harness::with_config(config().statestore_cache_max_bytes(1000), |builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let counts = stream.group_by_key().count().to_stream();
        counts.filter(|_, count| count.unwrap() < 2).to("out");
        counts.for_each(|_, count| assert!(count.unwrap() < 2, "too many"));
    });
    test.pipe("a", "1", 0);
    let error = test.try_pipe("in", "a", "1", 0).unwrap_err();
    let text = error.source().unwrap().to_string();
    assert!(text.contains("panicked: too many"), "{text}");
}

#[test]
fn topic_that_nobody_reads_cannot_be_piped_into() {
    let test = Harness::new(numbers);
    assert_eq!(kind(test.try_pipe("elsewhere", "a", "1", 0)), ErrorKind::Config);
}
