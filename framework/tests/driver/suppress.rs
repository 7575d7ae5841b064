//! `suppress`.

use std::error::Error;
use std::time::Duration;

use kstream::{
    BufferConfig, Grouped, Headers, KStream, KTable, Materialized, Named, Record, StreamsBuilder,
    Suppressed, TimeWindows,
};

use crate::fresh::Fresh;
use crate::harness::{Harness, Null, Text, config};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A table from `in`, suppressed, to `out`.
fn table(suppressed: fn() -> Suppressed<String>) -> Fresh {
    Fresh::new(|builder| {
        let table: KTable<String, String> = builder.table("in");
        table.suppress(suppressed()).to_stream().to("out");
    })
}

fn until(limit: u64) -> Suppressed<String> {
    Suppressed::until_time_limit(ms(limit), BufferConfig::unbounded())
}

#[test]
fn the_last_of_the_updates_that_wait_goes_on_at_the_time_of_the_first() {
    let test = table(|| until(10));
    test.pipe("a", "1", 100);
    test.pipe("a", "2", 105);
    test.pipe("b", "3", 109);
    assert!(test.out().is_empty());
    // The limit counts from the first update, and is reached with it.
    test.pipe("c", "4", 110);
    assert_eq!(test.out(), ["a=2@105"]);
    test.pipe("a", "5", 119);
    assert_eq!(test.out(), ["b=3@109"]);
}

#[test]
fn a_limit_of_nothing_lets_everything_through_that_is_not_late() {
    let test = table(|| until(0));
    test.pipe("a", "1", 5);
    test.pipe("a", Null, 5);
    test.pipe("b", "2", 3);
    assert_eq!(test.out(), ["a=1@5", "a=null@5", "b=2@3"]);
}

#[test]
fn rows_due_together_go_in_the_order_of_time_and_key() {
    let test = table(|| until(10));
    test.pipe("b", "1", 1);
    test.pipe("c", "2", 0);
    test.pipe("a", "3", 1);
    test.pipe("d", "4", 50);
    assert_eq!(test.out(), ["c=2@0", "a=3@1", "b=1@1"]);
}

#[test]
fn a_deletion_is_an_update_like_others() {
    let test = table(|| until(10));
    test.pipe("a", "1", 0);
    test.pipe("a", Null, 1);
    test.pipe("b", "2", 20);
    assert_eq!(test.out(), ["a=null@1"]);
}

#[test]
fn a_full_buffer_gives_out_its_oldest_rows_early() {
    let test = table(|| Suppressed::until_time_limit(ms(1000), BufferConfig::max_records(2)));
    test.pipe("a", "1", 5);
    test.pipe("b", "2", 3);
    test.pipe("a", "3", 6);
    assert!(test.out().is_empty());
    test.pipe("c", "4", 7);
    assert_eq!(test.out(), ["b=2@3"]);
    // Nothing may wait.
    let test = table(|| Suppressed::until_time_limit(ms(1000), BufferConfig::max_records(0)));
    test.pipe("a", "1", 5);
    assert_eq!(test.out(), ["a=1@5"]);
}

#[test]
fn bytes_are_counted_as_kafka_streams_counts_them() {
    // A row is 8 bytes of time, the key, the value, 8 + 8 + 4 of its origin, and the topic's name.
    let row = 8 + 1 + 4 + 8 + 8 + 4 + 2;
    let test = |bytes: u64| {
        let test = Harness::new(|builder| {
            let table: KTable<String, String> = builder.table("in");
            let buffer = BufferConfig::max_bytes(bytes);
            table.suppress(Suppressed::until_time_limit(ms(1000), buffer)).to_stream().to("out");
        });
        test.pipe("a", "1234", 0);
        test.pipe("b", "1234", 0);
        test.out()
    };
    assert!(test(2 * row).is_empty());
    assert_eq!(test(2 * row - 1), ["a=1234@0"]);
}

