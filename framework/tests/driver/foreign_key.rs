//! Foreign-key joins.

use kstream::{Consumed, Headers, KTable, Materialized, Record, StreamsBuilder, TableJoined};

use crate::fresh::Fresh;
use crate::harness::{Harness, Null, config};

type Table = KTable<String, String>;

/// What stands before the colon; none of a value that begins with a minus.
#[expect(clippy::ptr_arg, reason = "an extractor gets keys and values as they are")]
fn foreign_key(_: &String, value: &String) -> Option<String> {
    let part = value.split(':').next().unwrap_or_default();
    (!value.starts_with('-')).then(|| part.to_owned())
}

fn inner() -> Fresh {
    Fresh::new(|builder| {
        let (left, right): (Table, Table) = (builder.table("left"), builder.table("right"));
        left.join_on_foreign_key(&right, foreign_key, |left, right| format!("{left}+{right}"))
            .to_stream()
            .to("out");
    })
}

fn left() -> Fresh {
    Fresh::new(|builder| {
        let (left, right): (Table, Table) = (builder.table("left"), builder.table("right"));
        left.left_join_on_foreign_key(&right, foreign_key, |left, right| {
            format!("{left}+{}", right.map_or("none", String::as_str))
        })
        .to_stream()
        .to("out");
    })
}

#[test]
fn a_result_has_the_higher_time_when_its_own_row_changes_and_that_of_the_other_otherwise() {
    let test = inner();
    test.pipe_to("right", "a", "R", 10);
    test.pipe_to("left", "1", "a:x", 5);
    test.pipe_to("left", "2", "a:y", 15);
    test.pipe_to("right", "a", "S", 7);
    assert_eq!(test.out(), ["1=a:x+R@10", "2=a:y+R@15", "1=a:x+S@7", "2=a:y+S@7"]);
}

#[test]
fn an_inner_join_forgets_results_that_have_lost_a_side() {
    let test = inner();
    test.pipe_to("right", "a", "R", 0);
    test.pipe_to("left", "1", "a:x", 0);
    assert_eq!(test.out(), ["1=a:x+R@0"]);
    // To a row that is not there.
    test.pipe_to("left", "1", "b:x", 1);
    assert_eq!(test.out(), ["1=null@1"]);
    test.pipe_to("left", "1", "a:y", 2);
    assert_eq!(test.out(), ["1=a:y+R@2"]);
    test.pipe_to("right", "a", Null, 3);
    assert_eq!(test.out(), ["1=null@3"]);
    test.pipe_to("right", "a", "S", 4);
    assert_eq!(test.out(), ["1=a:y+S@4"]);
    // No foreign key any more, and none before.
    test.pipe_to("left", "1", "-", 5);
    assert_eq!(test.out(), ["1=null@5"]);
    test.pipe_to("left", "1", "-again", 6);
    assert!(test.out().is_empty());
    test.pipe_to("left", "1", "a:z", 7);
    assert_eq!(test.out(), ["1=a:z+S@7"]);
    test.pipe_to("left", "1", Null, 8);
    assert_eq!(test.out(), ["1=null@8"]);
    test.pipe_to("left", "1", Null, 9);
    assert!(test.out().is_empty());
}

#[test]
fn every_row_of_a_left_join_has_a_result() {
    let test = left();
    test.pipe_to("left", "1", "a:x", 0);
    test.pipe_to("left", "2", "-", 1);
    assert_eq!(test.out(), ["1=a:x+none@0", "2=-+none@1"]);
    test.pipe_to("right", "a", "R", 2);
    assert_eq!(test.out(), ["1=a:x+R@2"]);
    test.pipe_to("left", "2", "a:y", 3);
    assert_eq!(test.out(), ["2=a:y+R@3"]);
    test.pipe_to("right", "a", Null, 4);
    assert_eq!(test.out(), ["1=a:x+none@4", "2=a:y+none@4"]);
    test.pipe_to("left", "1", Null, 5);
    assert_eq!(test.out(), ["1=null@5"]);
}

#[test]
fn foreign_keys_that_begin_alike_are_different() {
    let test = inner();
    test.pipe_to("left", "1", "a:x", 0);
    test.pipe_to("left", "2", "ab:x", 0);
    test.pipe_to("left", "3", ":x", 0);
    test.pipe_to("right", "a", "R", 1);
    assert_eq!(test.out(), ["1=a:x+R@1"]);
    test.pipe_to("right", "", "S", 1);
    assert_eq!(test.out(), ["3=:x+S@1"]);
}

#[test]
fn results_have_the_headers_of_the_record_that_caused_them() {
    let test = inner();
    let pipe = |topic: &str, key: &str, value: &str, header: &str| {
        let mut headers = Headers::new();
        headers.add("from", Some(header.as_bytes()));
        let (key, value) = (key.to_owned(), value.to_owned());
        let input = test.driver.input_topic::<String, String>(topic);
        input.pipe_record(&Record { key, value, timestamp: 0, headers }).unwrap();
    };
    pipe("left", "1", "a:x", "left");
    pipe("right", "a", "R", "right");
    pipe("left", "1", "a:y", "left again");
    let records = test.records::<String>("out");
    let from: Vec<_> = records.iter().map(|record| record.headers.last("from")).collect();
    assert_eq!(from, [Some(Some(&b"right"[..])), Some(Some(b"left again"))]);
}

#[test]
fn results_are_kept_where_that_is_asked_for() {
    let test = Harness::with_config(config(), |builder| {
        let kept = |topic| builder.table_with(topic, Consumed::new(), Materialized::named(topic));
        let (left, right): (Table, Table) = (kept("left"), kept("right"));
        let joined = left.join_on_foreign_key_materialized(
            &right,
            foreign_key,
            |left, right| format!("{left}+{right}"),
            TableJoined::named("fk"),
            Materialized::named("joined"),
        );
        assert_eq!(joined.queryable_store_name(), Some("joined"));
    });
    test.pipe_to("left", "1", "a:x", 3);
    test.pipe_to("right", "a", "R", 1);
    assert_eq!(test.rows::<String>("joined"), ["1=a:x+R@1"]);
    test.pipe_to("right", "a", Null, 4);
    assert!(test.rows::<String>("joined").is_empty());
}

#[test]
fn a_result_can_be_joined_and_grouped_again() {
    let test = Fresh::new(|builder| {
        let (left, right): (Table, Table) = (builder.table("left"), builder.table("right"));
        left.join_on_foreign_key(&right, foreign_key, |_, right| right.clone())
            .group_by(|_, value| (value.clone(), value))
            .count()
            .to_stream()
            .to("out");
    });
    test.pipe_to("left", "1", "a:x", 0);
    test.pipe_to("left", "2", "a:y", 0);
    test.pipe_to("right", "a", "R", 1);
    assert_eq!(test.out_numbers(), ["R=1@1", "R=2@1"]);
    test.pipe_to("left", "1", Null, 2);
    assert_eq!(test.out_numbers(), ["R=1@2"]);
}

#[test]
fn a_table_that_does_not_know_its_serde_is_reported() {
    let builder = StreamsBuilder::new();
    let (left, right): (Table, Table) = (builder.table("left"), builder.table("right"));
    let lengths = right.map_values(|value| i64::from(value.is_empty()));
    left.join_on_foreign_key_with(
        &lengths,
        |_, value| value.clone(),
        |_, length| *length,
        TableJoined::named("fk"),
    );
    let errors = builder.build().unwrap_err().to_string();
    assert!(
        errors.contains("node fk-subscription-registration-processor: it needs the serde"),
        "{errors}"
    );
}
