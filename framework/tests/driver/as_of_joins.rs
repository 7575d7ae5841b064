//! As-of joins, by example and against a naive model.

use std::time::Duration;

use kstream::{AsOf, KStream, StreamJoined, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::harness::{Harness, Null, Text};

fn ms(ms: i64) -> Duration {
    Duration::from_millis(ms.unsigned_abs())
}

fn as_of(tolerance: i64, grace: i64) -> AsOf {
    AsOf::within(ms(tolerance)).with_grace(ms(grace))
}

#[expect(clippy::unnecessary_wraps, reason = "a joiner's results may be null")]
fn text(left: &Text, right: Option<&Text>) -> Text {
    let shown = |value: Option<&Text>| value.cloned().flatten().unwrap_or("-".to_owned());
    Some(format!("{}{}", shown(Some(left)), shown(right)))
}

fn run(left_join: bool, as_of: AsOf) -> Harness {
    Harness::new(|builder| {
        let left: KStream<Text, Text> = builder.stream("left");
        let right: KStream<Text, Text> = builder.stream("right");
        let joined = StreamJoined::new().with_store_name("q");
        let results = if left_join {
            left.left_join_as_of_with(&right, |_, l, r| text(l, r), as_of, joined)
        } else {
            left.join_as_of_with(&right, |_, l, r| text(l, Some(r)), as_of, joined)
        };
        results.to("out");
    })
}

#[test]
fn latest_at_or_before_within_the_tolerance_matches() {
    let test = run(true, as_of(10, 0));
    for (value, timestamp) in [("1", 100), ("2", 105), ("3", 105), ("4", 106)] {
        test.pipe_to("right", "k", value, timestamp);
    }
    test.pipe_to("right", "other", "5", 105);
    for (value, timestamp) in [("a", 99), ("b", 100), ("c", 105), ("d", 116), ("e", 117)] {
        test.pipe_to("left", "k", value, timestamp);
    }
    assert_eq!(test.out(), ["k=a-@99", "k=b1@100", "k=c3@105", "k=d4@116", "k=e-@117"]);
}

#[test]
fn inner_join_leaves_out_what_matches_nothing() {
    let test = run(false, as_of(10, 0));
    test.pipe_to("left", "k", "a", 100);
    test.pipe_to("right", "k", "1", 100);
    test.pipe_to("left", "k", "b", 100);
    assert_eq!(test.out(), ["k=b1@100"]);
}

#[test]
fn with_grace_right_records_may_come_late() {
    let test = run(true, as_of(10, 5));
    test.pipe_to("left", "k", "a", 100);
    test.pipe_to("right", "k", "1", 98);
    test.pipe_to("right", "k", "2", 101);
    test.pipe_to("right", "k", "3", 100);
    test.pipe_to("right", "x", "4", 104);
    assert_eq!(test.out(), [""; 0]);
    test.pipe_to("right", "x", "5", 105);
    assert_eq!(test.out(), ["k=a3@100"]);
}

#[test]
fn nulls_join_nothing_but_a_left_record_without_a_key_comes_out_alone() {
    let test = run(true, as_of(10, 0));
    test.pipe_to("right", Null, "1", 100);
    test.pipe_to("right", "k", Null, 100);
    test.pipe_to("left", "k", Null, 100);
    test.pipe_to("left", Null, "a", 100);
    assert_eq!(test.out(), ["null=a-@100"]);
    assert_eq!(test.driver.dropped_records(), 3);
}

#[test]
fn right_record_that_nothing_can_match_any_more_is_late() {
    let test = run(true, as_of(10, 5));
    test.pipe_to("right", "k", "1", 100);
    test.pipe_to("right", "k", "2", 84);
    assert_eq!(test.driver.dropped_records(), 1);
    test.pipe_to("right", "k", "3", 85);
    assert_eq!(test.driver.dropped_records(), 1);
}

#[test]
fn only_a_join_with_grace_has_a_buffer() {
    for (grace, stores) in
        [(0, vec!["q-other-as-of-store"]), (1, vec!["q-other-as-of-store", "q-this-as-of-store"])]
    {
        let test = run(true, as_of(10, grace));
        let task = test.driver.task();
        let logged: Vec<_> = task.borrow().changelog_topics().into_keys().collect();
        assert_eq!(logged, stores);
    }
}

/// Whether it is a left record, its key and its time.
type Input = (bool, String, Timestamp);

/// A record and its place in the input, which is its value.
type Numbered<'a> = (usize, &'a Input);

