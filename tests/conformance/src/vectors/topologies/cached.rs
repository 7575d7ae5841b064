//! The record cache.

use std::time::Duration;

use kstream::{KStream, Materialized, Named, SessionWindows, StreamsBuilder, TimeWindows};

use super::{Build, Text, parts, text, window_text};

pub(super) fn topology(name: &str) -> Option<Build> {
    Some(match name {
        "cache-count" => count,
        "cache-hopping" => hopping,
        "cache-session" => session,
        "cache-tombstones" => tombstones,
        _ => return None,
    })
}

fn count(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    let group = stream.flat_map_values(parts).group_by_key();
    let counts = group.count_with(Named::default(), Materialized::named("counts"));
    counts.to_stream().map_values(text).to("out");
    let uncached = Materialized::named("raw").with_caching_disabled();
    group.count_with(Named::default(), uncached).to_stream().to("out-raw");
}

fn hopping(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    let half = Duration::from_millis(50);
    let windows = TimeWindows::of_size_and_grace(half * 2, half).advance_by(half);
    let join = |old: Text, new: Text| old.zip(new).map(|(old, new)| old + &new);
    stream
        .flat_map_values(parts)
        .group_by_key()
        .windowed_by(windows)
        .reduce_with(join, Named::default(), Materialized::named("w"))
        .to_stream()
        .select_key(|key, _| window_text(key))
        .to("out");
}

fn session(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    let ms = Duration::from_millis;
    stream
        .flat_map_values(parts)
        .group_by_key()
        .windowed_by(SessionWindows::of_inactivity_gap_and_grace(ms(30), ms(50)))
        .count_with(Named::default(), Materialized::named("s"))
        .to_stream()
        .select_key(|key, _| window_text(key))
        .map_values(text)
        .to("out");
}

fn tombstones(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    let append = |_: &Text, value: Text, all: String| match value.as_deref() {
        Some("x") => None,
        value => Some(all + value.unwrap_or_default()),
    };
    stream
        .flat_map_values(parts)
        .group_by_key()
        .aggregate_with(String::new, append, Named::default(), Materialized::named("agg"))
        .to_stream()
        .to("out");
}
