//! Nodes that fail, and what the processing handler makes of it.

use std::error::Error as StdError;
use std::sync::{Arc, Mutex};

use kstream::{
    DeadLetter, ErrorContext, ErrorKind, FailedRecord, HandlerResponse, Headers, KStream,
    LogAndContinue, Materialized, Named, ProcessingHandler, Processor, ProcessorContext,
    ProcessorError, Record, StreamsBuilder, StreamsConfig, Timestamp, UserPanic,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::harness::{Harness, Text, config, topology_error};

const LETTERS: &str = "letters";

fn resuming() -> StreamsConfig {
    config().processing_handler(LogAndContinue).dead_letter_topic(LETTERS)
}

/// Panics at values that begin with `bad`.
fn fine(value: String) -> String {
    assert!(!value.starts_with("bad"), "boom {value}");
    value
}

#[test]
fn failing_node_is_named_without_a_handler() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        stream.peek(|_, _| ()).map_values_with(|_, value| fine(value), "mapper").to("out");
    });
    let error = topology_error(test.try_pipe("in", "k", "bad", 0));
    assert_eq!(error.node(), Some("mapper"));
    for part in ["boom bad", "node mapper", "in-0 at offset 0", "task 0_0"] {
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
}

#[test]
fn record_is_dropped_at_the_failing_node_and_siblings_go_on() {
    let test = Harness::with_config(resuming(), |builder| {
        let stream: KStream<String, String> = builder.stream("in");
        stream.to("before");
        stream.map_values(fine).to("out");
        stream.map_values(|value| value + "!").to("after");
    });
    test.pipe("k", "bad", 3);
    test.pipe("k", "good", 4);
    assert_eq!(test.read_from::<String>("before"), ["k=bad@3", "k=good@4"]);
    assert_eq!(test.out(), ["k=good@4"]);
    assert_eq!(test.read_from::<String>("after"), ["k=bad!@3", "k=good!@4"]);
    assert_eq!(test.driver.dropped_records(), 1);
}

#[test]
fn letter_has_the_source_bytes_and_the_time_and_headers_at_the_node() {
    /// Sends the record on later, without a value, and with a header.
    struct Later;
    impl Processor<String, String, String, String> for Later {
        fn process(
            &mut self,
            context: &mut ProcessorContext<'_, String, String>,
            record: Record<String, String>,
        ) -> Result<(), ProcessorError> {
            let mut headers = record.headers.clone();
            headers.add("h", Some(b"1"));
            let timestamp = record.timestamp + 5;
            Ok(context.forward(Record { headers, timestamp, ..record })?)
        }
    }
    let test = Harness::with_config(resuming(), |builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let later = stream.map_values(|value| format!("bad {value}")).process(|| Later);
        later.map_values(fine).to("out");
    });
    test.pipe("k", "v", 3);
    assert_eq!(test.read_from::<String>(LETTERS), ["k=v@8"]);
    let letter = test.records::<String>(LETTERS).pop().unwrap();
    let names: Vec<&str> = letter.headers.iter().map(|header| &*header.name).collect();
    let expected = ["exception", "message", "stacktrace", "topic", "partition", "offset"]
        .map(|name| format!("__streams.errors.{name}"));
    assert_eq!(names[0], "h");
    assert_eq!(names[1..], expected);
    let value = |name: &str| letter.headers.last(name).unwrap().unwrap();
    assert_eq!(value("__streams.errors.message"), b"boom bad v");
    assert_eq!(value("__streams.errors.topic"), b"in");
    assert_eq!(value("__streams.errors.offset"), b"0");
}

/// Notes what it is asked about, and does what it is told.
#[derive(Debug)]
struct Noting(Arc<Mutex<Vec<String>>>, HandlerResponse);

