//! Topologies made node by node.

use kstream::TopologyBuilder;

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
