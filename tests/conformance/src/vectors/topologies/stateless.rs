//! Operators without state.

use kstream::{
    Branched, Consumed, FixedKeyProcessor, FixedKeyProcessorContext, FixedKeyRecord, Grouped,
    KStream, Materialized, ProcessorError, Produced, StreamsBuilder,
};

use super::{Build, Text, parts, shown, text};

pub(super) fn topology(name: &str) -> Option<Build> {
    Some(match name {
        "filter" => filter,
        "map-values" => map_values,
        "map" => map,
        "flat-map" => flat_map,
        "flat-map-values" => flat_map_values,
        "stateless-chain" => chain,
        "merge" => merge,
        "branch" => branch,
        "branch-no-default" => branch_no_default,
        "named-operators" => named,
        _ => return None,
    })
}

fn filter(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    stream
        .filter(|_, value| value.as_ref().is_some_and(|value| !value.starts_with('x')))
        .filter_not(|key, value| {
            key.as_deref() == Some("a") && value.as_ref().is_some_and(|value| value.len() > 3)
        })
        .to("out");
}

fn map_values(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    stream
        .map_values(|value| value.map_or_else(|| "none".to_owned(), |value| value.to_uppercase()))
        .to("out");
    stream
        .map_values_with(
            |key, value| format!("{}={}", shown(key), shown(&value)),
            kstream::Named::default(),
        )
        .to("out-keyed");
}

fn map(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    stream
        .map(|key, value| {
            let ends_with_7 = value.as_ref().is_some_and(|value| value.ends_with('7'));
            let new_value = format!("{}:{}", shown(&key), shown(&value));
            (super::first_letter(&value), (!ends_with_7).then_some(new_value))
        })
        .to("out");
}

fn flat_map(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    stream
        .flat_map(|key, value| {
            let pair = |part: Text| (part.clone(), format!("{}/{}", shown(&key), shown(&part)));
            parts(value).into_iter().map(pair).collect::<Vec<_>>()
        })
        .to("out");
}

fn flat_map_values(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    stream.flat_map_values(parts).to("out");
    let keyed = |key: &Text, value: Text| {
        let parts = parts(value).into_iter().filter(|part| part.as_deref() != Some("0"));
        parts.map(|part| format!("{}:{}", shown(key), shown(&part))).collect::<Vec<_>>()
    };
    stream.flat_map_values_with(keyed, kstream::Named::default()).to("out-keyed");
}

fn chain(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    let stream = stream
        .filter(|_, value| value.as_ref().is_some_and(|value| !value.starts_with('x')))
        .map_values(|value| value.map(|value| value.to_uppercase()))
        .peek(|_, _| ())
        .filter_not(|_, value| value.as_ref().is_some_and(|value| value.ends_with('!')));
    stream.to("out");
    stream.for_each(|_, _| ());
}

fn merge(builder: &StreamsBuilder) {
    let one: KStream<Text, Text> = builder.stream("one");
    one.merge(&builder.stream("two")).merge(&builder.stream("three")).to("out");
}

fn branch(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    let begins = |letter: char| {
        move |_: &Text, value: &Text| value.as_ref().is_some_and(|value| value.starts_with(letter))
    };
    let branches = stream
        .split_with("s-")
        .branch_with(begins('a'), Branched::named("a"))
        .branch_with(begins('b'), Branched::named("b"))
        .default_branch_with(Branched::named("rest"));
    for (name, stream) in &branches {
        stream.to(&name.replace("s-", "out-"));
    }
}

fn branch_no_default(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    let has = |digit: char| {
        move |_: &Text, value: &Text| value.as_ref().is_some_and(|value| value.contains(digit))
    };
    let two = |stream: KStream<Text, Text>| {
        stream.map_values(|value| format!("two:{}", shown(&value))).to("out-two");
    };
    let three = |stream: KStream<Text, Text>| {
        stream.map_values(|value| Some(format!("three:{}", shown(&value))))
    };
    let branches = stream
        .split()
        .branch(has('1'))
        .branch_with(has('2'), Branched::with_consumer(two))
        .branch_with(has('3'), Branched::with_function(three).with_name("fn"))
        .no_default_branch();
    // The recording gives the sinks their numbers in the order of a hash map.
    for (name, stream) in branches.iter().rev() {
        stream.to(if name.ends_with("fn") { "out-three" } else { "out-one" });
    }
}

/// Puts the text of the last header `h` behind the value, a dash if there is none.
struct LastHeader;

impl FixedKeyProcessor<Text, Text, Text> for LastHeader {
    fn process(
        &mut self,
        context: &mut FixedKeyProcessorContext<'_, Text, Text>,
        record: FixedKeyRecord<Text, Text>,
    ) -> Result<(), ProcessorError> {
        let header = record.headers.last("h").flatten();
        let header = header.map_or_else(|| "-".into(), String::from_utf8_lossy);
        let value = format!("{}/{header}", shown(&record.value));
        Ok(context.forward(record.with_value(Some(value)))?)
    }
}

fn named(builder: &StreamsBuilder) {
    let one = builder
        .stream_with::<Text, Text>("in", Consumed::named("src"))
        .filter_with(|_, value| value.is_some(), "flt")
        .map_with(|_, value| (super::first_letter(&value), value), "mp")
        .peek_with(|_, _| (), "pk")
        .flat_map_values_with(|_, value| parts(value), "fmv");
    let two = builder
        .stream_with::<Text, Text>("in2", Consumed::named("src2"))
        .map_values_with(|_, value| Some(format!("{}~", shown(&value))), "mv");
    one.merge_with(&two, "mrg")
        .process_values_with(|| LastHeader, "pv", &[])
        .group_by_key_with(Grouped::named("grp"))
        .count_with("cnt", Materialized::named("cs"))
        .to_stream_with("ts")
        .map_values_with(|_, count| text(count), "txt")
        .to_with("out", Produced::named("snk"));
}
