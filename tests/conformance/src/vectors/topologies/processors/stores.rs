//! Processors that write and read key-value stores.

use std::convert::Infallible;

use kstream::state::{KeyValueStore, TimestampedKeyValueStore};
use kstream::{Error, Processor, ProcessorContext, ProcessorError, Record};

use crate::vectors::topologies::{Text, shown};

const NOT_STARTED: &str = "the processor was not started";

/// Keeps the latest value of each key.
pub(in crate::vectors::topologies) struct StorePut {
    name: &'static str,
    store: Option<KeyValueStore<String, String>>,
}

impl StorePut {
    pub(in crate::vectors::topologies) fn of(name: &'static str) -> Self {
        Self { name, store: None }
    }
}

impl Processor<Text, Text, Infallible, Infallible> for StorePut {
    fn init(
        &mut self,
        context: &mut ProcessorContext<'_, Infallible, Infallible>,
    ) -> Result<(), ProcessorError> {
        self.store = Some(context.store(self.name)?);
        Ok(())
    }

    fn process(
        &mut self,
        _: &mut ProcessorContext<'_, Infallible, Infallible>,
        record: Record<Text, Text>,
    ) -> Result<(), ProcessorError> {
        if let Some(key) = &record.key {
            self.store.as_ref().ok_or(NOT_STARTED)?.put(key, record.value)?;
        }
        Ok(())
    }
}

/// Keeps the latest value of each key, in upper case and with the length of the one before.
pub(in crate::vectors::topologies) struct GlobalPut(StorePut);

impl GlobalPut {
    pub(in crate::vectors::topologies) fn of(name: &'static str) -> Self {
        Self(StorePut::of(name))
    }
}

impl Processor<Text, Text, Infallible, Infallible> for GlobalPut {
    fn init(
        &mut self,
        context: &mut ProcessorContext<'_, Infallible, Infallible>,
    ) -> Result<(), ProcessorError> {
        self.0.init(context)
    }

    fn process(
        &mut self,
        _: &mut ProcessorContext<'_, Infallible, Infallible>,
        record: Record<Text, Text>,
    ) -> Result<(), ProcessorError> {
        let store = self.0.store.as_ref().ok_or(NOT_STARTED)?;
        let Some(key) = &record.key else { return Ok(()) };
        let old = store.get(key)?.map_or(0, |old| old.encode_utf16().count());
        let value = record.value.map(|value| format!("{}{old}", value.to_uppercase()));
        store.put(key, value)?;
        Ok(())
    }
}

/// Forwards the value with what a store has for it.
fn forward_found(
    context: &mut ProcessorContext<'_, Text, String>,
    record: Record<Text, Text>,
    get: impl Fn(&String) -> Result<Text, Error>,
) -> Result<(), ProcessorError> {
    let found = match &record.value {
        Some(value) => get(value)?,
        None => None,
    };
    let value = format!("{}={}", shown(&record.value), found.as_deref().unwrap_or("none"));
    context.forward(record.with_value(value))?;
    Ok(())
}

/// Looks each value up in a key-value store.
pub(in crate::vectors::topologies) struct StoreRead {
    name: &'static str,
    store: Option<KeyValueStore<String, String>>,
}

impl StoreRead {
    pub(in crate::vectors::topologies) fn of(name: &'static str) -> Self {
        Self { name, store: None }
    }
}

impl Processor<Text, Text, Text, String> for StoreRead {
    fn init(
        &mut self,
        context: &mut ProcessorContext<'_, Text, String>,
    ) -> Result<(), ProcessorError> {
        self.store = Some(context.store(self.name)?);
        Ok(())
    }

    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, Text, String>,
        record: Record<Text, Text>,
    ) -> Result<(), ProcessorError> {
        let store = self.store.as_ref().ok_or(NOT_STARTED)?;
        forward_found(context, record, |value| store.get(value))
    }
}

/// Looks each value up in a table's store.
pub(in crate::vectors::topologies) struct TableRead {
    name: &'static str,
    store: Option<TimestampedKeyValueStore<Text, String>>,
}

impl TableRead {
    pub(in crate::vectors::topologies) fn of(name: &'static str) -> Self {
        Self { name, store: None }
    }
}

impl Processor<Text, Text, Text, String> for TableRead {
    fn init(
        &mut self,
        context: &mut ProcessorContext<'_, Text, String>,
    ) -> Result<(), ProcessorError> {
        self.store = Some(context.store(self.name)?);
        Ok(())
    }

    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, Text, String>,
        record: Record<Text, Text>,
    ) -> Result<(), ProcessorError> {
        let store = self.store.as_ref().ok_or(NOT_STARTED)?;
        forward_found(context, record, |value| {
            let found = store.get(&Some(value.clone()))?;
            Ok(found.map(|found| format!("{}@{}", found.value, found.timestamp)))
        })
    }
}