struct Model<'a> {
    tolerance: i64,
    grace: i64,
    rights: Vec<Numbered<'a>>,
    waiting: Vec<Numbered<'a>>,
    out: Vec<String>,
}

impl<'a> Model<'a> {
    fn join(&mut self, (number, (_, key, time)): Numbered<'a>) {
        let newest = self.rights.iter().map(|(_, right)| right.2).max().unwrap_or(-1);
        let kept = |right: &&Numbered<'a>| right.1.2 >= newest - self.tolerance - self.grace;
        let of_key = self.rights.iter().filter(kept).filter(|(_, right)| right.1 == *key);
        let right = of_key
            .filter(|(_, right)| (time - self.tolerance..=*time).contains(&right.2))
            .max_by_key(|(number, right)| (right.2, *number));
        let right = right.map_or("-".to_owned(), |(number, _)| format!("r{number}"));
        self.out.push(format!("{key}=l{number}{right}@{time}"));
    }

    fn join_due(&mut self, stream_time: Timestamp) {
        let waiting = std::mem::take(&mut self.waiting);
        let (mut due, still): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|(_, left)| left.2 <= stream_time - self.grace);
        self.waiting = still;
        due.sort_by_key(|(number, left)| (left.2, left.1.clone(), *number));
        for left in due {
            self.join(left);
        }
    }
}

fn model(tolerance: i64, grace: i64, inputs: &[Input]) -> Vec<String> {
    let (rights, waiting, out) = (Vec::new(), Vec::new(), Vec::new());
    let mut model = Model { tolerance, grace, rights, waiting, out };
    let mut stream_time = -1;
    for numbered in inputs.iter().enumerate() {
        let (is_left, _, time) = *numbered.1;
        stream_time = stream_time.max(time);
        if is_left && grace > 0 && time >= stream_time - grace {
            model.waiting.push(numbered);
        } else if is_left {
            model.join(numbered);
        }
        model.join_due(stream_time);
        if !is_left && time >= stream_time - tolerance - grace {
            model.rights.push(numbered);
        }
    }
    model.out
}

/// In order of time and with nothing late: every left record with the latest of all right ones.
fn relation(tolerance: i64, inputs: &[Input]) -> Vec<String> {
    let lefts = inputs.iter().enumerate().filter(|(_, input)| input.0);
    let line = |(number, (_, key, time)): Numbered<'_>| {
        let rights = inputs.iter().enumerate().filter(|(_, other)| !other.0 && other.1 == *key);
        let right = rights
            .filter(|(_, right)| (time - tolerance..=*time).contains(&right.2))
            .max_by_key(|(number, right)| (right.2, *number));
        let right = right.map_or("-".to_owned(), |(number, _)| format!("r{number}"));
        format!("{key}=l{number}{right}@{time}")
    };
    let mut lines: Vec<_> = lefts.map(line).collect();
    lines.sort();
    lines
}

fn results(tolerance: i64, grace: i64, inputs: &[Input]) -> Vec<String> {
    let test = run(true, as_of(tolerance, grace));
    for (number, (is_left, key, time)) in inputs.iter().enumerate() {
        let (topic, side) = if *is_left { ("left", "l") } else { ("right", "r") };
        test.pipe_to(topic, key.as_str(), Some(format!("{side}{number}")), *time);
    }
    test.out()
}

proptest! {
    #[test]
    fn every_result_is_that_of_the_model(
        tolerance in 0..60_i64,
        grace in prop_oneof![Just(0), 0..80_i64],
        inputs in vec((any::<bool>(), "[ab]", 0..400_i64), 0..60),
    ) {
        prop_assert_eq!(results(tolerance, grace, &inputs), model(tolerance, grace, &inputs));
    }

    #[test]
    fn with_grace_for_all_the_order_of_arrival_does_not_matter(
        tolerance in 0..60_i64,
        mut inputs in vec((any::<bool>(), "[ab]", 0..400_i64), 0..60),
    ) {
        let expected = relation(tolerance, &inputs);
        inputs.push((false, "end".to_owned(), 10_000));
        let mut results = results(tolerance, 400, &inputs);
        results.sort();
        prop_assert_eq!(results, expected);
    }
}
