//! Aggregations without windows, and tables.

use kstream::{Consumed, Grouped, KStream, Materialized, Named, StoreType, StreamsBuilder};

use super::{Build, Text, first_letter, text};

pub(super) fn topology(name: &str) -> Option<Build> {
    Some(match name {
        "count" => count,
        "count-unnamed" => count_unnamed,
        "count-rekeyed" => count_rekeyed,
        "count-shared-group" => count_shared_group,
        "count-in-memory" => count_in_memory,
        "reduce" => reduce,
        "aggregate-tombstone" => aggregate_tombstone,
        "table-source" => table_source,
        _ => return None,
    })
}

fn count(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    let counts = stream.group_by_key().count_with(Named::default(), Materialized::named("counts"));
    counts.to_stream().map_values(text).to("out");
}

fn count_unnamed(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    stream.group_by_key().count().to_stream().to("out");
    let group = stream.select_key(|_, value| first_letter(value)).group_by_key();
    group.count_with(Named::default(), Materialized::new()).to_stream().to("out-rekeyed");
    group.reduce(|_, new| new).to_stream().to("out-last");
}

fn count_rekeyed(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    let group = stream.group_by(|_, value| value.clone());
    let counts = group.count_with(Named::default(), Materialized::named("counts"));
    counts.to_stream().map_values(text).to("out");
}

fn count_shared_group(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    let group = stream
        .select_key(|_, value| first_letter(value))
        .group_by_key_with(Grouped::named("shared"));
    let counts = group.count_with(Named::default(), Materialized::named("c"));
    counts.to_stream().map_values(text).to("out");
    let join = |old: Text, new: Text| match (old, new) {
        (Some(old), Some(new)) if old.len() <= 20 => Some(format!("{old}|{new}")),
        (_, new) => new,
    };
    let reduced = group.reduce_with(join, Named::default(), Materialized::named("r"));
    reduced.to_stream().to("out-reduced");
}

fn count_in_memory(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    let group = stream.group_by_key();
    let counts = Materialized::named("counts").with_store_type(StoreType::InMemory);
    group.count_with(Named::default(), counts).to_stream().map_values(text).to("out");
    let quiet = Materialized::named("quiet").with_logging_disabled();
    group.count_with(Named::default(), quiet).to_stream().map_values(text).to("out-quiet");
}

fn reduce(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    let join = |old: Text, new: Text| match (old, new) {
        (_, Some(new)) if new == "clear" => None,
        (Some(old), Some(new)) if old.len() <= 30 => Some(format!("{old}|{new}")),
        (_, new) => new,
    };
    let reduced =
        stream.group_by_key().reduce_with(join, Named::default(), Materialized::named("reduced"));
    reduced.to_stream().to("out");
}

fn aggregate_tombstone(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    let append = |_: &Text, value: Text, all: String| match value.as_deref() {
        Some("clear") => None,
        value => Some(all + value.unwrap_or_default()),
    };
    let materialized = Materialized::named("agg");
    let group = stream.group_by_key();
    let all = group.aggregate_with(String::new, append, Named::default(), materialized);
    all.to_stream().to("out");
}

fn table_source(builder: &StreamsBuilder) {
    let materialized = Materialized::named("t");
    let table = builder.table_with::<Text, String>("in", Consumed::new(), materialized);
    table.to_stream().to("out");
}
