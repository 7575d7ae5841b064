//! Passes records on as they are: `merge`, and the entrance of a branch.

use crate::error::Error;
use crate::processor::context::TaskContext;
use crate::processor::{Data, Node, Outlet};
use crate::record::Record;

/// Forwards what any of its parents sends.
pub(crate) struct PassThrough<K, V> {
    pub(crate) next: Outlet<K, V>,
}

impl<K: Data, V: Data> Node<K, V> for PassThrough<K, V> {
    fn process(&mut self, task: &mut TaskContext, record: Record<K, V>) -> Result<(), Error> {
        self.next.forward(task, record)
    }
}
