//! A foreign-key join of topics that are partitioned differently.

use std::collections::BTreeMap;
use std::sync::Arc;

use kstream::broker::memory::MemoryBroker;
use kstream::broker::{Broker, OutgoingRecord};
use kstream::time::SystemClock;
use kstream::{Headers, KTable, StreamsBuilder, TableJoined, Topology};
use kstream_test_support::wait_until;

use crate::app::{INPUT, OUTPUT, SOON, config, running};

const FOREIGN: &str = "foreign";
const PRIMARY_PARTITIONS: i32 = 4;
const FOREIGN_PARTITIONS: i32 = 2;
const ROWS: i32 = 40;
const FOREIGN_ROWS: i32 = 5;

fn joining() -> Topology {
    let builder = StreamsBuilder::new();
    let primary: KTable<String, String> = builder.table(INPUT);
    let foreign: KTable<String, String> = builder.table(FOREIGN);
    primary
        .join_on_foreign_key_with(
            &foreign,
            |_, value| value.clone(),
            |primary, foreign| format!("{primary}+{foreign}"),
            TableJoined::named("fk"),
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

#[test]
fn a_join_finds_rows_in_any_partition_and_answers_where_they_came_from() {
    let broker = MemoryBroker::new(Arc::new(SystemClock::new()));
    broker.create_topic(INPUT, PRIMARY_PARTITIONS).unwrap();
    broker.create_topic(FOREIGN, FOREIGN_PARTITIONS).unwrap();
    broker.create_topic(OUTPUT, PRIMARY_PARTITIONS).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut streams = running(joining(), config(folder.path()), broker.clone());
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
        let partition = kstream::broker::partition_for_key(key.as_bytes(), FOREIGN_PARTITIONS);
        produce(&broker, FOREIGN, partition, &key, "value");
    }
    let is_done = || rows(&broker, OUTPUT, PRIMARY_PARTITIONS) == expected;
    wait_until(SOON, "all results", is_done).unwrap();
    streams.close().unwrap();
}
