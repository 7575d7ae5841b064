//! Records on their way into and out of a running instance: topics by pattern, the order between partitions,
//! partitions that the user chooses, and nodes that fail.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use kstream::broker::memory::MemoryBroker;
use kstream::broker::{BrokerError, OutgoingRecord};
use kstream::time::SystemClock;
use kstream::{
    ErrorContext, ErrorKind, HandlerResponse, Headers, KStream, KafkaStreams, LogAndContinue,
    Materialized, Partitions, Produced, ProducedRecord, ProductionHandler, State,
    StreamPartitioner, StreamsBuilder, StreamsConfig, Topology,
};
use kstream_test_support::wait_until;

use crate::app::{SOON, config, length, running, wait_for};
use crate::faults::{FaultyBroker, LATE_REFUSAL};

fn broker(topics: &[(&str, i32)]) -> MemoryBroker {
    let broker = MemoryBroker::new(Arc::new(SystemClock::new()));
    for (topic, partitions) in topics {
        broker.create_topic(topic, *partitions).unwrap();
    }
    broker
}

fn produce(broker: &MemoryBroker, topic: &str, partition: i32, value: &str, timestamp: i64) {
    let record = OutgoingRecord {
        partition,
        key: Some(b"k"),
        value: Some(value.as_bytes()),
        timestamp: Some(timestamp),
        headers: &Headers::new(),
    };
    broker.produce(topic, record).unwrap();
}

/// Runs until the topic has this many records.
fn run_until(topology: Topology, broker: &MemoryBroker, topic: &str, records: u64) {
    let folder = tempfile::tempdir().unwrap();
    let mut streams = running(topology, config(folder.path()), broker.clone());
    wait_until(SOON, "all records", || length(broker, topic) == records).unwrap();
    streams.close().unwrap();
}

fn values(broker: &MemoryBroker, topic: &str, partition: i32) -> Vec<String> {
    let records = broker.records(topic, partition, 0).unwrap();
    records.into_iter().map(|record| String::from_utf8(record.value.unwrap()).unwrap()).collect()
}

fn pattern() -> Topology {
    let builder = StreamsBuilder::new();
    builder.stream_pattern::<String, String>("p-[0-9]+").to("out");
    builder.build().unwrap()
}

#[test]
fn a_pattern_reads_the_topics_that_match_at_the_start() {
    let broker = broker(&[("p-1", 2), ("p-22", 2), ("p-x", 2), ("out", 1)]);
    for (topic, partition) in [("p-1", 0), ("p-1", 1), ("p-22", 1), ("p-x", 0)] {
        produce(&broker, topic, partition, &format!("{topic}/{partition}"), 7);
    }
    run_until(pattern(), &broker, "out", 3);
    let mut values = values(&broker, "out", 0);
    values.sort();
    assert_eq!(values, ["p-1/0", "p-1/1", "p-22/1"]);
}

#[test]
fn a_pattern_that_no_topic_matches_is_refused() {
    let (broker, folder) = (broker(&[("p-x", 1), ("out", 1)]), tempfile::tempdir().unwrap());
    let mut streams = KafkaStreams::new(pattern(), config(folder.path()), broker).unwrap();
    let error = streams.start().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let text = error.to_string();
    assert!(
        text.contains("source KSTREAM-SOURCE-0000000000: no topic matches `p-[0-9]+`"),
        "{text}"
    );
    streams.close().unwrap();
}

#[test]
fn partitions_of_a_task_are_read_in_the_order_of_time() {
    // More than a task holds of a partition: it has to wait for the broker in between.
    const RECORDS: i64 = 4000;
    let broker = broker(&[("one", 1), ("two", 1), ("out", 1)]);
    for number in 0..RECORDS {
        let topic = if number % 7 < 3 { "one" } else { "two" };
        produce(&broker, topic, 0, &number.to_string(), number);
    }
    let builder = StreamsBuilder::new();
    let one: KStream<String, String> = builder.stream("one");
    one.merge(&builder.stream("two")).to("out");
    run_until(builder.build().unwrap(), &broker, "out", RECORDS.unsigned_abs());
    let expected: Vec<String> = (0..RECORDS).map(|number| number.to_string()).collect();
    assert_eq!(values(&broker, "out", 0), expected);
}

#[test]
fn a_partition_that_stays_empty_holds_up_nobody_for_long() {
    let broker = broker(&[("one", 1), ("two", 1), ("out", 1)]);
    produce(&broker, "one", 0, "alone", 7);
    let builder = StreamsBuilder::new();
    let one: KStream<String, String> = builder.stream("one");
    one.merge(&builder.stream("two")).to("out");
    run_until(builder.build().unwrap(), &broker, "out", 1);
}

#[test]
fn records_go_to_the_partitions_that_the_partitioner_names() {
    let broker = broker(&[("in", 1), ("out", 4)]);
    for value in ["0", "3", "all", "none", "default"] {
        produce(&broker, "in", 0, value, 7);
    }
    let builder = StreamsBuilder::new();
    let stream: KStream<String, String> = builder.stream("in");
    let partitioner =
        StreamPartitioner::new(|_, _: &String, value: &String, count| match value.as_str() {
            "all" => Partitions::Each((0..count).collect()),
            "none" => Partitions::none(),
            "default" => Partitions::Default,
            number => Partitions::One(number.parse().unwrap()),
        });
    stream.to_with("out", Produced::new().with_stream_partitioner(partitioner));
    run_until(builder.build().unwrap(), &broker, "out", 7);
    let default = usize::try_from(kstream::broker::partition_for_key(b"k", 4)).unwrap();
    let mut expected = [vec!["0", "all"], vec!["all"], vec!["all"], vec!["3", "all"]];
    expected[default].push("default");
    for (partition, expected) in (0..4).zip(expected) {
        assert_eq!(values(&broker, "out", partition), expected, "partition {partition}");
    }
}

