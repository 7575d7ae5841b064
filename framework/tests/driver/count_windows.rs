//! Windows of a number of records, against a model that cuts each key's list of records.

use std::collections::BTreeMap;

use kstream::{CountWindowed, CountWindows, EmitStrategy, KStream, StreamsBuilder, StreamsConfig};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::harness::{Harness, Null, Text, config};

fn joined(windows: CountWindows, emit: EmitStrategy) -> impl FnOnce(&StreamsBuilder) {
    move |builder| {
        let stream: KStream<Text, Text> = builder.stream("in");
        let append = |_: &Text, value: Text, all: String| match value.as_deref() {
            Some("x") => None,
            value => Some(all + value.unwrap_or_default()),
        };
        let windowed = stream.group_by_key().windowed_by(windows).emit_strategy(emit);
        let results = windowed.aggregate(String::new, append);
        results.select_key(|windowed, _| label(windowed)).to("out");
    }
}

fn label(windowed: &CountWindowed<Text>) -> String {
    let key = windowed.key.as_deref().unwrap_or("null");
    format!("{key}[{},{})", windowed.window.start, windowed.window.end)
}

#[test]
fn full_windows_go_out_whatever_the_times() {
    let test = Harness::new(joined(CountWindows::of_size(2), EmitStrategy::on_window_close()));
    for (value, timestamp) in [("a", 900), ("b", 5), ("c", 0), ("d", 1), ("e", 2)] {
        test.pipe("k", value, timestamp);
    }
    assert_eq!(test.out(), ["k[0,2)=ab@900", "k[2,4)=cd@1"]);
}

#[test]
fn null_keys_and_values_are_dropped_and_not_numbered() {
    let test = Harness::new(joined(CountWindows::of_size(2), EmitStrategy::on_window_close()));
    test.pipe(Null, "a", 0);
    test.pipe("k", "b", 1);
    test.pipe("k", Null, 2);
    test.pipe("k", "c", 3);
    assert_eq!(test.out(), ["k[0,2)=bc@3"]);
    assert_eq!(test.driver.dropped_records(), 2);
}

#[test]
fn mistakes_are_reported() {
    let builder = StreamsBuilder::new();
    let stream: KStream<String, String> = builder.stream("in");
    stream.group_by_key().windowed_by(CountWindows::of_size(0)).count();
    stream.group_by_key().windowed_by(CountWindows::of_size(3).advance_by(4)).count();
    let text = builder.build().unwrap_err().to_string();
    assert!(text.contains("must hold at least one record"), "{text}");
    assert!(text.contains("advance by 4 records"), "{text}");
}

type Input = (String, String, i64);

/// What comes out with each record: of every window that it is in, what its records so far make.
fn model(size: usize, advance: usize, inputs: &[Input], full_only: bool) -> Vec<String> {
    let mut lists = BTreeMap::<&str, Vec<(&str, i64)>>::new();
    let mut out = Vec::new();
    for (key, value, at) in inputs {
        let list = lists.entry(key).or_default();
        list.push((value, *at));
        for start in (0..list.len()).step_by(advance).filter(|start| start + size >= list.len()) {
            let records = &list[start..];
            let mut aggregate = None;
            for (value, _) in records {
                aggregate = (*value != "x").then(|| aggregate.unwrap_or_default() + *value);
            }
            let latest = records.iter().map(|(_, at)| *at).max().unwrap_or_default();
            if let Some(aggregate) =
                aggregate.filter(|_: &String| !full_only || records.len() == size)
            {
                out.push(format!("{key}[{start},{})={aggregate}@{latest}", start + size));
            }
        }
    }
    out
}

fn run(
    config: StreamsConfig,
    windows: CountWindows,
    emit: EmitStrategy,
    inputs: &[Input],
) -> Vec<String> {
    let test = Harness::with_config(config, joined(windows, emit));
    for (key, value, timestamp) in inputs {
        test.pipe(key.as_str(), value.as_str(), *timestamp);
    }
    test.out()
}

proptest! {
    #[test]
    fn windows_are_cut_from_the_list_of_records(
        (size, advance) in (1..8_usize).prop_flat_map(|size| (Just(size), 1..=size)),
        inputs in vec(("[ab]", "[uvx]", 0..100_i64), 0..40),
        row_cache in prop_oneof![Just(0), Just(1 << 20)],
    ) {
        let windows = CountWindows::of_size(size as u64).advance_by(advance as u64);
        let config = || config().statestore_row_cache_max_bytes(row_cache);
        let full = run(config(), windows, EmitStrategy::on_window_close(), &inputs);
        prop_assert_eq!(full, model(size, advance, &inputs, true));
        let all = run(config(), windows, EmitStrategy::on_window_update(), &inputs);
        prop_assert_eq!(all, model(size, advance, &inputs, false));
    }
}
