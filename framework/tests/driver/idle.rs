//! Tasks that wait for partitions which have nothing ready.

use std::time::Duration;

use kstream::{KStream, MaxTaskIdle, StreamsConfig};

use crate::harness::{Harness, config};

fn merged(idle: MaxTaskIdle) -> Harness {
    let config: StreamsConfig = config().max_task_idle(idle);
    Harness::with_config(config, |builder| {
        let one: KStream<String, String> = builder.stream("one");
        one.merge(&builder.stream("two")).to("out");
    })
}

#[track_caller]
fn advance(test: &Harness, milliseconds: u64) {
    test.driver.advance_wall_clock_time(Duration::from_millis(milliseconds)).unwrap();
}

#[test]
fn empty_partition_is_waited_for_and_then_given_up() {
    let test = merged(MaxTaskIdle::For(Duration::from_millis(100)));
    test.pipe_to("one", "k", "a", 10);
    assert!(test.out().is_empty(), "the other topic may still have something");
    advance(&test, 99);
    assert!(test.out().is_empty());
    advance(&test, 1);
    assert_eq!(test.out(), ["k=a@10"]);
}

#[test]
fn record_that_comes_while_the_task_waits_is_taken_in_its_turn() {
    let test = merged(MaxTaskIdle::For(Duration::from_millis(100)));
    test.pipe_to("one", "k", "late", 20);
    advance(&test, 50);
    test.pipe_to("two", "k", "early", 10);
    // The earlier one is taken at once; then the second topic is empty, and waited for.
    assert_eq!(test.out(), ["k=early@10"]);
    advance(&test, 100);
    assert_eq!(test.out(), ["k=early@10", "k=late@20"]);
}

#[test]
fn without_idle_time_what_is_ready_is_processed_at_once() {
    for idle in [MaxTaskIdle::default(), MaxTaskIdle::Disabled] {
        let test = merged(idle);
        test.pipe_to("one", "k", "a", 10);
        assert_eq!(test.out(), ["k=a@10"], "{idle:?}");
    }
}

#[test]
fn task_of_one_partition_never_waits() {
    let idle = MaxTaskIdle::For(Duration::from_hours(1));
    let test = Harness::with_config(config().max_task_idle(idle), |builder| {
        builder.stream::<String, String>("in").to("out");
    });
    test.pipe("k", "a", 10);
    assert_eq!(test.out(), ["k=a@10"]);
}
