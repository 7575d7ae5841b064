//! Tumbling and hopping windows: boundaries, grace, retention.

use std::time::Duration;

use kstream::{KStream, Materialized, Named, StreamsBuilder, TimeWindows, Windowed};

use crate::harness::{Harness, Null, Text};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn label<K: AsRef<str>>(windowed: &Windowed<K>) -> String {
    format!("{}[{},{})", windowed.key.as_ref(), windowed.window.start, windowed.window.end)
}

/// Counts per key and window to `out`, with the store `w`.
fn counted(windows: TimeWindows) -> impl FnOnce(&StreamsBuilder) {
    move |builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let windowed = stream.group_by_key().windowed_by(windows);
        let counts = windowed.count_with(Named::default(), Materialized::named("w"));
        counts.to_stream().select_key(|windowed, _| label(windowed)).to("out");
    }
}

#[test]
fn window_takes_its_start_in_and_leaves_its_end_out() {
    let test = Harness::new(counted(TimeWindows::of_size_with_no_grace(ms(100))));
    for timestamp in [0, 99, 100, 199, 200] {
        test.pipe("k", "x", timestamp);
    }
    let expected = [
        "k[0,100)=1@0",
        "k[0,100)=2@99",
        "k[100,200)=1@100",
        "k[100,200)=2@199",
        "k[200,300)=1@200",
    ];
    assert_eq!(test.out_numbers(), expected);
}

#[test]
fn hopping_windows_overlap_and_are_updated_earliest_first() {
    let windows = TimeWindows::of_size_and_grace(ms(100), ms(100)).advance_by(ms(40));
    let test = Harness::new(counted(windows));
    test.pipe("k", "x", 85);
    test.pipe("k", "x", 40);
    let expected =
        ["k[0,100)=1@85", "k[40,140)=1@85", "k[80,180)=1@85", "k[0,100)=2@85", "k[40,140)=2@85"];
    assert_eq!(test.out_numbers(), expected);
}

#[test]
fn first_windows_do_not_begin_before_the_epoch() {
    let windows = TimeWindows::of_size_with_no_grace(ms(100)).advance_by(ms(30));
    let test = Harness::new(counted(windows));
    test.pipe("k", "x", 10);
    assert_eq!(test.out_numbers(), ["k[0,100)=1@10"]);
}

#[test]
fn late_record_within_grace_updates_its_window() {
    let test = Harness::new(counted(TimeWindows::of_size_and_grace(ms(100), ms(50))));
    test.pipe("k", "x", 10);
    test.pipe("k", "x", 149);
    test.pipe("k", "x", 99);
    assert_eq!(test.out_numbers(), ["k[0,100)=1@10", "k[100,200)=1@149", "k[0,100)=2@99"]);
    assert_eq!(test.driver.dropped_records(), 0);
}

#[test]
fn window_closes_when_its_end_and_grace_are_reached() {
    let test = Harness::new(counted(TimeWindows::of_size_and_grace(ms(100), ms(50))));
    test.pipe("k", "x", 10);
    test.pipe("k", "x", 150);
    test.pipe("k", "x", 99);
    assert_eq!(test.out_numbers(), ["k[0,100)=1@10", "k[100,200)=1@150"]);
    assert_eq!(test.driver.dropped_records(), 1);
}

#[test]
fn lateness_is_judged_by_all_keys_together() {
    let test = Harness::new(counted(TimeWindows::of_size_with_no_grace(ms(100))));
    test.pipe("a", "x", 500);
    test.pipe("b", "x", 499);
    test.pipe("b", "x", 501);
    assert_eq!(test.out_numbers(), ["a[500,600)=1@500", "b[500,600)=1@501"]);
    assert_eq!(test.driver.dropped_records(), 1);
}

#[test]
fn late_record_updates_those_of_its_hopping_windows_that_are_open() {
    let windows = TimeWindows::of_size_with_no_grace(ms(100)).advance_by(ms(50));
    let test = Harness::new(counted(windows));
    test.pipe("k", "x", 120);
    test.pipe("k", "x", 70);
    let expected = ["k[50,150)=1@120", "k[100,200)=1@120", "k[50,150)=2@120"];
    assert_eq!(test.out_numbers(), expected);
    assert_eq!(test.driver.dropped_records(), 1, "counted once per closed window");
}

