//! The rows of a table in its store: the latest of each key, or with their history.

use std::cell::RefCell;
use std::rc::Rc;

use crate::error::Error;
use crate::state::rows::{Rows, Stamped};
use crate::state::versioned::{Found, VersionedRows};

/// A table's store.
pub(crate) enum TableRows<V> {
    /// It has the latest row of each key.
    Latest(Rc<RefCell<Rows<V>>>),
    /// It remembers older ones as well.
    Versioned(Rc<RefCell<VersionedRows<V>>>),
}

impl<V: Clone + 'static> TableRows<V> {
    /// The latest row of a key.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Stamped<V>>, Error> {
        match self {
            Self::Latest(rows) => Ok(rows.borrow_mut().get(key)?.cloned()),
            Self::Versioned(rows) => Ok(rows.borrow_mut().get(key)?.map(Stamped::from)),
        }
    }

    /// Whether a value is one that the store keeps as "no row".
    pub(crate) fn is_null(&self, value: &V) -> bool {
        match self {
            Self::Latest(rows) => rows.borrow().is_null(value),
            Self::Versioned(rows) => rows.borrow().is_null(value),
        }
    }
}

/// A version as a row.
impl<V: Clone> From<Found<'_, V>> for Stamped<V> {
    fn from(found: Found<'_, V>) -> Self {
        Self { value: found.value.clone(), timestamp: found.from }
    }
}
