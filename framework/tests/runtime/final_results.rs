//! Final results of windows when an instance comes back.

use std::time::Duration;

use kstream::broker::OutgoingRecord;
use kstream::broker::memory::MemoryBroker;
use kstream::{
    EmitStrategy, Headers, KStream, Materialized, Named, StreamsBuilder, TimeWindows, Topology,
};

use crate::app::{INPUT, OUTPUT, broker, config, counts_in, length, running, wait_until_committed};

/// Counts in windows of 100 ms, each of which goes out once.
fn final_counts() -> Topology {
    let builder = StreamsBuilder::new();
    let records: KStream<String, String> = builder.stream(INPUT);
    let windows = TimeWindows::of_size_with_no_grace(Duration::from_millis(100));
    let windowed = records.group_by_key().windowed_by(windows);
    let store = Materialized::named("w").with_retention(Duration::from_hours(1));
    windowed
        .emit_strategy(EmitStrategy::on_window_close())
        .count_with(Named::default(), store)
        .to_stream()
        .select_key(|windowed, _| format!("{}[{}]", windowed.key, windowed.window.start))
        .to(OUTPUT);
    builder.build().unwrap()
}

fn produce(broker: &MemoryBroker, key: &str, timestamp: i64) {
    let record = OutgoingRecord {
        partition: 0,
        key: Some(key.as_bytes()),
        value: Some(b"x"),
        timestamp: Some(timestamp),
        headers: &Headers::new(),
    };
    broker.produce(INPUT, record).unwrap();
}

#[test]
fn windows_given_out_before_a_restart_do_not_come_again_and_open_ones_still_do() {
    let broker = broker();
    for lose_the_disk in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let before = length(&broker, OUTPUT);
        let base = if lose_the_disk { 10_000 } else { 0 };
        let mut streams = running(final_counts(), config(folder.path()), broker.clone());
        for (key, timestamp) in [("a", 10), ("b", 20), ("a", 110), ("b", 120)] {
            produce(&broker, key, base + timestamp);
        }
        wait_until_committed(&broker, INPUT);
        streams.close().unwrap();
        let closed = if lose_the_disk { 3 } else { 2 };
        assert_eq!(length(&broker, OUTPUT) - before, closed, "with the one left open earlier");

        let other = tempfile::tempdir().unwrap();
        let folder = if lose_the_disk { &other } else { &folder };
        let mut streams = running(final_counts(), config(folder.path()), broker.clone());
        produce(&broker, "c", base + 210);
        wait_until_committed(&broker, INPUT);
        streams.close().unwrap();
        assert_eq!(length(&broker, OUTPUT) - before, closed + 2);
        let counts = counts_in(&broker, OUTPUT);
        for window in ["a[0]", "b[0]", "a[100]", "b[100]"] {
            let (key, start) = window.trim_end_matches(']').split_once('[').unwrap();
            let start = base + start.parse::<i64>().unwrap();
            assert_eq!(counts.get(&format!("{key}[{start}]")), Some(&1));
        }
    }
}
