//! Processors of the user's own, and global tables.

mod stores;
mod ticks;

use kstream::{
    Consumed, FixedKeyProcessor, FixedKeyProcessorContext, FixedKeyRecord, GlobalKTable, Joined,
    KStream, Materialized, Named, Processor, ProcessorContext, ProcessorError, PunctuationType,
    Record, Repartitioned, Stores, StreamsBuilder,
};

use super::{Build, Text, parts, shown, text};
pub(super) use stores::{GlobalPut, StorePut, StoreRead, TableRead};
use ticks::{Cancelling, Counting, FailingTick, Ticking};

pub(super) fn topology(name: &str) -> Option<Build> {
    Some(match name {
        "process-expand" => expand,
        "process-values-metadata" => values_metadata,
        "headers-process" => headers,
        "global-store" => global_store,
        "table-store-read" => table_store_read,
        "stream-globaltable-inner" => global_table_inner,
        "stream-globaltable-left" => global_table_left,
        "punctuate-stream-time" => punctuate_stream_time,
        "punctuate-wall-clock" => punctuate_wall_clock,
        "punctuate-many" => punctuate_many,
        "punctuate-cancel" => punctuate_cancel,
        "punctuate-error-continue" => punctuate_error,
        _ => return None,
    })
}

/// Forwards a record for each part of the value, each a millisecond later.
struct Expand;

impl Processor<Text, Text, Text, String> for Expand {
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, Text, String>,
        record: Record<Text, Text>,
    ) -> Result<(), ProcessorError> {
        if record.value.is_none() {
            context.forward(record.with_value("none".to_owned()))?;
            return Ok(());
        }
        for (part, number) in parts(record.value.clone()).into_iter().zip(0_i64..) {
            let value = format!("{}#{number}", shown(&record.key));
            let mut part = record.clone().with_key(part).with_value(value);
            part.timestamp += number;
            context.forward(part)?;
        }
        Ok(())
    }
}

fn expand(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    let stream = stream.process(|| Expand);
    stream.to("out");
    let counts = stream.group_by_key().count_with(Named::default(), Materialized::named("n"));
    counts.to_stream().map_values(text).to("out-count");
}

/// Adds what the context says to the value.
struct Metadata;

impl FixedKeyProcessor<Text, Text, String> for Metadata {
    fn process(
        &mut self,
        context: &mut FixedKeyProcessorContext<'_, Text, String>,
        record: FixedKeyRecord<Text, Text>,
    ) -> Result<(), ProcessorError> {
        let metadata = context.record_metadata().ok_or("a record has metadata")?;
        let value = [
            shown(&record.value).to_owned(),
            metadata.topic.as_deref().unwrap_or("null").to_owned(),
            metadata.partition.to_string(),
            metadata.offset.to_string(),
            context.current_stream_time_ms().to_string(),
            context.current_system_time_ms().to_string(),
            context.application_id().to_owned(),
            context.task_id().to_string(),
        ];
        context.forward(record.with_value(value.join("|")))?;
        Ok(())
    }
}

fn values_metadata(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    stream.process_values(|| Metadata).to("out");
    stream
        .select_key(|_, value| value.clone())
        .repartition_with(Repartitioned::named("r"))
        .process_values(|| Metadata)
        .to("out-repartitioned");
}

/// Adds a header, removes others, and forwards a copy without any.
struct HeaderEdit;

impl Processor<Text, Text, Text, Text> for HeaderEdit {
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, Text, Text>,
        mut record: Record<Text, Text>,
    ) -> Result<(), ProcessorError> {
        record.headers.remove("drop");
        record.headers.add("seen", Some(shown(&record.key).as_bytes()));
        let copy = Record::new(record.key.clone(), Some("copy".to_owned()), record.timestamp);
        context.forward(record)?;
        context.forward(copy)?;
        Ok(())
    }
}

/// Adds the last header `h` to the value.
struct LastHeader;

impl FixedKeyProcessor<Text, Text, String> for LastHeader {
    fn process(
        &mut self,
        context: &mut FixedKeyProcessorContext<'_, Text, String>,
        record: FixedKeyRecord<Text, Text>,
    ) -> Result<(), ProcessorError> {
        let header = record.headers.last("h").flatten();
        let header = header.map_or_else(|| "-".into(), String::from_utf8_lossy);
        let value = format!("{}/{header}", shown(&record.value));
        context.forward(record.with_value(value))?;
        Ok(())
    }
}

fn headers(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    stream.process(|| HeaderEdit).process_values(|| LastHeader).to("out");
}

fn global_store(builder: &StreamsBuilder) {
    let store =
        Stores::key_value_store_builder::<String, String>(Stores::in_memory_key_value_store("g"));
    let consumed = Consumed::<Text, Text>::new();
    builder.add_global_store(store, "global", consumed, || GlobalPut::of("g"));
    let stream: KStream<Text, Text> = builder.stream("in");
    stream.process(|| StoreRead::of("g")).to("out");
}

fn table_store_read(builder: &StreamsBuilder) {
    builder.table_with::<Text, String>("tab", Consumed::new(), Materialized::named("t"));
    let stream: KStream<Text, Text> = builder.stream("in");
    stream.process_with(|| TableRead::of("t"), Named::default(), &["t"]).to("out");
}

fn joined(left: &Text, right: &str) -> String {
    format!("{}+{right}", shown(left))
}

fn right_table(builder: &StreamsBuilder) -> GlobalKTable<String, String> {
    builder.global_table_with("right", Consumed::new(), Materialized::named("g"))
}

fn global_table_inner(builder: &StreamsBuilder) {
    let table = right_table(builder);
    let stream: KStream<Text, Text> = builder.stream("left");
    stream
        .join_global(&table, |_, value| value.clone(), |left, right| joined(left, right))
        .to("out");
}

fn global_table_left(builder: &StreamsBuilder) {
    let table = right_table(builder);
    let stream: KStream<Text, Text> = builder.stream("left");
    let selector = |_: &Text, value: &Text| value.clone().filter(|value| value != "e");
    let joiner = |key: &Text, left: &Text, right: Option<&String>| {
        let right = right.map_or("null", String::as_str);
        format!("{}={}", shown(key), joined(left, right))
    };
    stream.left_join_global_with(&table, selector, joiner, Joined::new()).to("out");
}

fn counting(builder: &StreamsBuilder, clock: PunctuationType) -> KStream<Text, String> {
    let store = Stores::persistent_key_value_store("p");
    builder.add_state_store(Stores::key_value_store_builder::<String, i64>(store));
    let stream: KStream<Text, Text> = builder.stream("in");
    stream.process_with(move || Counting::by(clock), Named::default(), &["p"])
}

fn punctuate_stream_time(builder: &StreamsBuilder) {
    counting(builder, PunctuationType::StreamTime).to("out");
}

fn punctuate_wall_clock(builder: &StreamsBuilder) {
    let counts = counting(builder, PunctuationType::WallClockTime);
    counts.to("out");
    let longer = |x: String, y: String| if x.len() > 12 { y } else { format!("{x},{y}") };
    counts
        .group_by_key_with(kstream::Grouped::named("g"))
        .reduce_with(longer, Named::default(), Materialized::named("r"))
        .to_stream()
        .to("out-reduced");
}

fn punctuate_many(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    stream.process(Ticking::default).to("out");
}

fn punctuate_cancel(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    stream.process(Cancelling::default).to("out");
}

fn punctuate_error(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    stream.process_with(|| FailingTick, "ft", &[]).to("out");
}
