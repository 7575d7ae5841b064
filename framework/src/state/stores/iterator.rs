//! What ranges of a store are read as.

use std::fmt;

/// The rows that a range had when it was asked for, in order: a copy, so the store may be changed meanwhile,
/// and nothing has to be closed. For ranges too large to copy, stores have `visit` methods.
///
/// # Source
/// `org.apache.kafka.streams.state.KeyValueIterator`; there it reads on from the store and has to be closed.
pub struct KeyValueIterator<K, V>(std::vec::IntoIter<(K, V)>);

/// The windows of one key with their values, by window start: see [`KeyValueIterator`].
///
/// # Source
/// `org.apache.kafka.streams.state.WindowStoreIterator`.
pub type WindowStoreIterator<V> = KeyValueIterator<crate::record::Timestamp, V>;

impl<K, V> KeyValueIterator<K, V> {
    pub(super) fn new(rows: Vec<(K, V)>) -> Self {
        Self(rows.into_iter())
    }
}

impl<K, V> Iterator for KeyValueIterator<K, V> {
    type Item = (K, V);
    fn next(&mut self) -> Option<(K, V)> {
        self.0.next()
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<K, V> DoubleEndedIterator for KeyValueIterator<K, V> {
    fn next_back(&mut self) -> Option<(K, V)> {
        self.0.next_back()
    }
}

impl<K, V> ExactSizeIterator for KeyValueIterator<K, V> {}

impl<K, V> fmt::Debug for KeyValueIterator<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyValueIterator").field("left", &self.len()).finish_non_exhaustive()
    }
}
