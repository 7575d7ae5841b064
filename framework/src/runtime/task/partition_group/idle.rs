//! Waiting for partitions that have nothing ready: a record that comes first may still be under way.
//!
//! A partition is waited for while the broker has records of it that are not here yet, and, once it has
//! none, for the idle time of the settings. Time is that of the task's slice.

use super::PartitionGroup;
use crate::record::Timestamp;

/// How long a queue has been empty, and whether the broker has more.
#[derive(Debug, Default)]
pub(super) struct IdleClock {
    /// Records at the broker that are not here yet; `None`: not known.
    lag: Option<i64>,
    /// When the wait for an empty partition ends.
    deadline: Option<Timestamp>,
}

impl IdleClock {
    /// The queue has records again.
    pub(super) fn reset(&mut self) {
        self.deadline = None;
    }

    /// Whether the others go on without this queue, which is empty.
    fn is_over(&mut self, now: Timestamp, max_idle_ms: Timestamp) -> bool {
        if self.lag != Some(0) {
            self.deadline = None;
            return false;
        }
        now >= *self.deadline.get_or_insert(now.saturating_add(max_idle_ms))
    }
}

impl PartitionGroup {
    /// Whether it matters what the broker still has.
    pub(crate) fn wants_lags(&self) -> bool {
        self.max_idle_ms.is_some() && self.queues.len() > 1
    }

    /// Notes how many records of a partition the broker has that are not here yet; `None`: not known.
    pub(crate) fn set_lag(&mut self, queue: usize, lag: Option<i64>) {
        if let Some(queue) = self.queues.get_mut(queue) {
            queue.idle.lag = lag;
        }
    }

    /// Whether the task goes on although some partitions have nothing ready.
    #[cold]
    pub(super) fn is_ready(&mut self, now: Timestamp) -> bool {
        let Some(max_idle_ms) = self.max_idle_ms else { return true };
        // Each empty partition's time begins when it is first found empty: all are asked.
        let mut ready = true;
        for queue in self.queues.iter_mut().filter(|queue| queue.buffered == 0) {
            ready &= queue.idle.is_over(now, max_idle_ms);
        }
        ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_partition_is_waited_for_until_it_has_been_idle_long_enough() {
        let mut clock = IdleClock::default();
        assert!(!clock.is_over(0, 100), "nothing is known of the broker");
        clock.lag = Some(3);
        assert!(!clock.is_over(50, 100), "records are under way");
        clock.lag = Some(0);
        assert!(!clock.is_over(60, 100));
        assert!(!clock.is_over(159, 100));
        assert!(clock.is_over(160, 100));
        clock.reset();
        assert!(!clock.is_over(200, 100));
        assert!(clock.is_over(300, 100));
    }

    #[test]
    fn lag_begins_the_wait_anew() {
        let mut clock = IdleClock { lag: Some(0), deadline: None };
        assert!(!clock.is_over(0, 10));
        clock.lag = Some(1);
        assert!(!clock.is_over(10, 10));
        clock.lag = Some(0);
        assert!(!clock.is_over(11, 10));
        assert!(clock.is_over(21, 10));
    }

    #[test]
    fn no_idle_time_is_no_wait_once_the_broker_has_nothing() {
        let mut clock = IdleClock { lag: Some(0), deadline: None };
        assert!(clock.is_over(5, 0));
    }
}
