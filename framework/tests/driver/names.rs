//! Names of nodes, stores and topics, as `describe` shows them.

use std::time::Duration;

use kstream::{
    Branched, Consumed, Grouped, KStream, Materialized, Named, Produced, StreamsBuilder,
    TimeWindows,
};

#[test]
fn every_operator_takes_a_name() {
    let builder = StreamsBuilder::new();
    let stream: KStream<String, String> = builder.stream_with("in", Consumed::named("source"));
    let stream = stream
        .filter_with(|_, _| true, "filter")
        .filter_not_with(|_, _| false, "filter-not")
        .map_with(|key, value| (key, value), "map")
        .map_values_with(|_, value| value, "map-values")
        .flat_map_with(|key, value| [(key, value)], "flat-map")
        .flat_map_values_with(|_, value| [value], "flat-map-values")
        .select_key_with(|key, _| key.clone(), "select-key")
        .peek_with(|_, _| (), "peek");
    let stream = stream.merge_with(&stream, "merge");
    stream.for_each_with(|_, _| (), "for-each");
    let branches = stream.split_with("split-").default_branch_with(Branched::named("all"));
    let group = branches.get("split-all").unwrap().group_by_key_with(Grouped::named("group"));
    group.count_with("count", Materialized::named("counts")).to_stream_with("to-stream");
    group.reduce_with(|_, new| new, "reduce", Materialized::named("latest"));
    let windows = TimeWindows::of_size_with_no_grace(Duration::from_secs(1));
    let windowed = group.windowed_by(windows);
    windowed.count_with("window-count", Materialized::named("window-counts"));
    stream.to_with("out", Produced::named("sink"));
    let description = builder.build().unwrap().describe();
    let mut names: Vec<&str> = description
        .subtopologies
        .iter()
        .flat_map(|part| part.nodes.iter().map(|node| node.name.as_str()))
        .collect();
    names.sort_unstable();
    let expected = [
        "count",
        "filter",
        "filter-not",
        "flat-map",
        "flat-map-values",
        "for-each",
        "group-repartition-filter",
        "group-repartition-sink",
        "group-repartition-source",
        "map",
        "map-values",
        "merge",
        "peek",
        "reduce",
        "select-key",
        "sink",
        "source",
        "split-",
        "split-all",
        "to-stream",
        "window-count",
    ];
    assert_eq!(names, expected);
}

#[test]
fn description_is_the_text_of_kafka_streams() {
    let builder = StreamsBuilder::new();
    let stream: KStream<String, String> = builder.stream("in");
    let group = stream.filter(|_, _| true).group_by(|_, value| value.clone());
    group.count_with(Named::default(), Materialized::named("counts")).to_stream().to("out");
    let expected = "Topologies:
   Sub-topology: 0
    Source: KSTREAM-SOURCE-0000000000 (topics: [in])
      --> KSTREAM-FILTER-0000000001
    Processor: KSTREAM-FILTER-0000000001 (stores: [])
      --> KSTREAM-KEY-SELECT-0000000002
      <-- KSTREAM-SOURCE-0000000000
    Processor: KSTREAM-KEY-SELECT-0000000002 (stores: [])
      --> counts-repartition-filter
      <-- KSTREAM-FILTER-0000000001
    Processor: counts-repartition-filter (stores: [])
      --> counts-repartition-sink
      <-- KSTREAM-KEY-SELECT-0000000002
    Sink: counts-repartition-sink (topic: counts-repartition)
      <-- counts-repartition-filter

  Sub-topology: 1
    Source: counts-repartition-source (topics: [counts-repartition])
      --> KSTREAM-AGGREGATE-0000000003
    Processor: KSTREAM-AGGREGATE-0000000003 (stores: [counts])
      --> KTABLE-TOSTREAM-0000000007
      <-- counts-repartition-source
    Processor: KTABLE-TOSTREAM-0000000007 (stores: [])
      --> KSTREAM-SINK-0000000008
      <-- KSTREAM-AGGREGATE-0000000003
    Sink: KSTREAM-SINK-0000000008 (topic: out)
      <-- KTABLE-TOSTREAM-0000000007

";
    assert_eq!(builder.build().unwrap().describe().to_string(), expected);
}

#[test]
fn explicit_name_uses_a_number_up_too() {
    let sink = |named: bool| {
        let builder = StreamsBuilder::new();
        let stream: KStream<String, String> = builder.stream("in");
        let name = if named { "mine".into() } else { Named::default() };
        stream.filter_with(|_, _| true, name).to("out");
        let description = builder.build().unwrap().describe().to_string();
        let line = description.lines().find(|line| line.contains("Sink:")).unwrap();
        line.trim().to_owned()
    };
    assert_eq!(sink(true), "Sink: KSTREAM-SINK-0000000002 (topic: out)");
    assert_eq!(sink(false), sink(true));
}

#[test]
fn description_is_json_too() {
    let builder = StreamsBuilder::new();
    let stream: KStream<String, String> = builder.stream("in");
    stream.to_with("out", Produced::named("sink"));
    let description = serde_json::to_value(builder.build().unwrap().describe()).unwrap();
    let expected = serde_json::json!({"subtopologies": [{"id": 0, "nodes": [
        {"name": "KSTREAM-SOURCE-0000000000", "kind": "source", "topics": ["in"],
         "successors": ["sink"], "predecessors": []},
        {"name": "sink", "kind": "sink", "topic": "out",
         "successors": [], "predecessors": ["KSTREAM-SOURCE-0000000000"]},
    ]}]});
    assert_eq!(description, expected);
}

/// The topics that the sub-topologies read, in the order of their numbers.
fn sources(build: impl FnOnce(&StreamsBuilder)) -> Vec<Vec<String>> {
    let builder = StreamsBuilder::new();
    build(&builder);
    let topology = builder.build().unwrap();
    let parts = topology.subtopologies().iter();
    parts.map(|part| part.source_topics().map(str::to_owned).collect()).collect()
}

#[test]
fn subtopologies_are_numbered_in_the_order_of_the_calls() {
    let read = |builder: &StreamsBuilder, topic: &str| -> KStream<String, String> {
        builder.stream_with(topic, Consumed::named(format!("z-{topic}")))
    };
    let two = sources(|builder| {
        let group = read(builder, "b").group_by_with(|_, value| value.clone(), Grouped::named("g"));
        group.count();
        read(builder, "a").to("out");
    });
    assert_eq!(two, [["b"], ["g-repartition"], ["a"]]);
    // A repartition that is used again comes where the last call asked for it.
    let again = sources(|builder| {
        let group = read(builder, "b").group_by_with(|_, value| value.clone(), Grouped::named("g"));
        group.count();
        read(builder, "a").to("out");
        group.reduce(|_, new| new);
    });
    assert_eq!(again, [["b"], ["a"], ["g-repartition"]]);
}
