//! Stores of processors and of tables: what they keep, for how long, and what their changelogs get.

use std::error::Error;
use std::time::Duration;

use kstream::state::{
    KeyValueStore, StateStoreHandle, TimestampedKeyValueStore, VersionedKeyValueStore,
    VersionedRecord, WindowStore,
};
use kstream::{
    ChangelogUpdates, Consumed, DslStoreFormat, KStream, KTable, Materialized, Named, Processor,
    ProcessorContext, ProcessorError, Record, StoreBuilder, Stores, StreamsBuilder,
};

use crate::harness::{Harness, Null, Text, config};

type TextRecord = Record<Text, Text>;

/// Answers each record with a text.
struct Ask<S> {
    name: &'static str,
    store: Option<S>,
    answer: fn(&S, &TextRecord) -> Result<Text, ProcessorError>,
}

impl<S: StateStoreHandle> Processor<Text, Text, Text, Text> for Ask<S> {
    fn init(
        &mut self,
        context: &mut ProcessorContext<'_, Text, Text>,
    ) -> Result<(), ProcessorError> {
        self.store = Some(context.store(self.name)?);
        Ok(())
    }

    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, Text, Text>,
        record: TextRecord,
    ) -> Result<(), ProcessorError> {
        let store = self.store.as_ref().ok_or("init comes first")?;
        let answer = (self.answer)(store, &record)?;
        context.forward(record.with_value(answer))?;
        Ok(())
    }
}

/// Asks a store about each record of a topic; answers go to `out`.
fn ask<S: StateStoreHandle>(
    builder: &StreamsBuilder,
    topic: &str,
    name: &'static str,
    answer: fn(&S, &TextRecord) -> Result<Text, ProcessorError>,
) {
    let stream: KStream<Text, Text> = builder.stream(topic);
    let supplier = move || Ask { name, store: None, answer };
    stream.process_with(supplier, Named::default(), &[name]).to("out");
}

/// An error and those that led to it.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn counts() -> StoreBuilder<KeyValueStore<String, i64>> {
    Stores::key_value_store_builder(Stores::persistent_key_value_store("counts"))
}

fn count(store: &KeyValueStore<String, i64>, record: &TextRecord) -> Result<Text, ProcessorError> {
    let key = record.key.clone().ok_or("no key")?;
    let count = store.get(&key)?.unwrap_or(0) + 1;
    store.put(&key, count)?;
    Ok(Some(count.to_string()))
}

#[test]
fn processor_keeps_state_in_a_store_of_its_own() {
    let test = Harness::new(|builder| {
        builder.add_state_store(counts());
        ask(builder, "in", "counts", count);
    });
    test.pipe("a", "x", 1);
    test.pipe("a", "y", 5);
    test.pipe("b", "z", 3);
    assert_eq!(test.out(), ["a=1@1", "a=2@5", "b=1@3"]);
    assert_eq!(test.rows::<i64>("counts"), ["a=2@5", "b=1@3"]);
    assert_eq!(test.read_from::<i64>("app-counts-changelog"), ["a=1@1", "a=2@5", "b=1@3"]);
}

#[test]
fn cached_store_logs_the_latest_of_a_commit_and_an_uncached_one_every_update_if_asked_for() {
    let changelog = |store: StoreBuilder<KeyValueStore<String, i64>>| {
        let config =
            config().statestore_cache_max_bytes(1 << 20).changelog_updates(ChangelogUpdates::Every);
        let test = Harness::with_config(config, |builder| {
            builder.add_state_store(store);
            ask(builder, "in", "counts", count);
        });
        let record = |at| (Some("a".to_owned()), Some("x".to_owned()), at);
        test.pipe_together(&[record(1), record(2), record(3)]);
        test.read_from::<i64>("app-counts-changelog")
    };
    assert_eq!(changelog(counts().with_caching_enabled()), ["a=3@3"]);
    assert_eq!(changelog(counts().with_caching_disabled()), ["a=1@1", "a=2@2", "a=3@3"]);
}

#[test]
fn store_without_logging_has_no_changelog() {
    let test = Harness::new(|builder| {
        builder.add_state_store(counts().with_logging_disabled());
        ask(builder, "in", "counts", count);
    });
    test.pipe("a", "x", 1);
    assert!(test.driver.task().borrow().changelog_topics().is_empty());
}

#[test]
fn processor_reads_the_stores_of_tables() {
    let test = Harness::new(|builder| {
        let _: KTable<String, String> =
            builder.table_with("table", Consumed::new(), Materialized::named("t"));
        ask(builder, "in", "t", |store: &TimestampedKeyValueStore<String, String>, record| {
            let key = record.key.clone().ok_or("no key")?;
            Ok(store.get(&key)?.map(|row| format!("{} since {}", row.value, row.timestamp)))
        });
    });
    test.pipe_to("table", "a", "x", 7);
    test.pipe("a", "?", 8);
    test.pipe("b", "?", 9);
    assert_eq!(test.out(), ["a=x since 7@8", "b=null@9"]);
}

