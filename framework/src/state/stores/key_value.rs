//! Key-value stores: a row per key.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::rc::Rc;

use super::core::{StoreCore, after, after_prefix};
use super::form::{Plain, StoredAs, Timestamped, WithHeaders};
use super::iterator::KeyValueIterator;
use crate::error::Error;
use crate::processor::Data;
use crate::record::{Headers, Timestamp};
use crate::serdes::Serde;
use crate::state::handle::StateStoreHandle;
use crate::state::rows::{ManagedStore, Rows, Stamped, VisitRowWithHeaders};

/// A store of values by key. A processor gets it from its context by name, keeps it, and reads and writes
/// through it; handles of one store share its rows.
///
/// What is written is read back at once, and survives the application once it is committed. Keys are in
/// the order of their bytes: for text and for numbers that are not negative that is their own. The third
/// type parameter is [`Plain`] here: see [`TimestampedKeyValueStore`] and
/// [`TimestampedKeyValueStoreWithHeaders`] for the others.
///
/// # Examples
/// Counting by hand:
/// ```
/// use kstream::state::KeyValueStore;
/// use kstream::{
///     KStream, Named, Processor, ProcessorContext, ProcessorError, Record, Stores,
///     StreamsBuilder,
/// };
/// use kstream_test_utils::TopologyTestDriver;
///
/// #[derive(Default)]
/// struct Count {
///     store: Option<KeyValueStore<String, i64>>,
/// }
///
/// impl Processor<String, String, String, i64> for Count {
///     fn init(
///         &mut self,
///         context: &mut ProcessorContext<'_, String, i64>,
///     ) -> Result<(), ProcessorError> {
///         self.store = Some(context.store("store")?);
///         Ok(())
///     }
///
///     fn process(
///         &mut self,
///         context: &mut ProcessorContext<'_, String, i64>,
///         record: Record<String, String>,
///     ) -> Result<(), ProcessorError> {
///         let store = self.store.as_ref().ok_or("init comes first")?;
///         let count = store.get(&record.key)?.unwrap_or(0) + 1;
///         store.put(&record.key, count)?;
///         context.forward(record.with_value(count))?;
///         Ok(())
///     }
/// }
///
/// let builder = StreamsBuilder::new();
/// let supplier = Stores::persistent_key_value_store("store");
/// builder.add_state_store(Stores::key_value_store_builder::<String, i64>(supplier));
/// let stream: KStream<String, String> = builder.stream("in");
/// stream.process_with(Count::default, Named::default(), &["store"]).to("out");
/// let driver = TopologyTestDriver::new(builder.build()?)?;
/// let input = driver.input_topic::<String, String>("in");
/// for page in ["/", "/about", "/"] {
///     input.pipe(page.to_owned(), "visit".to_owned())?;
/// }
/// let counts = driver.output_topic::<String, i64>("out").read_values()?;
/// assert_eq!(counts, [1, 1, 2]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Every method fails if the store cannot be read or written, or if a key is null: give the error on with `?`.
///
/// # Source
/// `org.apache.kafka.streams.state.KeyValueStore`.
pub struct KeyValueStore<K, V, F = Plain> {
    shared: Rc<Shared<K, V>>,
    form: PhantomData<F>,
}

/// A [`KeyValueStore`] that keeps a timestamp with each value, the kind that tables and aggregations have.
///
/// # Source
/// `org.apache.kafka.streams.state.TimestampedKeyValueStore`.
pub type TimestampedKeyValueStore<K, V> = KeyValueStore<K, V, Timestamped>;

/// A [`KeyValueStore`] that keeps a timestamp and headers with each value. Its changelog has these headers; a
/// deletion there has those of the record being processed.
///
/// # Source
/// `org.apache.kafka.streams.state.TimestampedKeyValueStoreWithHeaders` (KIP-1271).
pub type TimestampedKeyValueStoreWithHeaders<K, V> = KeyValueStore<K, V, WithHeaders>;

