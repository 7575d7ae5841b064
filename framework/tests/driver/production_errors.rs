//! Records that cannot be written.

use std::sync::{Arc, Mutex};

use kstream::broker::BrokerError;
use kstream::serdes::{ArcSerde, Serde, SerdeError};
use kstream::{
    ErrorContext, FailedRecord, HandlerResponse, KStream, LogAndContinue, Produced, ProducedRecord,
    ProductionHandler, RecordPart, SerializationFailure, StreamsBuilder, StreamsConfig,
};

use crate::harness::{Harness, config, topology_error};

const LETTERS: &str = "letters";
/// Above what the broker takes of one record.
const TOO_LARGE: usize = 2 << 20;

/// Writes no text with an `x`.
#[derive(Debug)]
struct Picky;

impl Serde<String> for Picky {
    fn serialize(&self, value: &String, bytes: &mut Vec<u8>) -> Result<(), SerdeError> {
        if value.contains('x') {
            return Err(format!("{value} has an x").into());
        }
        bytes.extend_from_slice(value.as_bytes());
        Ok(())
    }

    fn deserialize(&self, _: &[u8]) -> Result<String, SerdeError> {
        Err("only written".into())
    }
}

fn picky(builder: &StreamsBuilder) {
    let stream: KStream<String, String> = builder.stream("in");
    let picky: ArcSerde<String> = Arc::new(Picky);
    stream.to_with("out", Produced::with(Arc::clone(&picky), picky).with_name("sink"));
}

/// Makes values with a `!` too large.
fn growing(builder: &StreamsBuilder) {
    let stream: KStream<String, String> = builder.stream("in");
    let grow = |value: String| if value.contains('!') { "v".repeat(TOO_LARGE) } else { value };
    stream.map_values(grow).to("out");
}

#[track_caller]
fn refusal(test: &Harness, key: &str, value: &str) -> String {
    topology_error(test.try_pipe("in", key, value, 0)).to_string()
}

#[test]
fn record_that_its_serde_refuses_stops_the_topology_and_is_named() {
    let test = Harness::new(picky);
    let text = refusal(&test, "k", "x");
    for part in ["the value cannot be written to topic out", "node sink", "in-0 at offset 0"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(refusal(&Harness::new(picky), "x", "v").contains("the key cannot be written"));
}

#[test]
fn processing_handler_is_not_asked_about_records_that_cannot_be_written() {
    let test = Harness::with_config(config().processing_handler(LogAndContinue), picky);
    assert!(refusal(&test, "k", "x").contains("cannot be written"));
}

#[test]
fn resuming_handler_drops_the_record_and_writes_the_usual_letter() {
    let config = config().production_handler(LogAndContinue).dead_letter_topic(LETTERS);
    let test = Harness::with_config(config, picky);
    test.pipe("k", "x", 1);
    test.pipe("k", "v", 2);
    assert_eq!(test.out(), ["k=v@2"]);
    assert_eq!(test.read_from::<String>(LETTERS), ["k=x@1"]);
    assert_eq!(test.driver.dropped_records(), 1);
}

#[test]
fn record_that_the_broker_refuses_stops_the_topology() {
    let text = refusal(&Harness::new(growing), "k", "!");
    assert!(text.contains("KSTREAM-SINK-"), "{text}");
}

#[test]
fn letter_about_a_refused_record_has_the_bytes_that_were_refused_where_they_fit() {
    let notes = Arc::default();
    let handler = Noting(Arc::clone(&notes));
    let test = Harness::with_config(config().production_handler(handler), growing);
    test.pipe("k", "!", 1);
    test.pipe("k", "v", 2);
    assert_eq!(test.out(), ["k=v@2"]);
    let expected = format!("KSTREAM-SINK-0000000002 in 0 out k {TOO_LARGE} 1");
    assert_eq!(*notes.lock().unwrap(), [expected]);
    assert_eq!(test.driver.dropped_records(), 1);
}

/// Notes what the broker refused, and goes on.
#[derive(Debug)]
struct Noting(Arc<Mutex<Vec<String>>>);

impl ProductionHandler for Noting {
    fn handle(
        &self,
        context: &ErrorContext<'_>,
        record: &ProducedRecord<'_>,
        error: &BrokerError,
    ) -> HandlerResponse {
        assert!(!error.is_retriable());
        assert_eq!(context.raw_value, Some(&b"!"[..]));
        let (topic, offset) = (context.metadata.topic.as_deref().unwrap(), context.metadata.offset);
        let key = String::from_utf8_lossy(record.key.unwrap());
        let length = record.value.unwrap().len();
        let (node, to, time) = (context.node, record.topic, record.timestamp);
        let note = format!("{node} {topic} {offset} {to} {key} {length} {time}");
        self.0.lock().unwrap().push(note);
        HandlerResponse::resume()
    }
}

/// Fails at keys and resumes at values.
#[derive(Debug)]
struct ValuesOnly;

impl ProductionHandler for ValuesOnly {
    fn handle_serialization(
        &self,
        _: &ErrorContext<'_>,
        record: &FailedRecord<'_>,
        failure: &SerializationFailure<'_>,
    ) -> HandlerResponse {
        assert_eq!((failure.topic, record.key::<u8>()), ("out", None), "keys are text");
        match failure.part {
            RecordPart::Key => HandlerResponse::fail(),
            RecordPart::Value => HandlerResponse::resume(),
        }
    }
}

#[test]
fn handler_sees_which_part_was_refused() {
    let config: StreamsConfig = config().production_handler(ValuesOnly);
    let test = Harness::with_config(config, picky);
    test.pipe("k", "x", 0);
    assert!(refusal(&test, "x", "v").contains("key"));
}
