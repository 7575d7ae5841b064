//! A table's updates under new keys and values, on their way to an aggregation: `group_by`.

use std::sync::Arc;

use crate::error::Error;
use crate::processor::context::{DropReason, TaskContext};
use crate::processor::{Change, Data, Node, Outlet};
use crate::record::Record;
use crate::serdes::ArcSerde;

/// A user's choice of a key and a value.
pub(crate) type Selector<K, V, K2, V2> = Arc<dyn Fn(&K, V) -> (K2, V2) + Send + Sync>;

/// Gives old and new value of an update their new keys. Where those are equal both go on in one record,
/// otherwise in two, the old one first. What has a null key or value is left out.
pub(crate) struct TableSelect<K, V, K2, V2> {
    pub(crate) selector: Selector<K, V, K2, V2>,
    pub(crate) key_serde: ArcSerde<K2>,
    pub(crate) value_serde: ArcSerde<V2>,
    /// Whether the table keeps its history: then only latest updates count.
    pub(crate) versioned: bool,
    pub(crate) next: Outlet<K2, Change<V2>>,
}

impl<K, V, K2: Data, V2: Data> TableSelect<K, V, K2, V2> {
    fn select(&self, key: &K, value: Option<V>) -> Option<(K2, V2)> {
        let (key, value) = (self.selector)(key, value?);
        let null = self.key_serde.is_null(&key) || self.value_serde.is_null(&value);
        (!null).then_some((key, value))
    }
}

impl<K: Data, V: Data, K2: Data + PartialEq, V2: Data> Node<K, Change<V>>
    for TableSelect<K, V, K2, V2>
{
    fn process(
        &mut self,
        task: &mut TaskContext,
        record: Record<K, Change<V>>,
    ) -> Result<(), Error> {
        let Record { key, value: change, timestamp, headers } = record;
        if self.versioned && !change.is_latest {
            // What the group has of this row is newer.
            task.drop_record(DropReason::Late);
            return Ok(());
        }
        // KAFKA: the new pair is selected first, though the old one goes on first.
        let new = self.select(&key, change.new);
        let old = self.select(&key, change.old);
        let (old, new) = match (old, new) {
            (Some((old_key, old)), Some((key, new))) if old_key == key => {
                let value = Change::latest(Some(new), Some(old));
                return self.next.forward(task, Record { key, value, timestamp, headers });
            }
            pairs => pairs,
        };
        if let Some((key, old)) = old {
            let value = Change::latest(None, Some(old));
            let headers = headers.clone();
            self.next.forward(task, Record { key, value, timestamp, headers })?;
        }
        if let Some((key, new)) = new {
            let value = Change::latest(Some(new), None);
            self.next.forward(task, Record { key, value, timestamp, headers })?;
        }
        Ok(())
    }
}
