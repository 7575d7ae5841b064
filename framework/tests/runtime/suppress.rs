//! What a suppressed table holds back when an instance stops.

use std::time::Duration;

use kstream::broker::OutgoingRecord;
use kstream::{BufferConfig, Headers, KTable, StreamsBuilder, Suppressed, Topology};
use kstream_test_support::wait_until;

use crate::app::{INPUT, OUTPUT, SOON, broker, config, length, running, wait_until_committed};

fn holding_back() -> Topology {
    let builder = StreamsBuilder::new();
    let table: KTable<String, String> = builder.table(INPUT);
    let suppressed =
        Suppressed::until_time_limit(Duration::from_secs(1), BufferConfig::unbounded());
    table.suppress(suppressed.with_name("hold")).to_stream().to(OUTPUT);
    builder.build().unwrap()
}

#[test]
fn rows_that_wait_are_there_when_another_instance_goes_on() {
    const ROWS: i64 = 5;
    let broker = broker();
    let produce = |key: i64, timestamp: i64| {
        let key = format!("key-{key}");
        let (key, value) = (Some(key.as_bytes()), Some(&b"value"[..]));
        let (partition, headers) = (0, &Headers::new());
        let timestamp = Some(timestamp);
        let record = OutgoingRecord { partition, key, value, timestamp, headers };
        broker.produce(INPUT, record).unwrap();
    };
    let folder = tempfile::tempdir().unwrap();
    let mut streams = running(holding_back(), config(folder.path()), broker.clone());
    (0..ROWS).for_each(|key| produce(key, key));
    wait_until_committed(&broker, INPUT);
    streams.close().unwrap();
    assert_eq!(length(&broker, OUTPUT), 0);
    assert_eq!(length(&broker, "app-hold-store-changelog"), ROWS.unsigned_abs());

    // On another machine: nothing but the changelog has them.
    let folder = tempfile::tempdir().unwrap();
    let mut streams = running(holding_back(), config(folder.path()), broker.clone());
    produce(ROWS, 5000);
    let is_done = || length(&broker, OUTPUT) == ROWS.unsigned_abs();
    wait_until(SOON, "the rows that waited", is_done).unwrap();
    wait_until_committed(&broker, INPUT);
    streams.close().unwrap();
    let records = broker.records(OUTPUT, partition_of_output(&broker), 0).unwrap();
    assert!(records.iter().all(|record| record.timestamp < ROWS));
}

/// Any partition that has a record.
fn partition_of_output(broker: &kstream::broker::memory::MemoryBroker) -> i32 {
    let has_some = |partition: &i32| !broker.records(OUTPUT, *partition, 0).unwrap().is_empty();
    (0..crate::app::PARTITIONS).find(has_some).unwrap()
}
