//! A broker that forgets offsets after a minute.

use std::time::Duration;

use kstream::broker::kafka::{KafkaBroker, KafkaSettings};
use kstream::broker::{Admin, Broker};
use kstream::{
    Grouped, KStream, KafkaStreams, Materialized, ProcessingGuarantee, State, StreamsBuilder,
    StreamsConfig, TopicPartition, Topology,
};
use kstream_test_support::{KafkaOptions, KafkaServer, wait_until};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::recreated::{create, produce};

const APPLICATION: &str = "idle";
const INPUT: &str = "in";
const REPARTITION: &str = "idle-by-value-repartition";
/// More than the retention, and the interval at which the broker looks at it.
const SOON: Duration = Duration::from_mins(3);

fn counting_by_value() -> Topology {
    let builder = StreamsBuilder::new();
    let records: KStream<String, String> = builder.stream(INPUT);
    records
        .group_by_with(|_, value: &String| value.clone(), Grouped::named("by-value"))
        .count_with("count", Materialized::named("counts"));
    builder.build().unwrap()
}

/// The offset that a group has committed.
fn committed(admin: &dyn Admin, group: &str, topic: &str) -> Option<i64> {
    let partition = [TopicPartition::new(topic, 0)];
    Some(admin.group_offsets(group, &partition).unwrap().pop().unwrap()?.offset)
}

/// Notes an offset for a group that has no members.
fn commit_alone(bootstrap: &str, group: &str) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", group)
        .create()
        .unwrap();
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(INPUT, 0, Offset::Offset(1)).unwrap();
    consumer.commit(&offsets, CommitMode::Sync).unwrap();
}

#[test]
fn offsets_of_idle_partitions_are_kept_while_the_application_runs() {
    let mut options = KafkaOptions::default();
    for (name, value) in
        [("offsets.retention.minutes", "1"), ("offsets.retention.check.interval.ms", "5000")]
    {
        options.properties.push((name.to_owned(), value.to_owned()));
    }
    let server = KafkaServer::start_with(&options).unwrap();
    let connect = || KafkaBroker::new(server.bootstrap(), KafkaSettings::default()).unwrap();
    let (broker, folder) = (connect(), tempfile::tempdir().unwrap());
    let admin = broker.admin().unwrap();
    create(&broker, INPUT, "delete");
    produce(&broker, INPUT, 10);
    let config = StreamsConfig::new(APPLICATION)
        .state_dir(folder.path())
        .processing_guarantee(ProcessingGuarantee::ExactlyOnceV2)
        .replication_factor(1);
    let mut streams = KafkaStreams::new(counting_by_value(), config, connect()).unwrap();
    streams.start().unwrap();
    assert!(streams.wait_for_state(State::Running, SOON));
    let both = || {
        let offsets = [INPUT, REPARTITION].map(|topic| committed(&*admin, APPLICATION, topic));
        offsets.iter().all(Option::is_some)
    };
    wait_until(SOON, "both offsets", || {
        committed(&*admin, APPLICATION, INPUT) == Some(10) && both()
    })
    .unwrap();
    // Later than theirs, and forgotten first.
    commit_alone(server.bootstrap(), "nobody");
    assert_eq!(committed(&*admin, "nobody", INPUT), Some(1));
    wait_until(SOON, "an offset to be forgotten", || committed(&*admin, "nobody", INPUT).is_none())
        .unwrap();
    assert!(both());
    streams.close().unwrap();
}
