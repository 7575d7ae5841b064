//! Null keys and values: the types of a source say whether they exist.

use kstream::KStream;

use crate::harness::{Harness, Null, Text};

#[test]
fn null_that_the_types_do_not_have_is_dropped_and_counted() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        stream.to("out");
    });
    test.pipe(Null, "1", 0);
    test.pipe("a", Null, 1);
    test.pipe(Null, Null, 2);
    test.pipe("a", "", 3);
    assert_eq!(test.out(), ["a=@3"]);
    assert_eq!(test.driver.dropped_records(), 3);
}

#[test]
fn optional_types_let_nulls_through() {
    let test = Harness::new(|builder| {
        let stream: KStream<Text, Text> = builder.stream("in");
        stream.to("out");
    });
    test.pipe(Null, "1", 0);
    test.pipe("a", Null, 1);
    assert_eq!(test.out(), ["null=1@0", "a=null@1"]);
    assert_eq!(test.driver.dropped_records(), 0);
}

#[test]
fn unit_reads_any_bytes_and_is_written_as_null() {
    let test = Harness::new(|builder| {
        let stream: KStream<(), String> = builder.stream("in");
        stream.to("out");
    });
    test.pipe("a", "1", 0);
    test.pipe(Null, "2", 1);
    assert_eq!(test.out(), ["null=1@0", "null=2@1"]);
}

#[test]
fn aggregation_drops_null_keys_and_values_and_counts_them() {
    let test = Harness::new(|builder| {
        let stream: KStream<Text, Text> = builder.stream("in");
        stream.group_by_key().count().to_stream().to("out");
    });
    test.pipe("a", "1", 0);
    test.pipe("a", Null, 1);
    test.pipe(Null, "1", 2);
    test.pipe("a", "1", 3);
    assert_eq!(test.out_numbers(), ["a=1@0", "a=2@3"]);
    assert_eq!(test.driver.dropped_records(), 2);
}

#[test]
fn repartition_drops_null_keys_silently() {
    let test = Harness::new(|builder| {
        let stream: KStream<Text, Text> = builder.stream("in");
        stream.repartition().to("out");
    });
    test.pipe(Null, "1", 0);
    test.pipe("a", Null, 1);
    assert_eq!(test.out(), ["a=null@1"]);
    assert_eq!(test.driver.dropped_records(), 0);
}
