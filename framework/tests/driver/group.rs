//! `group_by` and `group_by_key` with serdes of one's own.

use std::sync::Arc;

use kstream::serdes::{ArcSerde, DefaultSerde, Serde, SerdeError};
use kstream::{Grouped, KStream, Materialized, Named};

use crate::harness::Harness;

/// Upper case on the wire.
struct Upper;

impl Serde<String> for Upper {
    fn serialize(&self, value: &String, bytes: &mut Vec<u8>) -> Result<(), SerdeError> {
        bytes.extend_from_slice(value.to_uppercase().as_bytes());
        Ok(())
    }
    fn deserialize(&self, bytes: &[u8]) -> Result<String, SerdeError> {
        Ok(std::str::from_utf8(bytes)?.to_lowercase())
    }
}

fn upper() -> ArcSerde<String> {
    Arc::new(Upper)
}

#[test]
fn serdes_of_the_group_write_its_repartition_topic_and_its_store() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let grouped = Grouped::with(upper(), upper()).with_name("g");
        let group = stream.group_by_with(|_, value| value.clone(), grouped);
        let table = group.count_with(Named::default(), Materialized::named("counts"));
        table.to_stream().to("out");
    });
    test.pipe("k", "v", 1);
    assert_eq!(test.read_from::<String>("app-g-repartition"), ["V=V@1"]);
    assert_eq!(test.read_from::<i64>("app-counts-changelog"), ["V=1@1"]);
    assert_eq!(test.out_numbers(), ["v=1@1"]);
}

#[test]
fn serdes_of_materialized_win_over_those_of_the_group() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let materialized = Materialized::with(upper(), String::default_serde()).with_name("last");
        let group = stream.group_by_key();
        group.reduce_with(|_, new| new, Named::default(), materialized).to_stream().to("out");
    });
    test.pipe("k", "v", 1);
    assert_eq!(test.read_from::<String>("app-last-changelog"), ["K=v@1"]);
    assert_eq!(test.out(), ["k=v@1"]);
}

#[test]
fn keys_are_the_same_group_when_their_bytes_are() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let group = stream.group_by_key_with(Grouped::with(upper(), String::default_serde()));
        group.count().to_stream().to("out");
    });
    test.pipe("k", "1", 1);
    test.pipe("K", "2", 2);
    assert_eq!(test.out_numbers(), ["k=1@1", "K=2@2"]);
}
