//! `table` and `to_stream`.

use kstream::{Consumed, KTable, Materialized};

use crate::harness::{Harness, Null, Text};

#[test]
fn table_forwards_every_update_and_tombstone() {
    let test = Harness::new(|builder| {
        let table: KTable<String, String> = builder.table("in");
        table.to_stream().to("out");
    });
    test.pipe("a", "1", 5);
    test.pipe("a", "1", 3);
    test.pipe("a", Null, 4);
    test.pipe("b", Null, 6);
    assert_eq!(test.out(), ["a=1@5", "a=1@3", "a=null@4", "b=null@6"]);
}

#[test]
fn record_without_key_is_dropped_and_counted() {
    let test = Harness::new(|builder| {
        let table: KTable<Text, String> = builder.table("in");
        table.to_stream().to("out");
    });
    test.pipe(Null, "1", 0);
    assert!(test.out().is_empty());
    assert_eq!(test.driver.dropped_records(), 1);
}

#[test]
fn materialized_table_keeps_the_latest_row_with_its_time_and_its_changelog() {
    let test = Harness::new(|builder| {
        let store = Materialized::named("t");
        builder.table_with::<String, String>("in", Consumed::new(), store);
    });
    test.pipe("a", "1", 5);
    test.pipe("b", "2", 6);
    test.pipe("a", "3", 4);
    test.pipe("b", Null, 2);
    assert_eq!(test.rows::<String>("t"), ["a=3@4"]);
    let changelog = test.read_from::<String>("app-t-changelog");
    assert_eq!(changelog, ["a=1@5", "b=2@6", "a=3@4", "b=null@2"]);
}

#[test]
fn table_that_is_not_materialized_has_neither_store_nor_changelog() {
    let test = Harness::new(|builder| {
        let table: KTable<String, String> = builder.table("in");
        table.to_stream().to("out");
    });
    test.pipe("a", "1", 0);
    assert!(test.driver.task().borrow().changelog_topics().is_empty());
}
