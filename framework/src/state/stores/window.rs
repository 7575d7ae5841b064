//! Window stores: a row per key and window start, or several where duplicates are retained.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::ops::{Bound, ControlFlow, RangeBounds, RangeInclusive};
use std::rc::Rc;

use super::core::{StoreCore, after};
use super::form::{Plain, StoredAs, Timestamped, WithHeaders};
use super::iterator::{KeyValueIterator, WindowStoreIterator};
use crate::error::Error;
use crate::processor::Data;
use crate::record::Timestamp;
use crate::state::handle::StateStoreHandle;
use crate::state::key_layout::{
    window_record_key, window_start, write_window_suffix_with_sequence,
};
use crate::state::rows::Rows;
use crate::time::windows::{Window, Windowed};

/// A store of values by key and window. A processor gets it from its context by name, keeps it, and reads and
/// writes through it; handles of one store share its rows.
///
/// A window is kept for the store's retention, counted in the store's own clock: the highest window
/// start that was put. What has expired is not stored and not shown. Ranges of time are of window
/// starts. Results over several keys come by key, then time from a persistent store, by time, then key
/// from one in memory (and a persistent store that spans much time gives them segment by segment), as in
/// Kafka Streams. The third type parameter is [`Plain`] here: see [`TimestampedWindowStore`] and
/// [`TimestampedWindowStoreWithHeaders`] for the others.
///
/// A store that retains duplicates keeps every value that is put for a key and a start, in the order of the
/// puts, and nothing can be removed from it. It numbers its puts, and begins anew whenever its task starts, as
/// Kafka Streams does: a value may then replace one of the same number, key and window.
///
/// # Examples
/// Only passing on what was not there in the last ten minutes:
/// ```
/// use std::time::Duration;
///
/// use kstream::state::WindowStore;
/// use kstream::{
///     KStream, Named, Processor, ProcessorContext, ProcessorError, Record, Stores,
///     StreamsBuilder,
/// };
/// use kstream_test_utils::TopologyTestDriver;
///
/// #[derive(Default)]
/// struct Dedup {
///     store: Option<WindowStore<String, String>>,
/// }
///
/// impl Processor<String, String, String, String> for Dedup {
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
///         let at = record.timestamp;
///         let mut recent = store.fetch_range(&record.key, at - 600_000..=at)?;
///         if !recent.any(|(_, value)| value == record.value) {
///             store.put(&record.key, record.value.clone(), at)?;
///             context.forward(record)?;
///         }
///         Ok(())
///     }
/// }
///
/// let builder = StreamsBuilder::new();
/// let (retention, size) = (Duration::from_secs(1200), Duration::from_secs(600));
/// let supplier = Stores::persistent_window_store("store", retention, size);
/// builder.add_state_store(Stores::window_store_builder::<String, String>(supplier));
/// let stream: KStream<String, String> = builder.stream("in");
/// stream.process_with(Dedup::default, Named::default(), &["store"]).to("out");
/// let driver = TopologyTestDriver::new(builder.build()?)?;
/// let input = driver.input_topic::<String, String>("in");
/// for at in [0, 300_000, 900_000] {
///     input.pipe_at("alarm".to_owned(), "fire".to_owned(), at)?;
/// }
/// let passed = driver.output_topic::<String, String>("out").read_records()?;
/// assert_eq!(passed.iter().map(|record| record.timestamp).collect::<Vec<_>>(), [0, 900_000]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Every method fails if the store cannot be read or written, or if a key is null: give the error on with `?`.
///
/// # Source
/// `org.apache.kafka.streams.state.WindowStore`.
pub struct WindowStore<K, V, F = Plain> {
    shared: Rc<Shared<K, V>>,
    form: PhantomData<F>,
}

/// A [`WindowStore`] that keeps a timestamp with each value, the kind that windowed aggregations have.
///
/// # Source
/// `org.apache.kafka.streams.state.TimestampedWindowStore`.
pub type TimestampedWindowStore<K, V> = WindowStore<K, V, Timestamped>;

/// A [`WindowStore`] that keeps a timestamp and headers with each value. Its changelog has these headers; a
/// deletion there has those of the record being processed.
///
/// # Source
/// `org.apache.kafka.streams.state.TimestampedWindowStoreWithHeaders` (KIP-1271).
pub type TimestampedWindowStoreWithHeaders<K, V> = WindowStore<K, V, WithHeaders>;

struct Shared<K, V> {
    core: StoreCore<K>,
    rows: Rc<RefCell<Rows<V>>>,
    options: WindowOptions,
    /// The number of puts, in a store that retains duplicates.
    sequence: Cell<u32>,
    /// The changelog key of the last put that was not null, in such a store.
    last_put: RefCell<Vec<u8>>,
}

/// How a window store treats its rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WindowOptions {
    pub(crate) size_ms: i64,
    pub(crate) retain_duplicates: bool,
    /// Whether results over several keys come by time before key: those of stores in memory do.
    pub(crate) by_time: bool,
}

/// The changelog keys, times and direction of a range.
struct Range<'a> {
    from: Option<&'a [u8]>,
    to: Option<&'a [u8]>,
    times: RangeInclusive<Timestamp>,
    backward: bool,
}

