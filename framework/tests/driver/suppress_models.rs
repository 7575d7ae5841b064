//! Suppressed tables against naive models, on random input out of order.

use std::collections::BTreeMap;
use std::time::Duration;

use kstream::{
    BufferConfig, KStream, KTable, Materialized, Named, Suppressed, TimeWindows, Timestamp,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::harness::{Harness, Text};

fn ms(ms: i64) -> Duration {
    Duration::from_millis(ms.unsigned_abs())
}

/// Size, advance and grace in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Windows {
    size: i64,
    advance: i64,
    grace: i64,
}

fn windows() -> impl Strategy<Value = Windows> {
    (1..60_i64).prop_flat_map(|size| {
        (Just(size), prop_oneof![Just(size), 1..=size], prop_oneof![Just(0), 0..80_i64])
            .prop_map(|(size, advance, grace)| Windows { size, advance, grace })
    })
}

/// Key, value and timestamp; the value `x` deletes the row.
type Input = (String, String, Timestamp);

fn inputs() -> impl Strategy<Value = Vec<Input>> {
    vec(("[abc]", "[uvx]", 0..400_i64), 0..60)
}

/// One result per window, in the order in which windows close: everything about a window is looked up in the
/// whole input.
fn final_results(windows: Windows, inputs: &[Input]) -> Vec<String> {
    let Windows { size, advance, grace } = windows;
    let mut results = Vec::new();
    let keys = ["a", "b", "c"];
    for start in (0..400_i64).filter(|start| start % advance == 0) {
        for key in keys {
            let end = start + size;
            let closed = inputs.iter().position(|(.., time)| end <= time - grace);
            let Some(closed) = closed else { continue };
            let taken: Vec<_> = inputs[..closed]
                .iter()
                .filter(|(k, _, time)| k == key && (start..end).contains(time))
                .collect();
            let Some(last_deletion) = taken.last().map(|_| {
                taken.iter().rposition(|(_, value, _)| value == "x").map_or(0, |place| place + 1)
            }) else {
                continue;
            };
            let left = &taken[last_deletion..];
            if left.is_empty() {
                continue;
            }
            let all: String = left.iter().map(|(_, value, _)| value.as_str()).collect();
            let time = left.iter().map(|(.., time)| *time).max().unwrap_or_default();
            results.push(((closed, end, key, start), format!("{key}[{start}]={all}@{time}")));
        }
    }
    results.sort();
    results.into_iter().map(|(_, line)| line).collect()
}

/// The table that holds a row per key, after each update, as the first that is due goes.
fn held_back(limit: i64, most: usize, inputs: &[Input]) -> Vec<String> {
    let mut waiting: Vec<(Timestamp, String, Option<String>, Timestamp)> = Vec::new();
    let mut out = Vec::new();
    let mut stream_time = i64::MIN;
    for (key, value, time) in inputs {
        stream_time = stream_time.max(*time);
        let value = (value != "x").then(|| value.clone());
        match waiting.iter_mut().find(|row| row.1 == *key) {
            Some(row) => (row.2, row.3) = (value, *time),
            None => waiting.push((*time, key.clone(), value, *time)),
        }
        waiting.sort();
        while waiting.first().is_some_and(|row| row.0 <= stream_time - limit)
            || waiting.len() > most
        {
            let (_, key, value, time) = waiting.remove(0);
            out.push(format!("{key}={}@{time}", value.unwrap_or_else(|| "null".to_owned())));
        }
    }
    out
}

proptest! {
    #[test]
    fn every_window_has_its_final_result_once(windows in windows(), inputs in inputs()) {
        let test = Harness::new(|builder| {
            let stream: KStream<String, String> = builder.stream("in");
            let append = |_: &String, value: String, all: String| {
                (value != "x").then(|| all + &value)
            };
            stream
                .group_by_key()
                .windowed_by(
                    TimeWindows::of_size_and_grace(ms(windows.size), ms(windows.grace))
                        .advance_by(ms(windows.advance)),
                )
                .aggregate_with(String::new, append, Named::default(), Materialized::named("w"))
                .suppress(Suppressed::until_window_closes(BufferConfig::unbounded()))
                .to_stream()
                .select_key(|key, _| format!("{}[{}]", key.key, key.window.start))
                .to("out");
        });
        for (key, value, time) in &inputs {
            test.pipe(key.as_str(), value.as_str(), *time);
        }
        prop_assert_eq!(test.out(), final_results(windows, &inputs));
    }

    #[test]
    fn updates_wait_for_their_limit_or_until_others_need_the_room(
        limit in 0..150_i64,
        most in prop_oneof![Just(usize::MAX), 0..4_usize],
        together in 1..5_usize,
        inputs in inputs(),
    ) {
        let test = Harness::new(|builder| {
            let table: KTable<String, String> = builder.table("in");
            let buffer = BufferConfig::max_records(most as u64);
            table.suppress(Suppressed::until_time_limit(ms(limit), buffer)).to_stream().to("out");
        });
        let text = |text: &String| Some(text.clone());
        let records: Vec<(Text, Text, Timestamp)> = inputs
            .iter()
            .map(|(key, value, time)| (text(key), text(value).filter(|value| value != "x"), *time))
            .collect();
        // However many records a commit has.
        for chunk in records.chunks(together) {
            test.pipe_together(chunk);
        }
        prop_assert_eq!(test.out(), held_back(limit, most, &inputs));
    }

    #[test]
    fn the_changelog_has_what_waits(limit in 0..150_i64, inputs in inputs()) {
        let test = Harness::new(|builder| {
            let table: KTable<String, String> = builder.table("in");
            let suppressed = Suppressed::until_time_limit(ms(limit), BufferConfig::unbounded());
            table.suppress(suppressed.with_name("hold")).to_stream().to("out");
        });
        let mut latest = BTreeMap::new();
        for (place, (key, value, time)) in inputs.iter().enumerate() {
            // No two updates are alike.
            let value = format!("{value}{place}");
            test.pipe(key.as_str(), value.as_str(), *time);
            latest.insert(key.clone(), format!("{key}={value}@{time}"));
        }
        let out = test.out();
        for (key, update) in &latest {
            // What has not gone on yet is in the changelog, and nothing else.
            let is_known = out.iter().rev().find(|line| line.starts_with(key.as_str()));
            let logged = logged(&test);
            prop_assert_eq!(is_known != Some(update), logged.get(key) == Some(&true));
        }
    }
}

/// Which keys the changelog has, and whether with a row.
fn logged(test: &Harness) -> BTreeMap<String, bool> {
    let mut logged = BTreeMap::new();
    let task = test.driver.task();
    task.borrow()
        .read("app-hold-store-changelog", 0, &mut |record| {
            let key = String::from_utf8(record.key.unwrap().to_vec()).unwrap();
            logged.insert(key, record.value.is_some());
        })
        .unwrap();
    logged
}
