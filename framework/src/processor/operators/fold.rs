//! One record folded into one row: what all aggregations share.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use crate::error::Error;
use crate::processor::{Change, Data};
use crate::record::{Headers, Record, Timestamp};
use crate::state::rows::{Rows, Stamped};

/// The row's next value from key, record value and present value; `None` deletes the row.
pub(crate) type Update<K, V, A> = Arc<dyn Fn(&K, V, Option<A>) -> Option<A> + Send + Sync>;

/// Rows, and how records change them.
pub(crate) struct Fold<K, V, A> {
    pub(crate) update: Update<K, V, A>,
    pub(crate) rows: Rc<RefCell<Rows<A>>>,
    /// Whether updates are held back until the task commits.
    pub(crate) caching: bool,
    /// Whether somebody downstream wants to know the value before.
    pub(crate) send_old: bool,
}

/// An update to be forwarded at once.
pub(crate) struct Folded<A> {
    pub(crate) value: Change<A>,
    pub(crate) timestamp: Timestamp,
    pub(crate) headers: Headers,
}

impl<K: Data, V: Data, A: Data> Fold<K, V, A> {
    /// Folds a record into the row of `row_key`. The result has the higher timestamp of record and row.
    /// Nothing comes back if the record cache holds the update back, or if `has_children` is false.
    #[inline]
    pub(crate) fn fold(
        &self,
        row_key: &[u8],
        record: Record<&K, V>,
        has_children: bool,
    ) -> Result<Option<Folded<A>>, Error> {
        let Record { key, value, timestamp: written_at, headers } = record;
        let mut rows = self.rows.borrow_mut();
        let id = rows.find(row_key)?;
        let (old, timestamp) = match rows.take(id) {
            Some(old) => (Some(old.value), old.timestamp.max(written_at)),
            None => (None, written_at),
        };
        let before = if self.send_old { old.clone() } else { None };
        let new = (self.update)(key, value, old).filter(|new| !rows.is_null(new));
        let forwarded = (has_children && !self.caching).then(|| new.clone());
        if new.is_none() {
            rows.put_deletion_headers(id, &headers);
        }
        rows.put(id, new.map(|value| Stamped { value, timestamp }), written_at);
        if self.caching {
            rows.hold_back(id, headers, before);
            return Ok(None);
        }
        Ok(forwarded.map(|new| Folded { value: Change::latest(new, before), timestamp, headers }))
    }
}
