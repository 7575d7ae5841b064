//! Stream-table joins, by example and against a naive model.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kstream::{Consumed, Joined, KStream, KTable, Materialized, StreamsBuilder, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::harness::{Harness, Text};

fn shown(value: Option<&str>) -> &str {
    value.unwrap_or("-")
}

#[expect(clippy::unnecessary_wraps, reason = "a joiner's results may be null")]
fn both(stream: &Text, row: Option<&String>) -> Text {
    Some(format!("{}{}", shown(stream.as_deref()), shown(row.map(String::as_str))))
}

fn run(left: bool) -> Harness {
    Harness::new(|builder| {
        let table: KTable<Text, String> = builder.table("table");
        let stream: KStream<Text, Text> = builder.stream("stream");
        if left {
            stream.left_join_table(&table, both).to("out");
        } else {
            stream.join_table(&table, |value, row| both(value, Some(row))).to("out");
        }
    })
}

#[test]
fn result_has_time_and_headers_of_the_streams_record() {
    let test = run(false);
    test.pipe_to("table", "k", "row", 900);
    test.pipe_to("stream", "k", "a", 5);
    test.pipe_to("table", "k", "new", 1_000);
    assert_eq!(test.out(), ["k=arow@5"]);
}

#[test]
fn rekeyed_stream_goes_through_a_topic_named_after_the_join() {
    let topics = |joined: Joined<String, String>| {
        let test = Harness::new(|builder| {
            let table: KTable<String, String> = builder.table("table");
            let stream: KStream<String, String> = builder.stream("stream");
            let stream = stream.select_key(|_, value| value.clone());
            stream.join_table_with(&table, |_, l, r| format!("{l}{r}"), joined).to("out");
        });
        test.driver.task().borrow().repartition_topics()
    };
    assert_eq!(topics(Joined::named("j")), ["app-j-repartition"]);
    assert_eq!(topics(Joined::new()), ["app-KSTREAM-KEY-SELECT-0000000004-repartition"]);
}

#[test]
fn grace_needs_a_table_that_keeps_its_history() {
    let builder = StreamsBuilder::new();
    let table: KTable<String, String> = builder.table("table");
    let stream: KStream<String, String> = builder.stream("stream");
    let graced = Joined::new().with_grace(Duration::from_secs(1));
    stream.join_table_with(&table, |_, l, r| format!("{l}{r}"), graced).to("out");
    let report = builder.build().unwrap_err().to_string();
    assert!(report.contains("give the table a versioned store"), "{report}");
}

#[test]
fn grace_may_not_reach_further_back_than_the_history() {
    let build = |grace_ms| {
        let builder = StreamsBuilder::new();
        let history = Materialized::versioned("v", Duration::from_secs(1));
        let table: KTable<String, String> = builder.table_with("table", Consumed::new(), history);
        let stream: KStream<String, String> = builder.stream("stream");
        let graced = Joined::new().with_grace(Duration::from_millis(grace_ms));
        stream.join_table_with(&table, |_, l, r| format!("{l}{r}"), graced).to("out");
        builder.build()
    };
    assert!(build(1_000).is_ok());
    let report = build(1_001).unwrap_err().to_string();
    assert!(report.contains("reaches further back than the table's history, 1000 ms"), "{report}");
}

/// Whether it is a record of the table, its key and its value.
type Input = (bool, Text, Text);

/// The table as a map, one record after the other.
fn model(left: bool, inputs: &[Input]) -> (Vec<String>, u64) {
    let mut rows: BTreeMap<&str, &str> = BTreeMap::new();
    let (mut out, mut dropped) = (Vec::new(), 0);
    for (of_table, key, value) in inputs {
        match (of_table, key.as_deref(), value.as_deref()) {
            (true, Some(key), Some(value)) => drop(rows.insert(key, value)),
            (true, Some(key), None) => drop(rows.remove(key)),
            (false, Some(key), Some(value)) => {
                let row = rows.get(key).copied();
                if left || row.is_some() {
                    out.push(format!("{key}={value}{}@0", shown(row)));
                }
            }
            (false, None, Some(value)) if left => out.push(format!("null={value}-@0")),
            (true | false, None, _) | (false, _, None) => dropped += 1,
        }
    }
    (out, dropped)
}

