//! Joins of a stream with a table.

use std::time::Duration;

use kstream::{
    Consumed, Grouped, JoinWindows, Joined, KStream, KTable, Materialized, Named, StreamJoined,
    StreamsBuilder,
};

use super::{Build, Text, shown};

pub(super) fn topology(name: &str) -> Option<Build> {
    Some(match name {
        "stream-table-inner" | "optimize-source-table" => inner,
        "stream-table-left" => left,
        "stream-table-rekeyed" => rekeyed,
        "stream-table-aggregate" => aggregate,
        "stream-table-versioned" => versioned,
        "stream-table-grace" => grace,
        "headers-joins" => headers,
        "headers-grace-join" => headers_grace,
        _ => return None,
    })
}

type Stream = KStream<Text, Text>;

fn table(builder: &StreamsBuilder, topic: &str) -> KTable<Text, String> {
    builder.table_with(topic, Consumed::new(), Materialized::named("t"))
}

#[expect(clippy::unnecessary_wraps, reason = "what the callers forward may be null")]
fn j(left: &Text, right: Option<&String>) -> Text {
    Some(format!("{}+{}", shown(left), right.map_or("null", String::as_str)))
}

fn inner(builder: &StreamsBuilder) {
    let table = table(builder, "right");
    let left: Stream = builder.stream("left");
    left.join_table(&table, |left, right| j(left, Some(right))).to("out");
}

fn left(builder: &StreamsBuilder) {
    let table = table(builder, "right");
    let left: Stream = builder.stream("left");
    let joiner = |key: &Text, left: &Text, right: Option<&String>| {
        Some(format!("{}={}", shown(key), shown(&j(left, right))))
    };
    left.left_join_table_with(&table, joiner, Joined::new()).to("out");
}

fn rekeyed(builder: &StreamsBuilder) {
    let table = table(builder, "right")
        .filter(|_, value| !value.ends_with('0'))
        .map_values(|value| value.to_lowercase());
    let left: Stream = builder.stream("left");
    left.select_key(|_, value| super::first_letter(value))
        .left_join_table_with(&table, |_, left, right| j(left, right), Joined::named("jt"))
        .to("out");
}

fn aggregate(builder: &StreamsBuilder) {
    let stream: Stream = builder.stream("in");
    let counts = stream
        .group_by_key_with(Grouped::new())
        .count_with(Named::default(), Materialized::named("c"));
    stream.join_table(&counts, |value, count| Some(format!("{}+{count}", shown(value)))).to("out");
}

fn headers(builder: &StreamsBuilder) {
    let (left, right): (Stream, Stream) = (builder.stream("left"), builder.stream("right"));
    let table = table(builder, "tab");
    let windows = JoinWindows::of_time_difference_with_no_grace(Duration::from_millis(40));
    let joined = StreamJoined::new().with_store_name("ss");
    let joiner = |_: &Text, left: Option<&Text>, right: Option<&Text>| {
        let shown = |side: Option<&Text>| side.map_or("null", shown).to_owned();
        Some(format!("{}+{}", shown(left), shown(right)))
    };
    left.outer_join_with(&right, joiner, windows, joined).to("out-streams");
    left.left_join_table(&table, j).to("out-table");
}

fn history(builder: &StreamsBuilder) -> KTable<Text, String> {
    let history = Materialized::versioned("vt", Duration::from_millis(200));
    builder.table_with("right", Consumed::new(), history)
}

fn versioned(builder: &StreamsBuilder) {
    let table = history(builder);
    let left: Stream = builder.stream("left");
    left.join_table(&table, |left, right| j(left, Some(right))).to("out");
}

fn grace(builder: &StreamsBuilder) {
    let table = history(builder);
    let left: Stream = builder.stream("left");
    let joined = Joined::named("graced").with_grace(Duration::from_millis(60));
    left.join_table_with(&table, |_, left, right| j(left, Some(right)), joined).to("out");
}

fn headers_grace(builder: &StreamsBuilder) {
    let table = history(builder);
    let left: Stream = builder.stream("left");
    let joined = Joined::named("gj").with_grace(Duration::from_millis(40));
    left.left_join_table_with(&table, |_, left, right| j(left, right), joined).to("out");
}
