//! Topologies made node by node.

use kstream::{Consumed, Produced, TopicNameExtractor, TopologyBuilder};
use kstream_test_utils::TopologyTestDriver;

use crate::processors::{Context, Text, Total, With, totals};

#[test]
fn mistakes_of_a_topology_by_hand_come_together() {
    let builder = TopologyBuilder::new();
    let pass: fn(&mut Context<'_>, Text) -> _ = |context, record| Ok(context.forward(record)?);
    let source = builder.add_source::<String, String>("source", "in");
    builder.add_source::<String, String>("again", "in");
    builder.add_processor("orphan", move || With(pass), &[]);
    let other = TopologyBuilder::new().add_source::<String, String>("other", "other");
    builder.add_processor("stray", move || With(pass), &[&other]);
    builder.add_sink("source", "out", &[&source]);
    builder.add_sink("nowhere", "", &[&source]);
    builder.connect_processor_and_state_stores("nobody", &["nothing"]);
    builder.add_state_store(totals("totals"), &["no-one"]);
    let report = builder.build().unwrap_err().to_string();
    for part in [
        "source again: topic in has a source already",
        "node orphan: it has no parent",
        "node stray: a parent comes from another builder",
        "node source: another node has this name",
        "sink nowhere: the topic's name must not be empty",
        "node nobody: there is no processor of this name",
        "node no-one: there is no processor of this name",
    ] {
        assert!(report.contains(part), "{part}\n{report}");
    }
}

#[test]
fn a_topology_by_hand_describes_itself_as_kafka_streams_does() {
    let builder = TopologyBuilder::new();
    let source = builder.add_source::<String, String>("source", ["one", "two"]);
    let total = builder.add_processor("total", Total { brings: false }, &[&source]);
    builder.add_state_store(totals("totals"), &["total"]);
    builder.add_sink("sink", "out", &[&total, &source]);
    let expected = "Topologies:
   Sub-topology: 0
    Source: source (topics: [one, two])
      --> total, sink
    Processor: total (stores: [totals])
      --> sink
      <-- source
    Sink: sink (topic: out)
      <-- source, total

";
    assert_eq!(builder.build().unwrap().describe().to_string(), expected);
}

#[test]
fn sources_may_have_patterns_and_sinks_may_choose_topics() {
    let builder = TopologyBuilder::new();
    let orders = builder.add_pattern_source::<String, i64>("orders", "orders-.*", Consumed::new());
    let by_size = TopicNameExtractor::new("by-size", |_: &String, amount: &i64, _: &_| {
        if *amount < 100 { "small" } else { "large" }.to_owned()
    });
    builder.add_extracted_sink("sink", by_size, Produced::new(), &[&orders]);
    let topology = builder.build().unwrap();
    let text = topology.describe().to_string();
    assert!(text.contains("Source: orders (topics: orders-.*)"), "{text}");
    assert!(text.contains("Sink: sink (extractor class: by-size)"), "{text}");
    let driver = TopologyTestDriver::new(topology).unwrap();
    for (topic, amount) in [("orders-1", 5), ("orders-2", 500)] {
        driver.input_topic::<String, i64>(topic).pipe("k".to_owned(), amount).unwrap();
    }
    for (topic, amount) in [("small", 5), ("large", 500)] {
        let values = driver.output_topic::<String, i64>(topic).read_values().unwrap();
        assert_eq!(values, [amount]);
    }
}
