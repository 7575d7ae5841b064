//! Topics between sub-topologies.

use kstream::{KStream, Partitions, Repartitioned, StreamPartitioner, StreamsBuilder};

use super::{Build, Text, parts, shown};

pub(super) fn topology(name: &str) -> Option<Build> {
    Some(match name {
        "repartition-explicit" => explicit,
        "repartition-unnamed" => unnamed,
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

fn unnamed(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    let first_letter = StreamPartitioner::new(|_, _: &Text, value: &Text, _| {
        match value.as_ref().and_then(|value| value.chars().next()) {
            Some('d') => Partitions::none(),
            Some('m') => Partitions::Each(vec![0, 1]),
            Some('p') => Partitions::One(0),
            _ => Partitions::Default,
        }
    });
    stream
        .repartition()
        .map_values(|value| Some(format!("{}1", shown(&value))))
        .repartition_with(Repartitioned::new().with_stream_partitioner(first_letter))
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
