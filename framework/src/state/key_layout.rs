//! Where a row's key lives: plain stores use the changelog key as it is; window and session stores put a
//! segment of time in front, so that what has expired is dropped as whole ranges.
//!
//! Changelog keys are Kafka's: of a window the record key, the window's start and a sequence number; of a
//! session the record key, its end and its start.

use std::cmp::Ordering;
use std::ops::RangeInclusive;

use crate::record::Timestamp;

/// Bytes behind the record key in a window store's changelog key: window start and sequence number.
pub(crate) const WINDOW_SUFFIX_BYTES: usize = 12;

/// Bytes behind the record key in a session store's changelog key: end and start.
pub(crate) const SESSION_SUFFIX_BYTES: usize = 16;

const SEGMENT_BYTES: usize = 8;

/// How the keys of one store are laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyLayout {
    /// Changelog key and row key are the same.
    Plain,
    /// Rows are windows or sessions, and expire.
    Windowed(Segments),
}

/// Where a row's time is in its changelog key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TimeIn {
    /// A window's start.
    Window,
    /// A session's end.
    Session,
}

/// The segments of a window or session store. Its clock is the highest time written, as in Kafka Streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segments {
    time_in: TimeIn,
    /// How long a window is kept behind the store's clock, in milliseconds.
    retention_ms: i64,
    /// How much time one segment spans, in milliseconds.
    segment_ms: i64,
    /// The store's clock, uncommitted rows included.
    observed: Timestamp,
    /// The clock as of the commit in progress, or the last one.
    committed: Timestamp,
    /// Segments below this one have been dropped.
    dropped_below: i64,
    /// The highest segment that may have rows; −1 for none.
    highest: i64,
    /// The store is behind a record cache that shows rows which have expired.
    behind_cache: Option<BehindCache>,
}

/// KAFKA: a record cache knows nothing of retention, so that rows which expire while it holds them are still
/// found. Here it is taken to hold what has been live since the store was opened, a segment longer than
/// the store does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct BehindCache {
    /// The clock when the store was opened or restored: what had expired by then, no cache has.
    opened: Timestamp,
    /// The clock by the rows that the cache has given out.
    flushed: Timestamp,
}

impl KeyLayout {
    /// A window store's layout. Like Kafka Streams, a segment spans half the retention, at least a
    /// minute.
    pub(crate) fn windowed(retention_ms: i64) -> Self {
        Self::segmented(TimeIn::Window, retention_ms)
    }

    /// A session store's layout.
    pub(crate) fn sessions(retention_ms: i64) -> Self {
        Self::segmented(TimeIn::Session, retention_ms)
    }

    /// How much time a segment spans in a store of this retention, both in milliseconds.
    pub(crate) fn segment_ms(retention_ms: i64) -> i64 {
        const MIN_SEGMENT_MS: i64 = 60_000;
        (retention_ms / 2).max(MIN_SEGMENT_MS)
    }

    fn segmented(time_in: TimeIn, retention_ms: i64) -> Self {
        Self::Windowed(Segments {
            time_in,
            retention_ms,
            segment_ms: Self::segment_ms(retention_ms),
            observed: -1,
            committed: -1,
            dropped_below: 0,
            highest: -1,
            behind_cache: None,
        })
    }

    /// The layout of a store behind a record cache.
    #[must_use]
    pub(crate) fn behind_cache(mut self) -> Self {
        if let Self::Windowed(segments) = &mut self {
            segments.behind_cache = Some(BehindCache { opened: -1, flushed: -1 });
        }
        self
    }

    /// Notes that the store is as it was left or restored.
    pub(crate) fn restored(&mut self) {
        if let Self::Windowed(Segments { observed, behind_cache: Some(cache), .. }) = self {
            *cache = BehindCache { opened: *observed, flushed: *observed };
        }
    }

