//! Session stores: a row per key and session.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::ops::RangeInclusive;
use std::rc::Rc;

use super::core::{StoreCore, after};
use super::form::{AggregateWithHeaders, Plain, StoredAs};
use super::iterator::KeyValueIterator;
use crate::error::Error;
use crate::processor::Data;
use crate::record::Timestamp;
use crate::state::handle::StateStoreHandle;
use crate::state::key_layout::{session_bounds, session_record_key, write_session_suffix};
use crate::state::rows::Rows;
use crate::time::windows::{Window, Windowed};

/// A store of values by key and session: a span of time of any length, both ends included. A processor
/// gets it from its context by name, keeps it, and reads and writes through it; handles of one store
/// share its rows.
///
/// A session is kept for the store's retention, counted from its end in the store's own clock: the
/// highest session end that was put. What has expired is not stored and not shown. Results come by key,
/// end and start from a persistent store (one that spans much time gives them segment by segment), by
/// end, key and start, later starts first, from one in memory, as in Kafka Streams.
///
/// # Examples
/// Joining visits that are at most a minute apart:
/// ```
/// use std::time::Duration;
///
/// use kstream::state::SessionStore;
/// use kstream::{
///     KStream, Named, Processor, ProcessorContext, ProcessorError, Record, Stores,
///     StreamsBuilder, Window, Windowed,
/// };
/// use kstream_test_utils::TopologyTestDriver;
///
/// #[derive(Default)]
/// struct Visits {
///     store: Option<SessionStore<String, i64>>,
/// }
///
/// impl Processor<String, String, String, i64> for Visits {
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
///         let at = record.timestamp;
///         let (mut window, mut visits) = (Window { start: at, end: at }, 1);
///         for (session, count) in store.find_sessions(&record.key, at - 60_000, at + 60_000)? {
///             window.start = window.start.min(session.window.start);
///             window.end = window.end.max(session.window.end);
///             visits += count;
///             store.remove(&session)?;
///         }
///         store.put(&Windowed { key: record.key.clone(), window }, visits)?;
///         context.forward(record.with_value(visits))?;
///         Ok(())
///     }
/// }
///
/// let builder = StreamsBuilder::new();
/// let supplier = Stores::persistent_session_store("store", Duration::from_secs(600));
/// builder.add_state_store(Stores::session_store_builder::<String, i64>(supplier));
/// let stream: KStream<String, String> = builder.stream("in");
/// stream.process_with(Visits::default, Named::default(), &["store"]).to("out");
/// let driver = TopologyTestDriver::new(builder.build()?)?;
/// let input = driver.input_topic::<String, String>("in");
/// for at in [0, 50_000, 200_000, 110_000] {
///     input.pipe_at("ann".to_owned(), "/".to_owned(), at)?;
/// }
/// let visits = driver.output_topic::<String, i64>("out").read_values()?;
/// assert_eq!(visits, [1, 2, 1, 3]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Every method fails if the store cannot be read or written, or if a key is null: give the error on with `?`.
///
/// # Source
/// `org.apache.kafka.streams.state.SessionStore`.
pub struct SessionStore<K, V, F = Plain> {
    shared: Rc<Shared<K, V>>,
    form: PhantomData<F>,
}

/// A [`SessionStore`] that keeps headers with each aggregate. Its changelog has these headers; a deletion there
/// has those of the record being processed.
///
/// # Source
/// `org.apache.kafka.streams.state.SessionStoreWithHeaders` (KIP-1271).
pub type SessionStoreWithHeaders<K, V> = SessionStore<K, V, AggregateWithHeaders>;

struct Shared<K, V> {
    core: StoreCore<K>,
    rows: Rc<RefCell<Rows<V>>>,
    /// Whether results come by time before key: those of stores in memory do.
    by_time: bool,
}

/// A session that was found: its record key, bounds and value.
struct Found<T> {
    key: Vec<u8>,
    start: Timestamp,
    end: Timestamp,
    value: T,
}

