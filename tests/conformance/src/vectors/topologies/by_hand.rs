//! Topologies made node by node.

use kstream::{
    Processor, ProcessorContext, ProcessorError, Record, StoreSource, Stores, Topology,
    TopologyBuilder, TopologyErrors,
};

use super::processors::{StorePut, StoreRead};
use super::{Recipe, Text};

pub(super) fn topology(name: &str) -> Option<Recipe> {
    Some(Recipe::ByHand(match name {
        "process-children" => children,
        "shared-store" => shared_store,
        "read-only-store" => read_only_store,
        _ => return None,
    }))
}

type Context<'a> = ProcessorContext<'a, Text, String>;

/// Sends values to one child by their first letter, or to all.
struct Router;

impl Processor<Text, Text, Text, String> for Router {
    fn process(
        &mut self,
        context: &mut Context<'_>,
        record: Record<Text, Text>,
    ) -> Result<(), ProcessorError> {
        let Some(value) = record.value.clone() else { return Ok(()) };
        let child = match value.chars().next() {
            Some('u') => Some("upper"),
            Some('l') => Some("lower"),
            _ => None,
        };
        let record = record.with_value(value);
        match child {
            Some(child) => context.forward_to(child, record)?,
            None => context.forward(record)?,
        }
        Ok(())
    }
}

/// Changes values.
struct Mapping(fn(&str) -> String);

impl Processor<Text, String, Text, String> for Mapping {
    fn process(
        &mut self,
        context: &mut Context<'_>,
        record: Record<Text, String>,
    ) -> Result<(), ProcessorError> {
        let value = (self.0)(&record.value);
        context.forward(record.with_value(value))?;
        Ok(())
    }
}

fn children() -> Result<Topology, TopologyErrors> {
    let builder = TopologyBuilder::new();
    let source = builder.add_source::<Text, Text>("src", "in");
    let router = builder.add_processor("router", || Router, &[&source]);
    let upper = builder.add_processor("upper", || Mapping(str::to_uppercase), &[&router]);
    let lower = builder.add_processor("lower", || Mapping(|value| value.repeat(2)), &[&router]);
    builder.add_sink("sink-upper", "out-upper", &[&upper]);
    builder.add_sink("sink-lower", "out-lower", &[&lower]);
    builder.build()
}

fn shared_store() -> Result<Topology, TopologyErrors> {
    let builder = TopologyBuilder::new();
    let writes = builder.add_source::<Text, Text>("w", "writes");
    let reads = builder.add_source::<Text, Text>("r", "reads");
    builder.add_processor("put", || StorePut::of("shared"), &[&writes]);
    let get = builder.add_processor("get", || StoreRead::of("shared"), &[&reads]);
    let store = Stores::persistent_key_value_store("shared");
    let store = Stores::key_value_store_builder::<String, String>(store);
    builder.add_state_store(store, &["put", "get"]);
    builder.add_sink("out", "out", &[&get]);
    builder.build()
}

fn read_only_store() -> Result<Topology, TopologyErrors> {
    let builder = TopologyBuilder::new();
    let store = Stores::persistent_key_value_store("ro");
    let store = Stores::key_value_store_builder::<String, String>(store).with_logging_disabled();
    let feed = StoreSource::<Text, Text>::new("ro-src", "feed");
    builder.add_read_only_state_store(store, feed, "ro-put", || StorePut::of("ro"));
    let source = builder.add_source::<Text, Text>("src", "in");
    let read = builder.add_processor("read", || StoreRead::of("ro"), &[&source]);
    builder.connect_processor_and_state_stores("read", &["ro"]);
    builder.add_sink("snk", "out", &[&read]);
    builder.build()
}
