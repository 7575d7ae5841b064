//! Any number of records for one record: `flat_map`, `flat_map_values`.
//!
//! The user's iterator is drained one item at a time; nothing is collected.

use std::sync::Arc;

use crate::error::Error;
use crate::processor::context::TaskContext;
use crate::processor::{Data, Node, Outlet};
use crate::record::Record;

/// Where a mapper puts its results, one by one.
pub(crate) type Emit<'a, T> = dyn FnMut(T) -> Result<(), Error> + 'a;

/// A user's mapper, with its iterator hidden behind a callback.
pub(crate) type FlatMapper<K, V, T> =
    Arc<dyn Fn(K, V, &mut Emit<'_, T>) -> Result<(), Error> + Send + Sync>;

/// A user's value mapper, with its iterator hidden behind a callback.
pub(crate) type FlatValueMapper<K, V, T> =
    Arc<dyn Fn(&K, V, &mut Emit<'_, T>) -> Result<(), Error> + Send + Sync>;

/// Changes keys and values.
pub(crate) struct FlatMap<K, V, K2, V2> {
    pub(crate) mapper: FlatMapper<K, V, (K2, V2)>,
    pub(crate) next: Outlet<K2, V2>,
}

impl<K: Data, V: Data, K2: Data, V2: Data> Node<K, V> for FlatMap<K, V, K2, V2> {
    fn process(&mut self, task: &mut TaskContext, record: Record<K, V>) -> Result<(), Error> {
        let Record { key, value, timestamp, headers } = record;
        let next = &self.next;
        (self.mapper)(key, value, &mut |(key, value)| {
            next.forward(task, Record { key, value, timestamp, headers: headers.clone() })
        })
    }
}

/// Changes values; each result has the key of its record.
pub(crate) struct FlatMapValues<K, V, V2> {
    pub(crate) mapper: FlatValueMapper<K, V, V2>,
    pub(crate) next: Outlet<K, V2>,
}

impl<K: Data, V: Data, V2: Data> Node<K, V> for FlatMapValues<K, V, V2> {
    fn process(&mut self, task: &mut TaskContext, record: Record<K, V>) -> Result<(), Error> {
        let Record { key, value, timestamp, headers } = record;
        let next = &self.next;
        (self.mapper)(&key, value, &mut |value| {
            let key = key.clone();
            next.forward(task, Record { key, value, timestamp, headers: headers.clone() })
        })
    }
}