#[test]
fn a_partition_that_the_topic_has_not_is_an_error() {
    let (broker, folder) = (broker(&[("in", 1), ("out", 2)]), tempfile::tempdir().unwrap());
    produce(&broker, "in", 0, "v", 7);
    let builder = StreamsBuilder::new();
    let stream: KStream<String, String> = builder.stream("in");
    let partitioner = StreamPartitioner::new(|_, _: &String, _: &String, _| Partitions::One(2));
    stream.to_with("out", Produced::new().with_stream_partitioner(partitioner));
    let topology = builder.build().unwrap();
    let mut streams = KafkaStreams::new(topology, config(folder.path()), broker).unwrap();
    streams.start().unwrap();
    wait_for(&streams, State::Error);
    let error = streams.close().unwrap_err();
    assert!(error.report().contains("out-2"), "{}", error.report());
}

#[test]
fn failing_records_go_to_the_dead_letter_topic_and_the_others_on() {
    let (broker, folder) =
        (broker(&[("in", 1), ("out", 1), ("letters", 1)]), tempfile::tempdir().unwrap());
    for value in ["1", "x", "3"] {
        produce(&broker, "in", 0, value, 7);
    }
    let builder = StreamsBuilder::new();
    let stream: KStream<String, String> = builder.stream("in");
    stream.map_values(|value| value.parse::<i64>().unwrap().to_string()).to("out");
    let config =
        config(folder.path()).processing_handler(LogAndContinue).dead_letter_topic("letters");
    let mut streams = running(builder.build().unwrap(), config, broker.clone());
    wait_until(SOON, "the other records", || length(&broker, "out") == 2).unwrap();
    streams.close().unwrap();
    assert_eq!(values(&broker, "out", 0), ["1", "3"]);
    assert_eq!(values(&broker, "letters", 0), ["x"]);
}

/// Sends once more what the broker refuses for now.
#[derive(Debug)]
struct Retrying;

impl ProductionHandler for Retrying {
    fn handle(
        &self,
        context: &ErrorContext<'_>,
        record: &ProducedRecord<'_>,
        error: &BrokerError,
    ) -> HandlerResponse {
        assert!(error.is_retriable());
        assert_eq!((context.node, record.topic), ("out", "out"));
        assert_eq!(record.value, Some(LATE_REFUSAL));
        HandlerResponse::retry()
    }
}

/// Copies three records; the broker takes the second and then refuses it so many times.
fn late_refusals(
    times: u32,
    change: impl FnOnce(StreamsConfig) -> StreamsConfig,
) -> (KafkaStreams, MemoryBroker, tempfile::TempDir) {
    let (broker, folder) =
        (broker(&[("in", 1), ("out", 1), ("letters", 1)]), tempfile::tempdir().unwrap());
    for value in [&b"a"[..], LATE_REFUSAL, b"b"] {
        produce(&broker, "in", 0, std::str::from_utf8(value).unwrap(), 7);
    }
    let builder = StreamsBuilder::new();
    builder.stream::<String, String>("in").to("out");
    let faulty = FaultyBroker::new(broker.clone());
    faulty.faults.late_refusals.store(times, Ordering::SeqCst);
    let config = change(config(folder.path()).dead_letter_topic("letters"));
    let mut streams = KafkaStreams::new(builder.build().unwrap(), config, faulty).unwrap();
    streams.start().unwrap();
    (streams, broker, folder)
}

#[test]
fn a_record_that_is_refused_late_is_sent_again() {
    let (mut streams, broker, _folder) =
        late_refusals(2, |config| config.production_handler(Retrying));
    wait_until(SOON, "all records", || length(&broker, "out") == 3).unwrap();
    streams.close().unwrap();
    assert_eq!(values(&broker, "out", 0), ["a", "b", "refuse me"]);
}

#[test]
fn a_record_that_is_refused_late_is_dropped_and_written_to_the_dead_letter_topic() {
    let (mut streams, broker, _folder) =
        late_refusals(1, |config| config.production_handler(LogAndContinue));
    wait_until(SOON, "the letter", || length(&broker, "letters") == 1).unwrap();
    streams.close().unwrap();
    assert_eq!(values(&broker, "out", 0), ["a", "b"]);
    assert_eq!(values(&broker, "letters", 0), ["refuse me"]);
}

#[test]
fn a_changelog_record_that_is_refused_late_is_never_left_out() {
    let (broker, folder) = (broker(&[("in", 1)]), tempfile::tempdir().unwrap());
    produce(&broker, "in", 0, std::str::from_utf8(LATE_REFUSAL).unwrap(), 7);
    let builder = StreamsBuilder::new();
    let stream: KStream<String, String> = builder.stream("in");
    stream.group_by_key().reduce_with(|_, new| new, "r", Materialized::named("rows"));
    let faulty = FaultyBroker::new(broker.clone());
    faulty.faults.late_refusals.store(2, Ordering::SeqCst);
    // The handler is not asked: with it the row would be dropped.
    let config = config(folder.path()).production_handler(LogAndContinue);
    let mut streams = running(builder.build().unwrap(), config, faulty);
    wait_until(SOON, "the row", || length(&broker, "app-rows-changelog") == 1).unwrap();
    streams.close().unwrap();
    assert_eq!(values(&broker, "app-rows-changelog", 0), ["refuse me"]);
}
