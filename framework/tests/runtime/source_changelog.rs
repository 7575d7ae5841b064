//! A table whose source topic is its changelog is restored from it, up to what has been processed.

use kstream::broker::Broker;
use kstream::{
    Consumed, KafkaStreams, LogAndContinue, Materialized, StoreType, StreamsBuilder, Topology,
    TopologyConfig, TopologyOptimization,
};
use kstream_test_support::wait_until;

use crate::app::{
    INPUT, OUTPUT, SOON, broker, config, length, produce, produce_bytes, produce_keys, running,
    wait_until_committed,
};

const KEYS: usize = 60;
const MORE: usize = 25;

/// A table of numbers, kept in memory: a start restores everything.
fn table(store_type: StoreType) -> Topology {
    let builder = StreamsBuilder::new();
    let rows = Materialized::named("rows").with_store_type(store_type);
    let table = builder.table_with::<String, String>(INPUT, Consumed::new(), rows);
    table.to_stream().to(OUTPUT);
    let optimization = TopologyOptimization::none().reuse_ktable_source_topics();
    builder.build_with(&TopologyConfig::new().optimization(optimization)).unwrap()
}

/// The rows in the stores of an instance.
fn rows(streams: &KafkaStreams) -> f64 {
    let text = streams.metrics().text().unwrap();
    let lines = text.lines().filter(|line| line.starts_with("kstream_store_rows{"));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[test]
fn rows_come_back_from_the_source_topic() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    produce_keys(&broker, 0..KEYS);
    produce_bytes(&broker, 0, None, Some(b"of no key"));
    produce_bytes(&broker, 0, Some(b"\xff\xff"), Some(b"no text"));
    for key in 0..10 {
        let partition = kstream::broker::partition_for_key(format!("key-{key}").as_bytes(), 4);
        produce_bytes(&broker, partition, Some(format!("key-{key}").as_bytes()), None);
    }
    let config = || {
        let config = config(folder.path()).statestore_cache_max_bytes(0);
        config.deserialization_handler(LogAndContinue)
    };
    let mut streams = running(table(StoreType::InMemory), config(), broker.clone());
    wait_until_committed(&broker, INPUT);
    streams.close().unwrap();
    let topics = ["app-rows-changelog"];
    assert_eq!(broker.admin().unwrap().partition_counts(&topics).unwrap(), [None]);
    let unreadable = 2;
    let read = length(&broker, INPUT) - unreadable;

    // What came while nobody ran is processed, not restored.
    produce_keys(&broker, KEYS..KEYS + MORE);
    let mut streams = running(table(StoreType::InMemory), config(), broker.clone());
    wait_until_committed(&broker, INPUT);
    assert_eq!(streams.restored_records(), read);
    let expected = u32::try_from(KEYS - 10 + MORE).unwrap();
    let all_rows = || (rows(&streams) - f64::from(expected)).abs() < 0.5;
    wait_until(SOON, "all rows", all_rows).unwrap();
    streams.close().unwrap();
    let updates = u64::try_from(KEYS + 10 + MORE).unwrap();
    assert_eq!(length(&broker, OUTPUT), updates, "nothing is processed twice");
}

#[test]
fn rows_on_disk_are_not_read_again() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    produce_keys(&broker, 0..KEYS);
    let mut streams = running(table(StoreType::Persistent), config(folder.path()), broker.clone());
    wait_until_committed(&broker, INPUT);
    streams.close().unwrap();
    produce(&broker, "key-1", "new");
    let mut streams = running(table(StoreType::Persistent), config(folder.path()), broker.clone());
    wait_until_committed(&broker, INPUT);
    streams.close().unwrap();
    assert_eq!(streams.restored_records(), 0);
    assert_eq!(length(&broker, OUTPUT), u64::try_from(KEYS + 1).unwrap());
}
