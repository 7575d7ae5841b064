//! Session stores.

use std::time::Duration;

use kstream::state::{
    AggregationWithHeaders, KeyValueIterator, SessionStore, SessionStoreWithHeaders,
};
use kstream::{Error, Record, Stores, StreamsBuilder, Window, Windowed};

use super::{Answer, Build, TextRecord, answer, commands, list, or_null, window_text};

pub(super) fn topology(name: &str) -> Option<Build> {
    (name == "store-session").then_some(build as Build)
}

fn build(builder: &StreamsBuilder) {
    let supplier = Stores::persistent_session_store("ss", Duration::from_millis(300));
    commands(builder, "ss", Stores::session_store_builder(supplier), command);
}

fn command(store: &SessionStore<String, String>, record: TextRecord) -> Answer {
    let (Some(key), Some(value)) = (record.key.as_ref(), record.value.as_deref()) else {
        return Ok(None);
    };
    let at = record.timestamp;
    let (earliest_end, latest_start) = ((at - 100).max(0), at + 20);
    let many = |name: &str, found: Result<KeyValueIterator<Windowed<String>, String>, Error>| {
        Ok::<_, Error>(format!("{name}:{}", list(found?, window_text)))
    };
    let text = match value {
        "find" => many("find", store.find_sessions(key, earliest_end, latest_start))?,
        "back" => many("back", store.backward_find_sessions(key, earliest_end, latest_start))?,
        "keys" => {
            let first = "a".to_owned();
            many("keys", store.find_sessions_of_keys(&first, key, earliest_end, latest_start))?
        }
        "fetch" => many("fetch", store.fetch(key))?,
        "removeall" => {
            let found = store.find_sessions(key, earliest_end, latest_start)?;
            let removed = found.len();
            for (session, _) in found {
                store.remove(&session)?;
            }
            format!("removed:{removed}")
        }
        value => {
            let (length, value) = value.split_once(':').ok_or("no length")?;
            let window = Window { start: at, end: at + length.parse::<i64>()? };
            store.put(&Windowed { key: key.clone(), window }, value.to_owned())?;
            format!("put:{}", or_null(store.fetch_session(key, window.start, window.end)?))
        }
    };
    Ok(answer(record, text))
}

/// Forwards what was stored for the session before with its headers, then stores the record there.
pub(super) fn with_headers(
    store: &SessionStoreWithHeaders<String, String>,
    record: TextRecord,
) -> Answer {
    let Record { key: Some(key), value, timestamp, headers } = record else { return Ok(None) };
    let start = timestamp / 100 * 100;
    let window = Window { start, end: start + 50 };
    let old = store.fetch_session(&key, window.start, window.end)?;
    let session = Windowed { key: key.clone(), window };
    store.put(&session, value.map(|value| AggregationWithHeaders::new(value, headers)))?;
    Ok(Some(match old {
        None => Record::new(Some(key), Some("none".to_owned()), timestamp),
        Some(old) => {
            let (value, headers) = (Some(old.aggregation), old.headers);
            Record { key: Some(key), value, timestamp, headers }
        }
    }))
}
