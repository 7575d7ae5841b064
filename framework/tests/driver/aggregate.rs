//! `count`, `reduce` and `aggregate` without windows.

use kstream::{KStream, Materialized, Named, StoreType};

use crate::harness::Harness;

#[test]
fn count_forwards_every_update_with_the_highest_time_of_the_row() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        stream.group_by_key().count().to_stream().to("out");
    });
    test.pipe("a", "x", 10);
    test.pipe("b", "x", 3);
    test.pipe("a", "x", 5);
    test.pipe("a", "x", 12);
    assert_eq!(test.out_numbers(), ["a=1@10", "b=1@3", "a=2@10", "a=3@12"]);
}

#[test]
fn first_value_is_stored_without_the_reducer() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let join = |old: String, new: String| format!("({old}{new})");
        stream.group_by_key().reduce(join).to_stream().to("out");
    });
    test.pipe("a", "1", 0);
    test.pipe("a", "2", 0);
    test.pipe("a", "3", 0);
    assert_eq!(test.out(), ["a=1@0", "a=(12)@0", "a=((12)3)@0"]);
}

#[test]
fn reducer_that_answers_none_deletes_and_the_next_value_begins_anew() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let join = |old: String, new: String| (new != "clear").then(|| old + &new);
        let store = Materialized::named("store");
        stream.group_by_key().reduce_with(join, Named::default(), store).to_stream().to("out");
    });
    test.pipe("a", "1", 10);
    test.pipe("a", "clear", 5);
    assert!(test.rows::<String>("store").is_empty());
    test.pipe("a", "2", 7);
    // A deletion has the row's time downstream, and its record's in the changelog.
    assert_eq!(test.out(), ["a=1@10", "a=null@10", "a=2@7"]);
    let changelog = test.read_from::<String>("app-store-changelog");
    assert_eq!(changelog, ["a=1@10", "a=null@5", "a=2@7"]);
}

#[test]
fn aggregate_begins_with_the_initializer_after_each_deletion() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let append = |key: &String, value: String, all: String| {
            (value != "clear").then(|| format!("{all}{key}{value}"))
        };
        let table = stream.group_by_key().aggregate(|| "^".to_owned(), append);
        table.to_stream().to("out");
    });
    for value in ["clear", "1", "2", "clear", "3"] {
        test.pipe("a", value, 0);
    }
    assert_eq!(test.out(), ["a=null@0", "a=^a1@0", "a=^a1a2@0", "a=null@0", "a=^a3@0"]);
}

#[test]
fn aggregate_may_have_another_type_than_the_values() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let add = |_: &String, value: String, sum: i64| sum + value.parse::<i64>().unwrap_or(0);
        stream.group_by_key().aggregate(|| 100, add).to_stream().to("out");
    });
    test.pipe("a", "1", 0);
    test.pipe("a", "-5", 0);
    assert_eq!(test.out_numbers(), ["a=101@0", "a=96@0"]);
}

#[test]
fn rows_and_changelog_hold_the_last_value_of_each_key() {
    for store_type in [StoreType::Persistent, StoreType::InMemory] {
        let test = Harness::new(|builder| {
            let stream: KStream<String, String> = builder.stream("in");
            let store = Materialized::named("store").with_store_type(store_type);
            stream.group_by_key().count_with(Named::default(), store);
        });
        for (key, timestamp) in [("b", 1), ("a", 4), ("b", 2), ("b", 0)] {
            test.pipe(key, "x", timestamp);
        }
        assert_eq!(test.rows::<i64>("store"), ["a=1@4", "b=3@2"]);
        let changelog = test.read_from::<i64>("app-store-changelog");
        assert_eq!(changelog, ["b=1@1", "a=1@4", "b=2@2", "b=3@2"]);
    }
}

#[test]
fn store_without_logging_has_no_changelog() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let store = Materialized::named("store").with_logging_disabled();
        stream.group_by_key().count_with(Named::default(), store).to_stream().to("out");
    });
    test.pipe("a", "x", 0);
    assert_eq!(test.out_numbers(), ["a=1@0"]);
    assert!(test.driver.task().borrow().changelog_topics().is_empty());
    let changelog = test.driver.output_topic::<String, i64>("app-store-changelog");
    assert!(changelog.read_values().is_err(), "there is no such topic");
}

#[test]
fn store_can_be_read_by_its_own_type_only() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        stream.group_by_key().count_with(Named::default(), Materialized::named("store"));
    });
    let wrong_type = test.driver.store_rows::<String, String>("store").unwrap_err();
    let source = std::error::Error::source(&wrong_type).unwrap().to_string();
    assert!(source.contains("store store does not hold values of type"), "{source}");
    let wrong_name = test.driver.store_rows::<String, i64>("other").unwrap_err();
    let source = std::error::Error::source(&wrong_name).unwrap().to_string();
    assert_eq!(source, "there is no store other; there are: store");
}
