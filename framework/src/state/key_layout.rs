//! Where a row's key lives: plain stores use the changelog key as it is; window stores put a segment
//! of time in front, so that what has expired is dropped as whole ranges.

use std::cmp::Ordering;

use crate::record::Timestamp;

/// Bytes behind the record key in a window store's changelog key: window start and sequence number.
pub(crate) const WINDOW_SUFFIX_BYTES: usize = 12;

const SEGMENT_BYTES: usize = 8;

/// How the keys of one store are laid out.
#[derive(Debug, Clone)]
pub(crate) enum KeyLayout {
    /// Changelog key and row key are the same.
    Plain,
    /// Rows are windows, and expire.
    Windowed(Segments),
}

/// The segments of a window store. Its clock is the highest window start written, as in Kafka Streams.
#[derive(Debug, Clone)]
pub(crate) struct Segments {
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
}

impl KeyLayout {
    /// A window store's layout. Like Kafka Streams, a segment spans half the retention, at least a
    /// minute.
    pub(crate) fn windowed(retention_ms: i64) -> Self {
        const MIN_SEGMENT_MS: i64 = 60_000;
        Self::Windowed(Segments {
            retention_ms,
            segment_ms: (retention_ms / 2).max(MIN_SEGMENT_MS),
            observed: -1,
            committed: -1,
            dropped_below: 0,
        })
    }

    /// Notes a write: the store's clock follows.
    #[inline]
    pub(crate) fn observe(&mut self, changelog_key: &[u8]) {
        if let Self::Windowed(segments) = self {
            segments.observed = segments.observed.max(window_start(changelog_key));
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
            row_key.extend_from_slice(&segments.of(window_start(changelog_key)).to_be_bytes());
        }
        row_key.extend_from_slice(changelog_key);
    }

    /// The changelog key of a row key.
    #[cfg(any(test, feature = "__test-utils"))]
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
                let segment = |key: Option<&[u8]>| key.map(|key| segments.of(window_start(key)));
                segment(a).cmp(&segment(b)).then_with(|| a.cmp(&b))
            }
        }
    }

    /// Whether the row is within retention.
    pub(crate) fn is_live(&self, changelog_key: &[u8]) -> bool {
        match self {
            Self::Plain => true,
            Self::Windowed(segments) => {
                window_start(changelog_key)
                    > segments.observed.saturating_sub(segments.retention_ms)
            }
        }
    }

    /// The row keys to drop with this commit, if a segment has expired since the last.
    pub(crate) fn expired(&mut self) -> Option<([u8; SEGMENT_BYTES], [u8; SEGMENT_BYTES])> {
        let Self::Windowed(segments) = self else { return None };
        let live_from = segments.of(segments.committed.saturating_sub(segments.retention_ms));
        if live_from <= segments.dropped_below {
            return None;
        }
        let from = segments.dropped_below;
        segments.dropped_below = live_from;
        Some((from.to_be_bytes(), live_from.to_be_bytes()))
    }
}

impl Segments {
    fn of(&self, timestamp: Timestamp) -> i64 {
        timestamp.max(0) / self.segment_ms
    }
}

/// Writes a window store's changelog key: record key, window start, sequence number 0.
#[inline]
pub(crate) fn write_window_suffix(start: Timestamp, key: &mut Vec<u8>) {
    key.extend_from_slice(&start.to_be_bytes());
    key.extend_from_slice(&[0; 4]);
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
