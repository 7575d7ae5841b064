//! A changelog that was deleted and created anew while nobody ran.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use kstream::broker::kafka::{KafkaBroker, KafkaSettings};
use kstream::broker::{Broker, NewTopic, OutgoingRecord, ProducerSettings};
use kstream::{
    Headers, KStream, KafkaStreams, Materialized, ProcessingGuarantee, State, StreamsBuilder,
    StreamsConfig, TopicPartition,
};
use kstream_test_support::{KafkaServer, wait_until};

const INPUT: &str = "in";
const CHANGELOG: &str = "recreated-rows-changelog";
const SOON: Duration = Duration::from_mins(3);

pub(crate) fn create(broker: &KafkaBroker, name: &str, policy: &str) {
    let configs = BTreeMap::from([("cleanup.policy".to_owned(), policy.to_owned())]);
    let topic = NewTopic { name: name.to_owned(), partitions: 1, replication_factor: 1, configs };
    let created = || {
        let topics = std::slice::from_ref(&topic);
        broker.admin().unwrap().create_topics(topics).unwrap().pop().unwrap().is_ok()
    };
    // A name that was deleted is free a little later.
    wait_until(SOON, "a topic", created).unwrap();
}

pub(crate) fn produce(broker: &KafkaBroker, topic: &str, records: i64) {
    let client_id = "test".to_owned();
    let settings = ProducerSettings { client_id, track_acks: false, transactions: None };
    let mut producer = broker.producer(&settings).unwrap();
    let topic = producer.topic(topic).unwrap();
    for number in 0..records {
        let key = format!("key-{number}");
        let (key, value) = (Some(key.as_bytes()), Some(&b"value"[..]));
        let headers = &Headers::new();
        let record = OutgoingRecord { partition: 0, key, value, timestamp: Some(1000), headers };
        producer.send(topic, record).unwrap();
    }
    producer.flush(SOON).unwrap();
}

/// Runs until the whole input is committed; gives the records restored and the states deleted at the start.
fn run(broker: KafkaBroker, folder: &Path) -> (u64, bool) {
    let builder = StreamsBuilder::new();
    let records: KStream<String, String> = builder.stream(INPUT);
    drop(records.group_by_key().reduce_with(|_, new| new, "latest", Materialized::named("rows")));
    let config = StreamsConfig::new("recreated")
        .state_dir(folder)
        .processing_guarantee(ProcessingGuarantee::ExactlyOnceV2)
        .replication_factor(1);
    let admin = broker.admin().unwrap();
    let mut streams = KafkaStreams::new(builder.build().unwrap(), config, broker).unwrap();
    streams.start().unwrap();
    assert!(streams.wait_for_state(State::Running, SOON));
    let input = [TopicPartition::new(INPUT, 0)];
    let is_committed = || {
        let committed = admin.group_offsets("recreated", &input).unwrap().pop().unwrap();
        committed.is_some_and(|at| [at.offset] == *admin.end_offsets(&input).unwrap())
    };
    wait_until(SOON, "commit", is_committed).unwrap();
    let metrics = streams.metrics().text().unwrap();
    let deleted = metrics.lines().any(|line| line == "kstream_client_state_deletions_total 1");
    let restored = streams.restored_records();
    streams.close().unwrap();
    (restored, deleted)
}

#[test]
fn a_changelog_created_anew_is_told_from_the_one_before() {
    const RECORDS: i64 = 10;
    let server = KafkaServer::start().unwrap();
    let connect = || KafkaBroker::new(server.bootstrap(), KafkaSettings::default()).unwrap();
    let (broker, folder) = (connect(), tempfile::tempdir().unwrap());
    create(&broker, INPUT, "delete");
    produce(&broker, INPUT, RECORDS);
    assert_eq!(run(connect(), folder.path()), (0, false));
    // The changelog ends in the marker of a transaction, which is no record.
    let end = || broker.admin().unwrap().end_offsets(&[TopicPartition::new(CHANGELOG, 0)]);
    assert!(end().unwrap()[0] > RECORDS);
    assert_eq!(run(connect(), folder.path()), (0, false));

    let deleted = broker.admin().unwrap().delete_topics(&[CHANGELOG]).unwrap().pop().unwrap();
    deleted.unwrap();
    create(&broker, CHANGELOG, "compact");
    // Longer than the one before: no offset tells them apart.
    produce(&broker, CHANGELOG, 2 * RECORDS);
    assert_eq!(run(connect(), folder.path()), (2 * RECORDS.unsigned_abs(), true));
    assert_eq!(run(connect(), folder.path()), (0, false));
}
