//! Rewrites of a topology: what they save, and that they change no result.

use std::collections::BTreeMap;

use kstream::{
    Grouped, KStream, Materialized, Named, Repartitioned, StreamsBuilder, StreamsConfig, Topology,
    TopologyConfig, TopologyOptimization,
};
use kstream_test_utils::TopologyTestDriver;
use proptest::prelude::*;

use crate::harness::Text;

const NONE: TopologyOptimization = TopologyOptimization::none();

fn topology(optimization: TopologyOptimization, build: impl FnOnce(&StreamsBuilder)) -> Topology {
    let builder = StreamsBuilder::new();
    build(&builder);
    builder.build_with(&TopologyConfig::new().optimization(optimization)).unwrap()
}

/// The names of a topology's repartition topics.
fn repartition_topics(topology: &Topology) -> Vec<String> {
    let sources = topology.subtopologies().iter().flat_map(kstream::Subtopology::source_topics);
    let mut topics: Vec<String> =
        sources.filter(|topic| topic.ends_with("-repartition")).map(str::to_owned).collect();
    topics.sort();
    topics
}

#[track_caller]
fn check_repartitions(build: impl Fn(&StreamsBuilder), plain: &[&str], merged: &[&str]) {
    assert_eq!(repartition_topics(&topology(NONE, &build)), plain);
    let merging = NONE.merge_repartition_topics();
    assert_eq!(repartition_topics(&topology(merging, &build)), merged);
}

fn by_value(builder: &StreamsBuilder, topic: &str) -> KStream<String, String> {
    let stream: KStream<String, String> = builder.stream(topic);
    stream.select_key(|_, value| value.clone())
}

fn count(stream: &KStream<String, String>, store: &str) {
    stream.group_by_key().count_with(Named::default(), Materialized::named(store));
}

#[test]
fn aggregations_behind_one_new_key_share_a_topic() {
    let build = |builder: &StreamsBuilder| {
        let stream = by_value(builder, "in");
        count(&stream, "a");
        count(&stream.filter(|_, _| true), "b");
        count(&stream.filter(|_, _| true).peek(|_, _| ()), "c");
    };
    check_repartitions(
        build,
        &["a-repartition", "b-repartition", "c-repartition"],
        &["a-repartition"],
    );
}

#[test]
fn two_groups_behind_one_filter_share_a_topic() {
    let build = |builder: &StreamsBuilder| {
        let stream = by_value(builder, "in").filter(|_, _| true);
        count(&stream, "a");
        count(&stream, "b");
    };
    check_repartitions(build, &["a-repartition", "b-repartition"], &["a-repartition"]);
}

#[test]
fn a_changed_value_keeps_a_topic_of_its_own() {
    let build = |builder: &StreamsBuilder| {
        let stream = by_value(builder, "in");
        count(&stream, "a");
        count(&stream.map_values(|value: String| value + "!"), "b");
    };
    check_repartitions(
        build,
        &["a-repartition", "b-repartition"],
        &["a-repartition", "b-repartition"],
    );
}

#[test]
fn an_explicit_repartition_stays() {
    let build = |builder: &StreamsBuilder| {
        let stream = by_value(builder, "in");
        stream.repartition_with(Repartitioned::named("mine")).to("out");
        count(&stream, "a");
    };
    check_repartitions(
        build,
        &["a-repartition", "mine-repartition"],
        &["a-repartition", "mine-repartition"],
    );
}

#[test]
fn behind_a_merge_the_topic_stands_behind_the_merge() {
    let build = |builder: &StreamsBuilder| {
        // Only one of them has new keys.
        let other: KStream<String, String> = builder.stream("other");
        let merged = other.merge(&by_value(builder, "in").filter(|_, _| true));
        count(&merged, "a");
        count(&merged.filter(|_, _| true), "b");
    };
    check_repartitions(build, &["a-repartition", "b-repartition"], &["a-repartition"]);
    let merging = NONE.merge_repartition_topics();
    let parts: Vec<Vec<String>> = topology(merging, build)
        .subtopologies()
        .iter()
        .map(|part| part.source_topics().map(str::to_owned).collect())
        .collect();
    assert_eq!(
        parts,
        [vec!["in".to_owned(), "other".to_owned()], vec!["a-repartition".to_owned()]]
    );
}

#[test]
fn a_named_group_names_the_shared_topic_and_its_nodes() {
    let build = |builder: &StreamsBuilder| {
        let stream = by_value(builder, "in");
        let group = stream.group_by_key_with(Grouped::named("group"));
        group.count();
        group.reduce(|_, new| new);
        count(&stream, "b");
    };
    check_repartitions(build, &["b-repartition", "group-repartition"], &["group-repartition"]);
    let text = topology(NONE.merge_repartition_topics(), build).describe().to_string();
    for node in ["group-repartition-filter", "group-repartition-sink", "group-repartition-source"] {
        assert!(text.contains(node), "{text}");
    }
}

