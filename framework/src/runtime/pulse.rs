//! Whether the process has run all the time. One that was suspended for longer than its session wakes up in the
//! middle of something, and does not know that its tasks are somebody else's now.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::config::StreamsConfig;

/// Noted by every thread that runs in turns: as long as one of them does, the process runs.
#[derive(Debug)]
pub(crate) struct Pulse {
    /// After so long without a beat the group may have given the tasks away.
    patience: Duration,
    last: Mutex<(Duration, Absences)>,
}

/// How often the process has been away for so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Absences(u64);

impl Pulse {
    pub(crate) fn new(config: &StreamsConfig, now: Duration) -> Self {
        // The group counts from the last heartbeat it has heard, which was a while ago when the process stopped.
        let session = config.session_timeout;
        let patience = session.saturating_sub(config.heartbeat_interval * 2).max(session / 2);
        Self { patience, last: Mutex::new((now, Absences::default())) }
    }

    /// Notes that the process runs, on the monotonic clock. Whichever thread is the first after an absence
    /// counts it, so no thread misses one that was before its call.
    pub(crate) fn beat(&self, now: Duration) -> Absences {
        // INVARIANT: held for these lines only, once per turn of a thread.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (beat, absences) = &mut *last;
        if now.saturating_sub(*beat) > self.patience {
            absences.0 += 1;
        }
        *beat = now.max(*beat);
        *absences
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absence_is_counted_once_whoever_notices() {
        let config = StreamsConfig::new("app")
            .session_timeout(Duration::from_secs(10))
            .heartbeat_interval(Duration::from_secs(1));
        let pulse = Pulse::new(&config, Duration::from_secs(5));
        let at = |second| pulse.beat(Duration::from_secs(second));
        let none = at(13);
        assert_eq!(none, Absences::default());
        let one = at(22);
        assert_ne!(one, none);
        // Another thread has read the clock before, and another one after.
        assert_eq!(at(21), one);
        assert_eq!(at(29), one);
        assert_ne!(at(38), one);
    }
}
