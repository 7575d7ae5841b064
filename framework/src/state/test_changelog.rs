//! A changelog kept in a vector, for tests of stores.

use super::StorePosition;
use super::rows::ManagedStore;
use crate::broker::{RawRecord, RecordBatch};
use crate::record::{Headers, Timestamp};

/// A changelog record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Logged {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) timestamp: Timestamp,
    pub(crate) headers: Headers,
}

/// All that a store has logged.
#[derive(Debug, Default)]
pub(crate) struct TestChangelog(pub(crate) Vec<Logged>);

impl TestChangelog {
    /// Commits a store and logs what it gives out. The answer is how many records that are.
    pub(crate) fn commit(&mut self, store: &mut dyn ManagedStore) -> usize {
        let before = self.0.len();
        store
            .prepare_commit(&mut |record| {
                self.0.push(Logged {
                    key: record.key.to_vec(),
                    value: record.value.map(<[u8]>::to_vec),
                    timestamp: record.timestamp.unwrap_or(0),
                    headers: record.headers.clone(),
                });
                Ok(())
            })
            .unwrap();
        store.finish_commit(None, 0).unwrap();
        self.0.len() - before
    }

    /// Restores an empty store in batches.
    pub(crate) fn restore(&self, store: &mut dyn ManagedStore) {
        for batch in self.0.chunks(3) {
            let position = StorePosition { next_offset: 0, written_at_ms: 0, topic_id: None };
            store.restore(&Batch(batch.to_vec()), position).unwrap();
        }
    }

    /// The keys that are left when the changelog is compacted.
    pub(crate) fn compacted_keys(&self) -> Vec<Vec<u8>> {
        let latest: std::collections::BTreeMap<_, _> =
            self.0.iter().map(|record| (&record.key, record.value.is_some())).collect();
        latest.into_iter().filter(|(_, kept)| *kept).map(|(key, _)| key.clone()).collect()
    }
}

#[derive(Debug)]
struct Batch(Vec<Logged>);

impl RecordBatch for Batch {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn record(&self, index: usize) -> RawRecord<'_> {
        let record = &self.0[index];
        RawRecord {
            offset: 0,
            timestamp: record.timestamp,
            key: Some(&record.key),
            value: record.value.as_deref(),
            headers: record.headers.clone(),
        }
    }
}
