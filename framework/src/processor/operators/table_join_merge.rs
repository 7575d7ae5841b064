//! Where both sides of a join of two tables come together.

use super::kept_rows::{Kept, KeptRows};
use crate::error::Error;
use crate::processor::context::TaskContext;
use crate::processor::{Change, Data, Flush, Node, Outlet};
use crate::record::Record;

/// Passes results on, and keeps the rows if it has a store.
pub(crate) struct TableJoinMerge<K, V> {
    pub(crate) kept: Option<KeptRows<K, V>>,
    pub(crate) next: Outlet<K, Change<V>>,
}

impl<K: Data, V: Data> Node<K, Change<V>> for TableJoinMerge<K, V> {
    fn process(
        &mut self,
        task: &mut TaskContext,
        mut record: Record<K, Change<V>>,
    ) -> Result<(), Error> {
        if let Some(kept) = &mut self.kept {
            let new = &mut record.value.new;
            if new.as_ref().is_some_and(|value| kept.is_null(value)) {
                *new = None;
            }
            match kept.put(task, &record.key, new.as_ref(), record.timestamp, &record.headers)? {
                Kept::Forward { is_latest } => record.value.is_latest = is_latest,
                Kept::Quiet => return Ok(()),
            }
        }
        self.next.forward(task, record)
    }
}

impl<K: Data, V: Data> Flush for TableJoinMerge<K, V> {
    fn flush(&mut self, task: &mut TaskContext) -> Result<(), Error> {
        self.kept.as_ref().map_or(Ok(()), |kept| kept.flush(&self.next, task))
    }
}
