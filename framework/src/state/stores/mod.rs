//! State stores as processors see them: the handles through which they are read and written.
//!
//! A processor that is connected to a store asks its context for the handle. A handle belongs to one
//! task and its thread, and so do its clones; all of them refer to the same rows.
//!
//! INVARIANT: what a handle writes is in memory until the task commits, and is read back at once; bytes in
//! changelogs are Kafka's.

mod core;
mod form;
mod iterator;
mod key_value;
mod lru;
mod session;
#[cfg(test)]
mod tests;
mod versioned;
mod window;

pub(crate) use core::StoreCore;
pub use form::{
    AggregateWithHeaders, AggregationWithHeaders, Plain, StoredAs, Timestamped, ValueAndTimestamp,
    ValueTimestampHeaders, WithHeaders,
};
pub use iterator::{KeyValueIterator, WindowStoreIterator};
pub(crate) use key_value::KeyValueRows;
pub use key_value::{KeyValueStore, TimestampedKeyValueStore, TimestampedKeyValueStoreWithHeaders};
pub(crate) use lru::LruRows;
pub use session::{SessionStore, SessionStoreWithHeaders};
pub use versioned::{VersionedKeyValueStore, VersionedRecord};
pub(crate) use window::WindowOptions;
pub use window::{TimestampedWindowStore, TimestampedWindowStoreWithHeaders, WindowStore};
