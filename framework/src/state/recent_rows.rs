//! The newest rows of a window store that retains duplicates, by record key: what a join looks at for most
//! records, without reading the store.
//!
//! Time is cut into spans; what expires and what memory has no room for goes span by span, the oldest first.
//!
//! INVARIANT: every live row of the store whose time is at or after `complete_from` is here.

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::RandomState;

use crate::record::Timestamp;

/// Spans that a store's retention is cut into: few to look into, and little at once that goes.
const SPANS: i64 = 4;

/// Memory of a row beside its key and value.
const ROW_BYTES: usize = 48;

/// Rows by key; of one key by time, then arrival.
type Span<V> = HashMap<Box<[u8]>, Vec<(Timestamp, V)>, RandomState>;

/// See the module.
#[derive(Debug)]
pub(crate) struct RecentRows<V> {
    spans: BTreeMap<i64, (Span<V>, usize)>,
    span_ms: i64,
    retention_ms: i64,
    /// No row with a time at or after this one is missing; `MAX` until it is known what the store holds.
    complete_from: Timestamp,
    /// The highest time put so far.
    observed: Timestamp,
    bytes: usize,
    max_bytes: usize,
}

impl<V> Default for RecentRows<V> {
    fn default() -> Self {
        Self {
            spans: BTreeMap::new(),
            span_ms: 1,
            retention_ms: 0,
            complete_from: Timestamp::MAX,
            observed: -1,
            bytes: 0,
            max_bytes: 0,
        }
    }
}

impl<V> RecentRows<V> {
    /// Takes the settings of the store.
    pub(crate) fn configure(&mut self, retention_ms: i64, max_bytes: usize) {
        self.retention_ms = retention_ms;
        self.span_ms = (retention_ms / SPANS).max(1);
        self.max_bytes = max_bytes;
    }

    /// Says what the store holds before the first row is put here: nothing at or after `from`, and its clock
    /// is at `observed`. Only the first call counts, and none where there is no room.
    pub(crate) fn begin(&mut self, from: Timestamp, observed: Timestamp) {
        if self.complete_from == Timestamp::MAX && self.has_room() {
            self.complete_from = from;
            self.observed = self.observed.max(observed);
        }
    }

    /// Whether rows are kept at all.
    pub(crate) fn has_room(&self) -> bool {
        self.max_bytes > 0
    }

    /// Notes that the store's clock has moved without a row.
    pub(crate) fn observe(&mut self, time: Timestamp) {
        self.observed = self.observed.max(time);
    }

    /// Adds a row that was put into the store.
    pub(crate) fn put(&mut self, key: &[u8], time: Timestamp, value: V, value_bytes: usize) {
        self.observe(time);
        if time < self.complete_from || time < self.live_from() {
            return;
        }
        let (span, span_bytes) = self.spans.entry(time.div_euclid(self.span_ms)).or_default();
        let bytes = ROW_BYTES + key.len() + value_bytes;
        match span.get_mut(key) {
            Some(rows) => {
                let place = rows.partition_point(|(other, _)| *other <= time);
                rows.insert(place, (time, value));
            }
            None => drop(span.insert(key.into(), vec![(time, value)])),
        }
        *span_bytes += bytes;
        self.bytes += bytes;
        self.make_room();
    }

    /// Drops what has expired, and the oldest spans if there is too much.
    fn make_room(&mut self) {
        while let Some(entry) = self.spans.first_entry() {
            let end = entry.key().saturating_add(1).saturating_mul(self.span_ms);
            let expired = end <= self.observed.saturating_sub(self.retention_ms);
            if !expired && self.bytes <= self.max_bytes {
                return;
            }
            let (_, bytes) = entry.remove();
            self.bytes -= bytes;
            // Of a span that has expired no row is live, so that none is missing.
            if !expired {
                self.complete_from = self.complete_from.max(end);
            }
        }
    }

    /// Rows from this time on are live.
    fn live_from(&self) -> Timestamp {
        self.observed.saturating_sub(self.retention_ms).saturating_add(1)
    }

    /// Shows the rows of a key between two times, both inclusive, by time, then arrival. The answer is
    /// false, and nothing is shown, if some may be missing.
    pub(crate) fn for_each(
        &self,
        key: &[u8],
        (earliest, latest): (Timestamp, Timestamp),
        visit: &mut dyn FnMut(Timestamp, &V),
    ) -> bool {
        let earliest = earliest.max(self.live_from());
        if earliest < self.complete_from {
            return false;
        }
        if earliest > latest {
            return true;
        }
        let spans = earliest.div_euclid(self.span_ms)..=latest.div_euclid(self.span_ms);
        for (_, (span, _)) in self.spans.range(spans) {
            let Some(rows) = span.get(key) else { continue };
            let from = rows.partition_point(|(time, _)| *time < earliest);
            for (time, value) in rows.get(from..).unwrap_or_default() {
                if *time > latest {
                    break;
                }
                visit(*time, value);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// A put, and a look for the key around a time.
    type Step = (u8, Timestamp, Timestamp, Timestamp);

    proptest! {
        /// Whatever the room is: what is shown is all there is, and with room for all it always is shown.
        #[test]
        fn shows_all_rows_or_none(
            retention in 0..200_i64,
            max_bytes in prop_oneof![Just(0), 0..2_000_usize, Just(usize::MAX)],
            known_from in 0..100_i64,
            steps in vec((0..3_u8, 0..500_i64, 0..100_i64, 0..100_i64), 0..60),
        ) {
            let mut recent = RecentRows::default();
            recent.configure(retention, max_bytes);
            recent.begin(known_from, -1);
            let mut all: Vec<(Step, usize)> = Vec::new();
            let mut observed = -1;
            for (number, step) in steps.into_iter().enumerate() {
                let (key, time, back, ahead) = step;
                recent.put(&[key], time, number, 0);
                all.push((step, number));
                observed = observed.max(time);
                let range = (time - back, time + ahead);
                let live = |time: Timestamp| time > observed - retention;
                let mut expected: Vec<_> = all
                    .iter()
                    .filter(|((other, at, ..), _)| *other == key && live(*at))
                    .filter(|((_, at, ..), _)| (range.0..=range.1).contains(at))
                    .map(|((_, at, ..), number)| (*at, *number))
                    .collect();
                expected.sort_unstable();
                let mut shown = Vec::new();
                let complete = recent.for_each(&[key], range, &mut |at, number| {
                    shown.push((at, *number));
                });
                let begun = range.0.max(observed - retention + 1) >= known_from;
                prop_assert!(complete || max_bytes != usize::MAX || !begun);
                prop_assert_eq!(shown, if complete { expected } else { Vec::new() });
            }
        }
    }
}
