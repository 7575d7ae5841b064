//! Repartition topics: where they come in by themselves, and where the user asks for them.

use kstream::{Grouped, KStream, Named, Repartitioned, StreamsBuilder};

use crate::harness::Harness;

/// The repartition topics of a topology.
#[track_caller]
fn topics(build: impl FnOnce(&KStream<String, String>)) -> Vec<String> {
    let test = Harness::new(|builder| build(&builder.stream("in")));
    test.driver.task().borrow().repartition_topics()
}

fn count(stream: &KStream<String, String>) {
    stream.group_by_key().count();
}

#[test]
fn group_by_key_needs_none_until_the_key_changes() {
    assert!(topics(count).is_empty());
    assert!(topics(|stream| count(&stream.filter(|_, _| true))).is_empty());
    assert!(topics(|stream| count(&stream.map_values(|value| value))).is_empty());
    assert!(topics(|stream| count(&stream.flat_map_values(Some))).is_empty());
    assert!(topics(|stream| count(&stream.peek(|_, _| ()))).is_empty());
    assert_eq!(topics(|stream| count(&stream.map(|key, value| (key, value)))).len(), 1);
    assert_eq!(topics(|stream| count(&stream.flat_map(|key, value| [(key, value)]))).len(), 1);
    assert_eq!(topics(|stream| count(&stream.select_key(|key, _| key.clone()))).len(), 1);
}

#[test]
fn changed_key_stays_changed_through_operators_that_keep_it() {
    let rekeyed = |stream: &KStream<String, String>| {
        count(&stream.select_key(|_, value| value.clone()).filter(|_, _| true).map_values(|v| v));
    };
    assert_eq!(topics(rekeyed).len(), 1);
}

#[test]
fn group_by_always_needs_one() {
    let same_key = |stream: &KStream<String, String>| {
        stream.group_by(|key, _| key.clone()).count();
    };
    assert_eq!(topics(same_key).len(), 1);
}

#[test]
fn repartitioned_stream_needs_no_second_topic() {
    let once = |stream: &KStream<String, String>| {
        let rekeyed = stream.select_key(|_, value| value.clone());
        count(&rekeyed.repartition_with(Repartitioned::named("mine")));
    };
    assert_eq!(topics(once), ["app-mine-repartition"]);
}

#[test]
fn named_group_shares_one_topic_and_unnamed_group_has_one_per_aggregation() {
    let aggregate_twice = |grouped: Grouped<String, String>| {
        move |stream: &KStream<String, String>| {
            let group = stream.select_key(|_, value| value.clone()).group_by_key_with(grouped);
            group.count();
            group.reduce(|_, new| new);
        }
    };
    assert_eq!(topics(aggregate_twice(Grouped::named("shared"))), ["app-shared-repartition"]);
    assert_eq!(topics(aggregate_twice(Grouped::new())).len(), 2);
}

#[test]
fn both_aggregations_of_a_shared_group_see_every_record_once() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let rekeyed = stream.select_key(|_, value| value.clone());
        let group = rekeyed.group_by_key_with(Grouped::named("shared"));
        group.count().to_stream().to("out");
        group.reduce(|old, new| old + &new).to_stream().to("joined");
    });
    test.pipe("a", "x", 1);
    test.pipe("b", "x", 2);
    assert_eq!(test.out_numbers(), ["x=1@1", "x=2@2"]);
    assert_eq!(test.read_from::<String>("joined"), ["x=x@1", "x=xx@2"]);
    let through = test.driver.output_topic::<String, String>("app-shared-repartition");
    assert_eq!(through.read_values().unwrap(), ["x", "x"]);
}

#[test]
fn records_behind_a_repartition_topic_keep_time_key_and_value() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        stream.map(|key, value| (value, key)).repartition().to("out");
    });
    test.pipe("k", "v", 42);
    assert_eq!(test.out(), ["v=k@42"]);
}

#[test]
fn two_repartitions_in_a_row_make_three_subtopologies() {
    let builder = StreamsBuilder::new();
    let stream: KStream<String, String> = builder.stream("in");
    stream.repartition().group_by(|_, value| value.clone()).count().to_stream().to("out");
    let topology = builder.build().unwrap();
    let sources: Vec<Vec<&str>> =
        topology.subtopologies().iter().map(|part| part.source_topics().collect()).collect();
    assert_eq!(sources.len(), 3);
    assert_eq!(sources.first().unwrap(), &["in"]);
}

#[test]
fn windowed_aggregation_of_a_rekeyed_stream_goes_through_its_topic() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let hour = std::time::Duration::from_hours(1);
        stream
            .group_by_with(|_, value| value.clone(), Grouped::named("by-value"))
            .windowed_by(kstream::TimeWindows::of_size_with_no_grace(hour))
            .count()
            .to_stream_with(Named::default())
            .map(|windowed, count| (windowed.key, count))
            .to("out");
    });
    test.pipe("a", "x", 1);
    test.pipe("b", "x", 2);
    assert_eq!(test.out_numbers(), ["x=1@1", "x=2@2"]);
    let topics = test.driver.task().borrow().repartition_topics();
    assert_eq!(topics, ["app-by-value-repartition"]);
}
