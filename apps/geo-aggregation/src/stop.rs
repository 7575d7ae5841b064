//! A request to stop that any thread can make and any thread can wait for.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Whether the program is to stop; clones share the answer.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Guards only the flag; held for a comparison, never across other work.
    requested: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    /// Asks everybody to stop.
    pub fn request(&self) {
        *self.0.requested.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.changed.notify_all();
    }

    /// Whether somebody has asked.
    pub fn is_requested(&self) -> bool {
        *self.0.requested.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits up to `timeout` for the request; true if it has come.
    pub fn wait(&self, timeout: Duration) -> bool {
        let requested = self.0.requested.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.0.changed.wait_timeout_while(requested, timeout, |requested| !*requested);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ends_the_wait_of_another_thread() {
        let stop = Stop::default();
        assert!(!stop.wait(Duration::ZERO));
        let waiting = std::thread::spawn({
            let stop = stop.clone();
            move || stop.wait(Duration::from_secs(60))
        });
        stop.request();
        assert!(waiting.join().unwrap());
        assert!(stop.is_requested());
    }
}
