//! Which node a panic came from. It costs nothing as long as nobody panics: an [`Entered`] is only dropped
//! while the stack unwinds.

use std::cell::RefCell;

thread_local! {
    /// The innermost node of the last panic, until somebody takes it.
    static FAILED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Stands on the stack while a node is at work.
pub(crate) struct Entered<'a>(pub(crate) &'a str);

impl Entered<'_> {
    /// The node came back, with or without an error.
    #[inline]
    pub(crate) fn leave(self) {
        std::mem::forget(self);
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        FAILED.with_borrow_mut(|failed| {
            failed.get_or_insert_with(|| self.0.to_owned());
        });
    }
}

/// The node that has just panicked. Whoever catches a panic takes it.
pub(crate) fn take_failed_node() -> Option<String> {
    FAILED.with_borrow_mut(Option::take)
}