    /// Notes that the record cache gives a row out. Answers whether the store behind it still showed the row.
    pub(crate) fn flush(&mut self, changelog_key: &[u8]) -> bool {
        let Self::Windowed(segments) = self else { return true };
        let time = segments.time_of(changelog_key);
        let Some(cache) = &mut segments.behind_cache else { return true };
        let shown = time > cache.flushed.saturating_sub(segments.retention_ms);
        cache.flushed = cache.flushed.max(time);
        shown
    }

    /// Notes a write: the store's clock follows.
    #[inline]
    pub(crate) fn observe(&mut self, changelog_key: &[u8]) {
        if let Self::Windowed(segments) = self {
            let time = segments.time_of(changelog_key);
            if time > segments.observed {
                segments.observed = time;
                segments.highest = segments.highest.max(segments.of(time));
            }
        }
    }

    /// Notes the last row of a store that is opened: the clock is at least where its segment begins.
    pub(crate) fn opened(&mut self, last_row_key: &[u8]) {
        let Self::Windowed(segments) = self else { return };
        let Some(segment) = last_row_key.first_chunk::<SEGMENT_BYTES>() else { return };
        segments.highest = i64::from_be_bytes(*segment);
        segments.observed = segments.highest.saturating_mul(segments.segment_ms);
        segments.committed = segments.observed;
        self.restored();
    }

    /// A time that all rows are before; `MAX` for stores without segments.
    pub(crate) fn written_until(&self) -> Timestamp {
        match self {
            Self::Plain => Timestamp::MAX,
            Self::Windowed(segments) => {
                segments.highest.saturating_add(1).saturating_mul(segments.segment_ms)
            }
        }
    }

    /// Takes the clock of the commit that begins: expiry never runs ahead of what is committed.
    pub(crate) fn freeze(&mut self) {
        if let Self::Windowed(segments) = self {
            segments.committed = segments.observed;
        }
    }

    /// Writes the row key of a changelog key.
    pub(crate) fn row_key(&self, changelog_key: &[u8], row_key: &mut Vec<u8>) {
        row_key.clear();
        if let Self::Windowed(segments) = self {
            let segment = segments.of(segments.time_of(changelog_key));
            row_key.extend_from_slice(&segment.to_be_bytes());
        }
        row_key.extend_from_slice(changelog_key);
    }

    /// The changelog key of a row key.
    pub(crate) fn changelog_key<'a>(&self, row_key: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Plain => row_key,
            Self::Windowed(_) => row_key.get(SEGMENT_BYTES..).unwrap_or_default(),
        }
    }

    /// The order of row keys, given changelog keys.
    pub(crate) fn compare(&self, a: Option<&[u8]>, b: Option<&[u8]>) -> Ordering {
        match self {
            Self::Plain => a.cmp(&b),
            Self::Windowed(segments) => {
                let segment =
                    |key: Option<&[u8]>| key.map(|key| segments.of(segments.time_of(key)));
                segment(a).cmp(&segment(b)).then_with(|| a.cmp(&b))
            }
        }
    }

    /// Whether the row is within retention.
    pub(crate) fn is_live(&self, changelog_key: &[u8]) -> bool {
        match self {
            Self::Plain => true,
            Self::Windowed(segments) => segments.is_live(segments.time_of(changelog_key)),
        }
    }

    /// The row keys to drop with this commit, if a segment has expired since the last.
    pub(crate) fn expired(&mut self) -> Option<([u8; SEGMENT_BYTES], [u8; SEGMENT_BYTES])> {
        let Self::Windowed(segments) = self else { return None };
        let live_from = segments.live_segment(segments.committed);
        if live_from <= segments.dropped_below {
            return None;
        }
        let from = segments.dropped_below;
        segments.dropped_below = live_from;
        Some((from.to_be_bytes(), live_from.to_be_bytes()))
    }
}

