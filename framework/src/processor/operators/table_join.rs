//! One side of a join of two tables by their key: an update of this table meets the other's row.

use std::sync::Arc;

use crate::error::Error;
use crate::processor::context::{DropReason, TaskContext};
use crate::processor::value_getter::{BoxedGetter, ValueGetter};
use crate::processor::{Change, Data, Node, Outlet};
use crate::record::Record;
use crate::state::rows::Stamped;

/// The result's row from the rows of both sides; `None` where the kind of join has no row.
pub(crate) type Combine<L, R, V> = Arc<dyn Fn(Option<&L>, Option<&R>) -> Option<V> + Send + Sync>;

/// Joins updates of this side (`V1`) with rows of the other (`V2`). Results have the higher timestamp of
/// both.
pub(crate) struct TableJoin<K, V1, V2, V> {
    pub(crate) other: BoxedGetter<K, V2>,
    pub(crate) combine: Combine<V1, V2, V>,
    pub(crate) rules: SideRules,
    /// Whether updates carry the value that they replace.
    pub(crate) send_old: bool,
    pub(crate) next: Outlet<K, Change<V>>,
}

/// Which updates of a side are joined.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SideRules {
    /// Whether there is no result, and nothing to delete, without a row of the other side.
    pub(crate) other_required: bool,
    /// Whether this side keeps its history: then only latest updates are joined.
    pub(crate) versioned: bool,
}

impl<K: Data, V1: Data, V2: Data, V: Data> Node<K, Change<V1>> for TableJoin<K, V1, V2, V> {
    fn process(
        &mut self,
        task: &mut TaskContext,
        record: Record<K, Change<V1>>,
    ) -> Result<(), Error> {
        let Record { key, value: change, timestamp, headers } = record;
        if self.rules.versioned && !change.is_latest {
            // What has been joined of this row is newer.
            task.drop_record(DropReason::Late);
            return Ok(());
        }
        let other = self.other.get(task, &key)?;
        let nothing_here = change.new.is_none() && change.old.is_none();
        if other.is_none() && (self.rules.other_required || nothing_here) {
            return Ok(());
        }
        let timestamp = other.as_ref().map_or(timestamp, |other| timestamp.max(other.timestamp));
        let other = other.as_ref().map(|other| &other.value);
        let new = (self.combine)(change.new.as_ref(), other);
        let old = self.send_old.then(|| (self.combine)(change.old.as_ref(), other)).flatten();
        let value = Change { new, old, is_latest: change.is_latest };
        self.next.forward(task, Record { key, value, timestamp, headers })
    }
}

/// Works the result of a join out from both tables.
pub(crate) struct JoinedGetter<K, L, R, V> {
    pub(crate) left: BoxedGetter<K, L>,
    pub(crate) right: BoxedGetter<K, R>,
    pub(crate) combine: Combine<L, R, V>,
    /// Whether there is no result without a row of the left side.
    pub(crate) left_required: bool,
}

impl<K, L, R, V> ValueGetter<K, V> for JoinedGetter<K, L, R, V> {
    fn get(&mut self, task: &mut TaskContext, key: &K) -> Result<Option<Stamped<V>>, Error> {
        let left = self.left.get(task, key)?;
        if left.is_none() && self.left_required {
            return Ok(None);
        }
        let right = self.right.get(task, key)?;
        let times =
            [left.as_ref().map(|row| row.timestamp), right.as_ref().map(|row| row.timestamp)];
        let Some(timestamp) = times.into_iter().flatten().max() else { return Ok(None) };
        let (left, right) =
            (left.as_ref().map(|row| &row.value), right.as_ref().map(|row| &row.value));
        Ok((self.combine)(left, right).map(|value| Stamped { value, timestamp }))
    }
}