struct Shared<K, V> {
    core: StoreCore<K>,
    rows: Rc<RefCell<dyn KeyValueRows<V>>>,
}

/// Rows by key, however many are kept.
pub(crate) trait KeyValueRows<V> {
    /// The row of a key.
    fn read(&mut self, key: &[u8]) -> Result<Option<(&Stamped<V>, &Headers)>, Error>;
    /// Sets or removes the row of a key.
    fn write(
        &mut self,
        key: &[u8],
        row: Option<Stamped<V>>,
        headers: Headers,
        written_at: Timestamp,
    ) -> Result<(), Error>;
    /// The rows themselves.
    fn rows(&mut self) -> &mut Rows<V>;
}

impl<V: Clone + 'static> KeyValueRows<V> for Rows<V> {
    fn read(&mut self, key: &[u8]) -> Result<Option<(&Stamped<V>, &Headers)>, Error> {
        self.get_with_headers(key)
    }
    fn write(
        &mut self,
        key: &[u8],
        row: Option<Stamped<V>>,
        headers: Headers,
        written_at: Timestamp,
    ) -> Result<(), Error> {
        self.set_with_headers(key, row, headers, written_at)
    }
    fn rows(&mut self) -> &mut Rows<V> {
        self
    }
}

impl<K, V, F> KeyValueStore<K, V, F> {
    pub(crate) fn new(core: StoreCore<K>, rows: Rc<RefCell<dyn KeyValueRows<V>>>) -> Self {
        Self { shared: Rc::new(Shared { core, rows }), form: PhantomData }
    }
}

impl<K: Data, V: Data, F: StoredAs<V>> KeyValueStore<K, V, F> {
    /// The value of a key.
    pub fn get(&self, key: &K) -> Result<Option<F::Value>, Error> {
        let Shared { core, rows } = &*self.shared;
        core.with_key(key, |key| {
            let mut rows = core.borrow(rows)?;
            let row = rows.read(key)?;
            Ok(row.map(|(row, headers)| F::read(&row.value, row.timestamp, headers)))
        })
    }

    /// Sets the value of a key; `None` removes it.
    pub fn put(&self, key: &K, value: impl Into<Option<F::Value>>) -> Result<(), Error> {
        let Shared { core, rows } = &*self.shared;
        let value = value.into();
        core.with_key(key, |key| {
            let mut rows = core.borrow(rows)?;
            let (row, headers) = core.row::<V, F>(rows.rows(), value);
            rows.write(key, row, headers, core.now())
        })
    }

    /// Sets the value of a key that has none. The answer is the value that it had: `None` if the new one
    /// was set.
    pub fn put_if_absent(
        &self,
        key: &K,
        value: impl Into<Option<F::Value>>,
    ) -> Result<Option<F::Value>, Error> {
        let present = self.get(key)?;
        if present.is_none() {
            self.put(key, value)?;
        }
        Ok(present)
    }

    /// Sets the values of several keys, one after the other.
    pub fn put_all<T: Into<Option<F::Value>>>(
        &self,
        entries: impl IntoIterator<Item = (K, T)>,
    ) -> Result<(), Error> {
        entries.into_iter().try_for_each(|(key, value)| self.put(&key, value))
    }

    /// Removes the value of a key. The answer is the value that it had.
    pub fn delete(&self, key: &K) -> Result<Option<F::Value>, Error> {
        let present = self.get(key)?;
        self.put(key, None)?;
        Ok(present)
    }

