//! Joins of two streams.

use std::time::Duration;

use kstream::{
    Grouped, JoinWindows, KStream, Materialized, Named, StoreType, StreamJoined, StreamsBuilder,
};

use super::{Build, Text, shown, text};

type Stream = KStream<Text, Text>;

pub(super) fn topology(name: &str) -> Option<Build> {
    Some(match name {
        "stream-stream-inner" => inner,
        "stream-stream-asymmetric" => asymmetric,
        "stream-stream-left" => left,
        "stream-stream-left-asymmetric" => left_asymmetric,
        "stream-stream-outer" => outer,
        "stream-stream-outer-asymmetric" => outer_asymmetric,
        "stream-stream-named" => named,
        "stream-stream-rekeyed" => rekeyed,
        "stream-stream-left-rekeyed" => left_rekeyed,
        "stream-stream-self" | "optimize-self-join" => itself,
        "stream-stream-chain" => chain,
        _ => return None,
    })
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn sides(builder: &StreamsBuilder) -> (Stream, Stream) {
    (builder.stream("left"), builder.stream("right"))
}

#[expect(clippy::unnecessary_wraps, reason = "what the callers forward may be null")]
fn j(left: &Text, right: &Text) -> Text {
    Some(format!("{}+{}", shown(left), shown(right)))
}

fn j_left(left: &Text, right: Option<&Text>) -> Text {
    j(left, right.unwrap_or(&None))
}

fn j_outer(left: Option<&Text>, right: Option<&Text>) -> Text {
    j(left.unwrap_or(&None), right.unwrap_or(&None))
}

fn fifty() -> JoinWindows {
    JoinWindows::of_time_difference_and_grace(ms(50), ms(20))
}

fn inner(builder: &StreamsBuilder) {
    let (left, right) = sides(builder);
    left.join(&right, j, fifty()).to("out");
}

fn asymmetric(builder: &StreamsBuilder) {
    let (left, right) = sides(builder);
    let windows =
        JoinWindows::of_time_difference_and_grace(ms(0), ms(0)).before(ms(10)).after(ms(40));
    left.join(&right, j, windows).to("out");
}

fn left(builder: &StreamsBuilder) {
    let (left, right) = sides(builder);
    left.left_join(&right, j_left, fifty()).to("out");
}

fn left_asymmetric(builder: &StreamsBuilder) {
    let (left, right) = sides(builder);
    let windows = JoinWindows::of_time_difference_and_grace(ms(60), ms(15)).with_before_ms(-10);
    left.left_join(&right, j_left, windows).to("out");
}

fn outer(builder: &StreamsBuilder) {
    let (left, right) = sides(builder);
    left.outer_join(&right, j_outer, fifty()).to("out");
}

fn outer_asymmetric(builder: &StreamsBuilder) {
    let (left, right) = sides(builder);
    let windows = JoinWindows::of_time_difference_with_no_grace(ms(5)).before(ms(30));
    let joined = StreamJoined::new().with_store_type(StoreType::InMemory);
    left.outer_join_with(&right, |_, left, right| j_outer(left, right), windows, joined).to("out");
}

fn named(builder: &StreamsBuilder) {
    let (left, right) = sides(builder);
    let windows = JoinWindows::of_time_difference_and_grace(ms(40), ms(10));
    let joined = StreamJoined::named("jn").with_store_name("js");
    let joiner = |key: &Text, left: &Text, right: Option<&Text>| {
        j_left(left, right).map(|both| format!("{}={both}", shown(key)))
    };
    left.left_join_with(&right, joiner, windows, joined).to("out");
}

fn rekeyed(builder: &StreamsBuilder) {
    let left: Stream = builder.stream("left");
    let left = left.select_key(|_, value| super::first_letter(value));
    let right: Stream = builder.stream("right");
    let right = right.select_key(|_, value| super::first_letter(value));
    let joined = StreamJoined::named("jr");
    left.join_with(&right, |_, left, right| j(left, right), fifty(), joined).to("out");
}

fn left_rekeyed(builder: &StreamsBuilder) {
    let left: Stream = builder.stream("left");
    let left = left.select_key(|_, value| {
        let value = value.as_ref().filter(|value| !value.ends_with('n'))?;
        Some(value.chars().skip(1).collect::<String>())
    });
    let right: Stream = builder.stream("right");
    let windows = JoinWindows::of_time_difference_with_no_grace(ms(50));
    let joined = StreamJoined::named("jl");
    left.left_join_with(&right, |_, left, right| j_left(left, right), windows, joined).to("out");
}

fn itself(builder: &StreamsBuilder) {
    let stream: Stream = builder.stream("in");
    let windows = JoinWindows::of_time_difference_and_grace(ms(30), ms(10));
    let joined = StreamJoined::new().with_store_name("sj");
    stream.join_with(&stream, |_, left, right| j(left, right), windows, joined).to("out");
}

fn chain(builder: &StreamsBuilder) {
    let (left, right) = sides(builder);
    let windows = JoinWindows::of_time_difference_with_no_grace(ms(50));
    let first = StreamJoined::named("j1");
    let first = left.join_with(&right, |_, left, right| j(left, right), windows, first);
    let third: Stream = builder.stream("third");
    let second = StreamJoined::named("j2");
    let joined =
        first.left_join_with(&third, |_, left, right| j_left(left, right), windows, second);
    joined.to("out-joined");
    joined
        .group_by_key_with(Grouped::new())
        .count_with(Named::default(), Materialized::named("n"))
        .to_stream()
        .map_values(text)
        .to("out");
}
