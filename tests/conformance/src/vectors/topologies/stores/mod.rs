//! Stores driven by commands in record values.

mod headers_format;
mod key_value;
mod session;
mod versioned;
mod window;

use kstream::state::StateStoreHandle;
use kstream::{
    KStream, Named, Processor, ProcessorContext, ProcessorError, Record, StoreBuilder,
    StreamsBuilder, Windowed,
};

use super::{Build, Text};

pub(super) fn topology(name: &str) -> Option<Build> {
    headers_format::topology(name)
        .or_else(|| key_value::topology(name))
        .or_else(|| window::topology(name))
        .or_else(|| session::topology(name))
        .or_else(|| versioned::topology(name))
}

type TextRecord = Record<Text, Text>;

/// What to forward of a record, if anything.
type Answer = Result<Option<TextRecord>, ProcessorError>;

type Command<S> = fn(&S, TextRecord) -> Answer;

/// Does something with a store for each record, and forwards the answer.
struct Commands<S> {
    name: &'static str,
    store: Option<S>,
    command: Command<S>,
}

impl<S: StateStoreHandle> Processor<Text, Text, Text, Text> for Commands<S> {
    fn init(
        &mut self,
        context: &mut ProcessorContext<'_, Text, Text>,
    ) -> Result<(), ProcessorError> {
        self.store = Some(context.store(self.name)?);
        Ok(())
    }

    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, Text, Text>,
        record: TextRecord,
    ) -> Result<(), ProcessorError> {
        let store = self.store.as_ref().ok_or("init comes first")?;
        if let Some(answer) = (self.command)(store, record)? {
            context.forward(answer)?;
        }
        Ok(())
    }
}

/// A processor on a store of its own behind `in`.
fn commands<S: StateStoreHandle>(
    builder: &StreamsBuilder,
    name: &'static str,
    store: StoreBuilder<S>,
    command: Command<S>,
) {
    builder.add_state_store(store);
    let stream: KStream<Text, Text> = builder.stream("in");
    process(&stream, name, command).to("out");
}

fn process<S: StateStoreHandle>(
    stream: &KStream<Text, Text>,
    name: &'static str,
    command: Command<S>,
) -> KStream<Text, Text> {
    let supplier = move || Commands { name, store: None, command };
    stream.process_with(supplier, Named::default(), &[name])
}

/// The record with a text as its value.
#[expect(clippy::unnecessary_wraps, reason = "what the callers forward may be null")]
fn answer(record: TextRecord, text: impl Into<String>) -> Option<TextRecord> {
    Some(record.with_value(Some(text.into())))
}

/// Java's text of an optional value.
fn or_null(value: Option<String>) -> String {
    value.unwrap_or_else(|| "null".to_owned())
}

/// Entries as the recordings write them.
fn list<K>(entries: impl Iterator<Item = (K, String)>, key: impl Fn(&K) -> String) -> String {
    let entries: Vec<_> = entries.map(|(k, value)| format!("{}={value}", key(&k))).collect();
    format!("[{}]", entries.join(","))
}

/// A windowed key as text.
fn window_text(key: &Windowed<String>) -> String {
    format!("{}@{}-{}", key.key, key.window.start, key.window.end)
}
