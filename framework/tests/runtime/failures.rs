//! Bad records and panics: what stops, what goes on, and what is said.

use kstream::broker::memory::MemoryBroker;
use kstream::{
    Error, ErrorKind, KStream, KafkaStreams, LogAndContinue, State, StreamsBuilder, StreamsConfig,
    Topology,
};

use crate::app::{
    INPUT, OUTPUT, broker, committed, config, length, page, produce_bytes, running, wait_for,
    wait_until_committed,
};

const BAD: &[u8] = b"bad";
const PARTITION: i32 = 2;

/// Two good records, a bad one at offset 2, and a good one.
fn with_a_bad_record() -> MemoryBroker {
    let broker = broker();
    for value in [&1_i64.to_be_bytes(), &2_i64.to_be_bytes(), BAD, &4_i64.to_be_bytes()] {
        produce_bytes(&broker, PARTITION, Some(b"key"), Some(value));
    }
    broker
}

fn numbers(change: impl Fn(i64) -> i64 + Send + Sync + 'static) -> Topology {
    let builder = StreamsBuilder::new();
    let numbers: KStream<String, i64> = builder.stream(INPUT);
    numbers.map_values(change).to(OUTPUT);
    builder.build().unwrap()
}

/// Runs until the instance has failed; gives its error.
fn failure(topology: Topology, config: StreamsConfig, broker: &MemoryBroker) -> Error {
    let mut streams = KafkaStreams::new(topology, config, broker.clone()).unwrap();
    streams.start().unwrap();
    wait_for(&streams, State::Error);
    assert!(!page(&streams, "/health/live").0.is_success());
    let error = streams.close().unwrap_err();
    assert_eq!(streams.state(), State::Error);
    error
}

#[track_caller]
fn assert_names_the_record(error: &Error) {
    let (partition, offset) = error.position().unwrap();
    assert_eq!((&*partition.topic, partition.partition, offset), (INPUT, PARTITION, 2));
    assert!(error.to_string().contains("in-2 at offset 2"), "{error}");
}

#[test]
fn a_bad_record_stops_the_instance_and_is_named_and_not_committed() {
    let (broker, folder) = (with_a_bad_record(), tempfile::tempdir().unwrap());
    let error = failure(numbers(|number| number), config(folder.path()), &broker);
    assert_eq!(error.kind(), ErrorKind::BadRecord);
    assert_names_the_record(&error);
    assert!(committed(&broker, INPUT, PARTITION).unwrap_or(0) <= 2);
    assert!(broker.records(OUTPUT, PARTITION, 0).unwrap().len() <= 2);
    // A restart comes to the same record.
    let error = failure(numbers(|number| number), config(folder.path()), &broker);
    assert_names_the_record(&error);
}

#[test]
fn a_bad_record_goes_to_the_dead_letter_topic_when_the_handler_continues() {
    let (broker, folder) = (with_a_bad_record(), tempfile::tempdir().unwrap());
    broker.create_topic("letters", 1).unwrap();
    let config =
        config(folder.path()).deserialization_handler(LogAndContinue).dead_letter_topic("letters");
    let mut streams = running(numbers(|number| number), config, broker.clone());
    wait_until_committed(&broker, INPUT);
    streams.close().unwrap();
    assert_eq!(length(&broker, OUTPUT), 3);
    let letters = broker.records("letters", 0, 0).unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].value.as_deref(), Some(BAD));
    assert_eq!(letters[0].key.as_deref(), Some(&b"key"[..]));
}

#[test]
fn a_panic_of_user_code_stops_the_instance_and_names_the_record() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    for number in 0..4_i64 {
        produce_bytes(&broker, PARTITION, Some(b"key"), Some(&number.to_be_bytes()));
    }
    let topology = numbers(|number| {
        assert_ne!(number, 2, "two is too much");
        number
    });
    let error = failure(topology, config(folder.path()), &broker);
    assert_eq!(error.kind(), ErrorKind::Fatal);
    assert_names_the_record(&error);
    assert!(error.to_string().contains("two is too much"), "{error}");
    assert!(committed(&broker, INPUT, PARTITION).unwrap_or(0) <= 2);
}

#[test]
fn a_panic_behind_the_record_cache_says_what_and_in_which_task() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    produce_bytes(&broker, PARTITION, Some(b"key"), Some(b"value"));
    let builder = StreamsBuilder::new();
    let records: KStream<String, String> = builder.stream(INPUT);
    let counts = records.group_by_key().count().to_stream();
    counts.for_each(|key, _| assert_ne!(key, "key", "not this one"));
    let error = failure(builder.build().unwrap(), config(folder.path()), &broker);
    assert!(error.to_string().contains("not this one"), "{error}");
    assert_eq!(error.task().unwrap().partition, PARTITION);
    assert_eq!(committed(&broker, INPUT, PARTITION), None);
}

#[test]
fn one_thread_that_fails_ends_the_instance_and_the_others_commit() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let two = config(folder.path()).num_stream_threads(2);
    let mut streams = running(numbers(|number| number), two, broker.clone());
    for partition in 0..4 {
        produce_bytes(&broker, partition, Some(b"key"), Some(&7_i64.to_be_bytes()));
    }
    wait_until_committed(&broker, INPUT);
    produce_bytes(&broker, 0, Some(b"key"), Some(BAD));
    wait_for(&streams, State::Error);
    let error = streams.close().unwrap_err();
    assert_eq!(
        error.position().map(|(partition, offset)| (partition.partition, offset)),
        Some((0, 1))
    );
}
