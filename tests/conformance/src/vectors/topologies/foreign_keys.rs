//! Foreign-key joins.

use std::time::Duration;

use kstream::{Consumed, Grouped, KTable, Materialized, Named, StreamsBuilder, TableJoined};

use super::Build;

pub(super) fn topology(name: &str) -> Option<Build> {
    Some(match name {
        "foreign-key-inner" => inner,
        "foreign-key-left" => left,
        "foreign-key-unnamed" => unnamed,
        "foreign-key-versioned" => versioned,
        "headers-tables" => headers,
        _ => return None,
    })
}

type Table = KTable<String, String>;

fn named(builder: &StreamsBuilder, topic: &str, store: &str) -> Table {
    builder.table_with(topic, Consumed::new(), Materialized::named(store))
}

/// What stands before the colon; none of a value that begins with a minus.
#[expect(clippy::ptr_arg, reason = "an extractor gets keys and values as they are")]
fn foreign_key(_: &String, value: &String) -> Option<String> {
    let part = value.split(':').next().unwrap_or_default();
    (!value.starts_with('-')).then(|| part.to_owned())
}

fn join(left: &str, right: Option<&str>) -> String {
    format!("{left}+{}", right.unwrap_or("null"))
}

fn inner(builder: &StreamsBuilder) {
    let (left, right) = (named(builder, "left", "l"), named(builder, "right", "r"));
    left.join_on_foreign_key_materialized(
        &right,
        foreign_key,
        |left, right| join(left, Some(right)),
        TableJoined::named("fk"),
        Materialized::named("j"),
    )
    .to_stream()
    .to("out");
}

fn left(builder: &StreamsBuilder) {
    let (left, right) = (named(builder, "left", "l"), named(builder, "right", "r"));
    left.left_join_on_foreign_key_materialized(
        &right,
        foreign_key,
        |left, right| join(left, right.map(String::as_str)),
        TableJoined::named("fk"),
        Materialized::named("j"),
    )
    .to_stream()
    .to("out");
}

fn unnamed(builder: &StreamsBuilder) {
    let (left, right): (Table, Table) = (builder.table("left"), builder.table("right"));
    let foreign_key = |key: &String, value: &String| {
        if value == "self" { key.clone() } else { first_letter(value) }
    };
    left.join_on_foreign_key(&right, foreign_key, |left, right| join(left, Some(right)))
        .to_stream()
        .to("out");
}

fn versioned(builder: &StreamsBuilder) {
    let kept = |topic, store| {
        let materialized = Materialized::versioned(store, Duration::from_millis(200));
        builder.table_with(topic, Consumed::new(), materialized)
    };
    let (left, right): (Table, Table) = (kept("left", "vl"), kept("right", "vr"));
    let joiner = |left: &String, right: &String| join(left, Some(right));
    left.join_on_foreign_key_with(&right, foreign_key, joiner, TableJoined::named("fk"))
        .to_stream()
        .to("out");
}

fn first_letter(value: &str) -> String {
    value.chars().take(1).collect()
}

fn headers(builder: &StreamsBuilder) {
    let (left, right) = (named(builder, "left", "l"), named(builder, "right", "r"));
    let shown = |value: Option<&String>| value.map_or("null", String::as_str).to_owned();
    let both = move |left: Option<&String>, right: Option<&String>| {
        format!("{}+{}", shown(left), shown(right))
    };
    left.outer_join_materialized(&right, both, Named::default(), Materialized::named("pj"))
        .to_stream()
        .to("out-pk");
    left.join_on_foreign_key_materialized(
        &right,
        |_, value| first_letter(value),
        |left, right| join(left, Some(right)),
        TableJoined::named("fk"),
        Materialized::named("fj"),
    )
    .to_stream()
    .to("out-fk");
    left.group_by_with(|_, value| (first_letter(&value), value), Grouped::new())
        .count_with(Named::default(), Materialized::named("gc"))
        .to_stream()
        .to("out-group");
}
