//! What a join remembers when its instance comes back, with its folder and without.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use kstream::broker::memory::MemoryBroker;
use kstream::broker::{OutgoingRecord, partition_for_key};
use kstream::{Headers, JoinWindows, KStream, StreamsBuilder, Timestamp, Topology};
use kstream_test_support::wait_until;

use crate::app::{OUTPUT, PARTITIONS, SOON, broker, config, length, running, wait_until_committed};

const LEFT: &str = "left";
const RIGHT: &str = "right";

fn joining() -> Topology {
    let builder = StreamsBuilder::new();
    let left: KStream<String, String> = builder.stream(LEFT);
    let right: KStream<String, String> = builder.stream(RIGHT);
    let windows = JoinWindows::of_time_difference_with_no_grace(Duration::from_secs(10));
    let both = |left: &String, right: Option<&String>| {
        format!("{left}+{}", right.map_or("-", String::as_str))
    };
    left.left_join(&right, both, windows).to(OUTPUT);
    builder.build().unwrap()
}

fn send(broker: &MemoryBroker, topic: &str, partition: i32, key: &str, timestamp: Timestamp) {
    let headers = &Headers::new();
    let (key, value) = (Some(key.as_bytes()), Some(topic.as_bytes()));
    let timestamp = Some(timestamp);
    let record = OutgoingRecord { partition, key, value, timestamp, headers };
    broker.produce(topic, record).unwrap();
}

fn send_keys(broker: &MemoryBroker, topic: &str, keys: std::ops::Range<usize>) {
    for number in keys {
        let key = format!("key-{number}");
        send(broker, topic, partition_for_key(key.as_bytes(), PARTITIONS), &key, 1_000);
    }
}

fn results(broker: &MemoryBroker) -> BTreeSet<String> {
    let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.unwrap()).unwrap();
    let records =
        (0..PARTITIONS).flat_map(|partition| broker.records(OUTPUT, partition, 0).unwrap());
    records.map(|record| format!("{}={}", text(record.key), text(record.value))).collect()
}

/// Left records come, the instance stops and starts in `second`, right records come: half of the left ones
/// have a match, the others come out alone when their window closes.
fn comes_back(first: &Path, second: &Path) {
    let broker = broker();
    for topic in [LEFT, RIGHT] {
        broker.create_topic(topic, PARTITIONS).unwrap();
    }
    let mut streams = running(joining(), config(first), broker.clone());
    send_keys(&broker, LEFT, 0..40);
    wait_until_committed(&broker, LEFT);
    streams.close().unwrap();
    assert_eq!(length(&broker, OUTPUT), 0);

    let mut streams = running(joining(), config(second), broker.clone());
    send_keys(&broker, RIGHT, 0..20);
    wait_until(SOON, "matches", || length(&broker, OUTPUT) >= 20).unwrap();
    for partition in 0..PARTITIONS {
        send(&broker, LEFT, partition, "end", 100_000);
    }
    wait_until(SOON, "those without a match", || length(&broker, OUTPUT) >= 40).unwrap();
    streams.close().unwrap();
    let matched = (0..20).map(|number| format!("key-{number}=left+right"));
    let alone = (20..40).map(|number| format!("key-{number}=left+-"));
    assert_eq!(results(&broker), matched.chain(alone).collect());
    assert_eq!(length(&broker, OUTPUT), 40);
}

#[test]
fn join_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    comes_back(folder.path(), folder.path());
}

#[test]
fn join_is_restored_from_its_changelogs() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    comes_back(first.path(), second.path());
}
