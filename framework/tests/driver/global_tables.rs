//! Global tables and stores: joined, read by processors, written by their own processor alone.

use std::collections::BTreeMap;
use std::convert::Infallible;

use kstream::state::{KeyValueStore, TimestampedKeyValueStore};
use kstream::{
    Consumed, GlobalKTable, KStream, Materialized, Named, Processor, ProcessorContext,
    ProcessorError, Record, StreamsBuilder, Timestamp,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::harness::{Harness, Null, Text};
use crate::processors::{Context, chain, source, totals};

fn table(builder: &StreamsBuilder) -> GlobalKTable<String, String> {
    builder.global_table_with("names", Consumed::new(), Materialized::named("names"))
}

/// Joins `in` with the table `names` by the value's first letter; `-` has no key.
fn joins(builder: &StreamsBuilder) {
    let table = table(builder);
    let stream: KStream<Text, Text> = builder.stream("in");
    let selector = |_: &Text, value: &Text| {
        value.as_ref().and_then(|value| value.get(..1)).filter(|key| *key != "-").map(str::to_owned)
    };
    let shown = |value: &Text| value.clone().unwrap_or_default();
    stream
        .join_global(&table, selector, move |value, name| format!("{}:{name}", shown(value)))
        .to("inner");
    stream
        .left_join_global(&table, selector, move |value, name| {
            format!("{}:{}", shown(value), name.map_or("none", String::as_str))
        })
        .to("left");
}

#[test]
fn a_join_sees_the_table_as_it_is_when_the_record_comes() {
    let test = Harness::new(joins);
    test.pipe("k", "a1", 1);
    test.pipe_to("names", "a", "Ann", 100);
    test.pipe("k", "a2", 2);
    test.pipe_to("names", "a", Null, 50);
    test.pipe("k", "a3", 3);
    assert_eq!(test.read_from::<String>("inner"), ["k=a2:Ann@2"]);
    let left = test.read_from::<String>("left");
    assert_eq!(left, ["k=a1:none@1", "k=a2:Ann@2", "k=a3:none@3"]);
    assert_eq!(test.driver.dropped_records(), 0);
}

#[test]
fn what_sinks_write_to_a_tables_topic_is_in_the_table_at_once() {
    let test = Harness::new(|builder| {
        joins(builder);
        let new: KStream<String, String> = builder.stream("new");
        new.map_values(|name| name.to_uppercase()).to("names");
    });
    test.pipe_to("new", "a", "ann", 0);
    test.pipe("k", "a", 1);
    assert_eq!(test.read_from::<String>("inner"), ["k=a:ANN@1"]);
}

#[test]
fn a_global_table_has_no_changelog_and_no_task() {
    let builder = StreamsBuilder::new();
    joins(&builder);
    let topology = builder.build().unwrap();
    let global: Vec<bool> =
        topology.subtopologies().iter().map(kstream::Subtopology::is_global).collect();
    assert_eq!(global, [true, false]);
    let text = topology.describe().to_string();
    assert!(text.contains("Sub-topology: 0 for global store (will not generate tasks)"), "{text}");
    let test = Harness::new(joins);
    assert!(test.driver.task().borrow().changelog_topics().is_empty());
    test.pipe_to("names", "a", "Ann", 7);
    assert_eq!(test.rows::<String>("names"), ["a=Ann@7"]);
}

#[test]
fn a_global_table_keeps_no_history() {
    let builder = StreamsBuilder::new();
    let versioned = Materialized::versioned("names", std::time::Duration::from_secs(1));
    builder.global_table_with::<String, String>("names", Consumed::new(), versioned);
    let report = builder.build().unwrap_err().to_string();
    assert!(report.contains("store names: a global table keeps no history"), "{report}");
}

#[test]
fn a_global_topic_has_one_source() {
    let builder = StreamsBuilder::new();
    table(&builder);
    builder.stream::<String, Option<String>>("names").to("out");
    let report = builder.build().unwrap_err().to_string();
    assert!(report.contains("topic names is read by another source"), "{report}");
}

#[test]
fn a_global_store_is_not_connected_by_name() {
    let builder = StreamsBuilder::new();
    table(&builder);
    source(&builder).process_with(|| ReadOnly(None), Named::default(), &["names"]).to("out");
    let report = builder.build().unwrap_err().to_string();
    assert!(report.contains("store names: every processor can use a global store"), "{report}");
}

/// Adds a record's value to its key's total.
struct Add(Option<KeyValueStore<String, i64>>);

impl Processor<String, i64, Infallible, Infallible> for Add {
    fn init(
        &mut self,
        context: &mut ProcessorContext<'_, Infallible, Infallible>,
    ) -> Result<(), ProcessorError> {
        self.0 = Some(context.store("totals")?);
        Ok(())
    }

    fn process(
        &mut self,
        _: &mut ProcessorContext<'_, Infallible, Infallible>,
        record: Record<String, i64>,
    ) -> Result<(), ProcessorError> {
        let store = self.0.as_ref().unwrap();
        let total = store.get(&record.key)?.unwrap_or(0);
        store.put(&record.key, total + record.value)?;
        Ok(())
    }
}

/// Forwards the total of the value, and all totals in order; the value `write` tries to write.
struct Totals(Option<KeyValueStore<String, i64>>);

impl Processor<String, String, String, String> for Totals {
    fn init(&mut self, context: &mut Context<'_>) -> Result<(), ProcessorError> {
        self.0 = Some(context.store("totals")?);
        Ok(())
    }

    fn process(
        &mut self,
        context: &mut Context<'_>,
        record: Record<String, String>,
    ) -> Result<(), ProcessorError> {
        let store = self.0.as_ref().unwrap();
        if record.value == "write" {
            store.put(&record.key, 1)?;
        }
        let total = store.get(&record.value)?;
        let all: Vec<_> = store.all()?.map(|(key, total)| format!("{key}{total}")).collect();
        let value = format!("{total:?} of {}", all.join(","));
        context.forward(record.with_value(value))?;
        Ok(())
    }
}

fn global_totals(builder: &StreamsBuilder) {
    let consumed = Consumed::<String, i64>::new();
    builder.add_global_store(totals("totals"), "numbers", consumed, || Add(None));
    source(builder).process_with(|| Totals(None), "totals-reader", &[]).to("out");
}

#[test]
fn a_global_store_is_filled_by_its_processor_and_read_by_all_others() {
    let test = Harness::new(global_totals);
    let numbers = test.driver.input_topic::<String, i64>("numbers");
    test.pipe("k", "a", 0);
    for (key, number) in [("b", 5), ("a", 2), ("a", 3)] {
        numbers.pipe(key.to_owned(), number).unwrap();
    }
    test.pipe("k", "a", 1);
    numbers.pipe("a".to_owned(), 1).unwrap();
    test.pipe("k", "a", 2);
    let expected = ["k=None of @0", "k=Some(5) of a5,b5@1", "k=Some(6) of a6,b5@2"];
    assert_eq!(test.out(), expected);
}

#[test]
fn only_its_own_processor_writes_a_global_store() {
    let test = Harness::new(global_totals);
    let error = chain(&test.try_pipe("in", "k", "write", 0).unwrap_err());
    assert!(error.contains("a global store is written by its own processor only"), "{error}");
    assert!(error.contains("node totals-reader"), "{error}");
}

/// Reads a global table by its store's name.
struct ReadOnly(Option<TimestampedKeyValueStore<String, String>>);

impl Processor<String, String, String, String> for ReadOnly {
    fn init(&mut self, context: &mut Context<'_>) -> Result<(), ProcessorError> {
        self.0 = Some(context.store("names")?);
        Ok(())
    }

    fn process(
        &mut self,
        context: &mut Context<'_>,
        record: Record<String, String>,
    ) -> Result<(), ProcessorError> {
        let found = self.0.as_ref().unwrap().get(&record.value)?;
        let found = found.map(|found| format!("{} at {}", found.value, found.timestamp));
        context.forward(record.with_value(found.unwrap_or_default()))?;
        Ok(())
    }
}

#[test]
fn a_processor_reads_a_global_table_without_being_connected() {
    let test = Harness::new(|builder| {
        table(builder);
        source(builder).process(|| ReadOnly(None)).to("out");
    });
    test.pipe_to("names", "a", "Ann", 9);
    test.pipe("k", "a", 1);
    assert_eq!(test.out(), ["k=Ann at 9@1"]);
}

/// To the table, or to the stream.
#[derive(Debug, Clone)]
struct Input {
    to_table: bool,
    key: Text,
    value: Text,
    timestamp: Timestamp,
}

fn inputs() -> impl Strategy<Value = Vec<Input>> {
    let text = |pattern: &'static str| prop::option::weighted(0.85, pattern.prop_map(String::from));
    let input = (any::<bool>(), text("[abc]"), text("[abc-][0-9]"), 0..100_i64);
    vec(
        input.prop_map(|(to_table, key, value, timestamp)| Input {
            to_table,
            key,
            value,
            timestamp,
        }),
        0..60,
    )
}

proptest! {
    #[test]
    fn joins_look_up_what_a_map_has(inputs in inputs()) {
        let test = Harness::new(joins);
        let mut rows: BTreeMap<String, String> = BTreeMap::new();
        let (mut inner, mut left, mut dropped) = (Vec::new(), Vec::new(), 0);
        for Input { to_table, key, value, timestamp } in inputs {
            if to_table {
                test.pipe_to("names", key.clone(), value.clone(), timestamp);
                match (key, value) {
                    (Some(key), Some(value)) => drop(rows.insert(key, value)),
                    (Some(key), None) => drop(rows.remove(&key)),
                    (None, _) => {}
                }
                continue;
            }
            test.pipe(key.clone(), value.clone(), timestamp);
            // A null value is dropped by both joins, a value without a key by the inner one.
            let Some(value) = value else {
                dropped += 2;
                continue;
            };
            dropped += u64::from(value.starts_with('-'));
            let key = key.as_deref().unwrap_or("null");
            let name = rows.get(&value[..1]);
            if let Some(name) = name {
                inner.push(format!("{key}={value}:{name}@{timestamp}"));
            }
            let name = name.map_or("none", String::as_str);
            left.push(format!("{key}={value}:{name}@{timestamp}"));
        }
        prop_assert_eq!(test.read_from::<String>("inner"), inner);
        prop_assert_eq!(test.read_from::<String>("left"), left);
        prop_assert_eq!(test.driver.dropped_records(), dropped);
    }
}
