//! What all store handles share: the store's name, its key serde, and what its task is doing.

use std::cell::{RefCell, RefMut};
use std::sync::Arc;

use crate::error::{Error, ErrorKind};
use crate::record::{Headers, Timestamp};
use crate::serdes::{ArcSerde, SerdeError};
use crate::state::handle::RecordClock;
use crate::state::rows::{Rows, Stamped};

use super::form::{Parts, StoredAs};

/// What a store's handle is made of, beside its rows.
pub(crate) struct StoreCore<K> {
    pub(super) name: Arc<str>,
    pub(super) key_serde: ArcSerde<K>,
    pub(super) clock: RecordClock,
    /// Keys are put together here.
    key_bytes: RefCell<Vec<u8>>,
}

impl<K: 'static> StoreCore<K> {
    pub(crate) fn new(name: Arc<str>, key_serde: ArcSerde<K>, clock: RecordClock) -> Self {
        Self { name, key_serde, clock, key_bytes: RefCell::default() }
    }

    /// Writes a key and hands its bytes to `then`, which may add to them.
    pub(super) fn with_key<R>(
        &self,
        key: &K,
        then: impl FnOnce(&mut Vec<u8>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let mut bytes = self.key_bytes.take();
        bytes.clear();
        let done = self.write_key(key, &mut bytes).and_then(|()| then(&mut bytes));
        self.key_bytes.replace(bytes);
        done
    }

    pub(super) fn write_key(&self, key: &K, bytes: &mut Vec<u8>) -> Result<(), Error> {
        if self.key_serde.is_null(key) {
            let message = format!("store {} takes no null key", self.name);
            return Err(Error::new(ErrorKind::BadRecord, message));
        }
        self.key_serde.serialize(key, bytes).map_err(|error| {
            let message = format!("a key cannot be written to store {}", self.name);
            Error::new(ErrorKind::BadRecord, message).with_source(error)
        })
    }

    /// The bytes of one end of a key range; `None` is no bound.
    pub(super) fn bound(&self, key: Option<&K>) -> Result<Option<Vec<u8>>, Error> {
        key.map(|key| {
            let mut bytes = Vec::new();
            self.write_key(key, &mut bytes).map(|()| bytes)
        })
        .transpose()
    }

    pub(super) fn read_key(&self, bytes: &[u8]) -> Result<K, Error> {
        self.key_serde.deserialize(bytes).map_err(|error| self.unreadable(error))
    }

    #[cold]
    fn unreadable(&self, error: SerdeError) -> Error {
        let message =
            format!("a key of store {} cannot be read; was the store's type changed?", self.name);
        Error::new(ErrorKind::Fatal, message).with_source(error)
    }

    /// The store's rows, for one operation.
    pub(super) fn borrow<'a, R: ?Sized>(
        &self,
        rows: &'a RefCell<R>,
    ) -> Result<RefMut<'a, R>, Error> {
        rows.try_borrow_mut().map_err(|error| {
            let message = format!(
                "store {} is used while its rows are being visited; collect what is needed first",
                self.name
            );
            Error::new(ErrorKind::Fatal, message).with_source(error)
        })
    }

    /// The row that a value makes, and its headers. A deletion has those of the record being processed.
    pub(super) fn row<V: Clone + 'static, F: StoredAs<V>>(
        &self,
        rows: &Rows<V>,
        value: Option<F::Value>,
    ) -> (Option<Stamped<V>>, Headers) {
        let parts = value.map(|value| F::write(value, self.clock.now()));
        match parts.filter(|parts| !rows.is_null(&parts.value)) {
            Some(Parts { value, timestamp, headers }) => {
                (Some(Stamped { value, timestamp }), headers)
            }
            None => (None, self.clock.headers()),
        }
    }

    /// The timestamp of the record being processed.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// The least key that is greater than every key that begins with `prefix`; `None` if there is none.
pub(super) fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte < u8::MAX)?;
    let mut after = prefix.get(..=last)?.to_vec();
    if let Some(byte) = after.last_mut() {
        *byte += 1;
    }
    Some(after)
}

/// The least key that is greater than `key`.
pub(super) fn after(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}