#[test]
fn a_full_buffer_that_may_not_give_out_early_is_an_error() {
    let test = table(|| {
        let buffer = BufferConfig::max_records(1).shut_down_when_full();
        Suppressed::until_time_limit(ms(1000), buffer).with_name("hold")
    });
    test.pipe("a", "1", 0);
    let error = test.try_pipe("in", "b", "2", 0).unwrap_err();
    let text = error.source().unwrap().to_string();
    assert!(text.contains("2 records where 1 may wait"), "{text}");
    assert!(text.contains("node hold"), "{text}");
}

#[test]
fn what_is_given_out_has_the_headers_of_its_last_update() {
    let test = table(|| until(10));
    let input = test.driver.input_topic::<String, String>("in");
    for (value, header) in [("1", "first"), ("2", "last")] {
        let mut headers = Headers::new();
        headers.add("update", Some(header.as_bytes()));
        let (key, value) = ("a".to_owned(), value.to_owned());
        input.pipe_record(&Record { key, value, timestamp: 0, headers }).unwrap();
    }
    test.pipe("b", "3", 10);
    let record = test.records::<String>("out").remove(0);
    assert_eq!(record.headers.last("update"), Some(Some(&b"last"[..])));
}

/// Counts in windows of 100 ms and a grace of 50 ms, suppressed until they close.
fn windows(builder: &StreamsBuilder) -> KStream<String, Option<i64>> {
    let stream: KStream<String, String> = builder.stream("in");
    stream
        .group_by_key()
        .windowed_by(TimeWindows::of_size_and_grace(ms(100), ms(50)))
        .count()
        .suppress(Suppressed::until_window_closes(BufferConfig::unbounded()))
        .to_stream()
        .select_key(|windowed, _| format!("{}@{}", windowed.key, windowed.window.start))
}

#[test]
fn a_window_has_one_result_when_it_takes_no_more_records() {
    let test = Fresh::new(|builder| windows(builder).to("out"));
    test.pipe("a", "", 0);
    test.pipe("b", "", 140);
    test.pipe("a", "", 99);
    test.pipe("b", "", 149);
    assert!(test.out_numbers().is_empty());
    test.pipe("b", "", 150);
    assert_eq!(test.out_numbers(), ["a@0=2@99"]);
    // Too late: neither counted nor given out again.
    test.pipe("a", "", 50);
    test.pipe("b", "", 250);
    assert_eq!(test.out_numbers(), ["b@100=3@150"]);
}

#[test]
fn grace_is_that_of_the_windows_however_far_away() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let counts = stream
            .group_by_key()
            .windowed_by(TimeWindows::of_size_and_grace(ms(100), ms(50)))
            .count();
        counts
            .filter(|_, count| *count > 1)
            .map_values_materialized(|_, count| count * 10, Named::default(), Materialized::new())
            .suppress(Suppressed::until_window_closes(BufferConfig::unbounded()))
            .to_stream()
            .select_key(|windowed, _| windowed.key.clone())
            .to("out");
    });
    test.pipe("a", "", 0);
    test.pipe("a", "", 0);
    test.pipe("b", "", 0);
    test.pipe("c", "", 149);
    assert!(test.out_numbers().is_empty());
    test.pipe("c", "", 150);
    // Rows that are none by then give nothing.
    assert_eq!(test.out_numbers(), ["a=20@0"]);
}

#[test]
fn old_values_are_those_of_the_last_update() {
    let test = Fresh::new(|builder| {
        let table: KTable<String, String> = builder.table("in");
        table
            .suppress(until(10))
            .group_by_with(|_, value| (value.clone(), value), Grouped::new())
            .count()
            .to_stream()
            .to("out");
    });
    test.pipe("a", "x", 0);
    test.pipe("b", "", 10);
    assert_eq!(test.out_numbers(), ["x=1@0"]);
    test.pipe("a", "y", 11);
    test.pipe("c", "z", 30);
    assert_eq!(test.out_numbers(), ["=1@10", "x=0@11", "y=1@11"]);
}

