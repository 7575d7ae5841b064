//! A foreign-key join of topics that are partitioned differently.

use std::collections::BTreeMap;
use std::sync::Arc;

use kstream::broker::memory::MemoryBroker;
use kstream::broker::{Broker, OutgoingRecord, partition_for_key};
use kstream::time::SystemClock;
use kstream::{Headers, KTable, StreamsBuilder, TableJoined, Topology};
use kstream_test_support::wait_until;

use crate::app::{INPUT, OUTPUT, SOON, config, running};

const FOREIGN: &str = "foreign";
const PRIMARY_PARTITIONS: i32 = 4;
const FOREIGN_PARTITIONS: i32 = 2;
const ROWS: i32 = 40;
const FOREIGN_ROWS: i32 = 5;

fn joining(joined: TableJoined<String, String>) -> Topology {
    let builder = StreamsBuilder::new();
    let primary: KTable<String, String> = builder.table(INPUT);
    let foreign: KTable<String, String> = builder.table(FOREIGN);
    primary
        .join_on_foreign_key_with(
            &foreign,
            |_, value| value.clone(),
            |primary, foreign| format!("{primary}+{foreign}"),
            joined,
        )
        .to_stream()
        .to(OUTPUT);
    builder.build().unwrap()
}

fn produce(broker: &MemoryBroker, topic: &str, partition: i32, key: &str, value: &str) {
    let (key, value) = (Some(key.as_bytes()), Some(value.as_bytes()));
    let (timestamp, headers) = (Some(1000), &Headers::new());
    broker.produce(topic, OutgoingRecord { partition, key, value, timestamp, headers }).unwrap();
}

/// What a topic says of each key.
fn rows(broker: &MemoryBroker, topic: &str, partitions: i32) -> BTreeMap<String, String> {
    let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.unwrap()).unwrap();
    let records =
        (0..partitions).flat_map(|partition| broker.records(topic, partition, 0).unwrap());
    records.map(|record| (text(record.key), text(record.value))).collect()
}

/// The partition of a foreign row where the default partitioner has no part in it.
fn chosen(key: &str) -> i32 {
    let number: i32 = key.rsplit('-').next().unwrap().parse().unwrap();
    number % FOREIGN_PARTITIONS
}

fn by_default(key: &str) -> i32 {
    partition_for_key(key.as_bytes(), FOREIGN_PARTITIONS)
}

#[track_caller]
fn check(joined: TableJoined<String, String>, foreign_partition: fn(&str) -> i32) {
    let broker = MemoryBroker::new(Arc::new(SystemClock::new()));
    broker.create_topic(INPUT, PRIMARY_PARTITIONS).unwrap();
    broker.create_topic(FOREIGN, FOREIGN_PARTITIONS).unwrap();
    broker.create_topic(OUTPUT, PRIMARY_PARTITIONS).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut streams = running(joining(joined), config(folder.path()), broker.clone());
    let topics = ["app-fk-subscription-registration-topic", "app-fk-subscription-response-topic"];
    let counts = broker.admin().unwrap().partition_counts(&topics).unwrap();
    assert_eq!(counts, [Some(FOREIGN_PARTITIONS), Some(PRIMARY_PARTITIONS)]);
    let mut expected = BTreeMap::new();
    for row in 0..ROWS {
        // In a partition of its own choice, not in that of its key.
        let (key, foreign) = (format!("key-{row}"), format!("foreign-{}", row % FOREIGN_ROWS));
        produce(&broker, INPUT, row % PRIMARY_PARTITIONS, &key, &foreign);
        expected.insert(key, format!("{foreign}+value"));
    }
    for row in 0..FOREIGN_ROWS {
        let key = format!("foreign-{row}");
        produce(&broker, FOREIGN, foreign_partition(&key), &key, "value");
    }
    let is_done = || rows(&broker, OUTPUT, PRIMARY_PARTITIONS) == expected;
    wait_until(SOON, "all results", is_done).unwrap();
    streams.close().unwrap();
}

#[test]
fn a_join_finds_rows_in_any_partition_and_answers_where_they_came_from() {
    check(TableJoined::named("fk"), by_default);
}

#[test]
fn a_join_looks_for_rows_where_the_user_says_that_they_are() {
    let joined = TableJoined::named("fk")
        .with_partitioner(|_, key: &String, _| {
            key.rsplit('-')
                .next()
                .and_then(|row| Some(row.parse::<i32>().ok()? % PRIMARY_PARTITIONS))
        })
        .with_other_partitioner(|_, key: &String, _| Some(chosen(key)));
    check(joined, chosen);
}
