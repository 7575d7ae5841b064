//! Rows of which a store keeps only so many: those that were used last.
//!
//! INVARIANT: every row has one place in the order of use, and there are at most as many as allowed.

use std::collections::BTreeMap;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::key_value::KeyValueRows;
use crate::broker::RecordBatch;
use crate::error::{Error, ErrorKind};
use crate::record::{Headers, Timestamp};
use crate::serdes::ArcSerde;
use crate::state::StorePosition;
use crate::state::rows::{EmitChange, ManagedStore, Rows, Stamped};

type Key = Box<[u8]>;

/// The rows used last.
pub(crate) struct LruRows<V> {
    rows: Rows<V>,
    value_serde: ArcSerde<V>,
    max_rows: usize,
    /// When each row was used last.
    used: HashMap<Key, u64, RandomState>,
    by_use: BTreeMap<u64, Key>,
    /// Counts uses.
    now: u64,
}

impl<V: Clone + 'static> LruRows<V> {
    /// Rows that begin empty, as those in memory do.
    pub(crate) fn new(rows: Rows<V>, value_serde: ArcSerde<V>, max_rows: usize) -> Self {
        Self {
            rows,
            value_serde,
            max_rows,
            used: HashMap::default(),
            by_use: BTreeMap::new(),
            now: 0,
        }
    }

    /// Moves a row to the end of the order of use.
    fn touch(&mut self, key: &[u8]) {
        let key = match self.used.get(key).and_then(|used| self.by_use.remove(used)) {
            Some(key) => key,
            None => key.into(),
        };
        self.now += 1;
        self.used.insert(key.clone(), self.now);
        self.by_use.insert(self.now, key);
    }

    fn forget(&mut self, key: &[u8]) {
        if let Some(used) = self.used.remove(key) {
            self.by_use.remove(&used);
        }
    }

    /// Removes the row used least recently, if there is one too many.
    fn evict(&mut self, written_at: Timestamp) -> Result<(), Error> {
        if self.used.len() <= self.max_rows {
            return Ok(());
        }
        let Some((_, key)) = self.by_use.pop_first() else { return Ok(()) };
        self.used.remove(&key);
        self.rows.set(&key, None, written_at)
    }
}

impl<V: Clone + 'static> KeyValueRows<V> for LruRows<V> {
    fn read(&mut self, key: &[u8]) -> Result<Option<(&Stamped<V>, &Headers)>, Error> {
        if self.used.contains_key(key) {
            self.touch(key);
        }
        self.rows.get_with_headers(key)
    }

    fn write(
        &mut self,
        key: &[u8],
        row: Option<Stamped<V>>,
        headers: Headers,
        written_at: Timestamp,
    ) -> Result<(), Error> {
        if row.is_some() {
            self.touch(key);
            // KAFKA: what has to go is logged before what takes its place.
            self.evict(written_at)?;
        } else {
            self.forget(key);
        }
        self.rows.set_with_headers(key, row, headers, written_at)
    }

    fn rows(&mut self) -> &mut Rows<V> {
        &mut self.rows
    }
}

impl<V: Clone + 'static> ManagedStore for LruRows<V> {
    fn prepare_commit(&mut self, emit: &mut EmitChange<'_>) -> Result<(), Error> {
        self.rows.prepare_commit(emit)
    }

    fn finish_commit(
        &mut self,
        position: Option<StorePosition>,
        now_ms: Timestamp,
    ) -> Result<(), Error> {
        self.rows.finish_commit(position, now_ms)
    }

    fn restore(&mut self, records: &dyn RecordBatch, position: StorePosition) -> Result<(), Error> {
        for index in 0..records.len() {
            let record = records.record(index);
            let Some(key) = record.key else { continue };
            let value = record.value.map(|value| self.value_serde.deserialize(value));
            let value = value.transpose().map_err(|error| {
                let message = "a value of the changelog cannot be read; was its type changed?";
                Error::new(ErrorKind::Fatal, message).with_source(error)
            })?;
            let timestamp = record.timestamp;
            let row = value.map(|value| Stamped { value, timestamp });
            self.write(key, row, record.headers, timestamp)?;
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
        self.rows.uncommitted_bytes()
    }

    fn approximate_rows(&self) -> u64 {
        self.rows.approximate_rows()
    }

    fn approximate_bytes(&self) -> u64 {
        self.rows.approximate_bytes()
    }
}
