//! Versioned stores: what each key was worth when, as far back as the store's history reaches.
//!
//! A key's versions are one row of [`Rows`]. The changelog is not made of rows but of puts, all of them and
//! in order, as in Kafka Streams: restoring replays them.
//!
//! INVARIANT: whatever a put or read can still ask for is remembered; what is older than the history is
//! forgotten when its key is next put, or when the sweep comes by.

mod put_log;
#[cfg(test)]
mod tests;
mod versions;
mod versions_serde;

use std::sync::Arc;

use put_log::PutLog;
use versions_serde::VersionsSerde;

use super::key_layout::KeyLayout;
use super::rows::{
    EmitChange, ManagedStore, RowBudget, RowHeaders, Rows, RowsOptions, Stamped, Sweep,
};
use super::stores::VersionedRecord;
use super::{RowStore, StorePosition};
use crate::broker::{RawRecord, RecordBatch};
use crate::error::{Error, ErrorKind};
use crate::record::Timestamp;
use crate::serdes::{ArcSerde, SerdeError};
pub(crate) use versions::{Found, Versions};

/// What became of a put to a versioned store.
///
/// # Source
/// The number that `VersionedKeyValueStore.put` returns in Kafka Streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PutOutcome {
    /// It is older than the history reaches back, and not stored.
    TooOld,
    /// It is the latest version of its key.
    Latest,
    /// It is valid until before this time, when the next version of its key begins.
    ValidTo(Timestamp),
}

/// The versions of a store's keys.
pub(crate) struct VersionedRows<V> {
    rows: Rows<Versions<V>>,
    value_serde: ArcSerde<V>,
    history_ms: i64,
    /// The store's clock: the highest time put; −1 before the first, as in Kafka Streams.
    observed: Timestamp,
    log: PutLog,
    sweep: Sweep,
}

