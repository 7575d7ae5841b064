//! How long things have been so, for somebody who looks now and then.

use std::collections::BTreeMap;
use std::time::Duration;

/// When each thing was first seen.
#[derive(Debug)]
pub(super) struct Timers<K>(BTreeMap<K, Seen>);

#[derive(Debug, Clone, Copy)]
struct Seen {
    first: Duration,
    passed: bool,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord + Clone> Timers<K> {
    /// Forgets what is no longer so.
    pub(super) fn keep(&mut self, still: impl Fn(&K) -> bool) {
        self.0.retain(|key, _| still(key));
    }

    /// For how long it has been so; the first look is the beginning.
    pub(super) fn elapsed(&mut self, key: &K, now: Duration) -> Duration {
        now.saturating_sub(self.seen(key, now).first)
    }

    /// Whether it has just been so for longer than `limit`: true once.
    pub(super) fn passes(&mut self, key: &K, limit: Duration, now: Duration) -> bool {
        let seen = self.seen(key, now);
        let passes = !seen.passed && now.saturating_sub(seen.first) > limit;
        seen.passed |= passes;
        passes
    }

    fn seen(&mut self, key: &K, now: Duration) -> &mut Seen {
        self.0.entry(key.clone()).or_insert(Seen { first: now, passed: false })
    }
}
