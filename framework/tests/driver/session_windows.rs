//! Session windows: merges, lateness, and a naive model that keeps all sessions in a list.

use std::time::Duration;

use kstream::{KStream, Materialized, Named, SessionWindows, StreamsBuilder};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::harness::{Harness, Null, Text, config};

fn sessions(gap_ms: i64, grace_ms: i64) -> SessionWindows {
    let ms = |ms: i64| Duration::from_millis(ms.unsigned_abs());
    SessionWindows::of_inactivity_gap_and_grace(ms(gap_ms), ms(grace_ms))
}

/// The values of each session to `out`, merged ones in brackets, with the store `s`. `x` deletes.
fn joined(windows: SessionWindows) -> impl FnOnce(&StreamsBuilder) {
    move |builder| {
        let stream: KStream<Text, Text> = builder.stream("in");
        let append = |_: &Text, value: Text, all: String| match value.as_deref() {
            Some("x") => None,
            value => Some(all + value.unwrap_or("-")),
        };
        let merge = |_: &Text, one: String, other: String| format!("{one}({other})");
        let store = Materialized::named("s");
        let windowed = stream.group_by_key().windowed_by(windows);
        let table = windowed.aggregate_with(String::new, append, merge, Named::default(), store);
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
fn records_within_the_gap_share_a_session() {
    let test = Harness::new(joined(sessions(10, 0)));
    test.pipe("k", "a", 100);
    test.pipe("k", "b", 110);
    test.pipe("k", "c", 121);
    let expected =
        ["k[100,100]=a@100", "k[100,100]=null@100", "k[100,110]=(a)b@110", "k[121,121]=c@121"];
    assert_eq!(test.out(), expected);
}

#[test]
fn record_between_two_sessions_makes_them_one() {
    let test = Harness::new(joined(sessions(10, 100)));
    test.pipe("k", "a", 100);
    test.pipe("k", "b", 120);
    test.pipe("k", "c", 110);
    let merged = ["k[100,100]=null@100", "k[120,120]=null@120", "k[100,120]=(a)(b)c@120"];
    assert_eq!(test.out().get(2..), Some(&merged.map(str::to_owned)[..]));
    assert_eq!(test.rows::<String>("s"), ["k[100]=(a)(b)c@110"]);
}

#[test]
fn record_inside_of_a_session_leaves_its_bounds() {
    let test = Harness::new(joined(sessions(10, 100)));
    test.pipe("k", "a", 100);
    test.pipe("k", "b", 100);
    assert_eq!(test.out(), ["k[100,100]=a@100", "k[100,100]=(a)b@100"], "nothing is taken back");
}

#[test]
fn keys_that_begin_alike_have_sessions_of_their_own() {
    let test = Harness::new(joined(sessions(10, 100)));
    test.pipe("k", "a", 100);
    test.pipe("k\0\0\0\0\0\0\0\0", "b", 100);
    test.pipe("k", "c", 101);
    assert_eq!(test.out().last(), Some(&"k[100,101]=(a)c@101".to_owned()));
}

#[test]
fn session_is_closed_when_gap_and_grace_are_over() {
    let test = Harness::new(joined(sessions(10, 20)));
    test.pipe("k", "a", 100);
    test.pipe("other", "o", 130);
    test.pipe("k", "b", 100);
    test.pipe("other", "o", 131);
    test.pipe("k", "c", 100);
    assert_eq!(test.driver.dropped_records(), 1);
    assert_eq!(test.out().last(), Some(&"other[130,131]=(o)o@131".to_owned()));
}

#[test]
fn late_record_that_reaches_an_open_session_is_not_late() {
    let test = Harness::new(joined(sessions(10, 0)));
    test.pipe("k", "a", 100);
    test.pipe("k", "b", 109);
    test.pipe("k", "c", 99);
    assert_eq!(test.driver.dropped_records(), 0);
    assert_eq!(test.out().last(), Some(&"k[99,109]=((a)b)c@109".to_owned()));
}

#[test]
fn null_keys_are_dropped_and_null_values_aggregated() {
    let test = Harness::new(joined(sessions(10, 0)));
    test.pipe(Null, "x", 1000);
    test.pipe("k", Null, 100);
    assert_eq!(test.out(), ["k[100,100]=-@100"]);
    assert_eq!(test.driver.dropped_records(), 1);
}

#[test]
fn changelog_key_is_key_end_and_start() {
    let test = Harness::new(joined(sessions(10, 0)));
    test.pipe("k", "a", 100);
    test.pipe("k", "b", 105);
    let changelog = test.driver.output_topic::<Vec<u8>, Option<String>>("app-s-changelog");
    let key =
        |start: i64, end: i64| [b"k".as_slice(), &end.to_be_bytes(), &start.to_be_bytes()].concat();
    let expected = [
        (key(100, 100), Some("a".to_owned())),
        (key(100, 100), None),
        (key(100, 105), Some("(a)b".to_owned())),
    ];
    assert_eq!(changelog.read_key_values().unwrap(), expected);
}

type Input = (String, String, i64);

fn inputs() -> impl Strategy<Value = Vec<Input>> {
    vec(("[ab]", "[uvx]", 0..400_i64), 0..40)
}

/// A session in the model.
#[derive(Debug, Clone)]
struct Session {
    key: String,
    start: i64,
    end: i64,
    value: String,
}

/// What is forwarded, and how many records are late. All sessions are looked at, one by one.
fn model(gap: i64, grace: i64, inputs: &[Input]) -> (Vec<String>, u64) {
    let (mut all, mut forwarded, mut late) = (Vec::<Session>::new(), Vec::new(), 0);
    let (mut stream_time, mut newest_end) = (-1, -1);
    for (key, value, at) in inputs {
        stream_time = stream_time.max(*at);
        let meets = |session: &Session| {
            session.key == *key
                && session.end >= at - gap
                && session.start <= at + gap
                && session.end > newest_end - gap - grace
        };
        let mut met: Vec<_> = all.iter().filter(|session| meets(session)).cloned().collect();
        met.sort_by_key(|session| session.end);
        let start = met.iter().map(|session| session.start).fold(*at, i64::min);
        let end = met.iter().map(|session| session.end).fold(*at, i64::max);
        if end < stream_time - gap - grace {
            late += 1;
            continue;
        }
        all.retain(|session| !meets(session));
        if (start, end) != (*at, *at) {
            let gone = met.iter();
            forwarded.extend(gone.map(|s| format!("{key}[{},{}]=null@{}", s.start, s.end, s.end)));
        }
        newest_end = newest_end.max(end);
        if value == "x" {
            forwarded.push(format!("{key}[{start},{end}]=null@{end}"));
            continue;
        }
        let merged =
            met.iter().fold(String::new(), |all, session| all + "(" + &session.value + ")");
        // The merger nests what it has so far: in front of each bracket nothing more is needed.
        let value = merged + value;
        forwarded.push(format!("{key}[{start},{end}]={value}@{end}"));
        all.push(Session { key: key.clone(), start, end, value });
    }
    (forwarded, late)
}

proptest! {
    #[test]
    fn every_update_is_that_of_the_model(
        gap in 1..60_i64,
        grace in prop_oneof![Just(0), 0..100_i64],
        inputs in inputs(),
    ) {
        for row_cache in [0, 1 << 20] {
            let config = config().statestore_row_cache_max_bytes(row_cache);
            let test = Harness::with_config(config, joined(sessions(gap, grace)));
            for (key, value, timestamp) in &inputs {
                test.pipe(key.as_str(), value.as_str(), *timestamp);
            }
            let (forwarded, late) = model(gap, grace, &inputs);
            prop_assert_eq!(test.out(), forwarded);
            prop_assert_eq!(test.driver.dropped_records(), late);
        }
    }

    #[test]
    fn without_late_records_sessions_are_the_runs_of_the_sorted_records(
        gap in 1..60_i64,
        inputs in inputs(),
    ) {
        let test = Harness::new(|builder| {
            let stream: KStream<String, String> = builder.stream("in");
            let windowed = stream.group_by_key().windowed_by(sessions(gap, 10_000));
            windowed.count_with(Named::default(), Materialized::named("s"));
        });
        for (key, value, timestamp) in &inputs {
            test.pipe(key.as_str(), value.as_str(), *timestamp);
        }
        let mut expected = Vec::new();
        for key in ["a", "b"] {
            let mut times: Vec<_> =
                inputs.iter().filter(|(other, ..)| other == key).map(|(_, _, at)| *at).collect();
            times.sort_unstable();
            let runs = times.chunk_by(|one, next| next - one <= gap);
            expected.extend(runs.map(|run| format!("{key}[{}]={}", run[0], run.len())));
        }
        let rows = test.rows::<i64>("s");
        let rows: Vec<_> = rows.iter().map(|row| row.split('@').next().unwrap().to_owned()).collect();
        prop_assert_eq!(rows, expected);
    }
}
