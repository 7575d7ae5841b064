//! Rows that live for a time: how the old ones are hidden at once, and found to be removed.
//!
//! INVARIANT: a row whose timestamp is more than the time to live behind stream time is never shown. It is
//! removed, with a tombstone in the changelog, when its key is next looked up or when the sweep comes by.

use super::row_bytes::timestamp_of;
use super::{RowId, Rows, Stamped};
use crate::error::Error;
use crate::record::Timestamp;
use crate::state::handle::RecordClock;

/// Rows that one step of a sweep looks at, at least.
const SWEEP_ROWS: u64 = 4096;

/// Steps that a sweep through a large store takes.
const SWEEP_STEPS: u64 = 64;

/// How long a store's rows live.
#[derive(Debug, Clone)]
pub(crate) struct TimeToLive {
    /// In milliseconds of stream time.
    pub(crate) ttl_ms: i64,
    /// Knows the stream time.
    pub(crate) clock: RecordClock,
}

/// A walk through all rows, a bounded number at a time, for those that are old. It rests while there can be
/// none.
#[derive(Debug)]
pub(crate) struct Sweep {
    /// Where it goes on, by row key.
    from: Vec<u8>,
    /// No row has a lower timestamp.
    oldest: Timestamp,
    /// The lowest timestamp met since it began at the first row.
    oldest_met: Timestamp,
}

impl Default for Sweep {
    fn default() -> Self {
        Self { from: Vec::new(), oldest: Timestamp::MIN, oldest_met: Timestamp::MAX }
    }
}

impl Sweep {
    /// Notes a row that is written.
    #[inline]
    pub(crate) fn note(&mut self, timestamp: Timestamp) {
        self.oldest = self.oldest.min(timestamp);
        self.oldest_met = self.oldest_met.min(timestamp);
    }
}

impl<V: Clone + 'static> Rows<V> {
    /// Gives rows a time to live.
    pub(crate) fn with_time_to_live(mut self, ttl: TimeToLive) -> Self {
        // Rows that another task writes are removed by that task.
        if self.foreign.is_some() {
            return self;
        }
        self.ttl = Some(Box::new((ttl, Sweep::default())));
        self
    }

    /// Rows with a lower timestamp have expired.
    fn live_from(&self) -> Timestamp {
        let Some(ttl) = &self.ttl else { return Timestamp::MIN };
        ttl.0.clock.stream_time().saturating_sub(ttl.0.ttl_ms)
    }

    /// Whether the row has outlived its time.
    #[inline]
    pub(super) fn is_expired(&self, row: &Stamped<V>) -> bool {
        self.ttl.is_some() && row.timestamp < self.live_from()
    }

    /// Removes the row if it has outlived its time.
    pub(super) fn expire(&mut self, id: RowId) {
        let live_from = self.live_from();
        let slot = self.slots.get(id.0 as usize);
        let row = slot.and_then(|slot| slot.row.as_ref());
        if row.is_some_and(|row| row.timestamp < live_from) {
            let now = self.ttl.as_ref().map_or(0, |ttl| ttl.0.clock.stream_time());
            self.put(id, None, now);
        }
    }

    /// Removes some of the rows that have outlived their time.
    pub(super) fn expire_some(&mut self) -> Result<(), Error> {
        let live_from = self.live_from();
        let Some(mut ttl) = self.ttl.take() else { return Ok(()) };
        let old = self.sweep(&mut ttl.1, live_from.saturating_sub(1));
        self.ttl = Some(ttl);
        for key in old? {
            // Looking a row up removes it.
            self.find(&key)?;
        }
        Ok(())
    }

    /// Goes on through the committed rows and gives out the changelog keys of those with a timestamp of at
    /// most `horizon`. The caller looks again: they may have changed since they were committed.
    pub(crate) fn sweep(
        &self,
        sweep: &mut Sweep,
        horizon: Timestamp,
    ) -> Result<Vec<Box<[u8]>>, Error> {
        let mut old = Vec::new();
        if sweep.oldest > horizon {
            return Ok(old);
        }
        let mut left = SWEEP_ROWS.max(self.backing.approximate_rows() / SWEEP_STEPS);
        let from = std::mem::take(&mut sweep.from);
        let (oldest_met, next) = (&mut sweep.oldest_met, &mut sweep.from);
        self.backing.scan(&from, None, false, &mut |row_key, bytes| {
            if left == 0 {
                next.extend_from_slice(row_key);
                return false;
            }
            left -= 1;
            let timestamp = timestamp_of(bytes);
            if timestamp <= horizon {
                old.push(self.layout.changelog_key(row_key).into());
            } else {
                *oldest_met = (*oldest_met).min(timestamp);
            }
            true
        })?;
        if sweep.from.is_empty() {
            sweep.oldest = std::mem::replace(&mut sweep.oldest_met, Timestamp::MAX);
        }
        Ok(old)
    }
}
