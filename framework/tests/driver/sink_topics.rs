//! Topics and partitions that records choose, and sources of topics that match.

use kstream::{
    KStream, Partitions, Printed, Produced, StreamPartitioner, StreamsBuilder, TopicNameExtractor,
};

use crate::harness::{Harness, config};

fn by_key(builder: &StreamsBuilder) {
    let stream: KStream<String, String> = builder.stream("in");
    stream.to_extracted(TopicNameExtractor::new("by-key", |key: &String, _, context| {
        assert_eq!(context.metadata.topic.as_deref(), Some("in"));
        format!("{key}-{}", context.timestamp % 2)
    }));
}

#[test]
fn each_record_goes_to_the_topic_that_it_names() {
    let test = Harness::new(by_key);
    for (key, value, timestamp) in [("a", "1", 0), ("b", "2", 1), ("a", "3", 2)] {
        test.pipe(key, value, timestamp);
    }
    assert_eq!(test.read_from::<String>("a-0"), ["a=1@0", "a=3@2"]);
    assert_eq!(test.read_from::<String>("b-1"), ["b=2@1"]);
}

#[test]
fn extractor_that_panics_is_guarded_like_any_node() {
    let config = config().processing_handler(kstream::LogAndContinue);
    let test = Harness::with_config(config, |builder| {
        let stream: KStream<String, String> = builder.stream("in");
        stream.to_extracted(TopicNameExtractor::new("picky", |_, value: &String, _| {
            assert_ne!(value, "bad", "no topic for it");
            "out".to_owned()
        }));
    });
    test.pipe("k", "bad", 0);
    test.pipe("k", "good", 0);
    assert_eq!(test.out(), ["k=good@0"]);
}

#[test]
fn partitioner_sends_copies_or_drops() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, i64> = builder.stream("in");
        let partitioner = StreamPartitioner::new(|topic, key: &String, copies: &i64, count| {
            assert_eq!((topic, key.as_str(), count), ("out", "k", 1));
            match usize::try_from(*copies) {
                Ok(1) => Partitions::One(0),
                Ok(copies) => Partitions::Each(vec![0; copies]),
                Err(_) => Partitions::Default,
            }
        });
        stream.to_with("out", Produced::new().with_stream_partitioner(partitioner));
    });
    for copies in [3, 1, 0, -1] {
        test.pipe_number("k", copies, 0);
    }
    assert_eq!(test.out_numbers(), ["k=3@0", "k=3@0", "k=3@0", "k=1@0", "k=-1@0"]);
    assert_eq!(test.driver.dropped_records(), 1);
}

#[test]
fn pattern_reads_what_matches_as_a_whole() {
    let test = Harness::new(|builder| {
        builder.stream_pattern::<String, String>("p-[0-9]+").to("out");
    });
    test.pipe_to("p-1", "a", "1", 0);
    test.pipe_to("p-22", "b", "2", 1);
    assert!(test.try_pipe("p-x", "c", "3", 2).is_err());
    assert!(test.try_pipe("xp-1", "c", "3", 2).is_err());
    assert_eq!(test.out(), ["a=1@0", "b=2@1"]);
}

#[track_caller]
fn mistake(build: impl FnOnce(&StreamsBuilder)) -> String {
    let builder = StreamsBuilder::new();
    build(&builder);
    builder.build().unwrap_err().to_string()
}

#[test]
fn pattern_that_is_none_is_a_mistake() {
    let text = mistake(|builder| builder.stream_pattern::<String, String>("p-[").to("out"));
    assert!(text.contains("source KSTREAM-SOURCE-0000000000"), "{text}");
    assert!(text.contains("unclosed character class"), "{text}");
}

#[test]
fn topic_that_a_pattern_matches_is_read_by_one_source() {
    let text = mistake(|builder| {
        builder.stream::<String, String>("p-1").to("out");
        builder.stream_pattern::<String, String>("p-[0-9]+").to("out");
    });
    assert!(text.contains("matches topic p-1, which another source reads"), "{text}");
}

#[test]
fn description_shows_patterns_and_extractors() {
    let builder = StreamsBuilder::new();
    by_key(&builder);
    builder.stream_pattern::<String, String>("p-[0-9]+").to("out");
    let text = builder.build().unwrap().describe().to_string();
    assert!(text.contains("(extractor class: by-key)"), "{text}");
    assert!(text.contains("(topics: p-[0-9]+)"), "{text}");
}

#[test]
fn printing_writes_a_line_per_record_under_the_nodes_name() {
    let folder = tempfile::tempdir().unwrap();
    let [plain, mapped] = ["plain", "mapped"].map(|name| folder.path().join(name));
    let test = Harness::new(|builder| {
        let stream: KStream<String, i64> = builder.stream("in");
        stream.print(Printed::to_file(&plain));
        let mapper = |key: &String, value: &i64| format!("{key} is {value}");
        stream.print(Printed::to_file(&mapped).with_label("l").with_key_value_mapper(mapper));
    });
    test.pipe_number("a", 1, 0);
    test.pipe_number("b", 2, 0);
    let read = |path| std::fs::read_to_string(path).unwrap();
    let source = "KSTREAM-SOURCE-0000000000";
    assert_eq!(read(&plain), format!("[{source}]: \"a\", 1\n[{source}]: \"b\", 2\n"));
    assert_eq!(read(&mapped), "[l]: a is 1\n[l]: b is 2\n");
}

#[test]
fn what_cannot_be_printed_holds_up_nothing() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        stream.print(Printed::to_file("/no/such/folder/file"));
        stream.to("out");
    });
    test.pipe("k", "v", 0);
    assert_eq!(test.out(), ["k=v@0"]);
}
