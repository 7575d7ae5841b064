//! Looks at records: `peek` and `for_each`.

use std::sync::Arc;

use crate::error::Error;
use crate::processor::context::TaskContext;
use crate::processor::{Data, Node, Outlet};
use crate::record::Record;

/// A user's action.
pub(crate) type Action<K, V> = Arc<dyn Fn(&K, &V) + Send + Sync>;

/// Calls an action with each record and forwards it; `for_each` is one without children.
pub(crate) struct Peek<K, V> {
    pub(crate) action: Action<K, V>,
    pub(crate) next: Outlet<K, V>,
}

impl<K: Data, V: Data> Node<K, V> for Peek<K, V> {
    fn process(&mut self, task: &mut TaskContext, record: Record<K, V>) -> Result<(), Error> {
        (self.action)(&record.key, &record.value);
        self.next.forward(task, record)
    }
}
