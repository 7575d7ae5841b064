//! `build` reports every mistake, each with the line of code that asked for it.

use std::time::Duration;

use kstream::{
    AutoOffsetReset, Consumed, Grouped, KStream, KTable, Materialized, Named, Produced,
    Repartitioned, StreamsBuilder, TimeWindows, Topology, TopologyConfig, TopologyErrors,
};

/// The lines of a failed build's message.
#[track_caller]
fn report(built: Result<Topology, TopologyErrors>) -> String {
    built.unwrap_err().to_string()
}

#[track_caller]
fn problem(build: impl FnOnce(&StreamsBuilder)) -> String {
    let builder = StreamsBuilder::new();
    build(&builder);
    report(builder.build())
}

#[test]
fn all_mistakes_come_together_with_file_and_line() {
    let builder = StreamsBuilder::new();
    let first = line!() + 1;
    let stream: KStream<String, String> = builder.stream("");
    let zero = TimeWindows::of_size_with_no_grace(Duration::ZERO);
    stream.group_by_key().windowed_by(zero).count();
    stream.to_with("out", Produced::named("same"));
    stream.to_with("out", Produced::named("same"));
    let report = report(builder.build());
    for (line, what) in [
        (first, "it needs at least one topic, and no topic's name is empty"),
        (first + 2, "the window size must be at least one millisecond"),
        (first + 4, "another node has this name"),
    ] {
        let place = format!("{}:{line}", file!());
        let found = report.lines().any(|text| text.contains(&place) && text.contains(what));
        assert!(found, "{place} {what}\n{report}");
    }
}

#[test]
fn topology_without_a_source_is_a_mistake() {
    assert!(problem(|_| ()).contains("it reads no topic"));
}

#[test]
fn sink_without_a_topic_is_a_mistake() {
    let empty = |builder: &StreamsBuilder| builder.stream::<String, String>("in").to("");
    assert!(problem(empty).contains("the topic's name must not be empty"));
}

#[test]
fn advance_must_be_within_the_size() {
    for (advance_ms, shown) in [(0, "advance by 0 ms"), (101, "advance by 101 ms")] {
        let report = problem(|builder| {
            let windows = TimeWindows::of_size_with_no_grace(Duration::from_millis(100))
                .advance_by(Duration::from_millis(advance_ms));
            let stream: KStream<String, String> = builder.stream("in");
            stream.group_by_key().windowed_by(windows).count();
        });
        assert!(report.contains(shown), "{report}");
    }
}

#[test]
fn retention_must_cover_size_and_grace() {
    let with_retention = |retention_ms: u64| {
        move |builder: &StreamsBuilder| {
            let windows = TimeWindows::of_size_and_grace(
                Duration::from_millis(100),
                Duration::from_millis(50),
            );
            let store =
                Materialized::named("w").with_retention(Duration::from_millis(retention_ms));
            let stream: KStream<String, String> = builder.stream("in");
            stream.group_by_key().windowed_by(windows).count_with(Named::default(), store);
        }
    };
    let report = problem(with_retention(149));
    assert!(report.contains("retention of 149 ms is shorter than window size and grace, 150 ms"));
    let builder = StreamsBuilder::new();
    with_retention(150)(&builder);
    assert!(builder.build().is_ok());
}

#[test]
fn store_names_are_unique() {
    let report = problem(|builder| {
        let group = builder.stream::<String, String>("in").group_by_key();
        group.count_with(Named::default(), Materialized::named("same"));
        group.count_with(Named::default(), Materialized::named("same"));
    });
    assert!(report.contains("store same: another store has this name"), "{report}");
}

#[test]
fn two_groups_cannot_share_a_name() {
    let report = problem(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let grouped = || Grouped::named("same");
        stream.group_by_with(|_, value| value.clone(), grouped()).count();
        stream.group_by_with(|key, _| key.clone(), grouped()).count();
    });
    assert!(report.contains("another node has this name"), "{report}");
}

#[test]
fn topic_is_read_with_one_pair_of_types() {
    let report = problem(|builder| {
        builder.stream::<String, String>("in").to("one");
        builder.stream::<String, i64>("in").to("two");
    });
    assert!(report.contains("topic in is read by another source"), "{report}");
    let report = problem(|builder| {
        builder.stream::<String, String>("in").to("one");
        let table: KTable<String, String> = builder.table("in");
        table.to_stream().to("two");
    });
    assert!(report.contains("topic in is read by another source"), "{report}");
}

