//! `map`, `map_values` and `select_key`.

use kstream::{KStream, Named};

use crate::harness::{Harness, Null, Text};

#[test]
fn map_makes_new_key_and_value_and_keeps_the_time() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        stream.map(|key, value| (value, key)).to("out");
    });
    test.pipe("k", "v", 77);
    assert_eq!(test.out(), ["v=k@77"]);
}

#[test]
fn map_can_change_both_types() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let lengths = stream.map(|key, value| (key.len() as u64, value.len() as u64));
        lengths.map(|key, value| (key.to_string(), (key * value).to_string())).to("out");
    });
    test.pipe("abc", "wxyz", 1);
    assert_eq!(test.out(), ["3=12@1"]);
}

#[test]
fn map_values_takes_the_value_and_may_look_at_the_key() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        stream.map_values(|value: String| value + "!").to("out");
        stream.map_values_with(|key, value| format!("{key}/{value}"), Named::default()).to("keyed");
    });
    test.pipe("k", "v", 1);
    assert_eq!(test.out(), ["k=v!@1"]);
    assert_eq!(test.read_from::<String>("keyed"), ["k=k/v@1"]);
}

#[test]
fn nulls_reach_the_mapper_where_the_type_has_them() {
    let test = Harness::new(|builder| {
        let stream: KStream<Text, Text> = builder.stream("in");
        stream.map_values(|value| value.unwrap_or_else(|| "none".to_owned())).to("out");
    });
    test.pipe(Null, Null, 1);
    test.pipe("k", Null, 2);
    assert_eq!(test.out(), ["null=none@1", "k=none@2"]);
}

#[test]
fn select_key_changes_the_key_alone() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        stream.select_key(|key, value| format!("{key}{value}")).to("out");
    });
    test.pipe("k", "v", 5);
    assert_eq!(test.out(), ["kv=v@5"]);
}
