//! One record for one record: `map`, `map_values`, `select_key`.

use std::sync::Arc;

use crate::error::Error;
use crate::processor::context::TaskContext;
use crate::processor::{Data, Node, Outlet};
use crate::record::Record;

/// A user's mapper of keys and values.
pub(crate) type Mapper<K, V, K2, V2> = Arc<dyn Fn(K, V) -> (K2, V2) + Send + Sync>;

/// A user's mapper of values.
pub(crate) type ValueMapper<K, V, V2> = Arc<dyn Fn(&K, V) -> V2 + Send + Sync>;

/// A user's choice of a key.
pub(crate) type KeySelector<K, V, K2> = Arc<dyn Fn(&K, &V) -> K2 + Send + Sync>;

/// Changes key and value.
pub(crate) struct Map<K, V, K2, V2> {
    pub(crate) mapper: Mapper<K, V, K2, V2>,
    pub(crate) next: Outlet<K2, V2>,
}

impl<K: Data, V: Data, K2: Data, V2: Data> Node<K, V> for Map<K, V, K2, V2> {
    fn process(&mut self, task: &mut TaskContext, record: Record<K, V>) -> Result<(), Error> {
        let Record { key, value, timestamp, headers } = record;
        let (key, value) = (self.mapper)(key, value);
        self.next.forward(task, Record { key, value, timestamp, headers })
    }
}

/// Changes the value; the key is looked at.
pub(crate) struct MapValues<K, V, V2> {
    pub(crate) mapper: ValueMapper<K, V, V2>,
    pub(crate) next: Outlet<K, V2>,
}

impl<K: Data, V: Data, V2: Data> Node<K, V> for MapValues<K, V, V2> {
    fn process(&mut self, task: &mut TaskContext, record: Record<K, V>) -> Result<(), Error> {
        let Record { key, value, timestamp, headers } = record;
        let value = (self.mapper)(&key, value);
        self.next.forward(task, Record { key, value, timestamp, headers })
    }
}

/// Changes the key; key and value are looked at.
pub(crate) struct SelectKey<K, V, K2> {
    pub(crate) mapper: KeySelector<K, V, K2>,
    pub(crate) next: Outlet<K2, V>,
}

impl<K: Data, V: Data, K2: Data> Node<K, V> for SelectKey<K, V, K2> {
    fn process(&mut self, task: &mut TaskContext, record: Record<K, V>) -> Result<(), Error> {
        let key = (self.mapper)(&record.key, &record.value);
        self.next.forward(task, record.with_key(key))
    }
}