#[test]
fn topic_read_twice_with_the_same_types_has_one_source() {
    let builder = StreamsBuilder::new();
    builder.stream::<String, String>("in").to("one");
    builder.stream_with::<String, String>("in", Consumed::new()).to("two");
    let description = builder.build().unwrap().describe().to_string();
    assert_eq!(description.matches("Source:").count(), 1, "{description}");
    assert!(description.contains("--> KSTREAM-SINK-0000000001, KSTREAM-SINK-0000000003"));
}

#[test]
fn repartition_topic_has_at_least_one_partition() {
    let report = problem(|builder| {
        let none = Repartitioned::named("r").with_number_of_partitions(0);
        builder.stream::<String, String>("in").repartition_with(none).to("out");
    });
    assert!(report.contains("the number of partitions must be at least 1"), "{report}");
    assert!(report.contains(file!()), "{report}");
}

#[test]
fn streams_of_two_builders_cannot_be_merged() {
    let other = StreamsBuilder::new();
    let report = problem(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        stream.merge(&other.stream("other")).to("out");
    });
    assert!(report.contains("the streams come from different builders"), "{report}");
}

#[test]
fn names_that_kafka_refuses_are_mistakes() {
    let store = |name: &'static str| {
        problem(move |builder| {
            let stream: KStream<String, String> = builder.stream("in");
            stream.group_by_key().count_with(Named::default(), Materialized::named(name));
        })
    };
    assert!(store("a\0b").contains("store a\\0b: the name contains '\\0'"));
    assert!(store("a/b").contains("the name contains '/'"));
    assert!(store("..").contains("must not be empty, `.` or `..`"));
    assert!(store("").contains("must not be empty, `.` or `..`"));
    let long: &'static str = "n".repeat(250).leak();
    assert!(store(long).contains("the name has 250 characters; Kafka takes 249"));

    let report = problem(|builder| {
        let stream: KStream<String, String> = builder.stream("in put");
        stream.filter_with(|_, _| true, "größer").to("out:put");
        stream.repartition_with(Repartitioned::named("new\nline")).to("out");
    });
    for part in [
        "topic in put: the name contains ' '",
        "node größer: the name contains 'ö'",
        "topic out:put: the name contains ':'",
        "repartition topic new\\nline-repartition: the name contains '\\n'",
    ] {
        assert!(report.contains(part), "{part} is not in: {report}");
    }
}

#[test]
fn generated_names_are_mistakes_where_names_have_to_be_explicit() {
    let strict = TopologyConfig::new().ensure_explicit_names(true);
    let report = |build: fn(&StreamsBuilder)| {
        let builder = StreamsBuilder::new();
        build(&builder);
        builder.build_with(&strict).map(drop).map_err(|errors| errors.to_string())
    };
    let unnamed = report(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        stream.group_by(|_, value| value.clone()).count();
        stream.repartition().to("out");
        let no_log = Materialized::<String, i64>::new().with_logging_disabled();
        stream.group_by_key().count_with(Named::default(), no_log);
    })
    .unwrap_err();
    assert!(unnamed.contains("the topology has 4 mistakes"), "{unnamed}");
    for part in [
        "store KSTREAM-AGGREGATE-STATE-STORE-0000000002: it and its changelog topic would get a generated name",
        "repartition topic KSTREAM-AGGREGATE-STATE-STORE-0000000002-repartition: it would get a generated name",
        "repartition topic KSTREAM-REPARTITION-0000000007-repartition: it would get a generated name",
        ": it would get a generated name, which changes with the code in front of it; name it, for example",
    ] {
        assert!(unnamed.contains(part), "{part} is not in: {unnamed}");
    }
    // Nodes without a name and tables without a store are fine.
    let named = report(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let group = stream.group_by_with(|_, value| value.clone(), Grouped::named("group"));
        group.count_with(Named::default(), Materialized::named("counts"));
        stream.repartition_with(Repartitioned::named("mine")).filter(|_, _| true).to("out");
        let table: KTable<String, String> = builder.table("table");
        table.to_stream().to("rows");
    });
    assert_eq!(named, Ok(()));
}

#[test]
fn a_topic_read_twice_starts_in_one_place() {
    let report = problem(|builder| {
        builder.stream::<String, String>("in").to("a");
        let latest = Consumed::new().with_offset_reset(AutoOffsetReset::Latest);
        builder.stream_with::<String, String>("in", latest).to("b");
    });
    assert!(
        report.contains("topic in is read from Latest here and from Earliest by source KSTREAM-SOURCE-0000000000"),
        "{report}"
    );
    let builder = StreamsBuilder::new();
    for topic in ["a", "b"] {
        let latest = Consumed::new().with_offset_reset(AutoOffsetReset::Latest);
        builder.stream_with::<String, String>("in", latest).to(topic);
    }
    builder.build().unwrap();
}
