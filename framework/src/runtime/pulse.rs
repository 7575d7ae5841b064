//! Whether the process has run all the time. One that was suspended for longer than its session wakes up in the
//! middle of something, and does not know that its tasks are somebody else's now.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Builder;
use std::time::Duration;

use crate::config::StreamsConfig;
use crate::error::{Error, ErrorKind};
use crate::time::Clock;

/// Beats on a thread of its own that does nothing else, so that nothing but the process being stopped keeps it from
/// beating.
#[derive(Debug)]
pub(crate) struct Pulse {
    /// After so long without a beat the group may have given the tasks away.
    patience: Duration,
    last: Mutex<(Duration, Absences)>,
}

/// How often the process has been away for so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Absences(u64);

/// How many beats there are in the time that counts as an absence.
const BEATS: u32 = 16;

impl Pulse {
    pub(crate) fn new(config: &StreamsConfig, now: Duration) -> Self {
        Self { patience: config.patience(), last: Mutex::new((now, Absences::default())) }
    }

    /// Starts the thread. It ends by itself, soon after the pulse is no longer held by anybody else.
    pub(crate) fn spawn(self: &Arc<Self>, clock: Arc<dyn Clock>) -> Result<(), Error> {
        let (pulse, turn) = (Arc::downgrade(self), self.patience / BEATS);
        let body = move || {
            while let Some(pulse) = pulse.upgrade() {
                pulse.beat(clock.monotonic());
                drop(pulse);
                std::thread::park_timeout(turn);
            }
        };
        Builder::new().name("kstream-pulse".to_owned()).spawn(body).map_err(|error| {
            Error::new(ErrorKind::Fatal, "no thread can be started").with_source(error)
        })?;
        Ok(())
    }

    /// Notes that the process runs, on the monotonic clock. Whichever thread is the first after an absence
    /// counts it, so no thread misses one that was before its call.
    pub(crate) fn beat(&self, now: Duration) -> Absences {
        // INVARIANT: held for these lines only, by a thread once per commit.
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
