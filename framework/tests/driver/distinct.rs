//! Dropping repeats, by example and against a naive model.

use std::time::Duration;

use kstream::{Distinct, KStream, StreamsBuilder, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::harness::{Harness, Null, Text};

fn ms(ms: i64) -> Duration {
    Duration::from_millis(ms.unsigned_abs())
}

fn by_key(within: i64) -> Harness {
    Harness::new(|builder| {
        let stream: KStream<Text, Text> = builder.stream("in");
        stream.distinct(ms(within)).to("out");
    })
}

#[test]
fn first_of_a_key_is_let_through_and_so_is_the_next_one_far_enough_away() {
    let test = by_key(10);
    for (value, timestamp) in [("a", 100), ("b", 109), ("c", 110), ("d", 119), ("e", 120)] {
        test.pipe("k", value, timestamp);
    }
    test.pipe("other", "f", 120);
    assert_eq!(test.out(), ["k=a@100", "k=c@110", "k=e@120", "other=f@120"]);
}

#[test]
fn null_keys_and_late_records_are_dropped_and_counted() {
    let test = by_key(10);
    test.pipe(Null, "a", 500);
    test.pipe("k", "b", 100);
    test.pipe("k", "late", 90);
    test.pipe("x", "just in time", 91);
    assert_eq!(test.out(), ["k=b@100", "x=just in time@91"]);
    assert_eq!(test.driver.dropped_records(), 2);
}

#[test]
fn null_value_is_let_through_like_any_other() {
    let test = by_key(10);
    test.pipe("k", Null, 100);
    test.pipe("k", "a", 101);
    assert_eq!(test.out(), ["k=null@100"]);
}

#[test]
fn key_and_id_do_not_run_together() {
    let test = Harness::new(|builder| {
        let stream: KStream<Text, Text> = builder.stream("in");
        stream.distinct_with(|_, value| value.clone(), Distinct::within(ms(10))).to("out");
    });
    test.pipe("ab", "c", 100);
    test.pipe("a", "bc", 100);
    test.pipe("abc", "", 100);
    test.pipe("abc", Null, 100);
    test.pipe("ab", "c", 100);
    assert_eq!(test.out(), ["ab=c@100", "a=bc@100", "abc=@100", "abc=null@100"]);
}

#[test]
fn changed_key_goes_through_a_topic_first() {
    let test = Harness::new(|builder| {
        let stream: KStream<Text, Text> = builder.stream("in");
        let options = Distinct::within(ms(10)).with_name("d").with_store_name("seen");
        stream.select_key(|_, value| value.clone()).distinct_with(|_, _| (), options).to("out");
    });
    let task = test.driver.task();
    assert_eq!(task.borrow().repartition_topics(), ["app-d-repartition"]);
    let stores: Vec<_> = task.borrow().changelog_topics().into_keys().collect();
    assert_eq!(stores, ["seen"]);
}

#[test]
fn span_of_no_time_is_a_mistake() {
    let builder = StreamsBuilder::new();
    let stream: KStream<String, String> = builder.stream("in");
    stream.distinct(Duration::from_micros(999)).to("out");
    let report = builder.build().unwrap_err().to_string();
    assert!(report.contains("at least a millisecond apart"), "{report}");
}

type Input = (String, String, Timestamp);

/// All that was let through, looked through for each record.
fn model(within: i64, grace: i64, inputs: &[Input]) -> Vec<String> {
    let mut through: Vec<&Input> = Vec::new();
    let mut stream_time = -1;
    for input in inputs {
        let (key, value, timestamp) = input;
        stream_time = stream_time.max(*timestamp);
        let repeats = |other: &&Input| {
            other.0 == *key && other.1 == *value && (other.2 - timestamp).abs() < within
        };
        if *timestamp > stream_time - within - grace && !through.iter().any(repeats) {
            through.push(input);
        }
    }
    through.into_iter().map(|(key, value, at)| format!("{key}={value}@{at}")).collect()
}

proptest! {
    #[test]
    fn what_is_let_through_is_that_of_the_model(
        within in 1..60_i64,
        grace in 0..100_i64,
        inputs in vec(("[ab]", "[xy]", 0..400_i64), 0..60),
    ) {
        let test = Harness::new(|builder| {
            let stream: KStream<Text, Text> = builder.stream("in");
            let options = Distinct::within(ms(within)).with_grace(ms(grace));
            stream.distinct_with(|_, value| value.clone(), options).to("out");
        });
        for (key, value, timestamp) in &inputs {
            test.pipe(key.as_str(), value.as_str(), *timestamp);
        }
        prop_assert_eq!(test.out(), model(within, grace, &inputs));
    }
}
