//! Waiting for a condition with a deadline: the one place of the tests where time passes.

use std::thread;
use std::time::{Duration, Instant};

use crate::SupportError;

/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(10);

/// Waits until `condition` holds.
///
/// # Errors
/// [`SupportError::TimedOut`], naming `what`, when it does not hold within `deadline`.
pub fn wait_until(
    deadline: Duration,
    what: &str,
    mut condition: impl FnMut() -> bool,
) -> Result<(), SupportError> {
    poll_until(deadline, what, || Ok(condition().then_some(())))
}

/// Waits until `attempt` gives a value; its error ends the waiting.
///
/// # Errors
/// The error of `attempt`, or [`SupportError::TimedOut`] when it gave nothing within `deadline`.
pub fn poll_until<T>(
    deadline: Duration,
    what: &str,
    mut attempt: impl FnMut() -> Result<Option<T>, SupportError>,
) -> Result<T, SupportError> {
    let start = now();
    loop {
        if let Some(value) = attempt()? {
            return Ok(value);
        }
        if start.elapsed() >= deadline {
            return Err(SupportError::TimedOut { what: what.to_owned(), deadline });
        }
        thread::park_timeout(INTERVAL);
    }
}

#[expect(clippy::disallowed_methods, reason = "deadlines for other processes run on real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn condition_that_becomes_true_ends_the_wait() {
        let mut looks = 0;
        wait_until(Duration::from_secs(10), "three looks", || {
            looks += 1;
            looks == 3
        })
        .unwrap();
        assert_eq!(looks, 3);
    }

    #[test]
    fn condition_that_stays_false_is_named_at_the_deadline() {
        let error = wait_until(Duration::from_millis(30), "a miracle", || false).unwrap_err();
        assert_eq!(error.to_string(), "a miracle: not within 30ms");
    }

    #[test]
    fn error_of_an_attempt_ends_the_wait_at_once() {
        let error = poll_until::<()>(Duration::from_hours(1), "nothing", || {
            Err(SupportError::Missing("a thing"))
        });
        assert!(matches!(error, Err(SupportError::Missing("a thing"))), "{error:?}");
    }
}