#[test]
fn a_join_sees_of_a_row_that_waits_what_it_was_before() {
    let test = Fresh::new(|builder| {
        let held: KTable<String, String> = builder.table("in");
        let other: KTable<String, String> = builder.table("other");
        let held = held.suppress(until(10));
        other.join(&held, |other, held| format!("{other}{held}")).to_stream().to("out");
    });
    test.pipe("a", "1", 0);
    // Nobody downstream knows of it yet.
    test.pipe_to("other", "a", "x", 0);
    assert!(test.out().is_empty());
    test.pipe("b", "", 10);
    assert_eq!(test.out(), ["a=x1@0"]);
    test.pipe("a", "2", 11);
    test.pipe_to("other", "a", "y", 11);
    assert_eq!(test.out(), ["a=y1@11"]);
    test.pipe("b", "", 30);
    assert_eq!(test.out(), ["a=y2@11"]);
    test.pipe_to("other", "a", "z", 12);
    assert_eq!(test.out(), ["a=z2@12"]);
}

#[test]
fn names_are_those_of_kafka_streams() {
    let describe = |suppressed: Suppressed<String>| {
        let builder = StreamsBuilder::new();
        let table: KTable<String, String> = builder.table("in");
        table.suppress(suppressed).to_stream().to("out");
        builder.build().unwrap().describe().to_string()
    };
    let generated = describe(until(1));
    assert!(
        generated.contains(
            "KTABLE-SUPPRESS-0000000003 (stores: [KTABLE-SUPPRESS-STATE-STORE-0000000004])"
        ),
        "{generated}"
    );
    // A name of one's own uses no number up.
    let named = describe(until(1).with_name("hold"));
    assert!(named.contains("hold (stores: [hold-store])"), "{named}");
    assert!(named.contains("KTABLE-TOSTREAM-0000000003"), "{named}");
}

#[test]
fn the_changelog_gets_the_last_update_of_a_commit_and_a_tombstone_for_what_went() {
    let test = Harness::with_config(config(), |builder| {
        let table: KTable<String, String> = builder.table("in");
        table.suppress(until(10).with_name("hold")).to_stream().to("out");
    });
    let text = |text: &str| Some(text.to_owned());
    test.pipe_together(&[
        (text("a"), text("1"), 0),
        (text("b"), text("2"), 9),
        (text("a"), text("3"), 1),
        (text("c"), text("4"), 10),
    ]);
    let changelog = test.driver.output_topic::<Text, Option<Vec<u8>>>("app-hold-store-changelog");
    let records = changelog.read_records().unwrap();
    let keys: Vec<_> = records
        .iter()
        .map(|record| (record.key.clone().unwrap(), record.value.is_some()))
        .collect();
    let expected = [("a", false), ("b", true), ("c", true)];
    assert_eq!(keys, expected.map(|(key, waits)| (key.to_owned(), waits)));
    assert_eq!(records[1].headers.last("v"), Some(Some(&[3][..])));
}

#[test]
fn mistakes_are_reported_by_build() {
    let builder = StreamsBuilder::new();
    let table: KTable<kstream::Windowed<String>, i64> = builder.table("in");
    let held = table.suppress(
        Suppressed::until_window_closes(BufferConfig::unbounded()).with_name("no-window"),
    );
    let unwritable = held.map_values(|value| value + 1);
    let suppressed = Suppressed::until_time_limit(ms(1), BufferConfig::unbounded());
    unwritable.suppress(suppressed.with_name("no-serde")).to_stream();
    let errors = builder.build().unwrap_err().to_string();
    assert!(errors.contains("node no-window: it waits until windows close"), "{errors}");
    assert!(errors.contains("node no-serde: it needs the serde of the table's values"), "{errors}");
    assert!(errors.contains("suppress.rs:"), "{errors}");
}
