//! Several streams folded into one table.

use std::collections::BTreeMap;
use std::time::Duration;

use kstream::{
    KGroupedStream, KStream, Materialized, Named, SlidingWindows, StreamsBuilder, TimeWindows,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::harness::{Harness, Null, Text};

fn group(builder: &StreamsBuilder, topic: &str) -> KGroupedStream<Text, Text> {
    let stream: KStream<Text, Text> = builder.stream(topic);
    stream.group_by_key()
}

/// Appends a sign and the value; `x` deletes.
fn append(sign: char) -> impl Fn(&Text, Text, String) -> Text {
    move |_, value, all| match value.as_deref() {
        Some("x") => None,
        value => Some(format!("{all}{sign}{}", value.unwrap_or("null"))),
    }
}

fn cogrouped(builder: &StreamsBuilder) {
    group(builder, "left")
        .cogroup(append('<'))
        .cogroup(&group(builder, "right"), append('>'))
        .aggregate_with(|| "_".to_owned(), Named::default(), Materialized::named("co"))
        .to_stream()
        .to("out");
}

#[test]
fn null_keys_and_values_are_dropped() {
    let test = Harness::new(cogrouped);
    test.pipe_to("left", Null, "a", 1);
    test.pipe_to("right", "k", Null, 2);
    test.pipe_to("right", "k", "b", 3);
    assert_eq!(test.out(), ["k=_>b@3"]);
    assert_eq!(test.driver.dropped_records(), 2);
}

#[test]
fn streams_are_late_by_their_own_times() {
    let test = Harness::new(|builder| {
        let windows = TimeWindows::of_size_with_no_grace(Duration::from_millis(10));
        group(builder, "left")
            .cogroup(append('<'))
            .cogroup(&group(builder, "right"), append('>'))
            .windowed_by(windows)
            .aggregate(String::new)
            .to_stream()
            .select_key(|windowed, _| windowed.window.start.to_string())
            .to("out");
    });
    test.pipe_to("left", "k", "a", 100);
    test.pipe_to("right", "k", "b", 5);
    test.pipe_to("left", "k", "c", 6);
    assert_eq!(test.out(), ["100=<a@100", "0=>b@5"]);
    assert_eq!(test.driver.dropped_records(), 1);
}

#[test]
fn sliding_windows_take_records_of_all_streams_in() {
    let test = Harness::new(|builder| {
        let windows = SlidingWindows::of_time_difference_with_no_grace(Duration::from_millis(10));
        group(builder, "left")
            .cogroup(append('<'))
            .cogroup(&group(builder, "right"), append('>'))
            .windowed_by(windows)
            .aggregate(String::new)
            .to_stream()
            .select_key(|windowed, _| windowed.window.end.to_string())
            .to("out");
    });
    test.pipe_to("left", "k", "a", 100);
    test.pipe_to("right", "k", "b", 105);
    assert_eq!(test.out(), ["100=<a@100", "111=>b@105", "105=<a>b@105"]);
}

#[test]
fn names_follow_the_operator() {
    let builder = StreamsBuilder::new();
    group(&builder, "left")
        .cogroup(append('<'))
        .cogroup(&group(&builder, "right"), append('>'))
        .aggregate_with(String::new, "both", Materialized::named("co"));
    let text = builder.build().unwrap().describe().to_string();
    for name in ["both-cogroup-agg-0", "both-cogroup-agg-1", "both-cogroup-merge"] {
        assert!(text.contains(&format!("Processor: {name} ")), "{text}");
    }
}

#[test]
fn second_aggregation_reads_the_same_repartition_topic() {
    let builder = StreamsBuilder::new();
    let stream: KStream<String, String> = builder.stream("in");
    let rekeyed = stream.select_key(|_, value| value.clone()).group_by_key();
    let both = rekeyed.cogroup(|_, _, count: i64| count + 1);
    both.aggregate_with(|| 0, Named::default(), Materialized::named("one"));
    both.aggregate_with(|| 10, Named::default(), Materialized::named("two"));
    let text = builder.build().unwrap().describe().to_string();
    assert_eq!(text.matches("(topic: one-repartition)").count(), 1, "{text}");
    assert!(!text.contains("two-repartition"), "{text}");
}

proptest! {
    #[test]
    fn rows_are_folds_over_all_records_in_order(
        inputs in vec((any::<bool>(), "[ab]", "[uvx]", 0..100_i64), 0..40),
    ) {
        let test = Harness::new(cogrouped);
        let mut rows = BTreeMap::<String, (String, i64)>::new();
        let mut forwarded = Vec::new();
        for (left, key, value, at) in &inputs {
            let (topic, sign) = if *left { ("left", '<') } else { ("right", '>') };
            test.pipe_to(topic, key.as_str(), value.as_str(), *at);
            let (old, latest) = rows.remove(key).unwrap_or(("_".to_owned(), *at));
            let latest = latest.max(*at);
            if value == "x" {
                forwarded.push(format!("{key}=null@{latest}"));
            } else {
                let new = format!("{old}{sign}{value}");
                forwarded.push(format!("{key}={new}@{latest}"));
                rows.insert(key.clone(), (new, latest));
            }
        }
        prop_assert_eq!(test.out(), forwarded);
    }
}
