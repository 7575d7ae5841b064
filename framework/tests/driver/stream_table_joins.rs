//! Stream-table joins, by example and against a naive model.

use std::collections::BTreeMap;
use std::time::Duration;

use kstream::{Joined, KStream, KTable, StreamsBuilder};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::harness::{Harness, Text};

fn shown(value: Option<&str>) -> &str {
    value.unwrap_or("-")
}

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
            (true, None, _) | (false, None, _) | (false, _, None) => dropped += 1,
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

fn of_few(text: &'static str) -> impl Strategy<Value = Text> {
    prop_oneof![1 => Just(None), 5 => text.prop_map(Some)]
}
