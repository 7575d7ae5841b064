//! Tables and aggregations in stores of the format that has headers.

use std::time::Duration;

use kstream::{
    Consumed, Grouped, KStream, KTable, Materialized, Named, SessionWindows, StreamsBuilder,
    TimeWindows,
};

use super::super::{shown, text, window_text};
use super::{Build, Text};

pub(super) fn topology(name: &str) -> Option<Build> {
    (name == "headers-store-format").then_some(build as Build)
}

fn build(builder: &StreamsBuilder) {
    let table: KTable<Text, String> =
        builder.table_with("tab", Consumed::new(), Materialized::named("t"));
    table.to_stream().to("out-table");
    let stream: KStream<Text, Text> = builder.stream("in");
    let group = stream.group_by_key_with(Grouped::new());
    group.count_with(Named::default(), Materialized::named("c")).to_stream().to("out-count");
    let append = |old: Text, new: Text| old.zip(new).map(|(old, new)| old + &new);
    let grace = Duration::from_millis(50);
    group
        .windowed_by(TimeWindows::of_size_and_grace(Duration::from_millis(100), grace))
        .reduce_with(append, Named::default(), Materialized::named("w"))
        .to_stream()
        .select_key(|key, _| window_text(key))
        .to("out-window");
    let gap = Duration::from_millis(30);
    group
        .windowed_by(SessionWindows::of_inactivity_gap_and_grace(gap, grace))
        .count_with(Named::default(), Materialized::named("s"))
        .to_stream()
        .select_key(|key, _| window_text(key))
        .map_values(text)
        .to("out-session");
    stream.join_table(&table, |value, row| Some(format!("{}+{row}", shown(value)))).to("out-join");
}
