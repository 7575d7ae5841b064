//! Keeps the records that a predicate accepts, or those it refuses.

use std::sync::Arc;

use crate::error::Error;
use crate::processor::context::TaskContext;
use crate::processor::{Data, Node, Outlet};
use crate::record::Record;

/// A user's predicate.
pub(crate) type Predicate<K, V> = Arc<dyn Fn(&K, &V) -> bool + Send + Sync>;

/// `filter` (`keep_if = true`) and `filter_not` (`keep_if = false`).
pub(crate) struct Filter<K, V> {
    pub(crate) predicate: Predicate<K, V>,
    pub(crate) keep_if: bool,
    pub(crate) next: Outlet<K, V>,
}

impl<K: Data, V: Data> Node<K, V> for Filter<K, V> {
    fn process(&mut self, task: &mut TaskContext, record: Record<K, V>) -> Result<(), Error> {
        if (self.predicate)(&record.key, &record.value) == self.keep_if {
            self.next.forward(task, record)?;
        }
        Ok(())
    }
}
