//! One record folded into one row: what all aggregations share.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use crate::error::Error;
use crate::processor::{Change, Data};
use crate::record::{Headers, Record, Timestamp};
use crate::state::rows::{Rows, Stamped};

/// The row's next value from key, record value and present value; `None` deletes the row.
pub(crate) type Apply<K, V, A> = dyn Fn(&K, V, Option<A>) -> Option<A> + Send + Sync;

/// What an aggregation begins with.
pub(crate) type Initializer<A> = Arc<dyn Fn() -> A + Send + Sync>;

/// What a record makes of its row.
pub(crate) struct Update<K, V, A> {
    apply: Arc<Apply<K, V, A>>,
    initial: Option<Initializer<A>>,
}

impl<K, V, A> Clone for Update<K, V, A> {
    fn clone(&self) -> Self {
        Self { apply: Arc::clone(&self.apply), initial: self.initial.clone() }
    }
}

impl<K, V, A: 'static> Update<K, V, A> {
    /// The next value from the present one, if there is one.
    pub(crate) fn new(
        apply: impl Fn(&K, V, Option<A>) -> Option<A> + Send + Sync + 'static,
    ) -> Self {
        Self { apply: Arc::new(apply), initial: None }
    }

    /// The next value from the present one, or from `initial`.
    pub(crate) fn beginning_with(
        initial: Initializer<A>,
        apply: impl Fn(&K, V, A) -> Option<A> + Send + Sync + 'static,
    ) -> Self {
        let first = Arc::clone(&initial);
        let apply =
            move |key: &K, value, old: Option<A>| apply(key, value, old.unwrap_or_else(|| first()));
        Self { apply: Arc::new(apply), initial: Some(initial) }
    }

    /// The row's next value.
    #[inline]
    pub(crate) fn apply(&self, key: &K, value: V, old: Option<A>) -> Option<A> {
        (self.apply)(key, value, old)
    }

    /// The old value that those downstream are told.
    pub(crate) fn told(&self, old: Option<A>) -> Option<A> {
        // KAFKA: a new row is said to have been what its aggregation began with.
        old.or_else(|| self.initial.as_ref().map(|initial| initial()))
    }
}

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
        let new = self.update.apply(key, value, old).filter(|new| !rows.is_null(new));
        let forwarded = (has_children && !self.caching).then(|| new.clone());
        if new.is_none() {
            rows.put_deletion_headers(id, &headers);
        }
        rows.put(id, new.map(|value| Stamped { value, timestamp }), written_at);
        if self.caching {
            rows.hold_back(id, headers, before);
            return Ok(None);
        }
        let before = if self.send_old { self.update.told(before) } else { None };
        Ok(forwarded.map(|new| Folded { value: Change::latest(new, before), timestamp, headers }))
    }
}
