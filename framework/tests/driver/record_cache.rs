//! The record cache: updates wait for the commit, which the driver makes after each source record.

use kstream::{Consumed, KStream, Materialized, Named, StreamsBuilder};

use crate::harness::{Harness, Null, Text, config};

fn cached(build: impl FnOnce(&StreamsBuilder)) -> Harness {
    Harness::with_config(config().statestore_cache_max_bytes(1 << 20), build)
}

/// Appends the letters of each value to its key's row, one by one, to `out`, with the store `store`; `x`
/// deletes.
fn letters(caching: bool) -> impl FnOnce(&StreamsBuilder) {
    move |builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let letters = |value: String| value.chars().map(String::from).collect::<Vec<_>>();
        let mut store = Materialized::named("store");
        if !caching {
            store = store.with_caching_disabled();
        }
        let append =
            |_: &String, letter: String, all: String| (letter != "x").then(|| all + &letter);
        let group = stream.flat_map_values(letters).group_by_key();
        let table = group.aggregate_with(String::new, append, Named::default(), store);
        table.to_stream().to("out");
    }
}

#[test]
fn updates_of_a_key_between_two_commits_become_one() {
    let test = cached(letters(true));
    test.pipe("k", "abc", 1);
    test.pipe("k", "d", 2);
    assert_eq!(test.out(), ["k=abc@1", "k=abcd@2"]);
    assert_eq!(test.read_from::<String>("app-store-changelog"), ["k=abc@1", "k=abcd@2"]);
}

#[test]
fn without_the_cache_every_update_is_forwarded_and_the_changelog_has_the_last() {
    for test in [Harness::new(letters(true)), cached(letters(false))] {
        test.pipe("k", "abc", 1);
        assert_eq!(test.out(), ["k=a@1", "k=ab@1", "k=abc@1"]);
        assert_eq!(test.read_from::<String>("app-store-changelog"), ["k=abc@1"]);
    }
}

#[test]
fn row_created_and_deleted_between_two_commits_is_news_to_nobody() {
    let test = cached(letters(true));
    test.pipe("k", "abx", 1);
    assert!(test.out().is_empty());
    assert!(test.read_from::<String>("app-store-changelog").is_empty());
    assert!(test.rows::<String>("store").is_empty());
}

#[test]
fn deletion_of_a_row_that_was_committed_is_forwarded() {
    let test = cached(letters(true));
    test.pipe("k", "a", 5);
    test.pipe("k", "bx", 3);
    assert_eq!(test.out(), ["k=a@5", "k=null@3"]);
    assert_eq!(test.read_from::<String>("app-store-changelog"), ["k=a@5", "k=null@3"]);
    assert!(test.rows::<String>("store").is_empty());
}

#[test]
fn row_deleted_and_made_again_shows_its_new_value_only() {
    let test = cached(letters(true));
    test.pipe("k", "a", 1);
    test.pipe("k", "xb", 2);
    assert_eq!(test.out(), ["k=a@1", "k=b@2"]);
}

#[test]
fn tombstone_of_a_table_row_that_never_was_is_swallowed() {
    let test = cached(|builder| {
        let store = Materialized::named("t");
        let table = builder.table_with::<Text, String>("in", Consumed::new(), store);
        table.to_stream().to("out");
    });
    test.pipe("k", Null, 1);
    test.pipe("k", "a", 2);
    test.pipe("k", Null, 3);
    test.pipe("k", Null, 4);
    assert_eq!(test.out(), ["k=a@2", "k=null@3"]);
    assert_eq!(test.read_from::<String>("app-t-changelog"), ["k=a@2", "k=null@3"]);
}

#[test]
fn cached_tables_in_a_row_are_all_flushed_by_one_commit() {
    let test = cached(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let first = stream.group_by_key().count().to_stream().flat_map_values(|count| count);
        first.group_by_key().reduce(|old, new| old * 10 + new).to_stream().to("out");
    });
    test.pipe("k", "a", 1);
    test.pipe("k", "a", 2);
    test.pipe("k", "a", 3);
    assert_eq!(test.out_numbers(), ["k=1@1", "k=12@2", "k=123@3"]);
}
