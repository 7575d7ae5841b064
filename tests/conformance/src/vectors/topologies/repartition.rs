//! Topics between sub-topologies.

use kstream::{KStream, Repartitioned, StreamsBuilder};

use super::{Build, Text, parts};

pub(super) fn topology(name: &str) -> Option<Build> {
    Some(match name {
        "repartition-explicit" => explicit,
        "headers-stateless" => headers,
        _ => return None,
    })
}

fn explicit(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    stream
        .select_key(|_, value| value.clone())
        .repartition_with(Repartitioned::named("rp").with_number_of_partitions(3))
        .to("out");
}

fn headers(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    stream
        .filter(|_, value| value.is_some())
        .flat_map_values(parts)
        .select_key(|_, value| value.clone())
        .repartition_with(Repartitioned::named("rp"))
        .map_values(|value| value.map(|value| value.to_uppercase()))
        .to("out");
}