type Show<'a, V> = dyn FnMut(&[u8], Timestamp, V) -> ControlFlow<()> + 'a;

impl<K, V, F> WindowStore<K, V, F> {
    pub(crate) fn new(
        core: StoreCore<K>,
        rows: Rc<RefCell<Rows<V>>>,
        options: WindowOptions,
    ) -> Self {
        let (sequence, last_put) = (Cell::new(0), RefCell::default());
        let shared = Shared { core, rows, options, sequence, last_put };
        Self { shared: Rc::new(shared), form: PhantomData }
    }
}

impl<K: Data, V: Data, F: StoredAs<V>> WindowStore<K, V, F> {
    /// Sets the value of a key and the window that begins at `window_start`; `None` removes it. In a store
    /// that retains duplicates it adds a value, and `None` has no effect.
    pub fn put(
        &self,
        key: &K,
        value: impl Into<Option<F::Value>>,
        window_start: Timestamp,
    ) -> Result<(), Error> {
        let Shared { core, rows, options, sequence, last_put } = &*self.shared;
        let value = value.into();
        core.with_key(key, |key| {
            let mut rows = core.borrow(rows)?;
            let (row, headers) = core.row::<V, F>(&rows, value);
            if options.retain_duplicates {
                // KAFKA: nulls are counted too, and logged.
                sequence.set((sequence.get() + 1) & 0x7fff_ffff);
            }
            write_window_suffix_with_sequence(window_start, sequence.get(), key);
            if options.retain_duplicates {
                if row.is_none() {
                    return rows.note_deletion(key, &headers, core.now(), options.by_time);
                }
                key.clone_into(&mut last_put.borrow_mut());
            }
            rows.set_with_headers(key, row, headers, core.now())
        })
    }

    /// The value of a key and the window that begins at `window_start`. KAFKA: a store that retains
    /// duplicates only answers for what was put last, and one in memory never does;
    /// [`WindowStore::fetch_range`] has them all.
    pub fn fetch(&self, key: &K, window_start: Timestamp) -> Result<Option<F::Value>, Error> {
        let Shared { core, rows, options, sequence, last_put } = &*self.shared;
        core.with_key(key, |key| {
            if options.retain_duplicates {
                if options.by_time {
                    return Ok(None);
                }
                let last_put = last_put.borrow();
                let sequence = last_put.last_chunk::<4>().map_or(0, |s| u32::from_be_bytes(*s));
                write_window_suffix_with_sequence(window_start, sequence, key);
                if *key != *last_put {
                    return Ok(None);
                }
            } else {
                write_window_suffix_with_sequence(window_start, sequence.get(), key);
            }
            let mut rows = core.borrow(rows)?;
            let row = rows.get_with_headers(key)?;
            Ok(row.map(|(row, headers)| F::read(&row.value, row.timestamp, headers)))
        })
    }

    /// The windows of a key that begin in `times`, in order of time.
    pub fn fetch_range(
        &self,
        key: &K,
        times: impl RangeBounds<Timestamp>,
    ) -> Result<WindowStoreIterator<F::Value>, Error> {
        self.windows_of_key(key, inclusive(&times), false)
    }

    /// [`WindowStore::fetch_range`] from the latest to the earliest.
    pub fn backward_fetch_range(
        &self,
        key: &K,
        times: impl RangeBounds<Timestamp>,
    ) -> Result<WindowStoreIterator<F::Value>, Error> {
        self.windows_of_key(key, inclusive(&times), true)
    }

