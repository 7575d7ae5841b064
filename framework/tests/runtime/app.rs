//! An application under test: its broker, its folders, and what its topics say.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use kstream::broker::memory::MemoryBroker;
use kstream::broker::{Broker, OutgoingRecord, partition_for_key};
use kstream::time::SystemClock;
use kstream::{
    Headers, KStream, KafkaStreams, Materialized, ProcessingGuarantee, State, StoreType,
    StreamsBuilder, StreamsConfig, TopicPartition, Topology,
};
use kstream_test_support::wait_until;
use tower::ServiceExt;

pub(crate) const APPLICATION: &str = "app";
pub(crate) const INPUT: &str = "in";
pub(crate) const OUTPUT: &str = "out";
pub(crate) const CHANGELOG: &str = "app-counts-changelog";
pub(crate) const PARTITIONS: i32 = 4;

pub(crate) const GUARANTEES: [ProcessingGuarantee; 2] =
    [ProcessingGuarantee::AtLeastOnce, ProcessingGuarantee::ExactlyOnceV2];

/// How long anything may take; generous, since tests share few cores.
pub(crate) const SOON: Duration = Duration::from_mins(1);

pub(crate) type Counts = BTreeMap<String, i64>;

/// Counts records by key.
pub(crate) fn counting() -> Topology {
    let builder = StreamsBuilder::new();
    let records: KStream<String, String> = builder.stream(INPUT);
    let counts = Materialized::named("counts");
    records.group_by_key().count_with("count", counts).to_stream().to(OUTPUT);
    builder.build().unwrap()
}

/// Counts records by value, through a repartition topic.
pub(crate) fn counting_by_value() -> Topology {
    counting_by_value_in(StoreType::Persistent)
}

/// The same, with its counts kept in this way.
pub(crate) fn counting_by_value_in(store_type: StoreType) -> Topology {
    let builder = StreamsBuilder::new();
    let records: KStream<String, String> = builder.stream(INPUT);
    let counts = Materialized::named("counts").with_store_type(store_type);
    records
        .group_by(|_, value: &String| value.clone())
        .count_with("count", counts)
        .to_stream()
        .to(OUTPUT);
    builder.build().unwrap()
}

/// A broker with the topics of [`counting`].
pub(crate) fn broker() -> MemoryBroker {
    let broker = MemoryBroker::new(Arc::new(SystemClock::new()));
    broker.create_topic(INPUT, PARTITIONS).unwrap();
    broker.create_topic(OUTPUT, PARTITIONS).unwrap();
    broker
}

/// Short intervals, small memory.
pub(crate) fn config(folder: &Path) -> StreamsConfig {
    StreamsConfig::new(APPLICATION)
        .state_dir(folder)
        .commit_interval(Duration::from_millis(20))
        .session_timeout(Duration::from_secs(5))
        .heartbeat_interval(Duration::from_millis(50))
        .rocksdb_memory_bytes(8 << 20)
}

/// An instance whose tasks run.
#[track_caller]
pub(crate) fn running(
    topology: Topology,
    config: StreamsConfig,
    broker: impl Broker,
) -> KafkaStreams {
    let mut streams = KafkaStreams::new(topology, config, broker).unwrap();
    streams.start().unwrap();
    wait_for(&streams, State::Running);
    streams
}

#[track_caller]
pub(crate) fn wait_for(streams: &KafkaStreams, state: State) {
    assert!(streams.wait_for_state(state, SOON), "is {}, not {state}", streams.state());
}

/// Sends to the partition that the key belongs to.
pub(crate) fn produce(broker: &MemoryBroker, key: &str, value: &str) {
    let partition = partition_for_key(key.as_bytes(), PARTITIONS);
    produce_bytes(broker, partition, Some(key.as_bytes()), Some(value.as_bytes()));
}

pub(crate) fn produce_bytes(
    broker: &MemoryBroker,
    partition: i32,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
) {
    produce_to(broker, INPUT, (partition, key, value));
}

/// A record of any topic: its partition, key and value.
pub(crate) fn produce_to(
    broker: &MemoryBroker,
    topic: &str,
    (partition, key, value): (i32, Option<&[u8]>, Option<&[u8]>),
) {
    let headers = &Headers::new();
    let record = OutgoingRecord { partition, key, value, timestamp: Some(1000), headers };
    broker.produce(topic, record).unwrap();
}

/// One record for each of these keys.
pub(crate) fn produce_keys(broker: &MemoryBroker, keys: std::ops::Range<usize>) {
    for key in keys {
        produce(broker, &format!("key-{key}"), "value");
    }
}

/// What `produce_keys` has to lead to when it was called `times` times.
pub(crate) fn counts_of(keys: std::ops::Range<usize>, times: i64) -> Counts {
    keys.map(|key| (format!("key-{key}"), times)).collect()
}

/// How many records a topic has.
pub(crate) fn length(broker: &MemoryBroker, topic: &str) -> u64 {
    let partitions = 0..broker.admin().unwrap().partition_counts(&[topic]).unwrap()[0].unwrap();
    partitions.map(|partition| broker.records(topic, partition, 0).unwrap().len() as u64).sum()
}

/// The last count of each key in a topic of counts.
pub(crate) fn counts_in(broker: &MemoryBroker, topic: &str) -> Counts {
    let mut counts = Counts::new();
    for partition in 0..PARTITIONS {
        for record in broker.records(topic, partition, 0).unwrap() {
            let key = String::from_utf8(record.key.unwrap()).unwrap();
            counts.insert(key, i64::from_be_bytes(record.value.unwrap().try_into().unwrap()));
        }
    }
    counts
}

/// The group's offset of a partition of the input.
pub(crate) fn committed(broker: &MemoryBroker, topic: &str, partition: i32) -> Option<i64> {
    let partitions = [TopicPartition::new(topic, partition)];
    let offsets = broker.admin().unwrap().group_offsets(APPLICATION, &partitions).unwrap();
    offsets[0].as_ref().map(|committed| committed.offset)
}

/// The offset behind the newest record of a partition.
pub(crate) fn end(broker: &MemoryBroker, topic: &str, partition: i32) -> i64 {
    let partitions = [TopicPartition::new(topic, partition)];
    broker.admin().unwrap().end_offsets(&partitions).unwrap()[0]
}

/// The offset of the oldest record of a partition.
pub(crate) fn beginning(broker: &MemoryBroker, topic: &str, partition: i32) -> i64 {
    let partitions = [TopicPartition::new(topic, partition)];
    broker.admin().unwrap().beginning_offsets(&partitions).unwrap()[0]
}

/// Waits until the whole of a topic is committed.
#[track_caller]
pub(crate) fn wait_until_committed(broker: &MemoryBroker, topic: &str) {
    let is_done = || {
        (0..PARTITIONS).all(|partition| {
            committed(broker, topic, partition).unwrap_or(0) == end(broker, topic, partition)
        })
    };
    wait_until(SOON, "commit of all input", is_done).unwrap();
}

/// Asks an instance's pages.
pub(crate) fn page(streams: &KafkaStreams, path: &str) -> (StatusCode, String) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let response = streams.http_router().oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    })
}

/// The tasks that an instance runs.
pub(crate) fn tasks(streams: &KafkaStreams) -> BTreeSet<String> {
    let (_, text) = page(streams, "/health/ready");
    let health: serde_json::Value = serde_json::from_str(&text).unwrap();
    let states = health["states"].as_object().unwrap_or_else(|| health.as_object().unwrap());
    let running = states.iter().filter(|(name, state)| *name != "client" && *state == "running");
    running.map(|(task, _)| task.clone()).collect()
}

/// Copies a folder as it is.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
