//! A record is cloned where a stream forks, once less than it has branches, and nowhere else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kstream::serdes::{ArcSerde, DefaultSerde, Serde, SerdeError};
use kstream::{Consumed, KStream, Materialized, Named, Produced, StreamsBuilder};

use crate::harness::Harness;

/// A value that counts its clones.
struct Counted {
    text: String,
    clones: Arc<AtomicUsize>,
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        self.clones.fetch_add(1, Ordering::SeqCst);
        Self { text: self.text.clone(), clones: Arc::clone(&self.clones) }
    }
}

struct CountedSerde(Arc<AtomicUsize>);

impl Serde<Counted> for CountedSerde {
    fn serialize(&self, value: &Counted, bytes: &mut Vec<u8>) -> Result<(), SerdeError> {
        bytes.extend_from_slice(value.text.as_bytes());
        Ok(())
    }
    fn deserialize(&self, bytes: &[u8]) -> Result<Counted, SerdeError> {
        let text = std::str::from_utf8(bytes)?.to_owned();
        Ok(Counted { text, clones: Arc::clone(&self.0) })
    }
}

type Build<'a> = &'a dyn Fn(&StreamsBuilder, &KStream<String, Counted>, &ArcSerde<Counted>);

/// How often a value is cloned on its way through a topology.
#[track_caller]
fn clones(build: Build<'_>) -> usize {
    let clones = Arc::default();
    let serde: ArcSerde<Counted> = Arc::new(CountedSerde(Arc::clone(&clones)));
    let test = Harness::new(|builder| {
        let consumed = Consumed::with(String::default_serde(), Arc::clone(&serde));
        build(builder, &builder.stream_with("in", consumed), &serde);
    });
    test.pipe("k", "v", 0);
    clones.load(Ordering::SeqCst)
}

fn write(stream: &KStream<String, Counted>, topic: &str, serde: &ArcSerde<Counted>) {
    stream.to_with(topic, Produced::with(String::default_serde(), Arc::clone(serde)));
}

#[test]
fn straight_way_clones_nothing() {
    let count = clones(&|_, stream, serde| {
        let stream = stream
            .filter(|_, _| true)
            .map_values(|value| value)
            .peek(|_, _| ())
            .map(|key, value| (key, value))
            .select_key(|key, _| key.clone())
            .flat_map_values(Some)
            .merge(&stream.filter(|_, _| false));
        write(&stream, "out", serde);
    });
    // The one fork is that of the source: the chain and the filter of the merge.
    assert_eq!(count, 1);
}

#[test]
fn fork_into_three_clones_twice() {
    let count = clones(&|_, stream, serde| {
        for topic in ["one", "two", "three"] {
            write(stream, topic, serde);
        }
    });
    assert_eq!(count, 2);
}

#[test]
fn split_moves_the_record_into_its_branch() {
    let count = clones(&|_, stream, serde| {
        let branches = stream.split().branch(|_, _| false).branch(|_, _| true).default_branch();
        for (number, (_, stream)) in branches.iter().enumerate() {
            write(stream, &format!("out-{number}"), serde);
        }
    });
    assert_eq!(count, 0);
}

#[test]
fn aggregation_clones_the_row_for_those_downstream_only() {
    let aggregate = |listened: bool| {
        clones(&move |_, stream, serde| {
            let grouped = kstream::Grouped::with(String::default_serde(), Arc::clone(serde));
            let materialized = Materialized::with_value_serde(Arc::clone(serde)).with_name("store");
            let keep = |_: &String, value: Counted, _: Counted| value;
            let clones = Arc::new(AtomicUsize::new(0));
            let first = move || Counted { text: String::new(), clones: Arc::clone(&clones) };
            let group = stream.group_by_key_with(grouped);
            let table = group.aggregate_with(first, keep, Named::default(), materialized);
            if listened {
                table.to_stream().for_each(|_, _| ());
            }
        })
    };
    assert_eq!(aggregate(false), 0);
    assert_eq!(aggregate(true), 1);
}
