//! Whether stream threads get on. A thread that is stuck in the user's code, or in a call that does not come
//! back, keeps its tasks from everybody: the process gives them up, and says which thread it is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// When a thread last came by, on the monotonic clock.
#[derive(Debug, Default)]
pub(crate) struct Progress(AtomicU64);

impl Progress {
    pub(crate) fn new(now: Duration) -> Self {
        Self(AtomicU64::new(millis(now)))
    }

    /// The thread is in its loop, or waits for the broker.
    pub(crate) fn check_in(&self, now: Duration) {
        self.0.store(millis(now), Ordering::Relaxed);
    }

    /// How long the thread has not come by.
    pub(crate) fn silence(&self, now: Duration) -> Duration {
        Duration::from_millis(millis(now).saturating_sub(self.0.load(Ordering::Relaxed)))
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_the_time_since_the_thread_came_by() {
        let progress = Progress::new(Duration::from_secs(5));
        assert_eq!(progress.silence(Duration::from_secs(5)), Duration::ZERO);
        assert_eq!(progress.silence(Duration::from_secs(9)), Duration::from_secs(4));
        progress.check_in(Duration::from_secs(8));
        assert_eq!(progress.silence(Duration::from_secs(9)), Duration::from_secs(1));
        assert_eq!(progress.silence(Duration::from_secs(7)), Duration::ZERO);
    }
}
