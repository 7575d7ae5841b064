//! Versioned key-value stores: what each key was worth when.

use std::cell::RefCell;
use std::rc::Rc;

use super::core::StoreCore;
use crate::error::Error;
use crate::processor::Data;
use crate::record::Timestamp;
use crate::state::handle::StateStoreHandle;
use crate::state::versioned::{Found, PutOutcome, VersionedRows};

/// A store that remembers what each key was worth when, as far back as its history retention reaches. A
/// processor gets it from its context by name, keeps it, and reads and writes through it; handles of one store
/// share its rows.
///
/// A version is valid from its timestamp until the next version of its key begins. The store's clock is
/// the highest timestamp put; what is more than the history retention behind it is too old to be put,
/// and to be asked for (the latest version of a key is always there). The changelog gets every put in
/// order, also those too old.
///
/// # Examples
/// What a price was when an order was made:
/// ```
/// use std::time::Duration;
///
/// use kstream::state::VersionedKeyValueStore;
/// use kstream::{
///     KStream, Named, Processor, ProcessorContext, ProcessorError, Record, Stores,
///     StreamsBuilder,
/// };
/// use kstream_test_utils::TopologyTestDriver;
///
/// #[derive(Default)]
/// struct Prices {
///     store: Option<VersionedKeyValueStore<String, String>>,
/// }
///
/// impl Processor<String, String, String, String> for Prices {
///     fn init(
///         &mut self,
///         context: &mut ProcessorContext<'_, String, String>,
///     ) -> Result<(), ProcessorError> {
///         self.store = Some(context.store("store")?);
///         Ok(())
///     }
///
///     fn process(
///         &mut self,
///         context: &mut ProcessorContext<'_, String, String>,
///         record: Record<String, String>,
///     ) -> Result<(), ProcessorError> {
///         let store = self.store.as_ref().ok_or("init comes first")?;
///         match record.value.strip_prefix("price ") {
///             Some(price) => {
///                 store.put(&record.key, price.to_owned(), record.timestamp)?;
///             }
///             None => {
///                 let price = store.get_as_of(&record.key, record.timestamp)?.ok_or("no price")?;
///                 context.forward(record.with_value(price.value))?;
///             }
///         }
///         Ok(())
///     }
/// }
///
/// let builder = StreamsBuilder::new();
/// let history = Duration::from_secs(3600);
/// let supplier = Stores::persistent_versioned_key_value_store("store", history);
/// let store = Stores::versioned_key_value_store_builder::<String, String>(supplier);
/// builder.add_state_store(store);
/// let stream: KStream<String, String> = builder.stream("in");
/// stream.process_with(Prices::default, Named::default(), &["store"]).to("out");
/// let driver = TopologyTestDriver::new(builder.build()?)?;
/// let input = driver.input_topic::<String, String>("in");
/// for (value, at) in [("price 3", 1000), ("price 4", 2000), ("order", 1500)] {
///     input.pipe_at("tea".to_owned(), value.to_owned(), at)?;
/// }
/// let prices = driver.output_topic::<String, String>("out").read_values()?;
/// assert_eq!(prices, ["3"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Every method fails if the store cannot be read or written, or if a key is null: give the error on with `?`.
///
/// # Source
/// `org.apache.kafka.streams.state.VersionedKeyValueStore` (KIP-889).
pub struct VersionedKeyValueStore<K, V> {
    shared: Rc<Shared<K, V>>,
}

struct Shared<K, V> {
    core: StoreCore<K>,
    rows: Rc<RefCell<VersionedRows<V>>>,
}

/// A value and from when until when it is valid.
///
/// # Source
/// `org.apache.kafka.streams.state.VersionedRecord`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionedRecord<V> {
    /// The value.
    pub value: V,
    /// When it becomes valid, in milliseconds since the epoch.
    pub timestamp: Timestamp,
    /// When the next version begins, which ends this one; `None` for the latest.
    pub valid_to: Option<Timestamp>,
}

impl<V: Clone> From<Found<'_, V>> for VersionedRecord<V> {
    fn from(found: Found<'_, V>) -> Self {
        Self { value: found.value.clone(), timestamp: found.from, valid_to: found.to }
    }
}

impl<K, V> VersionedKeyValueStore<K, V> {
    pub(crate) fn new(core: StoreCore<K>, rows: Rc<RefCell<VersionedRows<V>>>) -> Self {
        Self { shared: Rc::new(Shared { core, rows }) }
    }
}

impl<K: Data, V: Data> VersionedKeyValueStore<K, V> {
    /// Sets what a key is worth from `timestamp` on; `None` deletes it from then on. A version with the
    /// same timestamp is replaced.
    pub fn put(
        &self,
        key: &K,
        value: impl Into<Option<V>>,
        timestamp: Timestamp,
    ) -> Result<PutOutcome, Error> {
        let Shared { core, rows } = &*self.shared;
        let value = value.into();
        core.with_key(key, |key| core.borrow(rows)?.put(key, value, timestamp))
    }

    /// Deletes a key from `timestamp` on. The answer is the version that was valid then; none if that is too
    /// old.
    pub fn delete(
        &self,
        key: &K,
        timestamp: Timestamp,
    ) -> Result<Option<VersionedRecord<V>>, Error> {
        let Shared { core, rows } = &*self.shared;
        core.with_key(key, |key| core.borrow(rows)?.delete(key, timestamp))
    }

    /// The latest version of a key.
    pub fn get(&self, key: &K) -> Result<Option<VersionedRecord<V>>, Error> {
        let Shared { core, rows } = &*self.shared;
        core.with_key(key, |key| Ok(core.borrow(rows)?.get(key)?.map(Into::into)))
    }

    /// The version of a key that is valid at a time; none if that is too old, unless it is the latest.
    pub fn get_as_of(
        &self,
        key: &K,
        timestamp: Timestamp,
    ) -> Result<Option<VersionedRecord<V>>, Error> {
        let Shared { core, rows } = &*self.shared;
        core.with_key(key, |key| Ok(core.borrow(rows)?.get_as_of(key, timestamp)?.map(Into::into)))
    }
}

impl<K, V> Clone for VersionedKeyValueStore<K, V> {
    fn clone(&self) -> Self {
        Self { shared: Rc::clone(&self.shared) }
    }
}

impl<K, V> std::fmt::Debug for VersionedKeyValueStore<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VersionedKeyValueStore")
            .field("name", &self.shared.core.name)
            .finish_non_exhaustive()
    }
}

impl<K: 'static, V: 'static> StateStoreHandle for VersionedKeyValueStore<K, V> {}
