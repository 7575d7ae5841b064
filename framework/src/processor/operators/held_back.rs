//! What the record cache holds back, given out at a flush: the same for every node that has rows.

use std::cell::RefCell;

use super::row_errors::unreadable_key;
use crate::error::Error;
use crate::processor::context::TaskContext;
use crate::processor::{Change, Data, Outlet};
use crate::record::{Record, Timestamp};
use crate::serdes::SerdeError;
use crate::state::rows::Rows;

/// Forwards the updates that `rows` holds back; `read_key` makes the record key of a changelog key.
pub(crate) fn forward_held_back<K: Data, V: Data>(
    node: &str,
    rows: &RefCell<Rows<V>>,
    next: &Outlet<K, Change<V>>,
    task: &mut TaskContext,
    read_key: impl Fn(&[u8]) -> Result<K, SerdeError>,
) -> Result<(), Error> {
    forward_held_back_at(node, rows, next, task, |key, timestamp| Ok((read_key(key)?, timestamp)))
}

/// [`forward_held_back`] for results whose time is not the row's: `read` makes the record key and the
/// result's timestamp of a changelog key and the row's timestamp.
pub(crate) fn forward_held_back_at<K: Data, V: Data>(
    node: &str,
    rows: &RefCell<Rows<V>>,
    next: &Outlet<K, Change<V>>,
    task: &mut TaskContext,
    read: impl Fn(&[u8], Timestamp) -> Result<(K, Timestamp), SerdeError>,
) -> Result<(), Error> {
    let pending = rows.borrow_mut().begin_flush();
    for index in 0..pending.len() {
        // Not borrowed while the update goes downstream: a node there may use the same store.
        let Some(update) = rows.borrow_mut().release(&pending, index) else { continue };
        let (key, timestamp) =
            read(&update.key, update.timestamp).map_err(|error| unreadable_key(node, error))?;
        let value = Change::latest(update.new, update.old);
        next.forward(task, Record { key, value, timestamp, headers: update.headers })?;
    }
    rows.borrow_mut().end_flush(pending);
    Ok(())
}