impl<V: Clone + 'static> VersionedRows<V> {
    pub(crate) fn new(
        backing: Box<dyn RowStore>,
        value_serde: ArcSerde<V>,
        history_ms: i64,
        budget: RowBudget,
    ) -> Result<Self, Error> {
        let options = RowsOptions {
            layout: KeyLayout::Plain,
            budget,
            headers: RowHeaders::Dropped,
            log_every_update: false,
        };
        let serde = Arc::new(VersionsSerde(Arc::clone(&value_serde)));
        Ok(Self {
            rows: Rows::new(backing, serde, options)?,
            value_serde,
            history_ms,
            observed: -1,
            log: PutLog::default(),
            sweep: Sweep::default(),
        })
    }

    /// Whether a value is one that the store keeps as "no value".
    pub(crate) fn is_null(&self, value: &V) -> bool {
        self.value_serde.is_null(value)
    }

    /// What is before this time has fallen out of the history.
    fn horizon(&self) -> Timestamp {
        self.observed.saturating_sub(self.history_ms)
    }

    /// Sets what a key is worth from a time on; `None` deletes it from then on. The changelog gets it even
    /// if it is too old.
    pub(crate) fn put(
        &mut self,
        key: &[u8],
        value: Option<V>,
        from: Timestamp,
    ) -> Result<PutOutcome, Error> {
        let value = value.filter(|value| !self.value_serde.is_null(value));
        self.log.append(key, value.as_ref(), from, &self.value_serde)?;
        self.apply(key, value, from)
    }

    fn apply(
        &mut self,
        key: &[u8],
        value: Option<V>,
        from: Timestamp,
    ) -> Result<PutOutcome, Error> {
        if from < self.horizon() {
            return Ok(PutOutcome::TooOld);
        }
        self.observed = self.observed.max(from);
        let horizon = self.horizon();
        self.rows.check_writable()?;
        let id = self.rows.find(key)?;
        let mut versions = self.rows.take(id).map(|row| row.value).unwrap_or_default();
        let next = versions.put(value, from);
        versions.forget(horizon);
        let row = self.row(versions);
        self.rows.put(id, row, from);
        Ok(next.map_or(PutOutcome::Latest, PutOutcome::ValidTo))
    }

    /// The row of these versions. Its timestamp is when it has something to forget.
    fn row(&mut self, versions: Versions<V>) -> Option<Stamped<Versions<V>>> {
        if versions.is_empty() {
            return None;
        }
        let timestamp = versions.next_to_forget();
        self.sweep.note(timestamp);
        Some(Stamped { value: versions, timestamp })
    }

    /// The latest version of a key.
    pub(crate) fn get(&mut self, key: &[u8]) -> Result<Option<Found<'_, V>>, Error> {
        Ok(self.rows.get(key)?.and_then(|row| row.value.latest()))
    }

    /// The version of a key that is valid at a time, if the history reaches back so far or it is the
    /// latest.
    pub(crate) fn get_as_of(
        &mut self,
        key: &[u8],
        at: Timestamp,
    ) -> Result<Option<Found<'_, V>>, Error> {
        let expired = at < self.horizon();
        let found = self.rows.get(key)?.and_then(|row| row.value.as_of(at));
        Ok(found.filter(|found| !expired || found.to.is_none()))
    }

    /// Deletes a key from a time on. The answer is the version that was valid then.
    pub(crate) fn delete(
        &mut self,
        key: &[u8],
        from: Timestamp,
    ) -> Result<Option<VersionedRecord<V>>, Error> {
        let too_old = from < self.horizon();
        let found = self.get_as_of(key, from)?.filter(|_| !too_old).map(Into::into);
        self.put(key, None, from)?;
        Ok(found)
    }

    /// Shows the latest versions in key order until `visit` answers false.
    pub(crate) fn scan_latest(
        &mut self,
        visit: &mut dyn FnMut(&[u8], Found<'_, V>) -> bool,
    ) -> Result<(), Error> {
        self.rows.scan(&[], None, false, &mut |key, row| {
            row.value.latest().is_none_or(|found| visit(key, found))
        })
    }

    /// Forgets what has fallen out of the history, of a bounded number of keys.
    fn forget_some(&mut self) -> Result<(), Error> {
        let horizon = self.horizon();
        for key in self.rows.sweep(&mut self.sweep, horizon)? {
            let id = self.rows.find(&key)?;
            let Some(row) = self.rows.take(id) else { continue };
            let mut versions = row.value;
            versions.forget(horizon);
            let row = self.row(versions);
            self.rows.put(id, row, self.observed);
        }
        Ok(())
    }
}

impl<V: Clone + 'static> ManagedStore for VersionedRows<V> {
    fn prepare_commit(&mut self, emit: &mut EmitChange<'_>) -> Result<(), Error> {
        self.forget_some()?;
        self.rows.prepare_commit(&mut |_| Ok(()))?;
        self.log.emit(emit)
    }

    fn finish_commit(
        &mut self,
        position: Option<StorePosition>,
        now_ms: Timestamp,
    ) -> Result<(), Error> {
        self.log.clear();
        self.rows.finish_commit(position, now_ms)
    }

    fn restore(&mut self, records: &dyn RecordBatch, position: StorePosition) -> Result<(), Error> {
        for index in 0..records.len() {
            let RawRecord { key: Some(key), value, timestamp, .. } = records.record(index) else {
                continue;
            };
            let value = value.map(|value| self.value_serde.deserialize(value));
            let value = value.transpose().map_err(unreadable)?;
            self.apply(key, value, timestamp)?;
        }
        self.rows.commit_restored(position)
    }

    fn position(&self) -> Result<Option<StorePosition>, Error> {
        ManagedStore::position(&self.rows)
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.rows.flush()
    }

    fn uncommitted_bytes(&self) -> usize {
        self.rows.uncommitted_bytes() + self.log.bytes()
    }

    fn approximate_rows(&self) -> u64 {
        self.rows.approximate_rows()
    }

    fn approximate_bytes(&self) -> u64 {
        self.rows.approximate_bytes()
    }
}

#[cold]
fn unreadable(error: SerdeError) -> Error {
    Error::new(
        ErrorKind::Fatal,
        "a value of the changelog cannot be read; was the store's type changed?",
    )
    .with_source(error)
}