/// The keys, times and direction of a search.
struct Search<'a> {
    from: Option<&'a [u8]>,
    to: Option<&'a [u8]>,
    ends: RangeInclusive<Timestamp>,
    latest_start: Timestamp,
    backward: bool,
}

type Sessions<K, T> = Result<KeyValueIterator<Windowed<K>, T>, Error>;

impl<K, V, F> SessionStore<K, V, F> {
    pub(crate) fn new(core: StoreCore<K>, rows: Rc<RefCell<Rows<V>>>, by_time: bool) -> Self {
        Self { shared: Rc::new(Shared { core, rows, by_time }), form: PhantomData }
    }
}

impl<K: Data, V: Data, F: StoredAs<V>> SessionStore<K, V, F> {
    /// Sets the value of a session; `None` removes it.
    pub fn put(
        &self,
        session: &Windowed<K>,
        value: impl Into<Option<F::Value>>,
    ) -> Result<(), Error> {
        let Shared { core, rows, .. } = &*self.shared;
        let value = value.into();
        core.with_key(&session.key, |key| {
            write_session_suffix(session.window.start, session.window.end, key);
            let mut rows = core.borrow(rows)?;
            let (row, headers) = core.row::<V, F>(&rows, value);
            rows.set_with_headers(key, row, headers, core.now())
        })
    }

    /// Removes a session.
    pub fn remove(&self, session: &Windowed<K>) -> Result<(), Error> {
        self.put(session, None)
    }

    /// The value of the session of a key from `start` to `end`.
    pub fn fetch_session(
        &self,
        key: &K,
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Option<F::Value>, Error> {
        let Shared { core, rows, .. } = &*self.shared;
        core.with_key(key, |key| {
            write_session_suffix(start, end, key);
            let mut rows = core.borrow(rows)?;
            let row = rows.get_with_headers(key)?;
            Ok(row.map(|(row, headers)| F::read(&row.value, row.timestamp, headers)))
        })
    }

    /// The sessions of a key that end at `earliest_end` or later and start at `latest_start` or earlier, in
    /// order of time.
    pub fn find_sessions(
        &self,
        key: &K,
        earliest_end: Timestamp,
        latest_start: Timestamp,
    ) -> Sessions<K, F::Value> {
        self.find((Some(key), Some(key)), earliest_end..=Timestamp::MAX, latest_start, false)
    }

    /// [`SessionStore::find_sessions`] backwards.
    pub fn backward_find_sessions(
        &self,
        key: &K,
        earliest_end: Timestamp,
        latest_start: Timestamp,
    ) -> Sessions<K, F::Value> {
        self.find((Some(key), Some(key)), earliest_end..=Timestamp::MAX, latest_start, true)
    }

    /// [`SessionStore::find_sessions`] of the keys from one to another, both included; `None` is no
    /// bound.
    pub fn find_sessions_of_keys<'a>(
        &self,
        from: impl Into<Option<&'a K>>,
        to: impl Into<Option<&'a K>>,
        earliest_end: Timestamp,
        latest_start: Timestamp,
    ) -> Sessions<K, F::Value> {
        self.find((from.into(), to.into()), earliest_end..=Timestamp::MAX, latest_start, false)
    }

