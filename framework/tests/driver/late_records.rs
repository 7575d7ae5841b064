//! Late records: to a handler, into a stream, and in no result.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kstream::{KStream, SessionWindows, SlidingWindows, StreamsBuilder, TimeWindows, Window};

use crate::harness::Harness;

type Seen = Arc<Mutex<Vec<String>>>;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn show(key: &str, value: &str, timestamp: i64, window: Window) -> String {
    format!("{key}={value}@{timestamp}[{},{}]", window.start, window.end)
}

fn seen(seen: &Seen) -> Vec<String> {
    seen.lock().unwrap().clone()
}

/// Counts in hopping windows; late records go to the handler and to `late`.
fn hopping(handled: &Seen) -> impl FnOnce(&StreamsBuilder) {
    let handled = Arc::clone(handled);
    move |builder| {
        let stream: KStream<String, String> = builder.stream("in");
        stream
            .group_by_key()
            .windowed_by(TimeWindows::of_size_with_no_grace(ms(100)).advance_by(ms(50)))
            .on_late(move |record, window| {
                let line = show(&record.key, &record.value, record.timestamp, window);
                handled.lock().unwrap().push(line);
            })
            .with_late_stream(|late| {
                late.select_key(|late, _| format!("{}[{}]", late.key, late.window.start))
                    .to("late");
            })
            .count()
            .to_stream()
            .select_key(|windowed, _| format!("{}[{}]", windowed.key, windowed.window.start))
            .to("out");
    }
}

#[test]
fn record_is_shown_for_each_window_that_it_is_too_late_for() {
    let handled = Seen::default();
    let test = Harness::new(hopping(&handled));
    test.pipe("k", "a", 120);
    test.pipe("k", "b", 70);
    test.pipe("k", "c", 20);
    let expected = ["k=b@70[0,100]", "k=c@20[0,100]"];
    assert_eq!(seen(&handled), expected);
    assert_eq!(test.read_from::<String>("late"), ["k[0]=b@70", "k[0]=c@20"]);
    assert_eq!(test.out_numbers(), ["k[50]=1@120", "k[100]=1@120", "k[50]=2@120"]);
    assert_eq!(test.driver.dropped_records(), 2);
}

#[test]
fn nobody_is_told_of_records_without_key() {
    let handled = Seen::default();
    let test = Harness::new(hopping(&handled));
    test.pipe("k", "a", 120);
    assert_eq!(seen(&handled), [""; 0]);
    assert_eq!(test.read_from::<String>("late"), [""; 0]);
}

#[test]
fn late_record_of_a_session_is_shown_with_the_session_it_would_be_in() {
    let handled = Seen::default();
    let handler = Arc::clone(&handled);
    let test = Harness::new(move |builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let windows = SessionWindows::of_inactivity_gap_and_grace(ms(50), ms(10));
        stream
            .group_by_key()
            .windowed_by(windows)
            .on_late(move |record, window| {
                let line = show(&record.key, &record.value, record.timestamp, window);
                handler.lock().unwrap().push(line);
            })
            .with_late_stream(|late| late.select_key(|late, _| late.key.clone()).to("late"))
            .count();
    });
    test.pipe("k", "a", 100);
    test.pipe("other", "b", 161);
    test.pipe("k", "c", 60);
    assert_eq!(seen(&handled), ["k=c@60[60,60]"], "the session at 100 has expired");
    assert_eq!(test.read_from::<String>("late"), ["k=c@60"]);
}

#[test]
fn late_record_of_sliding_windows_is_shown_with_its_latest_window() {
    let handled = Seen::default();
    let handler = Arc::clone(&handled);
    let test = Harness::new(move |builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let windows = SlidingWindows::of_time_difference_with_no_grace(ms(10));
        stream
            .group_by_key()
            .windowed_by(windows)
            .on_late(move |record, window| {
                let line = show(&record.key, &record.value, record.timestamp, window);
                handler.lock().unwrap().push(line);
            })
            .count();
    });
    test.pipe("k", "a", 200);
    test.pipe("k", "b", 150);
    assert_eq!(seen(&handled), ["k=b@150[150,160]"]);
}

#[test]
fn each_aggregation_has_a_late_stream_of_its_own() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let windowed = stream
            .group_by_key()
            .windowed_by(TimeWindows::of_size_with_no_grace(ms(10)))
            .with_late_stream(|late| late.select_key(|late, _| late.key.clone()).to("late"));
        windowed.count();
        windowed.reduce(|old, _| old);
    });
    test.pipe("k", "a", 100);
    test.pipe("k", "b", 5);
    assert_eq!(test.read_from::<String>("late"), ["k=b@5", "k=b@5"]);
}
