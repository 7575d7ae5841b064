//! Tumbling and hopping windows.

use std::sync::Arc;
use std::time::Duration;

use kstream::serdes::{ArcSerde, DefaultSerde, TimeWindowedSerde};
use kstream::{
    Consumed, Grouped, KStream, Materialized, Named, Produced, StoreType, StreamsBuilder,
    TimeWindows, Windowed,
};

use super::{Build, Text, shown, text, window_text};

pub(super) fn topology(name: &str) -> Option<Build> {
    Some(match name {
        "tumbling-count" => tumbling_count,
        "hopping-count" => hopping_count,
        "tumbling-null-values" => tumbling_null_values,
        "windowed-key-in" => windowed_key_in,
        "windowed-regroup" => windowed_regroup,
        _ => return None,
    })
}

const SIZE: Duration = Duration::from_millis(100);

fn count_windows(builder: &StreamsBuilder, windows: TimeWindows) {
    let stream: KStream<Text, Text> = builder.stream("in");
    let windowed = stream.group_by_key().windowed_by(windows);
    let counts = windowed.count_with(Named::default(), Materialized::named("w"));
    counts.to_stream().select_key(|key, _| window_text(key)).map_values(text).to("out");
}

fn tumbling_count(builder: &StreamsBuilder) {
    count_windows(builder, TimeWindows::of_size_and_grace(SIZE, Duration::from_millis(50)));
}

fn hopping_count(builder: &StreamsBuilder) {
    let windows = TimeWindows::of_size_and_grace(SIZE, Duration::from_millis(20));
    count_windows(builder, windows.advance_by(Duration::from_millis(30)));
}

fn tumbling_null_values(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    let materialized = Materialized::named("w")
        .with_retention(Duration::from_millis(500))
        .with_store_type(StoreType::InMemory);
    let append = |_: &Text, value: Text, all: String| value.map(|value| format!("{all}.{value}"));
    stream
        .group_by_key()
        .windowed_by(TimeWindows::of_size_with_no_grace(SIZE))
        .aggregate_with(String::new, append, Named::default(), materialized)
        .to_stream()
        .select_key(|key, _| window_text(key))
        .to("out");
}

fn windowed_key() -> ArcSerde<Windowed<Text>> {
    Arc::new(TimeWindowedSerde::new(Text::default_serde(), 100))
}

fn windowed_key_in(builder: &StreamsBuilder) {
    let consumed = Consumed::with(windowed_key(), Text::default_serde());
    let stream: KStream<Windowed<Text>, Text> = builder.stream_with("in", consumed);
    stream.map(|key, value| (window_text(&key), value)).to("out");
    let group = stream.group_by_key_with(Grouped::with(windowed_key(), Text::default_serde()));
    let materialized = Materialized::with(windowed_key(), i64::default_serde()).with_name("n");
    let produced = Produced::with(windowed_key(), Option::default_serde());
    group.count_with(Named::default(), materialized).to_stream().to_with("out-count", produced);
}

fn windowed_regroup(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    let windows = TimeWindows::of_size_and_grace(SIZE, SIZE);
    let append = |_: &Text, key: Text, all: String| {
        if all.contains(shown(&key)) { all } else { all + shown(&key) }
    };
    stream
        .group_by_key()
        .windowed_by(windows)
        .count_with(Named::default(), Materialized::named("w"))
        .to_stream()
        .map(|windowed, _| (Some(windowed.window.start.to_string()), windowed.key))
        .group_by_key_with(Grouped::named("by-window"))
        .aggregate_with(String::new, append, Named::default(), Materialized::named("keys"))
        .to_stream()
        .to("out");
}