impl ProcessingHandler for Noting {
    fn handle(
        &self,
        context: &ErrorContext<'_>,
        record: Option<&FailedRecord<'_>>,
        error: &(dyn StdError + Send + Sync + 'static),
    ) -> HandlerResponse {
        let value = record.and_then(FailedRecord::value::<String>).unwrap();
        let panicked = error.is::<UserPanic>();
        let note = format!("{} {value} {error} {panicked}", context.node);
        self.0.lock().unwrap().push(note);
        self.1.clone()
    }
}

fn noting(response: HandlerResponse) -> (StreamsConfig, Arc<Mutex<Vec<String>>>) {
    let notes = Arc::default();
    let handler = Noting(Arc::clone(&notes), response);
    (config().processing_handler(handler).dead_letter_topic(LETTERS), notes)
}

fn two_nodes(builder: &StreamsBuilder) {
    let stream: KStream<String, String> = builder.stream("in");
    let inner = stream.map_values_with(|_, value| value + "?", "outer");
    inner.map_values_with(|_, value| fine(value), "inner").to("out");
}

#[test]
fn handler_that_fails_is_asked_once_and_the_error_names_the_inner_node() {
    let (config, notes) = noting(HandlerResponse::fail());
    let test = Harness::with_config(config, two_nodes);
    let error = topology_error(test.try_pipe("in", "k", "bad", 0));
    assert_eq!(error.node(), Some("inner"));
    assert_eq!(*notes.lock().unwrap(), ["inner bad? boom bad? true"]);
    assert_eq!(test.read_from::<String>(LETTERS), ["k=bad@0"]);
}

#[test]
fn retrying_is_failing_where_nothing_can_be_tried_again() {
    let (config, _) = noting(HandlerResponse::retry());
    let test = Harness::with_config(config, two_nodes);
    topology_error(test.try_pipe("in", "k", "bad", 0));
}

#[test]
fn letters_of_the_handlers_own_replace_the_usual_one() {
    let letter = DeadLetter::new("own", None, Some(b"look".to_vec())).with_timestamp(7);
    let (config, _) = noting(HandlerResponse::resume().with_dead_letters([letter]));
    let test = Harness::with_config(config, two_nodes);
    test.pipe("k", "bad", 0);
    assert_eq!(test.read_from::<String>("own"), ["null=look@7"]);
    assert!(test.read_from::<String>(LETTERS).is_empty());
}

#[test]
fn error_that_a_processor_returns_is_given_as_it_is() {
    struct Refusing;
    impl Processor<String, String, String, String> for Refusing {
        fn process(
            &mut self,
            context: &mut ProcessorContext<'_, String, String>,
            record: Record<String, String>,
        ) -> Result<(), ProcessorError> {
            if record.value == "bad" {
                return Err("refused".into());
            }
            Ok(context.forward(record)?)
        }
    }
    let (config, notes) = noting(HandlerResponse::resume());
    let test = Harness::with_config(config, |builder| {
        let stream: KStream<String, String> = builder.stream("in");
        stream.process_with(|| Refusing, "p", &[]).to("out");
    });
    test.pipe("k", "bad", 0);
    test.pipe("k", "good", 1);
    assert_eq!(test.out(), ["k=good@1"]);
    assert_eq!(*notes.lock().unwrap(), ["p bad refused false"]);
}

/// Panics whatever it is asked about.
#[derive(Debug)]
struct Broken;

impl ProcessingHandler for Broken {
    #[expect(clippy::panic, reason = "this is what a broken handler does")]
    fn handle(
        &self,
        _: &ErrorContext<'_>,
        _: Option<&FailedRecord<'_>>,
        _: &(dyn StdError + Send + Sync + 'static),
    ) -> HandlerResponse {
        panic!("no idea")
    }
}

#[test]
fn handler_that_panics_ends_the_task() {
    let test = Harness::with_config(config().processing_handler(Broken), two_nodes);
    let error = topology_error(test.try_pipe("in", "k", "bad", 0));
    assert_eq!(error.kind(), ErrorKind::Fatal);
    assert!(error.to_string().contains("no idea"), "{error}");
}

fn longest(value: &str) -> usize {
    value.len().min(9)
}

/// Concatenates values; panics at those with an `x`, after the row has been taken out.
fn append(all: &str, value: &str) -> String {
    assert!(!value.contains('x'), "boom {value}");
    let all = format!("{all}{value}");
    all[all.len() - longest(&all)..].to_owned()
}

/// What rows and letters should be: a failing record changes nothing.
fn expected(inputs: &[(Text, String, Timestamp)]) -> (Vec<String>, Vec<String>) {
    let mut rows = std::collections::BTreeMap::<String, (String, Timestamp)>::new();
    let (mut out, mut letters) = (Vec::new(), Vec::new());
    for (key, value, timestamp) in inputs {
        let Some(key) = key else { continue };
        if value.contains('x') {
            letters.push(format!("{key}={value}@{timestamp}"));
            continue;
        }
        let (old, time) = rows.get(key).cloned().unwrap_or((String::new(), *timestamp));
        let row = (append(&old, value), time.max(*timestamp));
        out.push(format!("{key}={}@{}", row.0, row.1));
        rows.insert(key.clone(), row);
    }
    (out, letters)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn aggregations_lose_no_row_when_a_record_fails(
        inputs in vec((prop::option::weighted(0.9, "[ab]"), "[uvwx]{1,3}", 0..100_i64), 0..40),
        commit in 1..5_usize,
    ) {
        let quiet = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| ()));
        let test = Harness::with_config(resuming(), |builder| {
            let stream: KStream<Text, String> = builder.stream("in");
            let add = |_: &Text, value: String, all: String| append(&all, &value);
            let store = Materialized::named("all");
            let table =
                stream.group_by_key().aggregate_with(String::new, add, Named::default(), store);
            table.to_stream().to("out");
        });
        for chunk in inputs.chunks(commit) {
            let records: Vec<_> = chunk
                .iter()
                .map(|(key, value, time)| (key.clone(), Some(value.clone()), *time))
                .collect();
            test.pipe_together(&records);
        }
        std::panic::set_hook(quiet);
        let (out, letters) = expected(&inputs);
        prop_assert_eq!(test.out(), out);
        prop_assert_eq!(test.read_from::<String>(LETTERS), letters);
    }
}

#[test]
fn headers_of_a_record_without_any_stay_empty_but_for_the_errors() {
    let test = Harness::with_config(resuming(), two_nodes);
    test.pipe("k", "bad", 0);
    let letter = test.records::<String>(LETTERS).pop().unwrap();
    let others = letter.headers.iter().filter(|header| !header.name.starts_with("__streams."));
    assert_eq!(others.count(), 0);
    assert_ne!(letter.headers, Headers::new());
}
