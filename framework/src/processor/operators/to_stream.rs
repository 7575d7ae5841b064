//! A table's updates as a stream of new values.

use crate::error::Error;
use crate::processor::context::TaskContext;
use crate::processor::{Change, Data, Node, Outlet};
use crate::record::Record;

/// Forwards each update's new value; a deletion is `None`.
pub(crate) struct ToStream<K, V> {
    pub(crate) next: Outlet<K, Option<V>>,
}

impl<K: Data, V: Data> Node<K, Change<V>> for ToStream<K, V> {
    fn process(
        &mut self,
        task: &mut TaskContext,
        record: Record<K, Change<V>>,
    ) -> Result<(), Error> {
        let Record { key, value, timestamp, headers } = record;
        self.next.forward(task, Record { key, value: value.new, timestamp, headers })
    }
}
