//! The application's own watcher of restores.

use std::fmt::{self, Debug};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::ids::TopicPartition;
use crate::processor::handler::panic_of;

/// Told when a store is brought up to date from its changelog, and how far it has come.
///
/// A store that is up to date when its task starts is not mentioned. The calls about one store come in this
/// order: start, batches, and then either the end, or a suspension: when the task is given away, its thread
/// stops, or its state is found to be damaged, before the store is up to date. Calls come from the thread that restores, different stores from
/// different threads; what takes long in them holds up that thread's tasks. A panic is logged, and the restore
/// goes on.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use kstream::{StateRestoreListener, TopicPartition};
///
/// #[derive(Debug, Default)]
/// struct Restored(AtomicU64);
///
/// impl StateRestoreListener for Restored {
///     fn on_batch_restored(&self, _: &TopicPartition, _store: &str, _end: i64, records: u64) {
///         self.0.fetch_add(records, Ordering::Relaxed);
///     }
/// }
/// ```
///
/// # Source
/// `org.apache.kafka.streams.processor.StateRestoreListener`; `on_restore_suspended`: KIP-869.
pub trait StateRestoreListener: Debug + Send + Sync + 'static {
    /// `store` begins to read this partition of its changelog, from `starting_offset` to before
    /// `ending_offset`.
    fn on_restore_start(
        &self,
        partition: &TopicPartition,
        store: &str,
        starting_offset: i64,
        ending_offset: i64,
    ) {
        let _ = (partition, store, starting_offset, ending_offset);
    }

    /// So many records have been applied; `batch_end_offset` is the offset of the last one.
    fn on_batch_restored(
        &self,
        partition: &TopicPartition,
        store: &str,
        batch_end_offset: i64,
        records: u64,
    ) {
        let _ = (partition, store, batch_end_offset, records);
    }

    /// The store is up to date; `total_restored` records have been applied since the start.
    fn on_restore_end(&self, partition: &TopicPartition, store: &str, total_restored: u64) {
        let _ = (partition, store, total_restored);
    }

    /// The store is not restored any further here, and not up to date.
    fn on_restore_suspended(&self, partition: &TopicPartition, store: &str, total_restored: u64) {
        let _ = (partition, store, total_restored);
    }
}

/// The listener, if there is one; a panic in it is logged. Cloning shares it.
#[derive(Clone, Default)]
pub(crate) struct RestoreListener(Option<Arc<dyn StateRestoreListener>>);

impl RestoreListener {
    pub(crate) fn new(listener: Option<Arc<dyn StateRestoreListener>>) -> Self {
        Self(listener)
    }

    pub(crate) fn tell(&self, what: impl FnOnce(&dyn StateRestoreListener)) {
        let Some(listener) = &self.0 else { return };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| what(&**listener))) {
            let panic = panic_of(&*panic);
            tracing::error!(%panic, "the restore listener panicked; the restore goes on");
        }
    }
}

impl Debug for RestoreListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