    /// [`SessionStore::find_sessions_of_keys`] backwards.
    pub fn backward_find_sessions_of_keys<'a>(
        &self,
        from: impl Into<Option<&'a K>>,
        to: impl Into<Option<&'a K>>,
        earliest_end: Timestamp,
        latest_start: Timestamp,
    ) -> Sessions<K, F::Value> {
        self.find((from.into(), to.into()), earliest_end..=Timestamp::MAX, latest_start, true)
    }

    /// The sessions of all keys that end in `ends`.
    pub fn find_sessions_that_end(
        &self,
        ends: impl std::ops::RangeBounds<Timestamp>,
    ) -> Sessions<K, F::Value> {
        self.find((None, None), super::window::inclusive(&ends), Timestamp::MAX, false)
    }

    /// All sessions of a key, in order of time.
    pub fn fetch(&self, key: &K) -> Sessions<K, F::Value> {
        self.find_sessions(key, 0, Timestamp::MAX)
    }

    /// All sessions of a key, from the latest to the earliest.
    pub fn backward_fetch(&self, key: &K) -> Sessions<K, F::Value> {
        self.backward_find_sessions(key, 0, Timestamp::MAX)
    }

    /// All sessions of the keys from one to another, both included; `None` is no bound.
    pub fn fetch_keys<'a>(
        &self,
        from: impl Into<Option<&'a K>>,
        to: impl Into<Option<&'a K>>,
    ) -> Sessions<K, F::Value> {
        self.find_sessions_of_keys(from, to, 0, Timestamp::MAX)
    }

    /// [`SessionStore::fetch_keys`] backwards.
    pub fn backward_fetch_keys<'a>(
        &self,
        from: impl Into<Option<&'a K>>,
        to: impl Into<Option<&'a K>>,
    ) -> Sessions<K, F::Value> {
        self.backward_find_sessions_of_keys(from, to, 0, Timestamp::MAX)
    }

    fn find(
        &self,
        (from, to): (Option<&K>, Option<&K>),
        ends: RangeInclusive<Timestamp>,
        latest_start: Timestamp,
        backward: bool,
    ) -> Sessions<K, F::Value> {
        let Shared { core, by_time, .. } = &*self.shared;
        let (from, to) = (core.bound(from)?, core.bound(to)?);
        let (from, to) = (from.as_deref(), to.as_deref());
        let mut found = self.scan(Search { from, to, ends, latest_start, backward })?;
        if *by_time {
            found.sort_by(|a, b| {
                let order = (a.end, &a.key, b.start).cmp(&(b.end, &b.key, a.start));
                if backward { order.reverse() } else { order }
            });
        }
        let sessions = found
            .into_iter()
            .map(|Found { key, start, end, value }| {
                let window = Window { start, end };
                Ok((Windowed { key: core.read_key(&key)?, window }, value))
            })
            .collect::<Result<_, Error>>()?;
        Ok(KeyValueIterator::new(sessions))
    }

    fn scan(&self, search: Search<'_>) -> Result<Vec<Found<F::Value>>, Error> {
        let Shared { core, rows, .. } = &*self.shared;
        let Search { from, to, ends, latest_start, backward } = search;
        // Keys of different lengths interleave: the suffix of the one stands against the rest of the
        // other. So the bounds are wide, and each row is looked at.
        let upper = to.map(|to| after([to, &[u8::MAX; 16]].concat()));
        let lower = from.unwrap_or_default();
        let mut found = Vec::new();
        core.borrow(rows)?.scan_times_with_headers(
            ends.clone(),
            lower,
            upper.as_deref(),
            backward,
            &mut |changelog_key, row, headers| {
                let key = session_record_key(changelog_key);
                let (start, end) = session_bounds(changelog_key);
                let wanted = ends.contains(&end)
                    && start <= latest_start
                    && from.is_none_or(|from| key >= from)
                    && to.is_none_or(|to| key <= to);
                if wanted {
                    let value = F::read(&row.value, row.timestamp, headers);
                    found.push(Found { key: key.to_vec(), start, end, value });
                }
                true
            },
        )?;
        Ok(found)
    }
}

impl<K, V, F> Clone for SessionStore<K, V, F> {
    fn clone(&self) -> Self {
        Self { shared: Rc::clone(&self.shared), form: PhantomData }
    }
}

impl<K, V, F> std::fmt::Debug for SessionStore<K, V, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionStore").field("name", &self.shared.core.name).finish_non_exhaustive()
    }
}

impl<K: 'static, V: 'static, F: 'static> StateStoreHandle for SessionStore<K, V, F> {}
