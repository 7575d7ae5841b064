//! How one node reads the table of another: by key, in the same task.
//!
//! A table that has a store is read from it; one that has none is worked out from its parents' rows, on
//! every read.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use crate::error::{Error, ErrorKind};
use crate::processor::context::TaskContext;
use crate::record::Timestamp;
use crate::serdes::{ArcSerde, SerdeError};
use crate::state::rows::{Rows, Stamped};
use crate::state::versioned::VersionedRows;

/// Reads the rows of a table.
pub(crate) trait ValueGetter<K, V> {
    /// The key's row, `None` if there is none.
    fn get(&mut self, task: &mut TaskContext, key: &K) -> Result<Option<Stamped<V>>, Error>;

    /// The key's row as it was at a time. Only tables that keep their history have an answer; joins that
    /// ask are refused elsewhere when the topology is built.
    fn get_as_of(
        &mut self,
        task: &mut TaskContext,
        key: &K,
        at: Timestamp,
    ) -> Result<Option<Stamped<V>>, Error> {
        let _ = (task, key);
        let message = format!("the table keeps no history to look up the row at {at}");
        Err(Error::new(ErrorKind::Fatal, message))
    }

    /// Whether the table keeps its history.
    fn is_versioned(&self) -> bool {
        false
    }
}

/// A getter of any kind.
pub(crate) type BoxedGetter<K, V> = Box<dyn ValueGetter<K, V>>;

/// Writes a key as the store's changelog has it.
pub(crate) type StoreKey<K> = Arc<dyn Fn(&K, &mut Vec<u8>) -> Result<(), SerdeError> + Send + Sync>;

/// Keys that stand in the store as their serde writes them.
pub(crate) fn plain_store_key<K: 'static>(serde: &ArcSerde<K>) -> StoreKey<K> {
    let serde = Arc::clone(serde);
    Arc::new(move |key, bytes| serde.serialize(key, bytes))
}

/// Reads a table from its store.
pub(crate) struct StoredGetter<K, V> {
    store_key: StoreKey<K>,
    rows: Rc<RefCell<Rows<V>>>,
    key_bytes: Vec<u8>,
}

impl<K, V> StoredGetter<K, V> {
    pub(crate) fn new(store_key: StoreKey<K>, rows: Rc<RefCell<Rows<V>>>) -> Self {
        Self { store_key, rows, key_bytes: Vec::new() }
    }
}

impl<K, V: Clone + 'static> ValueGetter<K, V> for StoredGetter<K, V> {
    fn get(&mut self, _: &mut TaskContext, key: &K) -> Result<Option<Stamped<V>>, Error> {
        self.key_bytes.clear();
        (self.store_key)(key, &mut self.key_bytes).map_err(unwritable)?;
        Ok(self.rows.borrow_mut().get(&self.key_bytes)?.cloned())
    }
}

/// Reads a table from its versioned store.
pub(crate) struct VersionedGetter<K, V> {
    store_key: StoreKey<K>,
    rows: Rc<RefCell<VersionedRows<V>>>,
    key_bytes: Vec<u8>,
}

impl<K, V> VersionedGetter<K, V> {
    pub(crate) fn new(store_key: StoreKey<K>, rows: Rc<RefCell<VersionedRows<V>>>) -> Self {
        Self { store_key, rows, key_bytes: Vec::new() }
    }

    fn write_key(&mut self, key: &K) -> Result<(), Error> {
        self.key_bytes.clear();
        (self.store_key)(key, &mut self.key_bytes).map_err(unwritable)
    }
}

impl<K, V: Clone + 'static> ValueGetter<K, V> for VersionedGetter<K, V> {
    fn get(&mut self, _: &mut TaskContext, key: &K) -> Result<Option<Stamped<V>>, Error> {
        self.write_key(key)?;
        Ok(self.rows.borrow_mut().get(&self.key_bytes)?.map(Stamped::from))
    }

    fn get_as_of(
        &mut self,
        _: &mut TaskContext,
        key: &K,
        at: Timestamp,
    ) -> Result<Option<Stamped<V>>, Error> {
        self.write_key(key)?;
        Ok(self.rows.borrow_mut().get_as_of(&self.key_bytes, at)?.map(Stamped::from))
    }

    fn is_versioned(&self) -> bool {
        true
    }
}

#[cold]
fn unwritable(error: SerdeError) -> Error {
    Error::new(ErrorKind::BadRecord, "the key cannot be written").with_source(error)
}

/// A row's new value from its key and its parent's value; `None` is no row.
pub(crate) type Derive<K, P, V> = Arc<dyn Fn(&K, P) -> Option<V> + Send + Sync>;

/// Works a table out from its parent, row by row.
pub(crate) struct DerivedGetter<K, P, V> {
    pub(crate) parent: BoxedGetter<K, P>,
    pub(crate) derive: Derive<K, P, V>,
}

impl<K, P, V> DerivedGetter<K, P, V> {
    fn derive(&self, key: &K, row: Option<Stamped<P>>) -> Option<Stamped<V>> {
        let Stamped { value, timestamp } = row?;
        (self.derive)(key, value).map(|value| Stamped { value, timestamp })
    }
}

impl<K, P, V> ValueGetter<K, V> for DerivedGetter<K, P, V> {
    fn get(&mut self, task: &mut TaskContext, key: &K) -> Result<Option<Stamped<V>>, Error> {
        let row = self.parent.get(task, key)?;
        Ok(self.derive(key, row))
    }

    fn get_as_of(
        &mut self,
        task: &mut TaskContext,
        key: &K,
        at: Timestamp,
    ) -> Result<Option<Stamped<V>>, Error> {
        let row = self.parent.get_as_of(task, key, at)?;
        Ok(self.derive(key, row))
    }

    fn is_versioned(&self) -> bool {
        self.parent.is_versioned()
    }
}
