//! Topics chosen by pattern and by record.

use kstream::{
    FixedKeyProcessor, FixedKeyProcessorContext, FixedKeyRecord, KStream, ProcessorError,
    StreamsBuilder, TopicNameExtractor,
};

use super::{Build, Text, shown};

pub(super) fn topology(name: &str) -> Option<Build> {
    Some(match name {
        "topic-router" => router,
        "source-topics" => sources,
        _ => return None,
    })
}

fn router(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream("in");
    let first_letter = TopicNameExtractor::new("first-letter", |key: &Text, value: &Text, _| {
        match value.as_ref().and_then(|value| value.chars().next()) {
            Some(letter) if key.is_some() => format!("route-{letter}"),
            _ => "route-nokey".to_owned(),
        }
    });
    stream.filter(|_, value| value.is_some()).to_extracted(first_letter);
}

/// Puts the record's metadata and the context's times behind the value.
struct Metadata;

impl FixedKeyProcessor<Text, Text, Text> for Metadata {
    fn process(
        &mut self,
        context: &mut FixedKeyProcessorContext<'_, Text, Text>,
        record: FixedKeyRecord<Text, Text>,
    ) -> Result<(), ProcessorError> {
        let metadata = context.record_metadata().ok_or("a record comes from somewhere")?;
        let text = format!(
            "{}|{}|{}|{}|{}|{}|{}|{}",
            shown(&record.value),
            metadata.topic.as_deref().unwrap_or("null"),
            metadata.partition,
            metadata.offset,
            context.current_stream_time_ms(),
            context.current_system_time_ms(),
            context.application_id(),
            context.task_id(),
        );
        Ok(context.forward(record.with_value(Some(text)))?)
    }
}

fn sources(builder: &StreamsBuilder) {
    let stream: KStream<Text, Text> = builder.stream(["in-1", "in-2"]);
    stream.process_values(|| Metadata).to("out");
    let stream: KStream<Text, Text> = builder.stream_pattern("p-[0-9]+");
    stream.process_values(|| Metadata).to("out-pattern");
}
