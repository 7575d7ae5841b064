//! Sliding windows: boundaries, lateness, and a naive model of all windows that there are.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kstream::{KStream, Materialized, Named, SlidingWindows, StreamsBuilder};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::harness::{Harness, Null, Text, config};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The values of each window to `out`, with the store `w`.
fn joined(windows: SlidingWindows) -> impl FnOnce(&StreamsBuilder) {
    move |builder| {
        let stream: KStream<Text, Text> = builder.stream("in");
        let append = |_: &Text, value: Text, all: String| all + &value.unwrap_or_default();
        let store = Materialized::named("w");
        let windowed = stream.group_by_key().windowed_by(windows);
        let table = windowed.aggregate_with(String::new, append, Named::default(), store);
        table
            .to_stream()
            .select_key(|windowed, _| {
                let key = windowed.key.as_deref().unwrap_or("null");
                format!("{key}[{},{}]", windowed.window.start, windowed.window.end)
            })
            .to("out");
    }
}

#[test]
fn windows_end_at_records_and_begin_behind_them() {
    let test = Harness::new(joined(SlidingWindows::of_time_difference_with_no_grace(ms(10))));
    test.pipe("k", "a", 100);
    test.pipe("k", "b", 110);
    test.pipe("k", "c", 122);
    let expected = ["k[90,100]=a@100", "k[101,111]=b@110", "k[100,110]=ab@110", "k[112,122]=c@122"];
    assert_eq!(test.out(), expected, "c is too far from b to be behind it");
}

#[test]
fn record_out_of_order_gets_the_window_behind_it_from_its_neighbors() {
    let windows = SlidingWindows::of_time_difference_and_grace(ms(10), ms(100));
    let test = Harness::new(joined(windows));
    test.pipe("k", "b", 110);
    test.pipe("k", "a", 105);
    let expected = ["k[100,110]=b@110", "k[100,110]=ba@110", "k[95,105]=a@105", "k[106,116]=b@110"];
    assert_eq!(test.out(), expected);
}

#[test]
fn first_records_share_the_window_that_begins_at_the_epoch() {
    let windows = SlidingWindows::of_time_difference_and_grace(ms(10), ms(100));
    let test = Harness::new(joined(windows));
    test.pipe("k", "a", 3);
    test.pipe("k", "b", 8);
    assert_eq!(test.out(), ["k[0,10]=a@3", "k[4,14]=b@8", "k[0,10]=ab@8"]);
}

#[test]
fn window_closes_when_its_end_is_before_stream_time_and_grace() {
    let windows = SlidingWindows::of_time_difference_and_grace(ms(10), ms(20));
    let test = Harness::new(joined(windows));
    test.pipe("k", "a", 100);
    test.pipe("other", "x", 129);
    test.pipe("k", "b", 99);
    assert_eq!(test.driver.dropped_records(), 2, "those that end at 99 and 100 are closed");
    let expected = ["k[90,100]=a@100", "other[119,129]=x@129", "k[100,110]=a@100"];
    assert_eq!(test.out(), expected);
}

#[test]
fn record_whose_latest_window_is_closed_is_late() {
    let windows = SlidingWindows::of_time_difference_and_grace(ms(10), ms(20));
    let test = Harness::new(joined(windows));
    test.pipe("k", "a", 130);
    test.pipe("k", "b", 100);
    test.pipe("k", "c", 99);
    assert_eq!(test.driver.dropped_records(), 2, "b for its left window, c altogether");
    assert_eq!(test.out(), ["k[120,130]=a@130"]);
}

#[test]
fn null_keys_and_values_neither_count_nor_move_time() {
    let test = Harness::new(joined(SlidingWindows::of_time_difference_with_no_grace(ms(10))));
    test.pipe(Null, "x", 1000);
    test.pipe("k", Null, 1000);
    test.pipe("k", "a", 100);
    assert_eq!(test.out(), ["k[90,100]=a@100"]);
    assert_eq!(test.driver.dropped_records(), 2);
}

type Input = (String, String, i64);

fn inputs(latest: i64) -> impl Strategy<Value = Vec<Input>> {
    vec(("[ab]", "[u-z]", 0..latest), 0..25)
}