#[test]
fn a_generated_topic_name_is_kept_and_names_the_nodes() {
    let build = |builder: &StreamsBuilder| {
        by_value(builder, "in").filter(|_, _| true).group_by_key().count();
    };
    let text = topology(NONE.merge_repartition_topics(), build).describe().to_string();
    let topic = "KSTREAM-AGGREGATE-STATE-STORE-0000000003-repartition";
    let filter =
        format!("    Source: {topic}-source (topics: [{topic}])\n      --> KSTREAM-FILTER-");
    assert!(text.contains(&filter), "{text}");
}

fn table(builder: &StreamsBuilder) {
    let table = builder.table_with::<String, String>(
        "in",
        kstream::Consumed::new(),
        Materialized::named("rows"),
    );
    table.to_stream().to("out");
}

#[test]
fn a_table_reuses_its_source_topic_and_has_no_changelog() {
    let changelogs = |optimization| {
        let driver = TopologyTestDriver::new(topology(optimization, table)).unwrap();
        driver.input_topic::<String, String>("in").pipe("k".to_owned(), "v".to_owned()).unwrap();
        let rows = driver.store_rows::<String, String>("rows").unwrap();
        assert_eq!(rows.len(), 1);
        driver.task().borrow().changelog_topics()
    };
    let own = BTreeMap::from([("rows".to_owned(), "app-rows-changelog".to_owned())]);
    assert_eq!(changelogs(NONE), own);
    assert_eq!(changelogs(NONE.reuse_ktable_source_topics()), BTreeMap::new());
    assert_eq!(changelogs(TopologyOptimization::all()), BTreeMap::new());
}

#[test]
fn only_texts_of_kafka_are_read() {
    let parse = |text: &str| text.parse::<TopologyOptimization>();
    assert_eq!(parse("none"), Ok(NONE));
    assert_eq!(parse("single.store.self.join"), Ok(NONE.single_store_self_join()));
    let error = parse("merge.repartition.topics, everything").unwrap_err().to_string();
    assert!(error.starts_with("`everything` is no topology optimization"), "{error}");
}

/// What becomes of a stream between a new key and its aggregations.
#[derive(Debug, Clone)]
enum Step {
    Even,
    Peek,
    Exclaim,
    MergeOther,
    NewKey,
}

fn apply(
    stream: KStream<String, String>,
    other: &KStream<String, String>,
    steps: &[Step],
) -> KStream<String, String> {
    steps.iter().fold(stream, |stream, step| match step {
        Step::Even => stream.filter(|_, value| value.len() % 2 == 0),
        Step::Peek => stream.peek(|_, _| ()),
        Step::Exclaim => stream.map_values(|value: String| value + "!"),
        Step::MergeOther => stream.merge(other),
        Step::NewKey => stream.select_key(|key, value| format!("{}{}", key.len(), value.len())),
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => Just(Step::Even),
        2 => Just(Step::Peek),
        1 => Just(Step::Exclaim),
        1 => Just(Step::MergeOther),
        1 => Just(Step::NewKey),
    ];
    prop::collection::vec(step, 0..4)
}

/// The last count of each key and aggregation.
fn last_counts(
    optimization: TopologyOptimization,
    paths: &[Vec<Step>],
    records: &[(u8, u8, bool)],
) -> Vec<BTreeMap<Text, Option<i64>>> {
    let topology = topology(optimization, |builder| {
        let other: KStream<String, String> = builder.stream("other");
        let shared = by_value(builder, "in");
        for (number, path) in paths.iter().enumerate() {
            let group = apply(shared.clone(), &other, path).group_by_key();
            let store = Materialized::named(format!("s{number}"));
            group.count_with(Named::default(), store).to_stream().to(&format!("out{number}"));
        }
    });
    let config = StreamsConfig::new("app").statestore_cache_max_bytes(0);
    let driver = TopologyTestDriver::with_config(topology, config).unwrap();
    for (key, value, to_other) in records {
        let topic = if *to_other { "other" } else { "in" };
        let input = driver.input_topic::<String, String>(topic);
        input.pipe(format!("k{key}"), "v".repeat(usize::from(*value))).unwrap();
    }
    let out = |number: usize| {
        let topic = driver.output_topic::<Text, Option<i64>>(&format!("out{number}"));
        topic.read_key_values().unwrap().into_iter().collect()
    };
    (0..paths.len()).map(out).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn merging_topics_changes_no_count(
        paths in prop::collection::vec(steps(), 1..4),
        records in prop::collection::vec((0..3_u8, 0..4_u8, any::<bool>()), 0..25),
    ) {
        let plain = last_counts(NONE, &paths, &records);
        prop_assert_eq!(last_counts(TopologyOptimization::all(), &paths, &records), plain);
    }
}
