//! How far restores are, as pages and metrics show it.

use serde::Serialize;

use super::{Metrics, StoreMetrics};

/// How far a store's restore is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RestoreProgress {
    /// The store's task, as Kafka Streams prints it: `0_3`.
    pub task: String,
    /// The store.
    pub store: String,
    /// The partition of its changelog: `app-counts-changelog-3`.
    pub partition: String,
    /// Changelog records applied so far.
    pub restored_records: u64,
    /// Changelog records still to be applied; fewer where compaction has removed some.
    pub remaining_records: u64,
    /// How many of them are worked off per second, over the last seconds.
    pub records_per_second: u64,
    /// Seconds until the store is up to date at this speed; `None` while nothing moves.
    pub eta_seconds: Option<u64>,
}

impl Metrics {
    /// Shows what the process restores, task by task.
    pub(crate) fn set_restoring<'a>(&self, tasks: impl Iterator<Item = &'a [RestoreProgress]>) {
        let (mut stores, mut remaining, mut rate) = (0, 0, 0);
        let mut eta = Some(0);
        for store in tasks.flatten().filter(|store| store.remaining_records > 0) {
            stores += 1;
            remaining += store.remaining_records;
            rate += store.records_per_second;
            eta = eta.zip(store.eta_seconds).map(|(one, other)| one.max(other));
        }
        self.families.client_restoring_stores.set(stores);
        self.families.client_restore_remaining_records.set(number(remaining));
        self.families.client_restore_rate.set(number(rate));
        self.families.client_restore_eta.set(eta_number(eta));
    }
}

impl StoreMetrics {
    /// Shows how far the store's restore is, and adds the records since the last time.
    pub(crate) fn restored(&self, progress: &RestoreProgress, records: u64) {
        self.restore_records.inc_by(records);
        self.restore_remaining_records.set(number(progress.remaining_records));
        let is_done = progress.remaining_records == 0;
        self.restore_rate.set(if is_done { 0 } else { number(progress.records_per_second) });
        self.restore_eta.set(eta_number(progress.eta_seconds));
    }
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn eta_number(seconds: Option<u64>) -> i64 {
    seconds.map_or(-1, number)
}
