//! Key-value stores.

use kstream::serdes::StringSerde;
use kstream::state::{
    KeyValueIterator, KeyValueStore, TimestampedKeyValueStore, TimestampedKeyValueStoreWithHeaders,
    ValueAndTimestamp, ValueTimestampHeaders,
};
use kstream::{Error, Record, Stores, StreamsBuilder};

use super::{Answer, Build, TextRecord, answer, commands, list, or_null};

pub(super) fn topology(name: &str) -> Option<Build> {
    Some(match name {
        "store-kv" => persistent,
        "store-kv-cached" => cached,
        "store-lru" => lru,
        "store-timestamped" => timestamped,
        _ => return None,
    })
}

fn persistent(builder: &StreamsBuilder) {
    let supplier = Stores::persistent_key_value_store("kv");
    commands(builder, "kv", Stores::key_value_store_builder(supplier), command);
}

fn cached(builder: &StreamsBuilder) {
    let supplier = Stores::in_memory_key_value_store("kv");
    let store = Stores::key_value_store_builder(supplier).with_caching_enabled();
    commands(builder, "kv", store, command);
}

fn command(store: &KeyValueStore<String, String>, record: TextRecord) -> Answer {
    let (Some(key), Some(value)) = (record.key.as_ref(), record.value.as_deref()) else {
        return Ok(None);
    };
    let listed = |name: &str, found: Result<KeyValueIterator<String, String>, Error>| {
        Ok::<_, Error>(format!("{name}:{}", list(found?, String::clone)))
    };
    let text = match value {
        "del" => format!("del:{}", or_null(store.delete(key)?)),
        "nul" => {
            store.put(key, None)?;
            "ok".to_owned()
        }
        "get" => format!("get:{}", or_null(store.get(key)?)),
        "all" => listed("all", store.all())?,
        "rall" => listed("rall", store.reverse_all())?,
        "range" => listed("range", store.range(key, &"b".to_owned()))?,
        "rrange" => listed("rrange", store.reverse_range(&"ab".to_owned(), key))?,
        "from" => listed("from", store.range(key, None))?,
        "to" => listed("to", store.range(None, key))?,
        "prefix" => listed("prefix", store.prefix_scan(key, &StringSerde))?,
        // This begins with "put": it puts "all".
        value => {
            if let Some(new) = value.strip_prefix("put") {
                store.put(key, new.to_owned())?;
                "ok".to_owned()
            } else if let Some(new) = value.strip_prefix("pia") {
                format!("pia:{}", or_null(store.put_if_absent(key, new.to_owned())?))
            } else {
                "?".to_owned()
            }
        }
    };
    Ok(answer(record, text))
}

fn lru(builder: &StreamsBuilder) {
    let store = Stores::key_value_store_builder(Stores::lru_map("lru", 3));
    commands(builder, "lru", store, |store: &KeyValueStore<String, String>, record| {
        let Some(key) = record.key.clone() else { return Ok(None) };
        let before = or_null(store.get(&key)?);
        store.put(&key, record.value.clone())?;
        Ok(answer(record, format!("get:{before}")))
    });
}

fn timestamped(builder: &StreamsBuilder) {
    let supplier = Stores::persistent_key_value_store("tkv");
    let store = Stores::timestamped_key_value_store_builder(supplier);
    commands(builder, "tkv", store, |store: &TimestampedKeyValueStore<String, String>, record| {
        let Some(key) = record.key.clone() else { return Ok(None) };
        let (value, timestamp) = (record.value.clone(), record.timestamp);
        let old = store.get(&key)?;
        if old.as_ref().is_none_or(|old| old.timestamp <= timestamp) {
            store.put(&key, value.map(|value| ValueAndTimestamp::new(value, timestamp)))?;
        }
        let old = old.map(|old| format!("{}@{}", old.value, old.timestamp));
        Ok(answer(record, old.unwrap_or_else(|| "none".to_owned())))
    });
}

/// Forwards what was stored before with its headers, then stores the record.
pub(super) fn with_headers(
    store: &TimestampedKeyValueStoreWithHeaders<String, String>,
    record: TextRecord,
) -> Answer {
    let Record { key: Some(key), value, timestamp, headers } = record else { return Ok(None) };
    let old = store.get(&key)?;
    store.put(&key, value.map(|value| ValueTimestampHeaders::new(value, timestamp, headers)))?;
    Ok(Some(old_record(key, timestamp, old)))
}

/// A record of what was stored before.
pub(super) fn old_record(
    key: String,
    timestamp: i64,
    old: Option<ValueTimestampHeaders<String>>,
) -> TextRecord {
    match old {
        None => Record::new(Some(key), Some("none".to_owned()), timestamp),
        Some(old) => Record {
            key: Some(key),
            value: Some(format!("{}@{}", old.value, old.timestamp)),
            timestamp,
            headers: old.headers,
        },
    }
}
