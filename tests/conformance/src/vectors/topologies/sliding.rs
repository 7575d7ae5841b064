//! Sliding and unlimited windows.

use std::time::Duration;

use kstream::{
    KStream, Materialized, Named, SlidingWindows, StoreType, StreamsBuilder, UnlimitedWindows,
};

use super::{Build, Text, shown, text, window_text};

pub(super) fn topology(name: &str) -> Option<Build> {
    Some(match name {
        "sliding-aggregate" => aggregate,
        "sliding-count" => count,
        "unlimited-count" => unlimited_count,
        _ => return None,
    })
}

fn sliding(difference_ms: u64, grace_ms: u64) -> SlidingWindows {
    let ms = Duration::from_millis;
    SlidingWindows::of_time_difference_and_grace(ms(difference_ms), ms(grace_ms))
}

fn count(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    stream
        .group_by_key()
        .windowed_by(sliding(50, 30))
        .count_with(Named::default(), Materialized::named("w"))
        .to_stream()
        .select_key(|key, _| window_text(key))
        .map_values(text)
        .to("out");
}

fn aggregate(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    let append = |_: &Text, value: Text, all: String| all + shown(&value);
    let store = Materialized::named("w").with_store_type(StoreType::InMemory);
    stream
        .group_by_key()
        .windowed_by(sliding(100, 200))
        .aggregate_with(String::new, append, Named::default(), store)
        .to_stream()
        .select_key(|key, _| window_text(key))
        .to("out");
}

fn unlimited_count(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    stream
        .group_by_key()
        .windowed_by(UnlimitedWindows::of().start_on(150))
        .count_with(Named::default(), Materialized::named("w"))
        .to_stream()
        .select_key(|key, _| window_text(key))
        .map_values(text)
        .to("out");
}
