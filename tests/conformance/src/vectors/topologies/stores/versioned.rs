//! Versioned stores.

use std::time::Duration;

use kstream::state::{PutOutcome, VersionedKeyValueStore, VersionedRecord};
use kstream::{Stores, StreamsBuilder};

use super::{Answer, Build, TextRecord, answer, commands};

pub(super) fn topology(name: &str) -> Option<Build> {
    (name == "store-versioned").then_some(build as Build)
}

fn build(builder: &StreamsBuilder) {
    let history = Duration::from_millis(150);
    let supplier = Stores::persistent_versioned_key_value_store("vkv", history);
    let store = Stores::versioned_key_value_store_builder(supplier);
    commands(builder, "vkv", store, command);
}

fn command(store: &VersionedKeyValueStore<String, String>, record: TextRecord) -> Answer {
    let (Some(key), at) = (record.key.as_ref(), record.timestamp) else { return Ok(None) };
    let text = match record.value.as_deref() {
        None => format!("putnull:{}", code(store.put(key, None, at)?)),
        Some("get") => format!("get:{}", text(store.get(key)?)),
        Some("asof") => format!("asof:{}", text(store.get_as_of(key, at)?)),
        Some("past") => format!("past:{}", text(store.get_as_of(key, (at - 120).max(0))?)),
        Some("del") => format!("del:{}", text(store.delete(key, at)?)),
        Some(value) => format!("put:{}", code(store.put(key, value.to_owned(), at)?)),
    };
    answer(record, text)
}

/// The number that Kafka Streams returns.
fn code(outcome: PutOutcome) -> i64 {
    match outcome {
        PutOutcome::TooOld => i64::MIN,
        PutOutcome::Latest => -1,
        PutOutcome::ValidTo(next) => next,
    }
}

/// Kafka Streams' handle never tells when a version ends, though the store knows; so the recordings always
/// have "inf".
fn text(found: Option<VersionedRecord<String>>) -> String {
    let none = || "none".to_owned();
    found.map_or_else(none, |found| format!("{}@{}-inf", found.value, found.timestamp))
}
