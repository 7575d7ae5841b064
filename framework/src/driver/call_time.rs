//! Time for the calls of asynchronous operators in the test driver.
//!
//! A call takes the time that it takes: it may do real work on the network. Pauses between attempts take none:
//! when there is nothing but pauses to wait for, the clock is set forward. The clock is not the driver's wall
//! clock, which moves only when a test moves it, but it moves with it.

use std::time::Duration;

use crate::processor::calls::WaitsFor;
use crate::time::{Clock, SystemClock};

/// How long a wait lasts when nobody has said how long.
const A_WHILE: Duration = Duration::from_millis(100);

/// A clock for time limits.
#[derive(Debug, Default)]
pub(super) struct CallTime {
    now: Duration,
    real: SystemClock,
}

impl CallTime {
    pub(super) fn now(&self) -> Duration {
        self.now
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.now += by;
    }

    /// Waits until a call has ended or something is due.
    pub(super) fn wait(&mut self, waits_for: WaitsFor) {
        let left = waits_for.until.map(|until| until.saturating_sub(self.now));
        if let (false, Some(left)) = (waits_for.calls, left) {
            self.now += left;
            return;
        }
        let before = self.real.monotonic();
        std::thread::park_timeout(left.unwrap_or(A_WHILE));
        self.now += self.real.monotonic().saturating_sub(before);
    }
}
