//! Results that come once per window, when it closes, against what a list of all windows says.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kstream::{
    EmitStrategy, KStream, Materialized, Named, SessionWindows, SlidingWindows, StoreType,
    StreamsBuilder, TimeWindows, Windowed,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::harness::Harness;

fn ms(ms: i64) -> Duration {
    Duration::from_millis(ms.unsigned_abs())
}

fn label(windowed: &Windowed<String>) -> String {
    format!("{}[{},{}]", windowed.key, windowed.window.start, windowed.window.end)
}

fn hopping(
    (size, advance, grace): (i64, i64, i64),
    emit: EmitStrategy,
    store: Materialized<String, i64>,
) -> impl FnOnce(&StreamsBuilder) {
    move |builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let windows = TimeWindows::of_size_and_grace(ms(size), ms(grace)).advance_by(ms(advance));
        let windowed = stream.group_by_key().windowed_by(windows).emit_strategy(emit);
        let counts = windowed.count_with(Named::default(), store);
        counts.to_stream().select_key(|key, _| label(key)).to("out");
    }
}

#[test]
fn windows_go_out_once_in_order_when_any_record_closes_them() {
    let store = Materialized::named("w").with_retention(ms(1_000));
    let test = Harness::new(hopping((100, 100, 50), EmitStrategy::on_window_close(), store));
    for (key, timestamp) in [("b", 10), ("a", 120), ("a", 20), ("b", 90), ("c", 149)] {
        test.pipe(key, "x", timestamp);
    }
    assert_eq!(test.out_numbers(), [""; 0]);
    test.pipe("c", "x", 250);
    let expected = ["a[0,100]=1@20", "b[0,100]=2@90", "a[100,200]=1@120", "c[100,200]=1@149"];
    assert_eq!(test.out_numbers(), expected);
    test.pipe("c", "x", 251);
    assert_eq!(test.out_numbers(), expected, "nothing comes twice");
}

#[test]
fn late_record_closes_nothing_but_does_not_stay_in_the_way() {
    let store = Materialized::named("w");
    let test = Harness::new(hopping((100, 100, 0), EmitStrategy::on_window_close(), store));
    for timestamp in [10, 110, 20, 210] {
        test.pipe("k", "x", timestamp);
    }
    assert_eq!(test.out_numbers(), ["k[0,100]=1@10", "k[100,200]=1@110"]);
    assert_eq!(test.driver.dropped_records(), 1);
}

#[test]
fn window_behind_the_retention_is_lost_unless_it_is_asked_for() {
    let out = |emit: EmitStrategy| {
        let test = Harness::new(hopping((100, 100, 0), emit, Materialized::named("w")));
        test.pipe("k", "x", 10);
        test.pipe("k", "x", 1_000);
        test.out_numbers()
    };
    assert_eq!(out(EmitStrategy::on_window_close()), [""; 0]);
    assert_eq!(out(EmitStrategy::on_window_close().including_expired()), ["k[0,100]=1@10"]);
}

#[test]
fn sessions_go_out_by_their_end_without_deletions() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let windows = SessionWindows::of_inactivity_gap_with_no_grace(ms(50));
        let windowed = stream.group_by_key().windowed_by(windows);
        let windowed = windowed.emit_strategy(EmitStrategy::on_window_close());
        windowed.count().to_stream().select_key(|key, _| label(key)).to("out");
    });
    for (key, timestamp) in [("a", 10), ("b", 5), ("a", 40), ("b", 20), ("c", 91)] {
        test.pipe(key, "x", timestamp);
    }
    assert_eq!(test.out_numbers(), ["b[5,20]=2@20", "a[10,40]=2@40"]);
}

type Input = (String, i64);

fn inputs() -> impl Strategy<Value = Vec<Input>> {
    vec(("[abc]", 0..600_i64), 0..40)
}

/// For each record, the windows that go out, as text.
fn outs(test: &Harness, inputs: &[Input]) -> Vec<Vec<String>> {
    let out = test.driver.output_topic::<String, i64>("out");
    let piped = inputs.iter().map(|(key, timestamp)| {
        test.pipe(key.as_str(), "x", *timestamp);
        let new = out.read_records().unwrap().into_iter();
        new.map(|record| format!("{}={}@{}", record.key, record.value, record.timestamp)).collect()
    });
    piped.collect()
}

