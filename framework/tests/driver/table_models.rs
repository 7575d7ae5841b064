//! Tables against naive models, on random input: rows are worked out anew from the whole input at each step.

use std::collections::BTreeMap;

use kstream::{
    Consumed, KStream, KTable, Materialized, Named, StreamsBuilder, StreamsConfig, Timestamp,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::harness::{Harness, Text, config};

/// A table's rows, with their timestamps.
type Rows = BTreeMap<String, (String, Timestamp)>;

/// An update: the side it is on, its key, its value, its timestamp. Values begin with a letter.
type Update = (char, String, Text, Timestamp);

/// Few keys, so that they meet.
fn updates(sides: &'static [char]) -> impl Strategy<Value = Vec<Update>> {
    let side = prop::sample::select(sides);
    let value = prop::option::weighted(0.8, "[ab][0-9]");
    vec((side, "[kl]", value, 0..50_i64), 0..50)
}

/// The rows of one side after these updates: the latest one counts, whatever its timestamp.
fn rows_after(updates: &[Update], side: char) -> Rows {
    let mut rows = Rows::new();
    for (of, key, value, timestamp) in updates.iter().filter(|(of, ..)| *of == side) {
        assert_eq!(*of, side);
        match value {
            Some(value) => drop(rows.insert(key.clone(), (value.clone(), *timestamp))),
            None => drop(rows.remove(key)),
        }
    }
    rows
}

/// Pipes everything into the topic `in`: values with their side in front, `-` for a deletion.
fn run(
    config: StreamsConfig,
    updates: &[Update],
    per_commit: usize,
    build: impl FnOnce(&StreamsBuilder),
) -> Harness {
    let test = Harness::with_config(config, build);
    for together in updates.chunks(per_commit) {
        let records = together.iter().map(|(side, key, value, timestamp)| {
            let value = format!("{side}{}", value.as_deref().unwrap_or("-"));
            (Some(key.clone()), Some(value), *timestamp)
        });
        test.pipe_together(&records.collect::<Vec<_>>());
    }
    test
}

/// One side of the topic `in` as a table.
fn side(stream: &KStream<String, String>, of: char) -> KTable<String, String> {
    stream
        .filter(move |_, value| value.starts_with(of))
        .map_values(|value| Some(value[1..].to_owned()).filter(|value| value != "-"))
        .to_table_with(Named::default(), Materialized::named(of.to_string()))
}

fn shown(key: &str, value: Option<&str>, timestamp: Timestamp) -> String {
    format!("{key}={}@{timestamp}", value.unwrap_or("null"))
}

/// The rows that a topic's updates leave.
fn latest(lines: &[String]) -> BTreeMap<String, String> {
    let mut rows = BTreeMap::new();
    for line in lines {
        let (key, value) = line.split_once('=').unwrap();
        let (value, _) = value.rsplit_once('@').unwrap();
        match value {
            "null" => drop(rows.remove(key)),
            value => drop(rows.insert(key.to_owned(), value.to_owned())),
        }
    }
    rows
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Inner,
    Left,
    Outer,
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop::sample::select(&[Kind::Inner, Kind::Left, Kind::Outer][..])
}

/// Those that keep their rows right whatever the record cache merges; `tables.rs` says what inner joins do.
fn cached_kinds() -> impl Strategy<Value = Kind> {
    prop::sample::select(&[Kind::Left, Kind::Outer][..])
}

fn plus(left: Option<&String>, right: Option<&String>) -> String {
    let shown = |value: Option<&String>| value.map_or("·", |value| value).to_owned();
    shown(left) + "+" + &shown(right)
}

type Table = KTable<String, String>;

fn join(kind: Kind, left: &Table, right: &Table, store: Option<&str>) -> Table {
    let both = |l: &String, r: &String| plus(Some(l), Some(r));
    let with_left = |l: &String, r: Option<&String>| plus(Some(l), r);
    match (kind, store.map(Materialized::named)) {
        (Kind::Inner, None) => left.join(right, both),
        (Kind::Inner, Some(store)) => left.join_materialized(right, both, "join", store),
        (Kind::Left, None) => left.left_join(right, with_left),
        (Kind::Left, Some(store)) => left.left_join_materialized(right, with_left, "join", store),
        (Kind::Outer, None) => left.outer_join(right, plus),
        (Kind::Outer, Some(store)) => left.outer_join_materialized(right, plus, "join", store),
    }
}

/// The join's row.
fn joined(kind: Kind, left: Option<&String>, right: Option<&String>) -> Text {
    let has_row = match kind {
        Kind::Inner => left.is_some() && right.is_some(),
        Kind::Left => left.is_some(),
        Kind::Outer => left.is_some() || right.is_some(),
    };
    has_row.then(|| plus(left, right))
}

/// What the join of `l` and `r` forwards: an update on one side whenever there was or is something to be
/// joined on it, and the row on the other side that the kind of join needs.
fn expected_joins(kind: Kind, updates: &[Update]) -> Vec<String> {
    let step = |number: usize| {
        let (here, key, _, timestamp) = &updates[number];
        let there = if *here == 'l' { 'r' } else { 'l' };
        let row = |side, until| rows_after(&updates[..until], side).get(key.as_str()).cloned();
        let (before, after, other) =
            (row(*here, number), row(*here, number + 1), row(there, number));
        let other_needed = match kind {
            Kind::Inner => true,
            Kind::Left => *here == 'r',
            Kind::Outer => false,
        };
        if other.is_none() && (other_needed || before.is_none() && after.is_none()) {
            return None;
        }
        let at = other.as_ref().map_or(*timestamp, |(_, other)| *timestamp.max(other));
        let (after, other) = (after.map(|row| row.0), other.map(|row| row.0));
        let (left, right) = if *here == 'l' { (after, other) } else { (other, after) };
        let value = joined(kind, left.as_ref(), right.as_ref());
        Some(shown(key, value.as_deref(), at))
    };
    (0..updates.len()).filter_map(step).collect()
}

/// The rows of `l` joined with those of `r`, filtered and marked, joined with those of `t`.
fn expected_chain(kinds: (Kind, Kind), updates: &[Update]) -> BTreeMap<String, String> {
    let [left, right, third] = ['l', 'r', 't'].map(|side| rows_after(updates, side));
    let value = |rows: &Rows, key: &str| rows.get(key).map(|(value, _)| value.clone());
    let row = |key: &str| {
        let first = joined(kinds.0, value(&left, key).as_ref(), value(&right, key).as_ref());
        let marked = first.filter(|value| !value.contains('5')).map(|value| format!("<{value}>"));
        Some((key.to_owned(), joined(kinds.1, marked.as_ref(), value(&third, key).as_ref())?))
    };
    ["k", "l"].into_iter().filter_map(row).collect()
}

/// How many rows, and which sum, each first letter has, with the highest timestamp that touched it.
fn expected_groups(updates: &[Update]) -> (Vec<String>, Vec<String>) {
    let (mut counts, mut sums) = (Vec::new(), Vec::new());
    for number in 0..updates.len() {
        let key = updates[number].1.as_str();
        let group = |until| {
            let rows = rows_after(&updates[..until], 'l');
            rows.get(key).map(|(value, _)| value[..1].to_owned())
        };
        let (before, after) = (group(number), group(number + 1));
        // The row is out of its old group before it is in its new one.
        let (without, with): (Vec<_>, Vec<_>) =
            (rows_without(&updates[..number], key), rows_without(&updates[..=number], ""));
        let moved = before != after;
        let leaving = before.filter(|_| moved).map(|group| (group, &without));
        let coming = after.map(|group| (group, &with));
        for (group, values) in leaving.into_iter().chain(coming) {
            let numbers: Vec<i64> = values
                .iter()
                .filter(|value| value.starts_with(&group))
                .map(|value| value[1..].parse().unwrap())
                .collect();
            let at = touched(&updates[..=number], &group);
            counts.push(format!("{group}={}@{at}", numbers.len()));
            sums.push(format!("{group}={}@{at}", numbers.iter().sum::<i64>()));
        }
    }
    (counts, sums)
}

/// The values of all rows but one.
fn rows_without(updates: &[Update], key: &str) -> Vec<String> {
    let rows = rows_after(updates, 'l').into_iter();
    rows.filter(|(other, _)| other != key).map(|(_, (value, _))| value).collect()
}

/// The highest timestamp of the updates by which a row came into a group, changed in it, or left it.
fn touched(updates: &[Update], group: &str) -> Timestamp {
    let touches = |number: &usize| {
        let key = updates[*number].1.as_str();
        let is_in = |until| {
            let rows = rows_after(&updates[..until], 'l');
            rows.get(key).is_some_and(|(value, _)| value.starts_with(group))
        };
        is_in(*number) || is_in(number + 1)
    };
    (0..updates.len()).filter(touches).map(|number| updates[number].3).max().unwrap()
}

fn cached() -> StreamsConfig {
    config().statestore_cache_max_bytes(1 << 20)
}

fn build_join(kind: Kind, store: Option<&str>) -> impl FnOnce(&StreamsBuilder) {
    move |builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let (left, right) = (side(&stream, 'l'), side(&stream, 'r'));
        join(kind, &left, &right, store).to_stream().to("out");
    }
}