    /// The values of the keys from one to another, both included, in key order; `None` is no bound.
    pub fn range<'a>(
        &self,
        from: impl Into<Option<&'a K>>,
        to: impl Into<Option<&'a K>>,
    ) -> Result<KeyValueIterator<K, F::Value>, Error> {
        self.collect(from.into(), to.into(), false)
    }

    /// [`KeyValueStore::range`] from the last key to the first.
    pub fn reverse_range<'a>(
        &self,
        from: impl Into<Option<&'a K>>,
        to: impl Into<Option<&'a K>>,
    ) -> Result<KeyValueIterator<K, F::Value>, Error> {
        self.collect(from.into(), to.into(), true)
    }

    /// All values in key order.
    pub fn all(&self) -> Result<KeyValueIterator<K, F::Value>, Error> {
        self.collect(None, None, false)
    }

    /// All values from the last key to the first.
    pub fn reverse_all(&self) -> Result<KeyValueIterator<K, F::Value>, Error> {
        self.collect(None, None, true)
    }

    /// The values of the keys whose bytes begin with those of `prefix`, in key order.
    pub fn prefix_scan<P>(
        &self,
        prefix: &P,
        prefix_serde: &(impl Serde<P> + ?Sized),
    ) -> Result<KeyValueIterator<K, F::Value>, Error> {
        let mut from = Vec::new();
        prefix_serde.serialize(prefix, &mut from).map_err(|error| {
            Error::new(crate::ErrorKind::BadRecord, "the prefix of a scan cannot be written")
                .with_source(error)
        })?;
        let to = after_prefix(&from);
        let mut found = Vec::new();
        self.scan(&from, to.as_deref(), false, &mut |key, value| {
            found.push((key, value));
            ControlFlow::Continue(())
        })?;
        Ok(KeyValueIterator::new(found))
    }

    /// Shows the values of the keys from one to another, both included, in key order, until `visit` breaks.
    /// Nothing is copied but the row at hand; the store cannot be used meanwhile.
    pub fn visit_range<'a>(
        &self,
        from: impl Into<Option<&'a K>>,
        to: impl Into<Option<&'a K>>,
        mut visit: impl FnMut(K, F::Value) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        self.scan_keys(from.into(), to.into(), false, &mut visit)
    }

    /// About how many rows are committed.
    pub fn approximate_num_entries(&self) -> Result<u64, Error> {
        let Shared { core, rows } = &*self.shared;
        Ok(core.borrow(rows)?.rows().approximate_rows())
    }

    fn collect(
        &self,
        from: Option<&K>,
        to: Option<&K>,
        reverse: bool,
    ) -> Result<KeyValueIterator<K, F::Value>, Error> {
        let mut found = Vec::new();
        self.scan_keys(from, to, reverse, &mut |key, value| {
            found.push((key, value));
            ControlFlow::Continue(())
        })?;
        Ok(KeyValueIterator::new(found))
    }

    fn scan_keys(
        &self,
        from: Option<&K>,
        to: Option<&K>,
        reverse: bool,
        visit: &mut dyn FnMut(K, F::Value) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let core = &self.shared.core;
        let from = core.bound(from)?.unwrap_or_default();
        let to = core.bound(to)?.map(after);
        self.scan(&from, to.as_deref(), reverse, visit)
    }

    fn scan(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        reverse: bool,
        visit: &mut dyn FnMut(K, F::Value) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let Shared { core, rows } = &*self.shared;
        let mut failed = None;
        let show: &mut VisitRowWithHeaders<'_, V> =
            &mut |key, row, headers| match core.read_key(key) {
                Ok(key) => visit(key, F::read(&row.value, row.timestamp, headers)).is_continue(),
                Err(error) => {
                    failed = Some(error);
                    false
                }
            };
        core.borrow(rows)?.rows().scan_with_headers(from, to, reverse, show)?;
        failed.map_or(Ok(()), Err)
    }
}

impl<K, V, F> Clone for KeyValueStore<K, V, F> {
    fn clone(&self) -> Self {
        Self { shared: Rc::clone(&self.shared), form: PhantomData }
    }
}

impl<K, V, F> std::fmt::Debug for KeyValueStore<K, V, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyValueStore")
            .field("name", &self.shared.core.name)
            .finish_non_exhaustive()
    }
}

impl<K: 'static, V: 'static, F: 'static> StateStoreHandle for KeyValueStore<K, V, F> {}