/// Every window that there is for these records, with its records in order and the latest time.
fn model(difference: i64, inputs: &[Input]) -> BTreeMap<String, (String, i64)> {
    let mut windows = BTreeMap::new();
    let keys: BTreeSet<&String> = inputs.iter().map(|(key, ..)| key).collect();
    for key in keys {
        let records: Vec<_> = inputs.iter().filter(|(other, ..)| other == key).collect();
        let starts = records.iter().flat_map(|(_, _, at)| [(at - difference).max(0), at + 1]);
        for start in starts.collect::<BTreeSet<_>>() {
            let end = start + difference;
            let inside = records.iter().filter(|(_, _, at)| (start..=end).contains(at));
            let inside: Vec<_> = inside.collect();
            if let Some(latest) = inside.iter().map(|(_, _, at)| *at).max() {
                let values = inside.iter().map(|(_, value, _)| value.as_str()).collect();
                windows.insert(format!("{key}[{start},{end}]"), (values, latest));
            }
        }
    }
    windows
}

fn all_in_time(difference: i64) -> SlidingWindows {
    let difference = ms(difference.unsigned_abs());
    SlidingWindows::of_time_difference_and_grace(difference, Duration::from_mins(1))
}

fn run(difference: i64, inputs: &[Input]) -> Harness {
    let test = Harness::new(joined(all_in_time(difference)));
    for (key, value, timestamp) in inputs {
        test.pipe(key.as_str(), value.as_str(), *timestamp);
    }
    test
}

/// What each record changes among the windows, in the order of the windows.
fn changes(difference: i64, inputs: &[Input]) -> Vec<BTreeSet<String>> {
    let changed = |number: usize| {
        let before = model(difference, inputs.get(..number).unwrap_or_default());
        let after = model(difference, inputs.get(..=number).unwrap_or_default());
        let changed = after.into_iter().filter(|(window, row)| before.get(window) != Some(row));
        changed.map(|(window, (values, latest))| format!("{window}={values}@{latest}")).collect()
    };
    (0..inputs.len()).map(changed).collect()
}

proptest! {
    #[test]
    fn each_record_changes_the_windows_that_it_is_in(difference in 1..40_i64, inputs in inputs(200)) {
        let expected = changes(difference, &inputs);
        for row_cache in [0, 1 << 20] {
            let config = config().statestore_row_cache_max_bytes(row_cache);
            let test = Harness::with_config(config, joined(all_in_time(difference)));
            let out = test.driver.output_topic::<Text, Text>("out");
            for ((key, value, timestamp), expected) in inputs.iter().zip(&expected) {
                test.pipe(key.as_str(), value.as_str(), *timestamp);
                let line = |record: &kstream::Record<Text, Text>| {
                    let (key, value) = (record.key.clone(), record.value.clone());
                    format!("{}={}@{}", key.unwrap(), value.unwrap(), record.timestamp)
                };
                // A window between two records that is both behind the one and in front of the other is
                // forwarded for each.
                let got: BTreeSet<_> = out.read_records().unwrap().iter().map(line).collect();
                prop_assert_eq!(&got, expected);
            }
        }
    }

    #[test]
    fn order_of_records_changes_no_window(
        difference in 1..40_i64,
        inputs in inputs(200),
        seed in any::<u64>(),
    ) {
        let mut shuffled = inputs.clone();
        let length = shuffled.len() as u64;
        shuffled.sort_by_key(|(key, value, at)| {
            (key.len() as u64 + value.len() as u64 + at.unsigned_abs() * (seed | 1)) % (length + 7)
        });
        let sizes = |inputs: &[Input]| {
            let mut windows = BTreeMap::new();
            for line in run(difference, inputs).out() {
                let (window, row) = line.split_once('=').unwrap();
                let (values, latest) = row.split_once('@').unwrap();
                let mut values: Vec<_> = values.chars().collect();
                values.sort_unstable();
                windows.insert(window.to_owned(), (values, latest.to_owned()));
            }
            windows
        };
        prop_assert_eq!(sizes(&inputs), sizes(&shuffled));
    }
}