fn build_groups(builder: &StreamsBuilder) {
    let stream: KStream<String, String> = builder.stream("in");
    let table = side(&stream, 'l');
    let group = table.group_by(|_, value| {
        let number: i64 = value[1..].parse().unwrap();
        (value[..1].to_owned(), number)
    });
    group.count().to_stream().to("counts");
    group.reduce(|sum, new| sum + new, |sum, old| sum - old).to_stream().to("sums");
}

proptest! {
    #[test]
    fn join_of_two_tables(kind in kinds(), updates in updates(&['l', 'r']), kept in any::<bool>()) {
        let test = run(config(), &updates, 1, build_join(kind, kept.then_some("j")));
        let expected = expected_joins(kind, &updates);
        prop_assert_eq!(&test.out(), &expected);
        if kept {
            let rows: Vec<_> =
                test.rows::<String>("j").iter().map(|row| row.rsplit_once('@').unwrap().0.to_owned()).collect();
            let latest: Vec<_> =
                latest(&expected).iter().map(|(key, value)| format!("{key}={value}")).collect();
            prop_assert_eq!(rows, latest);
        }
    }

    #[test]
    fn record_cache_leaves_a_join_the_same_rows(
        kind in cached_kinds(),
        updates in updates(&['l', 'r']),
        per_commit in 1..6_usize,
        kept in any::<bool>(),
    ) {
        let test = run(cached(), &updates, per_commit, build_join(kind, kept.then_some("j")));
        prop_assert_eq!(latest(&test.out()), latest(&expected_joins(kind, &updates)));
    }

    #[test]
    fn joins_of_joins(
        kinds in (kinds(), kinds()),
        per_commit in 1..4_usize,
        updates in updates(&['l', 'r', 't']),
        kept in any::<[bool; 2]>(),
    ) {
        // Without record cache: with it a join tells the filter an old value that it never forwarded, if both
        // sides change between two commits, and the filter may keep a deletion to itself. So does Kafka's.
        let test = run(config(), &updates, per_commit, |builder| {
            let stream: KStream<String, String> = builder.stream("in");
            let [left, right, third] = ['l', 'r', 't'].map(|of| side(&stream, of));
            let first = join(kinds.0, &left, &right, kept[0].then_some("j"));
            let marked = |_: &String, value: String| format!("<{value}>");
            let filtered = first.filter(|_, value| !value.contains('5'));
            let marked = if kept[1] {
                filtered.map_values_materialized(marked, Named::default(), Materialized::named("m"))
            } else {
                filtered.map_values_with(marked, Named::default())
            };
            join(kinds.1, &marked, &third, None).to_stream().to("out");
        });
        prop_assert_eq!(latest(&test.out()), expected_chain(kinds, &updates));
    }

    #[test]
    fn groups_of_a_table(updates in updates(&['l'])) {
        let test = run(config(), &updates, 1, build_groups);
        let (counts, sums) = expected_groups(&updates);
        prop_assert_eq!(test.read_from::<i64>("counts"), counts);
        prop_assert_eq!(test.read_from::<i64>("sums"), sums);
    }

    #[test]
    fn record_cache_leaves_groups_the_same_rows(
        updates in updates(&['l']),
        per_commit in 1..6_usize,
    ) {
        let test = run(cached(), &updates, per_commit, build_groups);
        let (counts, sums) = expected_groups(&updates);
        // A group that nobody was in at a commit has no row; one that everybody left has 0.
        let filled = |lines: &[String]| {
            let mut rows = latest(lines);
            rows.retain(|_, value| value != "0");
            rows
        };
        prop_assert_eq!(filled(&test.read_from::<i64>("counts")), filled(&counts));
        prop_assert_eq!(filled(&test.read_from::<i64>("sums")), filled(&sums));
    }

    #[test]
    fn filter_of_a_table(
        updates in updates(&['l']),
        source_kept in any::<bool>(),
        filter_kept in any::<bool>(),
    ) {
        let test = Harness::new(|builder| {
            let store = if source_kept { Materialized::named("t") } else { Materialized::new() };
            let table: Table = builder.table_with("in", Consumed::new(), store);
            let accept = |_: &String, value: &String| value.starts_with('a');
            let filtered = if filter_kept {
                table.filter_materialized(accept, "filter", Materialized::named("f"))
            } else {
                table.filter(accept)
            };
            filtered.map_values(|value| value.to_uppercase()).to_stream().to("out");
        });
        let mut expected = Vec::new();
        for (number, (_, key, value, timestamp)) in updates.iter().enumerate() {
            test.pipe(Some(key.clone()), value.clone(), *timestamp);
            let accepted = |value: &Text| value.clone().filter(|value| value.starts_with('a'));
            let before = rows_after(&updates[..number], 'l').get(key).map(|row| row.0.clone());
            let (before, after) = (accepted(&before), accepted(value));
            // Without a store before it, a filter cannot know that there was no row.
            if !source_kept || before.is_some() || after.is_some() {
                let after = after.map(|value| value.to_uppercase());
                expected.push(shown(key, after.as_deref(), *timestamp));
            }
        }
        prop_assert_eq!(test.out(), expected);
    }
}
