//! Where a store's rows are kept, and how many or how long: one supplier per kind of store.

use std::time::Duration;

use crate::topology::StoreType;

/// Which rows a key-value store keeps, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// All of them.
    All(StoreType),
    /// In memory, so many of those used last.
    LastUsed(usize),
}

impl Keep {
    pub(super) fn store_type(self) -> StoreType {
        match self {
            Self::All(store_type) => store_type,
            Self::LastUsed(_) => StoreType::InMemory,
        }
    }

    pub(super) fn problem(self) -> Option<String> {
        (self == Self::LastUsed(0)).then(|| "it must keep at least one row".to_owned())
    }
}

/// Says where a key-value store keeps its rows; [`Stores`](super::Stores) makes it.
///
/// # Source
/// `org.apache.kafka.streams.state.KeyValueBytesStoreSupplier`.
#[derive(Debug, Clone)]
pub struct KeyValueBytesStoreSupplier {
    pub(super) name: String,
    pub(super) keep: Keep,
    pub(super) ttl: Option<Duration>,
}

impl KeyValueBytesStoreSupplier {
    /// Rows live for so long in event time: one whose timestamp is further than this behind stream time
    /// is no longer shown, soon removed from disk, and deleted from the changelog by a tombstone. Kafka
    /// Streams has nothing like it.
    #[must_use]
    pub fn with_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }
}

/// Says where a window store keeps its rows, and for how long; [`Stores`](super::Stores) makes it.
///
/// # Source
/// `org.apache.kafka.streams.state.WindowBytesStoreSupplier`.
#[derive(Debug, Clone)]
pub struct WindowBytesStoreSupplier {
    pub(super) name: String,
    pub(super) store_type: StoreType,
    pub(super) retention: Duration,
    pub(super) size: Duration,
    pub(super) retain_duplicates: bool,
}

impl WindowBytesStoreSupplier {
    /// Keeps every value that is put for a key and a start, instead of the last.
    #[must_use]
    pub fn retaining_duplicates(mut self) -> Self {
        self.retain_duplicates = true;
        self
    }

    pub(super) fn problem(&self) -> Option<String> {
        (self.retention < self.size).then(|| {
            format!(
                "its retention of {:?} is shorter than its windows, {:?}",
                self.retention, self.size
            )
        })
    }
}

/// Says where a session store keeps its rows, and for how long; [`Stores`](super::Stores) makes it.
///
/// # Source
/// `org.apache.kafka.streams.state.SessionBytesStoreSupplier`.
#[derive(Debug, Clone)]
pub struct SessionBytesStoreSupplier {
    pub(super) name: String,
    pub(super) store_type: StoreType,
    pub(super) retention: Duration,
}

/// Says where a versioned store keeps its rows, and for how long; [`Stores`](super::Stores) makes it.
///
/// # Source
/// `org.apache.kafka.streams.state.VersionedBytesStoreSupplier`.
#[derive(Debug, Clone)]
pub struct VersionedBytesStoreSupplier {
    pub(crate) name: String,
    pub(crate) store_type: StoreType,
    pub(crate) history_retention: Duration,
}
