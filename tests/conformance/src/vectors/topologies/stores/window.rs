//! Window stores.

use std::time::Duration;

use kstream::state::{
    KeyValueIterator, TimestampedWindowStoreWithHeaders, ValueTimestampHeaders, WindowStore,
    WindowStoreIterator,
};
use kstream::{Error, KStream, Record, Stores, StreamsBuilder, WindowBytesStoreSupplier, Windowed};

use super::key_value::old_record;
use super::{
    Answer, Build, Text, TextRecord, answer, commands, list, or_null, process, window_text,
};

pub(super) fn topology(name: &str) -> Option<Build> {
    Some(match name {
        "store-window" => persistent,
        "store-window-in-memory" => in_memory,
        "store-window-duplicates" => duplicates,
        "dedup-window-store" => dedup,
        "store-headers" => headers,
        _ => return None,
    })
}

const RETENTION: Duration = Duration::from_millis(300);
const SIZE: Duration = Duration::from_millis(50);

fn persistent(builder: &StreamsBuilder) {
    build(builder, Stores::persistent_window_store("ws", RETENTION, SIZE));
}

fn in_memory(builder: &StreamsBuilder) {
    build(builder, Stores::in_memory_window_store("ws", RETENTION, SIZE));
}

fn duplicates(builder: &StreamsBuilder) {
    let supplier = Stores::persistent_window_store("ws", RETENTION, SIZE);
    build(builder, supplier.retaining_duplicates());
}

fn build(builder: &StreamsBuilder, supplier: WindowBytesStoreSupplier) {
    commands(builder, "ws", Stores::window_store_builder(supplier), command);
}

fn command(store: &WindowStore<String, String>, record: TextRecord) -> Answer {
    let (Some(key), at) = (record.key.as_ref(), record.timestamp) else { return Ok(None) };
    let times = (at - 150).max(0)..=at + 20;
    let one = |name: &str, found: Result<WindowStoreIterator<String>, Error>| {
        Ok::<_, Error>(format!("{name}:{}", list(found?, i64::to_string)))
    };
    let many = |name: &str, found: Result<KeyValueIterator<Windowed<String>, String>, Error>| {
        Ok::<_, Error>(format!("{name}:{}", list(found?, window_text)))
    };
    let text = match record.value.as_deref() {
        Some("get") => format!("get:{}", or_null(store.fetch(key, at)?)),
        Some("fetch") => one("fetch", store.fetch_range(key, times))?,
        Some("back") => one("back", store.backward_fetch_range(key, times))?,
        Some("keys") => many("keys", store.fetch_keys(&"a".to_owned(), key, times))?,
        Some("all") => many("all", store.fetch_all(times))?,
        Some("rall") => many("rall", store.backward_fetch_all(times))?,
        value => {
            store.put(key, value.map(str::to_owned), at)?;
            "ok".to_owned()
        }
    };
    Ok(answer(record, text))
}

fn dedup(builder: &StreamsBuilder) {
    let size = Duration::from_millis(100);
    let store = Stores::persistent_window_store("d", size * 2, size);
    commands(
        builder,
        "d",
        Stores::window_store_builder(store),
        |store: &WindowStore<String, String>, record| {
            let (Some(key), Some(value)) = (&record.key, &record.value) else { return Ok(None) };
            let at = record.timestamp;
            let mut near = store.fetch_range(key, (at - 100).max(0)..=at + 100)?;
            let seen = near.any(|(_, other)| other == *value);
            store.put(key, value.clone(), at)?;
            Ok((!seen).then_some(record))
        },
    );
}

fn headers(builder: &StreamsBuilder) {
    let (retention, size) = (Duration::from_secs(1), Duration::from_millis(100));
    let supplier = Stores::persistent_key_value_store("hkv");
    builder
        .add_state_store(
            Stores::timestamped_key_value_store_with_headers_builder::<String, String>(supplier),
        );
    let supplier = Stores::persistent_window_store("hw", retention, size);
    builder.add_state_store(
        Stores::timestamped_window_store_with_headers_builder::<String, String>(supplier),
    );
    let supplier = Stores::persistent_session_store("hs", retention);
    builder.add_state_store(Stores::session_store_with_headers_builder::<String, String>(supplier));
    let stream: KStream<Text, Text> = builder.stream("in");
    process(&stream, "hkv", super::key_value::with_headers).to("out-kv");
    process(&stream, "hw", with_headers).to("out-window");
    process(&stream, "hs", super::session::with_headers).to("out-session");
}

/// Forwards what was stored at the window's start before with its headers, then stores the record there.
fn with_headers(
    store: &TimestampedWindowStoreWithHeaders<String, String>,
    record: TextRecord,
) -> Answer {
    let Record { key: Some(key), value, timestamp, headers } = record else { return Ok(None) };
    let start = timestamp / 100 * 100;
    let old = store.fetch(&key, start)?;
    let new = value.map(|value| ValueTimestampHeaders::new(value, timestamp, headers));
    store.put(&key, new, start)?;
    Ok(Some(old_record(key, timestamp, old)))
}
