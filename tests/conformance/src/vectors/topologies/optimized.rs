//! Topologies that are rewritten when they are built.

use kstream::{KStream, Materialized, Named, StreamsBuilder};

use super::{Build, Text, first_letter, text};

pub(super) fn topology(name: &str) -> Option<Build> {
    Some(match name {
        "optimize-merge-repartition" => merge_repartitions,
        _ => return None,
    })
}

fn merge_repartitions(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    let stream = stream.select_key(|_, value| first_letter(value));
    let counts = stream.group_by_key().count_with(Named::default(), Materialized::named("c"));
    counts.to_stream().map_values(text).to("out");
    let even = |_: &Text, value: &Text| {
        let last = value.as_ref().and_then(|value| value.bytes().last());
        last.is_some_and(|last| (i32::from(last) - i32::from(b'0')) % 2 == 0)
    };
    let reduced = stream.filter(even).group_by_key().reduce_with(
        |left: Text, right: Text| {
            let joined = left.unwrap_or_default() + right.as_deref().unwrap_or_default();
            let from = joined.len().saturating_sub(12);
            Some(joined.get(from..).map(str::to_owned))
        },
        Named::default(),
        Materialized::named("r"),
    );
    reduced.to_stream().to("out-reduced");
}
