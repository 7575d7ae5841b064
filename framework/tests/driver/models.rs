//! Aggregations without windows against a naive model, on random input.

use std::collections::BTreeMap;

use kstream::{KStream, Materialized, Named, StreamsBuilder, StreamsConfig, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::harness::{Harness, Text, config};

type Input = (Text, Text, Timestamp);

/// Few keys, so that they meet; `x` deletes.
fn inputs() -> impl Strategy<Value = Vec<Input>> {
    let letter =
        |letters: &'static str| prop::option::weighted(0.9, letters.prop_map(String::from));
    vec((letter("[abc]"), letter("[uvwx]{1,3}"), 0..100_i64), 0..60)
}

/// Folds the letters of each value into a text, once per store: the newest five letters, `x` deletes.
fn build(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    let letters = |value: Text| match value {
        None => vec![None],
        Some(value) => value.chars().map(|letter| Some(letter.to_string())).collect(),
    };
    let append = |_: &Text, letter: Text, all: String| fold(&all, &letter.unwrap_or_default());
    let group = stream.flat_map_values(letters).group_by_key();
    let store = Materialized::named("all");
    let table = group.aggregate_with(String::new, append, Named::default(), store);
    table.to_stream().to("aggregate");
    let join = |old: Text, new: Text| fold(&old.unwrap_or_default(), &new.unwrap_or_default());
    group.reduce(join).to_stream().to("reduce");
    group.count().to_stream().to("count");
}

fn fold(all: &str, letter: &str) -> Text {
    let all = format!("{all}{letter}");
    (letter != "x").then(|| all.chars().skip(all.len().saturating_sub(5)).collect())
}

/// What each topic should have, as `key=value@timestamp`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Topics {
    aggregate: Vec<String>,
    reduce: Vec<String>,
    count: Vec<String>,
}

/// One table: rows with their timestamps, and what was forwarded.
#[derive(Default)]
struct Model {
    rows: BTreeMap<String, (String, Timestamp)>,
    forwarded: Vec<String>,
}

impl Model {
    fn update(&mut self, key: &str, timestamp: Timestamp, next: impl Fn(Option<&str>) -> Text) {
        let old = self.rows.remove(key);
        let timestamp = old.as_ref().map_or(timestamp, |(_, old)| timestamp.max(*old));
        let new = next(old.as_ref().map(|(value, _)| value.as_str()));
        let shown = new.as_deref().unwrap_or("null");
        self.forwarded.push(format!("{key}={shown}@{timestamp}"));
        if let Some(new) = new {
            self.rows.insert(key.to_owned(), (new, timestamp));
        }
    }
}

fn expected(inputs: &[Input]) -> (Topics, BTreeMap<String, (String, Timestamp)>) {
    let [mut aggregate, mut reduce, mut count] =
        [Model::default(), Model::default(), Model::default()];
    for (key, value, timestamp) in inputs {
        let (Some(key), Some(value)) = (key, value) else { continue };
        for letter in value.chars().map(String::from) {
            aggregate.update(key, *timestamp, |old| fold(old.unwrap_or_default(), &letter));
            reduce.update(key, *timestamp, |old| match old {
                Some(old) => fold(old, &letter),
                None => Some(letter.clone()),
            });
            count.update(key, *timestamp, |old| {
                Some((old.map_or(0, |old| old.parse::<i64>().unwrap()) + 1).to_string())
            });
        }
    }
    let topics =
        Topics { aggregate: aggregate.forwarded, reduce: reduce.forwarded, count: count.forwarded };
    (topics, aggregate.rows)
}

fn run(config: StreamsConfig, inputs: &[Input]) -> Harness {
    let test = Harness::with_config(config, build);
    for (key, value, timestamp) in inputs {
        test.pipe(key.clone(), value.clone(), *timestamp);
    }
    test
}

fn topics(test: &Harness) -> Topics {
    Topics {
        aggregate: test.read_from::<String>("aggregate"),
        reduce: test.read_from::<String>("reduce"),
        count: test.read_from::<i64>("count"),
    }
}