proptest! {
    #[test]
    fn every_result_is_that_of_the_model(
        left in any::<bool>(),
        inputs in vec((any::<bool>(), of_few("[abc]"), of_few("[x-z]")), 0..60),
    ) {
        let test = run(left);
        for (of_table, key, value) in &inputs {
            let topic = if *of_table { "table" } else { "stream" };
            test.pipe_to(topic, key.clone(), value.clone(), 0);
        }
        let (out, dropped) = model(left, &inputs);
        prop_assert_eq!(test.out(), out);
        prop_assert_eq!(test.driver.dropped_records(), dropped);
    }
}

/// A record of either side: whether it is one of the table, its key, its value, its time.
type TimedInput = (bool, String, String, Timestamp);

/// Without deletions at the very time of an earlier update of the key. KAFKA: such a one leaves no trace
/// (`RocksDBVersionedStore.maybePutToLatestValueStore`), so that an older update that comes later is valid from its
/// own time on without end.
fn with_traces(mut inputs: Vec<TimedInput>) -> Vec<TimedInput> {
    let mut updated = BTreeSet::new();
    inputs.retain(|(of_table, key, value, time)| {
        let is_first = !of_table || updated.insert((key.clone(), *time));
        is_first || value != "z"
    });
    inputs
}

/// With grace enough for all records: each with the row that was valid at its time, from the whole input
/// at once. Of updates of a key at the same time the last one counts.
fn as_of(inputs: &[TimedInput]) -> Vec<String> {
    let row_at = |key: &str, time: Timestamp| {
        let updates = inputs.iter().enumerate();
        let updates = updates.filter(|(_, update)| update.0 && update.1 == key && update.3 <= time);
        let last = updates.max_by_key(|(number, update)| (update.3, *number));
        last.map(|(_, update)| update.2.as_str()).filter(|value| *value != "z")
    };
    let records = inputs.iter().filter(|input| !input.0);
    let mut lines: Vec<_> = records
        .map(|(_, key, value, time)| format!("{key}={value}{}@{time}", shown(row_at(key, *time))))
        .collect();
    lines.sort();
    lines
}

proptest! {
    #[test]
    fn with_grace_for_all_every_record_meets_the_row_of_its_time(
        inputs in vec((any::<bool>(), "[ab]", "[w-z]", 0..400_i64), 0..60).prop_map(with_traces),
    ) {
        let test = Harness::new(|builder| {
            let history = Materialized::versioned("v", Duration::from_secs(100));
            let table: KTable<Text, String> =
                builder.table_with("table", Consumed::new(), history);
            let stream: KStream<Text, Text> = builder.stream("stream");
            let graced = Joined::new().with_grace(Duration::from_millis(400));
            let joiner = |_: &Text, value: &Text, row: Option<&String>| both(value, row);
            stream.left_join_table_with(&table, joiner, graced).to("out");
        });
        for (of_table, key, value, time) in &inputs {
            let topic = if *of_table { "table" } else { "stream" };
            // In the table z is a deletion.
            let value = Some(value.clone()).filter(|value| !of_table || value != "z");
            test.pipe_to(topic, key.as_str(), value, *time);
        }
        test.pipe_to("stream", "end", "", 1_000);
        let mut results = test.out();
        results.sort();
        prop_assert_eq!(results, as_of(&inputs));
    }
}

fn of_few(text: &'static str) -> impl Strategy<Value = Text> {
    prop_oneof![1 => Just(None), 5 => text.prop_map(Some)]
}
