//! Trying a call to the broker again while that may help.

use std::time::Duration;

use kstream::broker::BrokerError;
use kstream::time::Clock;

use crate::stop::Stop;

/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// For how long a call is tried: topics that were just made, or whose leader moves, need seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// Makes the call until it succeeds, fails for good, or has been tried for long enough.
///
/// # Errors
/// The last attempt's.
pub fn retry<T>(
    clock: &dyn Clock,
    stop: &Stop,
    mut call: impl FnMut() -> Result<T, BrokerError>,
) -> Result<T, BrokerError> {
    let deadline = clock.monotonic() + PATIENCE;
    loop {
        match call() {
            Err(error) if error.is_retriable() && clock.monotonic() < deadline => {
                if stop.wait(PAUSE) {
                    return Err(error);
                }
            }
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use kstream::broker::BrokerErrorKind;
    use kstream::time::ManualClock;

    use super::*;

    fn failing(kind: BrokerErrorKind, failures: u32) -> (Result<u32, BrokerError>, u32) {
        let (clock, mut calls) = (ManualClock::default(), 0);
        let result = retry(&clock, &Stop::default(), || {
            calls += 1;
            clock.advance(PATIENCE / 4);
            if calls > failures { Ok(calls) } else { Err(BrokerError::new(kind, "away")) }
        });
        (result, calls)
    }

    #[test]
    fn passing_failures_are_tried_again_for_a_while() {
        assert_eq!(failing(BrokerErrorKind::Retriable, 2).0.unwrap(), 3);
        let (result, calls) = failing(BrokerErrorKind::Retriable, 100);
        assert_eq!((result.is_err(), calls), (true, 4));
    }

    #[test]
    fn lasting_failures_are_not_tried_again() {
        let (result, calls) = failing(BrokerErrorKind::Authorization, 100);
        assert_eq!((result.is_err(), calls), (true, 1));
    }
}
