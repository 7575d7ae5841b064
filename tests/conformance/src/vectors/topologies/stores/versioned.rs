//! Versioned stores.

use std::time::Duration;

use kstream::state::{PutOutcome, VersionedKeyValueStore, VersionedRecord};
use kstream::{Consumed, KStream, KTable, Materialized, Named, Stores, StreamsBuilder};

use super::super::tables::tail;
use super::{Answer, Build, Text, TextRecord, answer, commands};

pub(super) fn topology(name: &str) -> Option<Build> {
    Some(match name {
        "store-versioned" => build,
        "versioned-table" => table,
        "versioned-aggregate" => aggregate,
        "versioned-group" => group,
        "versioned-join" => join,
        _ => return None,
    })
}

fn build(builder: &StreamsBuilder) {
    let history = Duration::from_millis(150);
    let supplier = Stores::persistent_versioned_key_value_store("vkv", history);
    let store = Stores::versioned_key_value_store_builder(supplier);
    commands(builder, "vkv", store, command);
}

fn command(store: &VersionedKeyValueStore<String, String>, record: TextRecord) -> Answer {
    let (Some(key), at) = (record.key.as_ref(), record.timestamp) else { return Ok(None) };
    let text = match record.value.as_deref() {
        None => format!("putnull:{}", code(store.put(key, None, at)?)),
        Some("get") => format!("get:{}", text(store.get(key)?)),
        Some("asof") => format!("asof:{}", text(store.get_as_of(key, at)?)),
        Some("past") => format!("past:{}", text(store.get_as_of(key, (at - 120).max(0))?)),
        Some("del") => format!("del:{}", text(store.delete(key, at)?)),
        Some(value) => format!("put:{}", code(store.put(key, value.to_owned(), at)?)),
    };
    Ok(answer(record, text))
}

/// The number that Kafka Streams returns.
fn code(outcome: PutOutcome) -> i64 {
    match outcome {
        PutOutcome::TooOld => i64::MIN,
        PutOutcome::Latest => -1,
        PutOutcome::ValidTo(next) => next,
    }
}

/// Kafka Streams' handle never tells when a version ends, though the store knows; so the recordings always
/// have "inf".
fn text(found: Option<VersionedRecord<String>>) -> String {
    let none = || "none".to_owned();
    found.map_or_else(none, |found| format!("{}@{}-inf", found.value, found.timestamp))
}

/// A topic as a versioned table; keys may be null.
fn versioned(
    builder: &StreamsBuilder,
    topic: &str,
    store: &str,
    history_ms: u64,
) -> KTable<Text, String> {
    let history = Duration::from_millis(history_ms);
    builder.table_with(topic, Consumed::new(), Materialized::versioned(store, history))
}

fn table(builder: &StreamsBuilder) {
    let table = versioned(builder, "in", "vt", 100);
    let even = |_: &Text, value: &String| {
        value.bytes().last().is_some_and(|digit| digit.is_ascii_digit() && digit % 2 == 0)
    };
    table.filter(even).to_stream().to("out");
    table.to_stream().to("out-all");
}

fn aggregate(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    let append = |_: &Text, value: Text, all: String| match value.as_deref() {
        Some("clear") => None,
        value => Some(all + value.unwrap_or_default()),
    };
    let history = Materialized::versioned("va", Duration::from_millis(100));
    stream
        .group_by_key()
        .aggregate_with(String::new, append, Named::default(), history)
        .to_stream()
        .to("out");
}

fn group(builder: &StreamsBuilder) {
    let pair = |_: &Text, value: String| {
        let first: String = value.chars().take(1).collect();
        (first, value)
    };
    versioned(builder, "in", "vt", 200)
        .group_by(pair)
        .aggregate_with(
            String::new,
            |_, value: String, all: String| tail(&format!("{all}+{value}")),
            |_, value: String, all: String| tail(&format!("{all}-{value}")),
            Named::default(),
            Materialized::named("a"),
        )
        .to_stream()
        .to("out");
}

fn join(builder: &StreamsBuilder) {
    let left = versioned(builder, "left", "vl", 200);
    let right = versioned(builder, "right", "vr", 100);
    let joined = |left: &String, right: &String| format!("{left}+{right}");
    left.join_materialized(&right, joined, Named::default(), Materialized::named("j"))
        .to_stream()
        .to("out");
}
