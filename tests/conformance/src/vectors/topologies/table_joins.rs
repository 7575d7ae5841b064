//! Joins of tables by their key.

use std::time::Duration;

use kstream::{KStream, KTable, Materialized, Named, StreamsBuilder, TimeWindows, Windowed};

use super::tables::{table, tail};
use super::{Build, Text, window_text};

pub(super) fn topology(name: &str) -> Option<Build> {
    Some(match name {
        "table-table-inner" => inner,
        "table-table-inner-lazy" => inner_lazy,
        "table-table-left" => left,
        "table-table-outer" => outer,
        "cache-table-join" => cache_join,
        "table-table-derived" => derived,
        "table-table-chain" => chain,
        "table-table-group" => group,
        "windowed-table-join" => windowed,
        _ => return None,
    })
}

/// Both sides with a plus; what is missing is the text null, as in Java.
fn plus(left: Option<&String>, right: Option<&String>) -> String {
    let shown = |value: Option<&String>| value.map_or("null", |value| value.as_str()).to_owned();
    shown(left) + "+" + &shown(right)
}

fn both(left: &String, right: &String) -> String {
    plus(Some(left), Some(right))
}

fn with_left(left: &String, right: Option<&String>) -> String {
    plus(Some(left), right)
}

type Tables = (KTable<Text, String>, KTable<Text, String>);

fn sides(builder: &StreamsBuilder) -> Tables {
    (table(builder, "left", "l"), table(builder, "right", "r"))
}

fn inner(builder: &StreamsBuilder) {
    let (left, right) = sides(builder);
    let joined = left.join_materialized(&right, both, Named::default(), Materialized::named("j"));
    joined.to_stream().to("out");
}

fn inner_lazy(builder: &StreamsBuilder) {
    let left: KTable<Text, String> = builder.table("left");
    let right: KTable<Text, String> = builder.table("right");
    left.join(&right, both).to_stream().to("out");
}

fn left(builder: &StreamsBuilder) {
    let (left, right) = sides(builder);
    let joined =
        left.left_join_materialized(&right, with_left, Named::default(), Materialized::named("j"));
    joined.to_stream().to("out");
}

fn outer(builder: &StreamsBuilder) {
    let (left, right) = sides(builder);
    left.outer_join_with(&right, plus, "oj").to_stream().to("out");
}

fn cache_join(builder: &StreamsBuilder) {
    let (left, right) = sides(builder);
    left.outer_join_materialized(&right, plus, Named::default(), Materialized::named("j"))
        .to_stream()
        .to("out");
}

fn derived(builder: &StreamsBuilder) {
    let even = |_: &Text, value: &String| {
        value.chars().last().and_then(|last| last.to_digit(10)).is_some_and(|digit| digit % 2 == 0)
    };
    let left = table(builder, "left", "l").filter(even);
    let right = table(builder, "right", "r").map_values(|value| value.to_lowercase());
    left.left_join_materialized(&right, with_left, Named::default(), Materialized::named("j"))
        .filter(|_, value| !value.contains('5'))
        .to_stream()
        .to("out");
}

fn chain(builder: &StreamsBuilder) {
    let (left, right) = sides(builder);
    let third = table(builder, "third", "t");
    left.join(&right, both).outer_join(&third, plus).to_stream().to("out");
}

fn group(builder: &StreamsBuilder) {
    let (left, right) = sides(builder);
    let pair = |_: &Text, value: String| {
        let (left, right) = value.split_once('+').unwrap_or_default();
        (right.to_owned(), left.to_owned())
    };
    let add = |_: &String, value: String, all: String| tail(&format!("{all}A{value}"));
    let subtract = |_: &String, value: String, all: String| tail(&format!("{all}S{value}"));
    left.left_join(&right, with_left)
        .group_by(pair)
        .aggregate_with(String::new, add, subtract, Named::default(), Materialized::named("a"))
        .to_stream()
        .to("out");
}

fn windowed(builder: &StreamsBuilder) {
    let counts = |topic: &str, store: &str| -> KTable<Windowed<Text>, i64> {
        let stream: KStream<Text, Text> = builder.stream(topic);
        let half = Duration::from_millis(50);
        stream
            .group_by_key()
            .windowed_by(TimeWindows::of_size_and_grace(half * 2, half))
            .count_with(Named::default(), Materialized::named(store))
    };
    let (left, right) = (counts("left", "wl"), counts("right", "wr"));
    let shown = |count: Option<&i64>| count.map_or("null".to_owned(), i64::to_string);
    left.outer_join(&right, move |left, right| format!("{}/{}", shown(left), shown(right)))
        .to_stream_with_key(|key, _| window_text(key))
        .to("out");
}
