//! Stream-stream joins: names, topics, and what build reports.

use std::time::Duration;

use kstream::{
    JoinWindows, KStream, Repartitioned, StoreType, StreamJoined, StreamsBuilder, TopologyErrors,
};

use crate::harness::Harness;

type Stream = KStream<String, String>;

fn second() -> JoinWindows {
    JoinWindows::of_time_difference_with_no_grace(Duration::from_secs(1))
}

fn both(left: &str, right: &str) -> String {
    format!("{left}{right}")
}

#[track_caller]
fn problems(build: impl FnOnce(&StreamsBuilder)) -> TopologyErrors {
    let builder = StreamsBuilder::new();
    build(&builder);
    builder.build().unwrap_err()
}

#[test]
fn results_have_the_later_time_whichever_side_came_last() {
    let test = Harness::new(|builder| {
        let (left, right): (Stream, Stream) = (builder.stream("l"), builder.stream("r"));
        left.join(&right, |l, r| both(l, r), second()).to("out");
    });
    test.pipe_to("l", "k", "a", 700);
    test.pipe_to("r", "k", "1", 100);
    test.pipe_to("r", "k", "2", 1_700);
    test.pipe_to("r", "k", "3", 1_701);
    test.pipe_to("r", "other", "4", 700);
    assert_eq!(test.out(), ["k=a1@700", "k=a2@1700"]);
}

#[test]
fn rekeyed_sides_go_through_topics_of_their_own_and_share_them_unless_named() {
    let topics = |joined: fn() -> StreamJoined<String, String, String>| {
        let test = Harness::new(|builder| {
            let (left, right): (Stream, Stream) = (builder.stream("l"), builder.stream("r"));
            let left = left.select_key(|_, value| value.clone());
            for topic in ["out", "out2"] {
                let joined = joined().with_store_name(topic);
                left.join_with(&right, |_, l, r| both(l, r), second(), joined).to(topic);
            }
        });
        test.driver.task().borrow().repartition_topics()
    };
    assert_eq!(topics(StreamJoined::new), ["app-KSTREAM-KEY-SELECT-0000000002-repartition"]);
}

#[test]
fn named_join_names_its_topics_after_itself() {
    let test = Harness::new(|builder| {
        let (left, right): (Stream, Stream) = (builder.stream("l"), builder.stream("r"));
        let [left, right] = [left, right].map(|stream| stream.select_key(|_, value| value.clone()));
        left.join_with(&right, |_, l, r| both(l, r), second(), StreamJoined::named("j")).to("out");
    });
    let topics = test.driver.task().borrow().repartition_topics();
    assert_eq!(topics, ["app-j-left-repartition", "app-j-right-repartition"]);
}

#[test]
fn chosen_stores_are_named_as_they_stand() {
    let test = Harness::new(|builder| {
        let (left, right): (Stream, Stream) = (builder.stream("l"), builder.stream("r"));
        let joined = StreamJoined::new()
            .with_this_store("mine", StoreType::InMemory)
            .with_other_store("yours", StoreType::Persistent);
        let joiner = |_: &String, l: &String, r: Option<&String>| format!("{l}{r:?}");
        left.left_join_with(&right, joiner, second(), joined).to("out");
    });
    let task = test.driver.task();
    let task = task.borrow();
    let stores: Vec<_> = task.changelog_topics().into_keys().collect();
    assert_eq!(stores, ["mine", "mine-left-shared-join-store", "yours"]);
}

#[test]
fn stores_without_logging_have_no_changelog() {
    let test = Harness::new(|builder| {
        let (left, right): (Stream, Stream) = (builder.stream("l"), builder.stream("r"));
        let joined = StreamJoined::new().with_logging_disabled();
        left.join_with(&right, |_, l, r| both(l, r), second(), joined).to("out");
    });
    assert!(test.driver.task().borrow().changelog_topics().is_empty());
    test.pipe_to("l", "k", "a", 0);
    test.pipe_to("r", "k", "b", 0);
    assert_eq!(test.out(), ["k=ab@0"]);
}

#[test]
fn window_that_ends_before_it_begins_is_a_mistake() {
    let report = problems(|builder| {
        let (left, right): (Stream, Stream) = (builder.stream("l"), builder.stream("r"));
        let windows = second().with_before_ms(-1_001);
        left.join(&right, |l, r| both(l, r), windows).to("out");
    });
    let report = report.to_string();
    assert!(report.contains("the join window ends before it begins"), "{report}");
    assert!(report.contains(file!()), "{report}");
}

#[test]
fn streams_of_different_builders_do_not_join() {
    let other = StreamsBuilder::new();
    let right: Stream = other.stream("r");
    let report = problems(|builder| {
        builder.stream("l").join(&right, |l: &String, r| both(l, r), second()).to("out");
    });
    assert!(report.to_string().contains("the streams come from different builders"), "{report}");
}

#[test]
fn joined_repartition_topics_need_the_same_number_of_partitions() {
    let report = problems(|builder| {
        let repartitioned = |topic: &str, partitions| {
            let stream: Stream = builder.stream(topic);
            stream
                .repartition_with(Repartitioned::named(topic).with_number_of_partitions(partitions))
        };
        let (left, right) = (repartitioned("l", 2), repartitioned("r", 3));
        left.join(&right, |l, r| both(l, r), second()).to("out");
    });
    let expected = "repartition topic r-repartition: it has 3 partitions, but is joined with \
                    l-repartition, which has 2";
    assert!(report.to_string().contains(expected), "{report}");
}
