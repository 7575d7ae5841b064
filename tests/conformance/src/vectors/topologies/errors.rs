//! Records that cannot be read, processed or written.

use std::sync::Arc;

use kstream::serdes::{DefaultSerde, OptionSerde, Serde, SerdeError};
use kstream::{Grouped, KStream, Materialized, Named, Produced, StreamsBuilder};

use super::{Build, Text, parts, shown, text};

pub(super) fn topology(name: &str) -> Option<Build> {
    Some(match name {
        "deserialization-fail" | "deserialization-dlq" => numbers,
        "processing-fail" => failing_mapper,
        "processing-continue" => failing_branches,
        "processing-continue-repartition" => failing_aggregator,
        "processing-custom-handler" => failing_named_mapper,
        "production-serialization" => failing_serde,
        _ => return None,
    })
}

/// The value in upper case; panics at one that begins with `bad`.
#[expect(clippy::panic, reason = "this is how user code fails")]
fn boom(value: Text) -> Text {
    if let Some(bad) = value.as_ref().filter(|value| value.starts_with("bad")) {
        panic!("boom {bad}");
    }
    value.map(|value| value.to_uppercase())
}

fn numbers(builder: &StreamsBuilder) {
    let stream: KStream<Text, Option<i64>> = builder.stream("in");
    stream.map_values(text).to("out");
}

fn failing_mapper(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    stream.map_values(boom).to("out");
}

fn failing_branches(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    stream.map_values(boom).to("out");
    stream.map_values(|value| format!("{}.", shown(&value))).to("out2");
    stream
        .group_by_key()
        .reduce_with(|_, new| new, Named::default(), Materialized::named("r"))
        .to_stream()
        .map_values(|value| boom(value.flatten()))
        .to("out3");
}

fn failing_aggregator(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    let append = |_: &Text, value: Text, before: String| {
        let text = before + shown(&boom(value));
        let skipped = text.chars().count().saturating_sub(12);
        text.chars().skip(skipped).collect::<String>()
    };
    stream
        .flat_map_values(parts)
        .group_by_with(|_, value| value.clone(), Grouped::named("g"))
        .aggregate_with(String::new, append, Named::default(), Materialized::named("a"))
        .to_stream()
        .to("out");
}

fn failing_named_mapper(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    stream
        .filter_with(|_, value| value.is_some(), "nn")
        .map_values_with(|_, value| boom(value), "bm")
        .to("out");
}

/// Writes no text that begins with `bad`.
struct BadValueSerde;

impl Serde<String> for BadValueSerde {
    fn serialize(&self, value: &String, bytes: &mut Vec<u8>) -> Result<(), SerdeError> {
        if value.starts_with("bad") {
            return Err("bad value".into());
        }
        bytes.extend_from_slice(value.as_bytes());
        Ok(())
    }

    fn deserialize(&self, _: &[u8]) -> Result<String, SerdeError> {
        Err("values are only written here".into())
    }
}

fn failing_serde(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    let values = Arc::new(OptionSerde::new(Arc::new(BadValueSerde)));
    stream.to_with("out", Produced::with(Text::default_serde(), values));
}
