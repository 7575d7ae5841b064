//! Tables: derived, regrouped, from streams.

use kstream::state::KeyValueStore;
use kstream::{
    Consumed, Grouped, KStream, KTable, Materialized, Named, ProcessorError, Stores,
    StreamsBuilder, TransformContext, ValueTransformerWithKey,
};

use super::{Build, Text, text};

pub(super) fn topology(name: &str) -> Option<Build> {
    Some(match name {
        "table-filter-map" => filter_map,
        "table-filter-materialized" => filter_materialized,
        "table-group-count" => group_count,
        "table-group-reduce" => group_reduce,
        "table-group-aggregate" => group_aggregate,
        "table-transform-values" => transform_values,
        "stream-to-table" => stream_to_table,
        "cache-table-group" => cache_table_group,
        _ => return None,
    })
}

/// A topic as a table in the store of that name; keys may be null.
pub(super) fn table(builder: &StreamsBuilder, topic: &str, store: &str) -> KTable<Text, String> {
    builder.table_with(topic, Consumed::new(), Materialized::named(store))
}

/// The last 24 characters.
pub(super) fn tail(text: &str) -> String {
    text.chars().skip(text.chars().count().saturating_sub(24)).collect()
}

fn first(value: &str) -> String {
    value.chars().take(1).collect()
}

fn last_digit_is_even(value: &str) -> bool {
    value.chars().last().and_then(|last| last.to_digit(10)).is_some_and(|digit| digit % 2 == 0)
}

fn filter_map(builder: &StreamsBuilder) {
    let table: KTable<Text, String> = builder.table("in");
    table
        .filter(|_, value| value.len() > 2)
        .map_values(|value| value.to_uppercase())
        .filter_not(|_, value| value.ends_with('E'))
        .to_stream()
        .to("out");
}

fn filter_materialized(builder: &StreamsBuilder) {
    let long = |_: &Text, value: &String| value.len() > 2;
    let join = |key: &Text, value: String| key.clone().unwrap_or_default() + &value;
    table(builder, "in", "t")
        .filter_materialized(long, Named::default(), Materialized::named("f"))
        .map_values_materialized(join, Named::default(), Materialized::named("m"))
        .to_stream()
        .to("out");
}

fn group_count(builder: &StreamsBuilder) {
    let pair = |_: &Text, value: String| {
        let unless = |other: &str| (value != other).then(|| value.clone());
        (unless("n"), unless("z"))
    };
    let counts = table(builder, "in", "t")
        .group_by(pair)
        .count_with(Named::default(), Materialized::named("c"));
    counts.to_stream().map_values(text).to("out");
}

fn group_reduce(builder: &StreamsBuilder) {
    let pair = |_: &Text, value: String| {
        let number: i32 = value.get(1..).and_then(|digits| digits.parse().ok()).unwrap_or_default();
        (first(&value), number)
    };
    table(builder, "in", "t")
        .group_by_with(pair, Grouped::named("g"))
        .reduce_with(|x, y| x + y, |x, y| x - y, Named::default(), Materialized::named("r"))
        .to_stream()
        .to("out");
}

fn group_aggregate(builder: &StreamsBuilder) {
    let add = |_: &String, value: String, all: String| {
        (!value.ends_with('9')).then(|| format!("{all}+{value}"))
    };
    let subtract = |_: &String, value: String, all: String| {
        (all.len() <= 20).then(|| format!("{all}-{value}"))
    };
    table(builder, "in", "t")
        .group_by(|_, value| (first(&value), value))
        .aggregate_with(String::new, add, subtract, Named::default(), Materialized::named("a"))
        .to_stream()
        .to("out");
}

fn stream_to_table(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    let table: KTable<Text, String> =
        stream.to_table_with(Named::default(), Materialized::named("t"));
    table.to_stream().to("out");
    table.filter(|_, value| last_digit_is_even(value)).to_stream().to("out-even");
    let first_letter = |_: &Text, value: &Text| value.as_deref().map(first);
    let rekeyed: KTable<Text, String> =
        stream.select_key(first_letter).to_table_with("tt", Materialized::named("tr"));
    rekeyed.to_stream().to("out-rekeyed");
}

/// Appends to a group's text what comes in and what leaves, and keeps its end.
pub(super) fn group_tail(table: &KTable<Text, String>) {
    let add = |_: &String, value: String, all: String| tail(&format!("{all}+{value}"));
    let subtract = |_: &String, value: String, all: String| tail(&format!("{all}-{value}"));
    table
        .group_by(|_, value| (first(&value), value))
        .aggregate_with(String::new, add, subtract, Named::default(), Materialized::named("a"))
        .to_stream()
        .to("out");
}

fn cache_table_group(builder: &StreamsBuilder) {
    group_tail(&table(builder, "in", "t"));
}

/// Numbers the values of each key, deletions included.
struct Rank(Option<KeyValueStore<Text, i64>>);

impl ValueTransformerWithKey<Text, String, String> for Rank {
    fn init(&mut self, context: &mut TransformContext<'_>) -> Result<(), ProcessorError> {
        self.0 = Some(context.store("calls")?);
        Ok(())
    }

    fn transform(
        &mut self,
        _: &mut TransformContext<'_>,
        key: &Text,
        value: Option<String>,
    ) -> Result<Option<String>, ProcessorError> {
        let calls = self.0.as_ref().ok_or("the transformer was not started")?;
        let number = calls.get(key)?.unwrap_or_default() + 1;
        calls.put(key, Some(number))?;
        Ok(value.map(|value| format!("{value}#{number}")))
    }
}

fn transform_values(builder: &StreamsBuilder) {
    let calls = Stores::persistent_key_value_store("calls");
    builder.add_state_store(Stores::key_value_store_builder::<Text, i64>(calls));
    let ranked = Materialized::named("ranked");
    table(builder, "in", "t")
        .transform_values_materialized(|| Rank(None), Named::default(), &["calls"], ranked)
        .to_stream()
        .to("out");
}
