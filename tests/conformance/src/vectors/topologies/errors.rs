//! Records that cannot be processed.

use kstream::{KStream, StreamsBuilder};

use super::{Build, Text, text};

pub(super) fn topology(name: &str) -> Option<Build> {
    Some(match name {
        "deserialization-fail" | "deserialization-dlq" => numbers,
        "timestamp-fail" => copy,
        "processing-fail" => failing_mapper,
        _ => return None,
    })
}

fn numbers(builder: &StreamsBuilder) {
    let stream: KStream<Text, Option<i64>> = builder.stream("in");
    stream.map_values(text).to("out");
}

fn copy(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    stream.to("out");
}

fn failing_mapper(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    let boom = |value: Text| {
        assert!(!value.as_ref().is_some_and(|value| value.starts_with("bad")), "boom");
        value.map(|value| value.to_uppercase())
    };
    stream.map_values(boom).to("out");
}
