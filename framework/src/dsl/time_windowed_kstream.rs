//! A stream grouped by key and time, and the aggregations on it.

use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use super::kgrouped_stream::{KGroupedStream, aggregate_update, count_update, reduce_update};
use super::ktable::origin::{SendOld, Stored};
use super::ktable::{KTable, Table};
use super::options::{Materialized, Named};
use super::stores::add_store;
use crate::graph::GraphNodeKind;
use crate::processor::Data;
use crate::processor::operators::fold::{Fold, Update};
use crate::processor::operators::windowed_aggregate::WindowedAggregate;
use crate::processor::value_getter::StoreKey;
use crate::serdes::{ArcSerde, DefaultSerde, TimeWindowedSerde};
use crate::state::key_layout::write_window_suffix;
use crate::time::windows::{TimeWindows, Windowed};
use crate::topology::link::flushing_node;
use crate::topology::{StoreId, StoreKind};

/// Records grouped by key and by windows of time, ready to be aggregated.
///
/// Late records, those of a window that is closed, are dropped and counted. Records with a null key are
/// dropped; null values are aggregated.
///
/// # Source
/// `org.apache.kafka.streams.kstream.TimeWindowedKStream`.
pub struct TimeWindowedKStream<K, V> {
    group: KGroupedStream<K, V>,
    windows: TimeWindows,
}

impl<K, V> std::fmt::Debug for TimeWindowedKStream<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TimeWindowedKStream")
            .field("windows", &self.windows)
            .finish_non_exhaustive()
    }
}

impl<K: Data, V: Data> TimeWindowedKStream<K, V> {
    pub(crate) fn new(group: KGroupedStream<K, V>, windows: TimeWindows) -> Self {
        Self { group, windows }
    }

    /// Counts the records of each key and window.
    ///
    /// **Shape**: `(K, V)` records → `(Windowed<K>, i64)` rows; a window store with a changelog.
    #[track_caller]
    pub fn count(&self) -> KTable<Windowed<K>, i64> {
        self.aggregate_windows(
            count_update(),
            "KSTREAM-AGGREGATE-",
            Named::default(),
            Materialized::new(),
        )
    }

    /// [`TimeWindowedKStream::count`] with options.
    #[track_caller]
    pub fn count_with(
        &self,
        named: impl Into<Named>,
        materialized: Materialized<K, i64>,
    ) -> KTable<Windowed<K>, i64> {
        if materialized.name.is_none() {
            // KAFKA: `count(Materialized)` uses up one more number than the other aggregations.
            self.group.plan.borrow_mut().store_name("");
        }
        self.aggregate_windows(count_update(), "KSTREAM-AGGREGATE-", named.into(), materialized)
    }

    /// Combines the values of each key and window, two at a time; the first is taken as it is. `None`
    /// deletes the row.
    #[track_caller]
    pub fn reduce<R: Into<Option<V>>>(
        &self,
        reducer: impl Fn(V, V) -> R + Send + Sync + 'static,
    ) -> KTable<Windowed<K>, V> {
        let value_serde = Arc::clone(&self.group.grouped.value_serde);
        self.reduce_with(reducer, Named::default(), Materialized::with_value_serde(value_serde))
    }

    /// [`TimeWindowedKStream::reduce`] with options.
    #[track_caller]
    pub fn reduce_with<R: Into<Option<V>>>(
        &self,
        reducer: impl Fn(V, V) -> R + Send + Sync + 'static,
        named: impl Into<Named>,
        materialized: Materialized<K, V>,
    ) -> KTable<Windowed<K>, V> {
        self.aggregate_windows(
            reduce_update(reducer),
            "KSTREAM-REDUCE-",
            named.into(),
            materialized,
        )
    }

    /// Folds the values of each key and window, beginning with `initializer`'s. `None` deletes the row.
    #[track_caller]
    pub fn aggregate<A: Data + DefaultSerde, R: Into<Option<A>>>(
        &self,
        initializer: impl Fn() -> A + Send + Sync + 'static,
        aggregator: impl Fn(&K, V, A) -> R + Send + Sync + 'static,
    ) -> KTable<Windowed<K>, A> {
        self.aggregate_with(initializer, aggregator, Named::default(), Materialized::new())
    }

