//! The calls of a task's asynchronous operators: taken in, waited for before a commit, cancelled.

use std::time::Duration;

use super::{StreamTask, guarded};
use crate::error::{Error, ErrorKind};
#[cfg(feature = "__test-utils")]
use crate::processor::calls::WaitsFor;

impl StreamTask {
    /// Forwards the results of calls that have ended, ends those that take too long, and begins others; the answer
    /// is how many records have left their operators. `now` is a clock that never goes back.
    pub(crate) fn advance_calls(&mut self, now: Duration) -> Result<usize, Error> {
        if self.calls.is_empty() {
            return Ok(0);
        }
        let mut left = 0;
        let advanced = guarded(|| {
            for node in &self.calls {
                left += node.borrow_mut().advance(&mut self.context, now)?;
            }
            Ok(left)
        });
        self.dirty |= left > 0;
        advanced.map_err(|error| self.at_record(error))
    }

    /// Whether calls are in flight: the task's thread is woken when one ends.
    pub(crate) fn has_calls(&self) -> bool {
        self.calls.iter().any(|node| node.borrow().in_flight() > 0)
    }

    /// Whether an operator has as many records in flight as it may.
    pub(super) fn is_full(&self) -> bool {
        self.calls.iter().any(|node| node.borrow().is_full())
    }

    /// Whether the task may be committed. While calls are in flight it may not: it takes no new records from here
    /// on until it is [committed](Self::committed), and is to be asked again. It ends, because calls do.
    ///
    /// ORDER: the record cache is emptied before, because what it holds back may lead to calls.
    pub(crate) fn ready_to_commit(&mut self, now: Duration) -> Result<bool, Error> {
        if self.calls.is_empty() || !self.dirty {
            return Ok(true);
        }
        self.draining = true;
        self.advance_calls(now)?;
        if !self.has_calls() {
            self.flush_caches()?;
        }
        Ok(!self.has_calls())
    }

    /// INVARIANT: what is committed has left all operators.
    pub(super) fn check_drained(&self) -> Result<(), Error> {
        if self.has_calls() {
            let message = "a task was to be committed while calls were in flight";
            return Err(Error::new(ErrorKind::Fatal, message).in_task(self.id));
        }
        Ok(())
    }

    /// Ends all calls and forgets their records: whoever reads them again makes them again.
    pub(crate) fn cancel_calls(&mut self) {
        self.draining = false;
        for node in &self.calls {
            node.borrow_mut().cancel();
        }
    }

    /// What calls in flight wait for.
    #[cfg(feature = "__test-utils")]
    pub(crate) fn calls_wait_for(&self) -> WaitsFor {
        let waits = self.calls.iter().map(|node| node.borrow().waits_for());
        waits.fold(WaitsFor::default(), WaitsFor::or)
    }
}

#[cfg(test)]
mod tests;