#[test]
fn handle_of_another_type_is_refused_by_name() {
    let builder = StreamsBuilder::new();
    builder.add_state_store(counts());
    ask(&builder, "in", "counts", |_: &KeyValueStore<String, String>, _| Ok(None));
    let built = kstream_test_utils::TopologyTestDriver::new(builder.build().unwrap());
    let error = built.err().map(|error| chain(&error)).unwrap_or_default();
    assert!(error.contains("store counts is not a"), "{error}");
}

#[test]
fn key_that_is_null_is_refused() {
    let test = Harness::new(|builder| {
        let supplier = Stores::in_memory_key_value_store("s");
        builder.add_state_store(Stores::key_value_store_builder::<Text, String>(supplier));
        ask(builder, "in", "s", |store: &KeyValueStore<Text, String>, record| {
            Ok(store.get(&record.key)?)
        });
    });
    let error = chain(&test.try_pipe("in", Null, "x", 1).unwrap_err());
    assert!(error.contains("store s takes no null key"), "{error}");
}

#[test]
fn window_that_has_expired_is_neither_stored_nor_shown() {
    let test = Harness::new(|builder| {
        let (retention, size) = (Duration::from_millis(100), Duration::from_millis(10));
        let supplier = Stores::in_memory_window_store("w", retention, size);
        builder.add_state_store(Stores::window_store_builder::<String, String>(supplier));
        ask(builder, "in", "w", |store: &WindowStore<String, String>, record| {
            let key = record.key.clone().ok_or("no key")?;
            store.put(&key, record.value.clone(), record.timestamp)?;
            let starts: Vec<_> =
                store.fetch_range(&key, ..)?.map(|(start, _)| start.to_string()).collect();
            Ok(Some(starts.join(",")))
        });
    });
    for at in [0, 1, 100, 0, 101] {
        test.pipe("k", "x", at);
    }
    assert_eq!(test.out(), ["k=0@0", "k=0,1@1", "k=1,100@100", "k=1,100@0", "k=100,101@101"]);
}

#[test]
fn mistakes_in_stores_are_reported() {
    let builder = StreamsBuilder::new();
    let (short, long) = (Duration::from_millis(10), Duration::from_millis(20));
    let supplier = Stores::persistent_window_store("w", short, long);
    builder.add_state_store(Stores::window_store_builder::<String, String>(supplier));
    builder.add_state_store(Stores::key_value_store_builder::<String, String>(Stores::lru_map(
        "l", 0,
    )));
    let supplier = Stores::in_memory_key_value_store("");
    builder.add_state_store(Stores::key_value_store_builder::<String, String>(supplier));
    let both = Materialized::versioned("both", long).with_ttl(short);
    let _: KTable<String, String> = builder.table_with("t", Consumed::new(), both);
    let report = builder.build().unwrap_err().to_string();
    for problem in [
        "store w: its retention of 10ms is shorter than its windows, 20ms",
        "store l: it must keep at least one row",
        "it needs a name",
        "store both: it has both a history and a TTL",
    ] {
        assert!(report.contains(problem), "{problem}\n{report}");
    }
}

/// Rows of the table live for 100 ms.
fn table_with_ttl(builder: &StreamsBuilder) -> KTable<String, String> {
    let kept = Materialized::named("t").with_ttl(Duration::from_millis(100));
    builder.table_with("in", Consumed::new(), kept)
}

#[test]
fn row_past_its_ttl_is_gone_from_the_store_and_the_changelog() {
    let test = Harness::new(|builder| {
        table_with_ttl(builder);
    });
    test.pipe("old", "x", 0);
    test.pipe("young", "y", 50);
    test.pipe("now", "z", 100);
    assert_eq!(test.rows::<String>("t").len(), 3, "100 ms is not more than 100 ms");
    test.pipe("now", "z", 101);
    assert_eq!(test.rows::<String>("t"), ["now=z@101", "young=y@50"]);
    let changelog = test.read_from::<String>("app-t-changelog");
    assert!(changelog.contains(&"old=null@101".to_owned()), "{changelog:?}");
}

#[test]
fn join_and_old_values_do_not_see_a_row_past_its_ttl() {
    let test = Harness::new(|builder| {
        let other: KTable<String, String> = builder.table("other");
        table_with_ttl(builder)
            .join(&other, |left, right| format!("{left}{right}"))
            .to_stream()
            .to("out");
    });
    test.pipe("k", "x", 0);
    test.pipe_to("other", "k", "1", 50);
    test.pipe_to("other", "k", "2", 150);
    test.pipe("k", "y", 160);
    assert_eq!(test.out(), ["k=x1@50", "k=y2@160"]);
}