#[test]
fn record_without_key_neither_counts_nor_moves_time() {
    let test = Harness::new(|builder| {
        let stream: KStream<Text, Text> = builder.stream("in");
        let windowed =
            stream.group_by_key().windowed_by(TimeWindows::of_size_with_no_grace(ms(10)));
        windowed.count().to_stream().map(|windowed, count| (windowed.key, count)).to("out");
    });
    test.pipe(Null, "x", 1000);
    test.pipe("k", "x", 5);
    assert_eq!(test.out_numbers(), ["k=1@5"]);
    assert_eq!(test.driver.dropped_records(), 1);
}

#[test]
fn null_values_are_aggregated_in_windows() {
    let test = Harness::new(|builder| {
        let stream: KStream<Text, Text> = builder.stream("in");
        let windowed =
            stream.group_by_key().windowed_by(TimeWindows::of_size_with_no_grace(ms(10)));
        let append = |_: &Text, value: Text, all: String| value.map(|value| all + &value);
        let table = windowed.aggregate(String::new, append);
        table.to_stream().map(|windowed, value| (windowed.key, value)).to("out");
    });
    test.pipe("k", "a", 1);
    test.pipe("k", "b", 3);
    test.pipe("k", Null, 2);
    test.pipe("k", "c", 2);
    assert_eq!(test.out(), ["k=a@1", "k=ab@3", "k=null@3", "k=c@2"]);
}

#[test]
fn reduce_keeps_windows_apart() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let windowed =
            stream.group_by_key().windowed_by(TimeWindows::of_size_with_no_grace(ms(10)));
        let joined = windowed.reduce(|old, new| old + &new).to_stream();
        joined.select_key(|windowed, _| label(windowed)).to("out");
    });
    test.pipe("k", "a", 1);
    test.pipe("k", "b", 9);
    test.pipe("k", "c", 10);
    assert_eq!(test.out(), ["k[0,10)=a@1", "k[0,10)=ab@9", "k[10,20)=c@10"]);
}

#[test]
fn rows_expire_with_retention() {
    let build = |retention: Option<Duration>| {
        move |builder: &StreamsBuilder| {
            let mut store = Materialized::named("w");
            if let Some(retention) = retention {
                store = store.with_retention(retention);
            }
            let stream: KStream<String, String> = builder.stream("in");
            let windows = TimeWindows::of_size_and_grace(ms(100), ms(50));
            stream.group_by_key().windowed_by(windows).count_with(Named::default(), store);
        }
    };
    let rows = |retention: Option<Duration>, last: i64| {
        let test = Harness::new(build(retention));
        for timestamp in [0, 100, last] {
            test.pipe("k", "x", timestamp);
        }
        test.rows::<i64>("w")
    };
    // By default a window is kept for its size and grace, 150 ms, behind the newest window's start.
    assert_eq!(rows(None, 100), ["k[0]=1@0", "k[100]=2@100"]);
    assert_eq!(rows(None, 200), ["k[100]=1@100", "k[200]=1@200"]);
    assert_eq!(rows(Some(ms(300)), 299), ["k[0]=1@0", "k[100]=1@100", "k[200]=1@299"]);
    assert_eq!(rows(Some(ms(300)), 300), ["k[100]=1@100", "k[300]=1@300"]);
}

#[test]
fn changelog_key_is_key_window_start_and_sequence_number() {
    let test = Harness::new(counted(TimeWindows::of_size_with_no_grace(ms(100))));
    test.pipe("k", "x", 258);
    let changelog = test.driver.output_topic::<Vec<u8>, i64>("app-w-changelog");
    let key = [b"k".as_slice(), &200_i64.to_be_bytes(), &[0; 4]].concat();
    assert_eq!(changelog.read_key_values().unwrap(), [(key, 1)]);
}