/// The last value of each key; deleted keys have none.
fn latest(lines: &[String]) -> BTreeMap<String, String> {
    let mut rows = BTreeMap::new();
    for line in lines {
        let (key, value) = line.split_once('=').unwrap();
        if value.starts_with("null@") {
            rows.remove(key);
        } else {
            rows.insert(key.to_owned(), value.to_owned());
        }
    }
    rows
}

fn rows_of(model: &BTreeMap<String, (String, Timestamp)>) -> Vec<String> {
    model.iter().map(|(key, (value, at))| format!("{key}={value}@{at}")).collect()
}

proptest! {
    #[test]
    fn every_update_is_that_of_the_model(inputs in inputs()) {
        let test = run(config(), &inputs);
        let (expected, rows) = expected(&inputs);
        prop_assert_eq!(topics(&test), expected);
        prop_assert_eq!(test.rows::<String>("all"), rows_of(&rows));
        // A store restored from the changelog has the same rows.
        let changelog = latest(&test.read_from::<String>("app-all-changelog"));
        let restored: Vec<_> = changelog.iter().map(|(key, value)| format!("{key}={value}")).collect();
        prop_assert_eq!(restored, rows_of(&rows));
    }

    #[test]
    fn memory_for_committed_rows_changes_nothing(inputs in inputs()) {
        let plenty = run(config(), &inputs);
        let (expected, _) = expected(&inputs);
        for bytes in [0, 300] {
            let scarce = run(config().statestore_row_cache_max_bytes(bytes), &inputs);
            prop_assert_eq!(topics(&scarce), topics(&plenty));
            prop_assert_eq!(scarce.rows::<String>("all"), plenty.rows::<String>("all"));
            prop_assert_eq!(&topics(&scarce), &expected);
        }
    }

    #[test]
    fn record_cache_forwards_what_a_commit_changes(
        inputs in inputs(),
        records_per_commit in 1..8_usize,
        row_cache in prop_oneof![Just(0), Just(1 << 20)],
    ) {
        let cache = config().statestore_cache_max_bytes(1 << 20);
        let test = Harness::with_config(cache.statestore_row_cache_max_bytes(row_cache), build);
        let mut expected = Vec::new();
        for (number, group) in inputs.chunks(records_per_commit).enumerate() {
            test.pipe_together(group);
            let before = &inputs[..number * records_per_commit];
            let after = &inputs[..number * records_per_commit + group.len()];
            expected.extend(changes(before, after));
        }
        let cached = topics(&test);
        prop_assert_eq!(&cached.aggregate, &expected);
        prop_assert_eq!(&test.read_from::<String>("app-all-changelog"), &expected);
        let plain = topics(&run(config(), &inputs));
        prop_assert_eq!(latest(&cached.aggregate), latest(&plain.aggregate));
        prop_assert_eq!(latest(&cached.reduce), latest(&plain.reduce));
        prop_assert_eq!(latest(&cached.count), latest(&plain.count));
        prop_assert!(cached.count.len() <= plain.count.len());
    }
}

/// What the commit of the inputs behind `before` forwards: each key once, in the order of their last
/// update, and nothing about rows that neither were there nor are.
fn changes(before: &[Input], after: &[Input]) -> Vec<String> {
    let ((_, old), (_, new)) = (expected(before), expected(after));
    let mut updated: Vec<(&str, Timestamp)> = Vec::new();
    for (key, value, timestamp) in &after[before.len()..] {
        let (Some(key), Some(_)) = (key, value) else { continue };
        updated.retain(|(known, _)| known != key);
        updated.push((key, *timestamp));
    }
    let news = updated.into_iter().filter_map(|(key, last)| match new.get(key) {
        Some((value, at)) => Some(format!("{key}={value}@{at}")),
        None => old.contains_key(key).then(|| format!("{key}=null@{last}")),
    });
    news.collect()
}