#[test]
fn aggregation_begins_anew_when_its_row_is_past_its_ttl() {
    let test = Harness::new(|builder| {
        let stream: KStream<Text, Text> = builder.stream("in");
        let kept = Materialized::named("c").with_ttl(Duration::from_millis(100));
        stream.group_by_key().count_with(Named::default(), kept).to_stream().to("out");
    });
    for at in [0, 100, 200, 301] {
        test.pipe("k", "x", at);
    }
    assert_eq!(test.out_numbers(), ["k=1@0", "k=2@100", "k=3@200", "k=1@301"]);
}

#[test]
fn versioned_table_puts_late_updates_where_they_belong() {
    let test = Harness::new(|builder| {
        let history = Materialized::versioned("vt", Duration::from_millis(100));
        let table: KTable<String, String> = builder.table_with("table", Consumed::new(), history);
        table.to_stream().to("updates");
        ask(builder, "in", "vt", |store: &VersionedKeyValueStore<String, String>, record| {
            let key = record.key.clone().ok_or("no key")?;
            let found = store.get_as_of(&key, record.timestamp)?;
            Ok(found.map(|VersionedRecord { value, valid_to, .. }| format!("{value} {valid_to:?}")))
        });
    });
    test.pipe_to("table", "k", "late", 150);
    test.pipe_to("table", "k", "b", 200);
    test.pipe_to("table", "k", "a", 120);
    test.pipe_to("table", "k", "too late", 99);
    for at in [119, 120, 160, 200] {
        test.pipe("k", "?", at);
    }
    let answers = ["k=null@119", "k=a Some(150)@120", "k=late Some(200)@160", "k=b None@200"];
    assert_eq!(test.out(), answers);
    assert_eq!(test.read_from::<String>("updates"), ["k=late@150", "k=b@200", "k=a@120"]);
    assert_eq!(test.driver.dropped_records(), 1);
    let changelog = ["k=late@150", "k=b@200", "k=a@120", "k=too late@99"];
    assert_eq!(test.read_from::<String>("app-vt-changelog"), changelog);
    assert_eq!(test.rows::<String>("vt"), ["k=b@200"]);
}

#[test]
fn late_updates_of_versioned_tables_are_neither_joined_nor_regrouped() {
    let test = Harness::new(|builder| {
        let history = || Materialized::versioned("vt", Duration::from_millis(100));
        let table: KTable<String, String> = builder.table_with("in", Consumed::new(), history());
        let other: KTable<String, String> = builder.table("other");
        table.join(&other, |left, right| format!("{left}{right}")).to_stream().to("out");
        table.group_by(|_, value| (value.clone(), value)).count().to_stream().to("counts");
    });
    test.pipe_to("other", "k", "1", 0);
    test.pipe("k", "new", 50);
    test.pipe("k", "old", 20);
    assert_eq!(test.out(), ["k=new1@50"]);
    assert_eq!(test.read_from::<i64>("counts"), ["new=1@50"]);
}

#[test]
fn versioned_aggregation_does_not_go_back_in_time() {
    let test = Harness::new(|builder| {
        let stream: KStream<Text, Text> = builder.stream("in");
        let history = Materialized::versioned("vc", Duration::from_millis(100));
        stream.group_by_key().count_with(Named::default(), history).to_stream().to("out");
    });
    test.pipe("k", "x", 200);
    test.pipe("k", "x", 150);
    test.pipe("other", "x", 99);
    assert_eq!(test.out_numbers(), ["k=1@200", "k=2@200"]);
    assert_eq!(test.driver.dropped_records(), 1, "a first row as old as this is too old");
}

#[test]
fn deletions_have_headers_in_the_changelog_where_stores_have_the_format_for_them() {
    let changelog_headers = |format: DslStoreFormat| {
        let test = Harness::with_config(config().dsl_store_format(format), |builder| {
            let _: KTable<String, String> =
                builder.table_with("in", Consumed::new(), Materialized::named("t"));
        });
        let input = test.driver.input_topic::<Text, Text>("in");
        for value in [Some("x".to_owned()), None] {
            let mut record = Record::new(Some("k".to_owned()), value, 1);
            record.headers.add("why", Some(b"because"));
            input.pipe_record(&record).unwrap();
        }
        let logged = test.records::<String>("app-t-changelog");
        logged.iter().map(|record| record.headers.len()).collect::<Vec<_>>()
    };
    assert_eq!(changelog_headers(DslStoreFormat::Default), [0, 0]);
    assert_eq!(changelog_headers(DslStoreFormat::Headers), [0, 1]);
}