impl KeyLayout {
    /// The first and last segment in which rows of these times are, as far as they are live; none for
    /// stores without segments.
    pub(crate) fn segments(&self, times: RangeInclusive<Timestamp>) -> Option<(i64, i64)> {
        let Self::Windowed(segments) = self else { return None };
        let first = segments.of(*times.start()).max(segments.live_segment(segments.observed));
        let last = segments.of(*times.end()).min(segments.highest);
        (!times.is_empty() && first <= last).then_some((first, last))
    }

    /// The highest time written so far; −1 before the first, and for stores without segments.
    pub(crate) fn observed(&self) -> Timestamp {
        match self {
            Self::Plain => -1,
            Self::Windowed(segments) => segments.observed,
        }
    }
}

impl Segments {
    fn time_of(&self, changelog_key: &[u8]) -> Timestamp {
        match self.time_in {
            TimeIn::Window => window_start(changelog_key),
            TimeIn::Session => session_bounds(changelog_key).1,
        }
    }

    fn of(&self, timestamp: Timestamp) -> i64 {
        timestamp.max(0) / self.segment_ms
    }

    fn is_live(&self, time: Timestamp) -> bool {
        match self.behind_cache {
            None => time > self.observed.saturating_sub(self.retention_ms),
            Some(cache) => {
                time > cache.opened.saturating_sub(self.retention_ms)
                    && self.of(time) >= self.live_segment(self.observed)
            }
        }
    }

    /// The first segment that may have live rows, by this clock.
    fn live_segment(&self, clock: Timestamp) -> i64 {
        let segment = self.of(clock.saturating_sub(self.retention_ms));
        if self.behind_cache.is_some() { segment - 1 } else { segment }
    }
}

/// Completes a window store's changelog key behind the record key: window start, sequence number 0.
#[inline]
pub(crate) fn write_window_suffix(start: Timestamp, key: &mut Vec<u8>) {
    write_window_suffix_with_sequence(start, 0, key);
}

/// Completes the changelog key of a window store that retains duplicates.
#[inline]
pub(crate) fn write_window_suffix_with_sequence(
    start: Timestamp,
    sequence: u32,
    key: &mut Vec<u8>,
) {
    key.extend_from_slice(&start.to_be_bytes());
    key.extend_from_slice(&sequence.to_be_bytes());
}

/// Completes a session store's changelog key behind the record key: end, start.
#[inline]
pub(crate) fn write_session_suffix(start: Timestamp, end: Timestamp, key: &mut Vec<u8>) {
    key.extend_from_slice(&end.to_be_bytes());
    key.extend_from_slice(&start.to_be_bytes());
}

/// Start and end in a session store's changelog key; 0 for what is none.
#[inline]
pub(crate) fn session_bounds(changelog_key: &[u8]) -> (Timestamp, Timestamp) {
    let suffix = changelog_key.split_last_chunk::<SESSION_SUFFIX_BYTES>();
    let Some((end, start)) = suffix.and_then(|(_, suffix)| suffix.split_first_chunk::<8>()) else {
        return (0, 0);
    };
    let start = start.first_chunk::<8>().map_or(0, |start| i64::from_be_bytes(*start));
    (start, i64::from_be_bytes(*end))
}

/// The record key in a session store's changelog key.
pub(crate) fn session_record_key(changelog_key: &[u8]) -> &[u8] {
    changelog_key.split_last_chunk::<SESSION_SUFFIX_BYTES>().map_or(changelog_key, |(key, _)| key)
}

/// The window start in a window store's changelog key; 0 for what is none.
#[inline]
pub(crate) fn window_start(changelog_key: &[u8]) -> Timestamp {
    changelog_key
        .split_last_chunk::<WINDOW_SUFFIX_BYTES>()
        .and_then(|(_, suffix)| suffix.first_chunk::<8>())
        .map_or(0, |start| i64::from_be_bytes(*start))
}

/// The record key in a window store's changelog key.
pub(crate) fn window_record_key(changelog_key: &[u8]) -> &[u8] {
    changelog_key.split_last_chunk::<WINDOW_SUFFIX_BYTES>().map_or(changelog_key, |(key, _)| key)
}