    /// The windows that begin in `times`, of the keys from one to another, both included; `None` is no
    /// bound.
    pub fn fetch_keys<'a>(
        &self,
        from: impl Into<Option<&'a K>>,
        to: impl Into<Option<&'a K>>,
        times: impl RangeBounds<Timestamp>,
    ) -> Result<KeyValueIterator<Windowed<K>, F::Value>, Error> {
        self.windows(from.into(), to.into(), inclusive(&times), false)
    }

    /// [`WindowStore::fetch_keys`] backwards.
    pub fn backward_fetch_keys<'a>(
        &self,
        from: impl Into<Option<&'a K>>,
        to: impl Into<Option<&'a K>>,
        times: impl RangeBounds<Timestamp>,
    ) -> Result<KeyValueIterator<Windowed<K>, F::Value>, Error> {
        self.windows(from.into(), to.into(), inclusive(&times), true)
    }

    /// The windows of all keys that begin in `times`.
    pub fn fetch_all(
        &self,
        times: impl RangeBounds<Timestamp>,
    ) -> Result<KeyValueIterator<Windowed<K>, F::Value>, Error> {
        self.windows(None, None, inclusive(&times), false)
    }

    /// [`WindowStore::fetch_all`] backwards.
    pub fn backward_fetch_all(
        &self,
        times: impl RangeBounds<Timestamp>,
    ) -> Result<KeyValueIterator<Windowed<K>, F::Value>, Error> {
        self.windows(None, None, inclusive(&times), true)
    }

    /// All windows.
    pub fn all(&self) -> Result<KeyValueIterator<Windowed<K>, F::Value>, Error> {
        self.fetch_all(..)
    }

    /// All windows, backwards.
    pub fn backward_all(&self) -> Result<KeyValueIterator<Windowed<K>, F::Value>, Error> {
        self.backward_fetch_all(..)
    }

    /// Shows the windows of all keys that begin in `times` until `visit` breaks, by segment of time, key and
    /// time. Nothing is copied but the row at hand; the store cannot be used meanwhile.
    pub fn visit_all(
        &self,
        times: impl RangeBounds<Timestamp>,
        mut visit: impl FnMut(Windowed<K>, F::Value) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let range = Range { from: None, to: None, times: inclusive(&times), backward: false };
        let mut failed = None;
        self.scan(range, &mut |key, start, value| match self.windowed(key, start) {
            Ok(key) => visit(key, value),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        })?;
        failed.map_or(Ok(()), Err)
    }

    fn windows_of_key(
        &self,
        key: &K,
        times: RangeInclusive<Timestamp>,
        backward: bool,
    ) -> Result<WindowStoreIterator<F::Value>, Error> {
        self.shared.core.with_key(key, |key| {
            let mut found = Vec::new();
            let range = Range { from: Some(key), to: Some(key), times, backward };
            self.scan(range, &mut |_, start, value| {
                found.push((start, value));
                ControlFlow::Continue(())
            })?;
            Ok(KeyValueIterator::new(found))
        })
    }

    fn windows(
        &self,
        from: Option<&K>,
        to: Option<&K>,
        times: RangeInclusive<Timestamp>,
        backward: bool,
    ) -> Result<KeyValueIterator<Windowed<K>, F::Value>, Error> {
        let core = &self.shared.core;
        let (from, to) = (core.bound(from)?, core.bound(to)?);
        let range = Range { from: from.as_deref(), to: to.as_deref(), times, backward };
        let mut found: Vec<(Vec<u8>, Timestamp, F::Value)> = Vec::new();
        self.scan(range, &mut |key, start, value| {
            found.push((key.to_vec(), start, value));
            ControlFlow::Continue(())
        })?;
        if self.shared.options.by_time {
            // Stable: duplicates stay in the order of their sequence, backwards too.
            found.sort_by(|a, b| {
                let order = (a.1, &a.0).cmp(&(b.1, &b.0));
                if backward { order.reverse() } else { order }
            });
        }
        let windows = found
            .into_iter()
            .map(|(key, start, value)| Ok((self.windowed(&key, start)?, value)))
            .collect::<Result<_, Error>>()?;
        Ok(KeyValueIterator::new(windows))
    }

    fn windowed(&self, key: &[u8], start: Timestamp) -> Result<Windowed<K>, Error> {
        let Shared { core, options, .. } = &*self.shared;
        let window = Window { start, end: start.saturating_add(options.size_ms) };
        Ok(Windowed { key: core.read_key(key)?, window })
    }

    /// Shows the record key, start and value of each window in the range.
    fn scan(&self, range: Range<'_>, show: &mut Show<'_, F::Value>) -> Result<(), Error> {
        let Shared { core, rows, .. } = &*self.shared;
        let Range { from, to, times, backward } = range;
        // Keys of different lengths interleave: the suffix of the one stands against the rest of the
        // other. So the bounds are wide, and each row is looked at.
        let upper = to.map(|to| after([to, &[u8::MAX; 12]].concat()));
        let lower = from.unwrap_or_default();
        let mut rows = core.borrow(rows)?;
        rows.scan_times_with_headers(
            times.clone(),
            lower,
            upper.as_deref(),
            backward,
            &mut |changelog_key, row, headers| {
                let key = window_record_key(changelog_key);
                let start = window_start(changelog_key);
                let in_range = times.contains(&start)
                    && from.is_none_or(|from| key >= from)
                    && to.is_none_or(|to| key <= to);
                !in_range
                    || show(key, start, F::read(&row.value, row.timestamp, headers)).is_continue()
            },
        )
    }
}

/// The bounds of a range of times, both included.
pub(super) fn inclusive(times: &impl RangeBounds<Timestamp>) -> RangeInclusive<Timestamp> {
    let from = match times.start_bound() {
        Bound::Included(from) => *from,
        Bound::Excluded(from) => from.saturating_add(1),
        Bound::Unbounded => Timestamp::MIN,
    };
    let to = match times.end_bound() {
        Bound::Included(to) => *to,
        Bound::Excluded(to) => to.saturating_sub(1),
        Bound::Unbounded => Timestamp::MAX,
    };
    from..=to
}

impl<K, V, F> Clone for WindowStore<K, V, F> {
    fn clone(&self) -> Self {
        Self { shared: Rc::clone(&self.shared), form: PhantomData }
    }
}

impl<K, V, F> std::fmt::Debug for WindowStore<K, V, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WindowStore").field("name", &self.shared.core.name).finish_non_exhaustive()
    }
}

impl<K: 'static, V: 'static, F: 'static> StateStoreHandle for WindowStore<K, V, F> {}