/// The windows that are closed by each record: counts of what came before their end and grace were over.
fn model(
    (size, advance, grace): (i64, i64, i64),
    inputs: &[Input],
    in_store: bool,
) -> Vec<Vec<String>> {
    let mut windows = BTreeMap::<(i64, String), (i64, i64)>::new();
    let mut gone_out = BTreeSet::new();
    let (mut stream_time, mut newest, mut result) = (-1, -1, Vec::new());
    for (key, at) in inputs {
        stream_time = stream_time.max(*at);
        let closed = |start: i64| start + size <= stream_time - grace;
        for start in (0..=*at).filter(|start| start % advance == 0 && start + size > *at) {
            if !closed(start) {
                let row = windows.entry((start, key.clone())).or_insert((0, *at));
                *row = (row.0 + 1, row.1.max(*at));
                newest = newest.max(start);
            }
        }
        let due = windows.iter().filter(|((start, key), _)| {
            closed(*start) && !gone_out.contains(&(*start, key.clone()))
        });
        let due: Vec<_> = due.map(|(window, row)| (window.clone(), *row)).collect();
        gone_out.extend(due.iter().map(|(window, _)| window.clone()));
        let shown =
            due.iter().filter(|((start, _), _)| !in_store || *start >= newest - size - grace);
        let text = shown.map(|((start, key), (count, at))| {
            format!("{key}[{start},{}]={count}@{at}", start + size)
        });
        result.push(text.collect());
    }
    result
}

fn sizes() -> impl Strategy<Value = (i64, i64, i64)> {
    (1..60_i64).prop_flat_map(|size| {
        (Just(size), prop_oneof![Just(size), 1..=size], prop_oneof![Just(0), 0..80_i64])
    })
}

/// The last update of each window that goes out.
fn last_updates(lines: &[String]) -> BTreeMap<String, String> {
    let split = lines.iter().map(|line| line.split_once('=').unwrap());
    split.map(|(window, row)| (window.to_owned(), row.to_owned())).collect()
}

proptest! {
    #[test]
    fn every_closed_window_goes_out_as_in_the_model(sizes in sizes(), inputs in inputs()) {
        let emit = EmitStrategy::on_window_close();
        let test = Harness::new(hopping(sizes, emit, Materialized::named("w")));
        prop_assert_eq!(outs(&test, &inputs), model(sizes, &inputs, true));
        for store_type in [StoreType::InMemory, StoreType::Persistent] {
            let store = Materialized::named("w").with_store_type(store_type);
            let test = Harness::new(hopping(sizes, emit.including_expired(), store));
            prop_assert_eq!(outs(&test, &inputs), model(sizes, &inputs, false));
        }
    }

    #[test]
    fn final_results_are_the_last_updates(
        difference in 1..60_i64,
        grace in 0..80_i64,
        inputs in inputs(),
    ) {
        let run = |emit: EmitStrategy, sliding: bool| {
            let test = Harness::new(|builder| {
                let stream: KStream<String, String> = builder.stream("in");
                let group = stream.group_by_key();
                let counts = if sliding {
                    let windows =
                        SlidingWindows::of_time_difference_and_grace(ms(difference), ms(grace));
                    group.windowed_by(windows).emit_strategy(emit).count()
                } else {
                    let windows =
                        SessionWindows::of_inactivity_gap_and_grace(ms(difference), ms(grace));
                    group.windowed_by(windows).emit_strategy(emit).count()
                };
                counts.to_stream().select_key(|key, _| label(key)).to("out");
            });
            for (key, timestamp) in &inputs {
                test.pipe(key.as_str(), "x", *timestamp);
            }
            // Everything is closed by this record, whose own window stays open.
            test.pipe("z", "x", 100_000);
            test.out_numbers()
        };
        for sliding in [true, false] {
            let all = EmitStrategy::on_window_close().including_expired();
            let finals = run(all, sliding);
            let mut updates = last_updates(&run(EmitStrategy::on_window_update(), sliding));
            updates.retain(|window, row| !window.starts_with('z') && !row.starts_with("null"));
            prop_assert_eq!(finals.len(), updates.len(), "each window goes out once");
            prop_assert_eq!(last_updates(&finals), updates);
        }
    }
}