    /// [`TimeWindowedKStream::aggregate`] with options.
    #[track_caller]
    pub fn aggregate_with<A: Data, R: Into<Option<A>>>(
        &self,
        initializer: impl Fn() -> A + Send + Sync + 'static,
        aggregator: impl Fn(&K, V, A) -> R + Send + Sync + 'static,
        named: impl Into<Named>,
        materialized: Materialized<K, A>,
    ) -> KTable<Windowed<K>, A> {
        let update = aggregate_update(initializer, aggregator);
        self.aggregate_windows(update, "KSTREAM-AGGREGATE-", named.into(), materialized)
    }

    #[track_caller]
    fn aggregate_windows<A: Data>(
        &self,
        update: Update<K, V, A>,
        prefix: &str,
        named: Named,
        mut materialized: Materialized<K, A>,
    ) -> KTable<Windowed<K>, A> {
        let location = Location::caller();
        let mut plan = self.group.plan.borrow_mut();
        let user_name = materialized.name.take();
        let store_name = user_name.clone().unwrap_or_else(|| plan.store_name(prefix));
        let name = plan.name_or(named.0, prefix);
        let windows = self.windows;
        let least = windows.size_ms().saturating_add(windows.grace_ms());
        let retention_ms = materialized
            .retention
            .map_or(least, |retention| i64::try_from(retention.as_millis()).unwrap_or(i64::MAX));
        let too_short = (retention_ms < least).then(|| {
            format!(
                "its retention of {retention_ms} ms is shorter than window size and grace, {least} ms"
            )
        });
        for problem in windows.problem().into_iter().chain(too_short) {
            plan.report(format!("node {name}"), problem, location);
        }
        let parent = self.group.grouped_node(&mut plan, &store_name, location);
        let group_serde = &self.group.grouped.key_serde;
        let key_serde = materialized.key_serde.clone().unwrap_or_else(|| Arc::clone(group_serde));
        let caching = materialized.caching;
        materialized.name = Some(store_name);
        let send_old = SendOld::default();
        let row_serde = Arc::clone(&materialized.value_serde);
        let store =
            add_store(&mut plan, materialized, StoreKind::Window { retention_ms }, location);
        let table = windowed_table(store, &key_serde, windows, send_old.clone())
            .with_value_serde(row_serde)
            .with_store_name(user_name.as_deref());
        let node_name = name.clone();
        let supplier = flushing_node(move |linker| {
            Ok(WindowedAggregate {
                name: node_name.clone(),
                windows,
                key_serde: Arc::clone(&key_serde),
                fold: Fold {
                    update: Arc::clone(&update),
                    rows: linker.rows(store)?,
                    caching: caching && linker.record_cache(),
                    send_old: send_old.is_enabled(),
                },
                next: linker.outlet()?,
                key_bytes: Vec::new(),
                stream_time: -1,
            })
        });
        let kind = GraphNodeKind::Processor { name, supplier, stores: vec![store] };
        let node = plan.add_node(vec![parent], kind, location);
        drop(plan);
        KTable::new(Rc::clone(&self.group.plan), node, table)
    }
}

/// A table of windows: its store's keys are record key and window start.
fn windowed_table<K: Data, A: Data>(
    store: StoreId,
    key_serde: &ArcSerde<K>,
    windows: TimeWindows,
    send_old: SendOld,
) -> Table<Windowed<K>, A> {
    let store_serde = Arc::clone(key_serde);
    let store_key: StoreKey<Windowed<K>> = Arc::new(move |key, bytes| {
        store_serde.serialize(&key.key, bytes)?;
        write_window_suffix(key.window.start, bytes);
        Ok(())
    });
    let origin = Rc::new(Stored { store, store_key, send_old });
    let key_serde = TimeWindowedSerde::new(Arc::clone(key_serde), windows.size_ms());
    Table::new(origin, Arc::new(key_serde)).with_grace_ms(Some(windows.grace_ms()))
}
