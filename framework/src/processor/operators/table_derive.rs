//! A table that comes from another row by row: `filter`, `filter_not`, `map_values`.

use super::kept_rows::{Kept, KeptRows};
use crate::error::Error;
use crate::processor::context::TaskContext;
use crate::processor::value_getter::Derive;
use crate::processor::{Change, Data, Flush, Node, Outlet};
use crate::record::Record;

/// Works out new and old value of each update, and keeps the rows if it has a store.
pub(crate) struct TableDerive<K, P, V> {
    pub(crate) derive: Derive<K, P, V>,
    pub(crate) kept: Option<KeptRows<K, V>>,
    /// Whether updates carry the value that they replace.
    pub(crate) send_old: bool,
    /// Whether an update is left out if there was no row and is none: a filter refused both values. It is
    /// only known where old values come.
    pub(crate) skips_absent: bool,
    pub(crate) next: Outlet<K, Change<V>>,
}

impl<K: Data, P: Data, V: Data> Node<K, Change<P>> for TableDerive<K, P, V> {
    fn process(
        &mut self,
        task: &mut TaskContext,
        record: Record<K, Change<P>>,
    ) -> Result<(), Error> {
        let Record { key, value: change, timestamp, headers } = record;
        let mut is_latest = change.is_latest;
        let mut new = change.new.and_then(|value| (self.derive)(&key, value));
        let old = match (&mut self.kept, self.send_old) {
            (_, false) => None,
            (Some(kept), true) => kept.value(&key)?,
            (None, true) => change.old.and_then(|value| (self.derive)(&key, value)),
        };
        if let Some(kept) = &self.kept {
            new = new.filter(|value| !kept.is_null(value));
        }
        if self.skips_absent && self.send_old && old.is_none() && new.is_none() {
            return Ok(());
        }
        if let Some(kept) = &mut self.kept {
            match kept.put(task, &key, new.as_ref(), timestamp, &headers)? {
                Kept::Forward { is_latest: latest } => is_latest = latest,
                Kept::Quiet => return Ok(()),
            }
        }
        let value = Change { new, old, is_latest };
        self.next.forward(task, Record { key, value, timestamp, headers })
    }
}

impl<K: Data, P: Data, V: Data> Flush for TableDerive<K, P, V> {
    fn flush(&mut self, task: &mut TaskContext) -> Result<(), Error> {
        self.kept.as_ref().map_or(Ok(()), |kept| kept.flush(&self.next, task))
    }
}
