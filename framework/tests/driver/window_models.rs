//! Tumbling and hopping windows against a naive model, on random input out of order.

use std::collections::BTreeMap;
use std::time::Duration;

use kstream::{KStream, Materialized, Named, StreamsConfig, TimeWindows, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::harness::{Harness, config};

/// Size, advance and grace in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Windows {
    size: i64,
    advance: i64,
    grace: i64,
}

fn windows() -> impl Strategy<Value = Windows> {
    (1..60_i64).prop_flat_map(|size| {
        let tumbling_too = prop_oneof![Just(size), 1..=size];
        (Just(size), tumbling_too, prop_oneof![Just(0), 0..80_i64])
            .prop_map(|(size, advance, grace)| Windows { size, advance, grace })
    })
}

type Input = (String, String, Timestamp);

fn inputs() -> impl Strategy<Value = Vec<Input>> {
    vec(("[ab]", "[uvx]", 0..300_i64), 0..50)
}

fn run(windows: Windows, config: StreamsConfig, inputs: &[Input]) -> Harness {
    let ms = |ms: i64| Duration::from_millis(ms.unsigned_abs());
    let test = Harness::with_config(config, |builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let group = stream.group_by_key().windowed_by(
            TimeWindows::of_size_and_grace(ms(windows.size), ms(windows.grace))
                .advance_by(ms(windows.advance)),
        );
        let append = |_: &String, value: String, all: String| (value != "x").then(|| all + &value);
        let store = Materialized::named("w");
        let table = group.aggregate_with(String::new, append, Named::default(), store);
        table
            .to_stream()
            .map(|windowed, value| (format!("{}[{}]", windowed.key, windowed.window.start), value))
            .to("out");
    });
    for (key, value, timestamp) in inputs {
        test.pipe(key.as_str(), value.as_str(), *timestamp);
    }
    test
}

/// What is forwarded, the rows left with the start of their windows, and how many updates came too late.
type Outcome = (Vec<String>, BTreeMap<(String, i64), (String, Timestamp)>, u64);

/// Every window that there is, asked one by one whether it takes the record in.
fn model(windows: Windows, inputs: &[Input]) -> Outcome {
    let (mut forwarded, mut rows, mut late) = (Vec::new(), BTreeMap::new(), 0);
    let mut stream_time = -1;
    for (key, value, timestamp) in inputs {
        stream_time = stream_time.max(*timestamp);
        for start in (0..=*timestamp).filter(|start| start % windows.advance == 0) {
            let end = start + windows.size;
            if *timestamp >= end {
                continue;
            }
            if end <= stream_time - windows.grace {
                late += 1;
                continue;
            }
            let row = (key.clone(), start);
            let (old, at) = rows.remove(&row).unwrap_or((String::new(), *timestamp));
            let at = at.max(*timestamp);
            if value == "x" {
                forwarded.push(format!("{key}[{start}]=null@{at}"));
            } else {
                forwarded.push(format!("{key}[{start}]={old}{value}@{at}"));
                rows.insert(row, (old + value, at));
            }
        }
    }
    (forwarded, rows, late)
}

proptest! {
    #[test]
    fn every_update_is_that_of_the_model(windows in windows(), inputs in inputs()) {
        let test = run(windows, config(), &inputs);
        let (forwarded, rows, late) = model(windows, &inputs);
        prop_assert_eq!(test.out(), forwarded);
        prop_assert_eq!(test.driver.dropped_records(), late);
        // What is kept is what retention, size and grace, reaches from the newest window's start.
        let newest = model_newest(windows, &inputs);
        let kept: Vec<_> = rows
            .iter()
            .filter(|((_, start), _)| *start > newest - windows.size - windows.grace)
            .map(|((key, start), (value, at))| format!("{key}[{start}]={value}@{at}"))
            .collect();
        prop_assert_eq!(test.rows::<String>("w"), kept);
    }

    #[test]
    fn no_memory_for_committed_rows_changes_nothing(windows in windows(), inputs in inputs()) {
        let test = run(windows, config().statestore_row_cache_max_bytes(0), &inputs);
        prop_assert_eq!(test.out(), model(windows, &inputs).0);
    }

    #[test]
    fn record_cache_changes_nothing_where_each_commit_has_one_record(
        windows in windows(),
        inputs in inputs(),
    ) {
        let test = run(windows, config().statestore_cache_max_bytes(1 << 20), &inputs);
        // One thing differs: deleting a row that is not there is news to nobody.
        let mut there = BTreeMap::new();
        let (forwarded, ..) = model(windows, &inputs);
        let news: Vec<_> = forwarded
            .into_iter()
            .filter(|line| {
                let (key, value) = line.split_once('=').unwrap();
                let is_there = !value.starts_with("null@");
                there.insert(key.to_owned(), is_there).unwrap_or(false) || is_there
            })
            .map(|line| line.split('@').next().unwrap().to_owned())
            .collect();
        let out: Vec<_> =
            test.out().iter().map(|line| line.split('@').next().unwrap().to_owned()).collect();
        prop_assert_eq!(out, news);
    }
}

/// The start of the newest window that was written; −1 before the first.
fn model_newest(windows: Windows, inputs: &[Input]) -> i64 {
    let newest = |(_, _, timestamp): &Input| timestamp - timestamp % windows.advance;
    inputs.iter().map(newest).max().unwrap_or(-1)
}
