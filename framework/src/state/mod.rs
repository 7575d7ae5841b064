//! State: rows, their order, their layers, and where each store's changelog stands.
//!
//! A store of a task is, from top to bottom: typed rows in memory (what was read and what has been
//! written since the last commit), and a [`RowStore`] of bytes that only ever holds committed rows.

pub(crate) mod buffer;
mod directory;
pub(crate) mod handle;
mod in_memory;
pub(crate) mod key_layout;
#[cfg(test)]
mod model_tests;
pub mod persistent;
pub(crate) mod recent_rows;
pub(crate) mod rows;
pub(crate) mod shared_rows;
pub(crate) mod stores;
#[cfg(test)]
pub(crate) mod test_changelog;
pub(crate) mod versioned;

use std::fmt::Debug;

use crate::error::{Error, ErrorKind};
use crate::ids::TopicId;

pub use directory::StateDirectory;
pub use handle::StateStoreHandle;
pub use in_memory::MemoryRows;
pub use stores::{
    AggregateWithHeaders, AggregationWithHeaders, KeyValueIterator, KeyValueStore, Plain,
    SessionStore, SessionStoreWithHeaders, StoredAs, Timestamped, TimestampedKeyValueStore,
    TimestampedKeyValueStoreWithHeaders, TimestampedWindowStore, TimestampedWindowStoreWithHeaders,
    ValueAndTimestamp, ValueTimestampHeaders, VersionedKeyValueStore, VersionedRecord, WindowStore,
    WindowStoreIterator, WithHeaders,
};
pub use versioned::PutOutcome;

/// How far a store's committed rows follow its changelog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StorePosition {
    /// The next changelog offset to replay.
    pub next_offset: i64,
    /// When the store last had all that its changelog had, in milliseconds of the wall clock: a store that
    /// was left behind for longer than the changelog's `delete.retention.ms` cannot be caught up, because
    /// tombstones may be gone.
    pub written_at_ms: i64,
    /// The changelog that the offset is about; `None` when it is not known.
    pub topic_id: Option<TopicId>,
}

/// What a store answers when it cannot serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The files are damaged or of an unknown format: delete the task's folder and restore.
    #[error("state of {store} is unusable: {reason}")]
    Corrupted {
        /// The store or folder.
        store: String,
        /// What was found.
        reason: String,
    },
    /// The folder is used by another process.
    #[error("state folder {path} is in use by another process")]
    Locked {
        /// The folder.
        path: String,
    },
    /// Reading or writing failed.
    #[error("{action}")]
    Io {
        /// What was tried, on which file.
        action: String,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl From<StateError> for Error {
    fn from(error: StateError) -> Self {
        let kind = match &error {
            StateError::Corrupted { .. } => ErrorKind::TaskCorrupted,
            StateError::Locked { .. } => ErrorKind::Config,
            StateError::Io { .. } => ErrorKind::Fatal,
        };
        Self::new(kind, "local state cannot be used").with_source(error)
    }
}

/// The committed rows of one store, as bytes in key order.
pub trait RowStore: Debug + Send {
    /// Shows the value of `key` to `found`; the answer says whether there is one.
    fn get(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool, StateError>;

    /// Shows rows with `from <= key < to` in key order (or backwards) until `visit` answers false.
    /// `to = None`: to the last row.
    fn scan(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        reverse: bool,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StateError>;

    /// Where the rows stand, `None` for a store never written.
    fn position(&self) -> Result<Option<StorePosition>, StateError>;

    /// Starts a batch of changes.
    fn batch(&mut self) -> Box<dyn RowBatch + '_>;

    /// Called after each commit: lets a persistent store decide to write its memory to disk in the
    /// background, by age and by the number of rows since the last time.
    fn maintain(&mut self, now_ms: i64) -> Result<(), StateError>;

    /// Writes everything to disk; returns when it is there.
    fn flush(&mut self) -> Result<(), StateError>;

    /// About how many rows it holds.
    fn approximate_rows(&self) -> u64;

    /// About how many bytes they take, on disk and in memory.
    fn approximate_bytes(&self) -> u64;

    /// How many times somebody else has changed the rows, where they are only read here; `None` where
    /// they are written here, and by nobody else.
    fn foreign_version(&self) -> Option<u64> {
        None
    }
}

/// Changes that become visible together, with the position they bring the store to. A batch that is
/// dropped leaves no trace.
pub trait RowBatch {
    /// Sets a row. Keys come in ascending order where the caller can manage it; a later change to a
    /// key wins.
    fn put(&mut self, key: &[u8], value: &[u8]);
    /// Removes a row.
    fn delete(&mut self, key: &[u8]);
    /// Removes all rows with `from <= key < to` at once, whole files where possible.
    fn delete_range(&mut self, from: &[u8], to: &[u8]);
    /// Applies the changes. `position = None` leaves the old one.
    fn commit(self: Box<Self>, position: Option<StorePosition>) -> Result<(), StateError>;
}
