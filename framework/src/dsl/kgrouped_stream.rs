//! A grouped stream, and the aggregations on it.

use std::cell::Cell;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use super::kstream::KStream;
use super::ktable::origin::SendOld;
use super::ktable::{KTable, Table};
use super::options::{Grouped, Materialized, Named};
use super::repartition::{RepartitionSpec, add_repartition};
use super::stores::add_table_store;
use super::time_windowed_kstream::TimeWindowedKStream;
use crate::graph::{GraphNodeId, GraphNodeKind, Plan, SharedPlan};
use crate::processor::Data;
use crate::processor::operators::aggregate::Aggregate;
use crate::processor::operators::fold::{Fold, Update};
use crate::processor::operators::versioned_aggregate::VersionedAggregate;
use crate::serdes::DefaultSerde;
use crate::time::windows::TimeWindows;
use crate::topology::link::{flushing_node, node};

/// Records grouped by key, ready to be aggregated.
///
/// # Source
/// `org.apache.kafka.streams.kstream.KGroupedStream`.
pub struct KGroupedStream<K, V> {
    pub(super) plan: SharedPlan,
    node: GraphNodeId,
    repartition_required: bool,
    pub(super) grouped: Grouped<K, V>,
    /// The repartition node of a named group, shared by its aggregations.
    repartition: Rc<Cell<Option<GraphNodeId>>>,
}

impl<K, V> Clone for KGroupedStream<K, V> {
    fn clone(&self) -> Self {
        Self {
            plan: Rc::clone(&self.plan),
            node: self.node,
            repartition_required: self.repartition_required,
            grouped: Grouped {
                key_serde: Arc::clone(&self.grouped.key_serde),
                value_serde: Arc::clone(&self.grouped.value_serde),
                name: self.grouped.name.clone(),
            },
            repartition: Rc::clone(&self.repartition),
        }
    }
}

impl<K, V> std::fmt::Debug for KGroupedStream<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KGroupedStream").field("grouped", &self.grouped).finish_non_exhaustive()
    }
}

impl<K: Data, V: Data> KGroupedStream<K, V> {
    pub(crate) fn new(stream: &KStream<K, V>, grouped: Grouped<K, V>) -> Self {
        Self {
            plan: Rc::clone(&stream.plan),
            node: stream.node,
            repartition_required: stream.repartition_required,
            grouped,
            repartition: Rc::default(),
        }
    }

    /// Counts the records of each key.
    ///
    /// **Shape**: `(K, V)` records → `(K, i64)` rows; a store with a changelog. Records with a null key or
    /// value are dropped.
    ///
    /// # Examples
    /// ```
    /// use kstream::{KStream, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let views: KStream<String, String> = builder.stream("views");
    /// views.group_by_key().count().to_stream().to("counts");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let input = driver.input_topic::<String, String>("views");
    /// input.pipe("US".to_owned(), "/".to_owned())?;
    /// input.pipe("US".to_owned(), "/about".to_owned())?;
    /// let counts = driver.output_topic::<String, i64>("counts");
    /// assert_eq!(counts.read_key_values()?, [("US".to_owned(), 1), ("US".to_owned(), 2)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn count(&self) -> KTable<K, i64> {
        self.aggregate_rows(
            count_update(),
            "KSTREAM-AGGREGATE-",
            Named::default(),
            Materialized::new(),
        )
    }

    /// [`KGroupedStream::count`] with options.
    #[track_caller]
    pub fn count_with(
        &self,
        named: impl Into<Named>,
        materialized: Materialized<K, i64>,
    ) -> KTable<K, i64> {
        if materialized.name.is_none() {
            // KAFKA: `count(Materialized)` uses up one more number than the other aggregations.
            self.plan.borrow_mut().store_name("");
        }
        self.aggregate_rows(count_update(), "KSTREAM-AGGREGATE-", named.into(), materialized)
    }

    /// Combines the values of each key, two at a time; the first is taken as it is. `None` deletes the
    /// row.
    ///
    /// **Shape**: `(K, V)` records → `(K, V)` rows; a store with a changelog. Records with a null key or value
    /// are dropped.
    #[track_caller]
    pub fn reduce<R: Into<Option<V>>>(
        &self,
        reducer: impl Fn(V, V) -> R + Send + Sync + 'static,
    ) -> KTable<K, V> {
        let materialized = Materialized::with_value_serde(Arc::clone(&self.grouped.value_serde));
        self.reduce_with(reducer, Named::default(), materialized)
    }

    /// [`KGroupedStream::reduce`] with options.
    #[track_caller]
    pub fn reduce_with<R: Into<Option<V>>>(
        &self,
        reducer: impl Fn(V, V) -> R + Send + Sync + 'static,
        named: impl Into<Named>,
        materialized: Materialized<K, V>,
    ) -> KTable<K, V> {
        self.aggregate_rows(reduce_update(reducer), "KSTREAM-REDUCE-", named.into(), materialized)
    }

    /// Folds the values of each key, beginning with `initializer`'s. `None` deletes the row.
    ///
    /// **Shape**: `(K, V)` records → `(K, A)` rows; a store with a changelog. Records with a null key or value
    /// are dropped.
    #[track_caller]
    pub fn aggregate<A: Data + DefaultSerde, R: Into<Option<A>>>(
        &self,
        initializer: impl Fn() -> A + Send + Sync + 'static,
        aggregator: impl Fn(&K, V, A) -> R + Send + Sync + 'static,
    ) -> KTable<K, A> {
        self.aggregate_with(initializer, aggregator, Named::default(), Materialized::new())
    }

    /// [`KGroupedStream::aggregate`] with options.
    #[track_caller]
    pub fn aggregate_with<A: Data, R: Into<Option<A>>>(
        &self,
        initializer: impl Fn() -> A + Send + Sync + 'static,
        aggregator: impl Fn(&K, V, A) -> R + Send + Sync + 'static,
        named: impl Into<Named>,
        materialized: Materialized<K, A>,
    ) -> KTable<K, A> {
        let update = aggregate_update(initializer, aggregator);
        self.aggregate_rows(update, "KSTREAM-AGGREGATE-", named.into(), materialized)
    }

    /// Groups records by time as well.
    pub fn windowed_by(&self, windows: TimeWindows) -> TimeWindowedKStream<K, V> {
        TimeWindowedKStream::new(self.clone(), windows)
    }

    #[track_caller]
    fn aggregate_rows<A: Data>(
        &self,
        update: Update<K, V, A>,
        prefix: &str,
        named: Named,
        mut materialized: Materialized<K, A>,
    ) -> KTable<K, A> {
        let location = Location::caller();
        let mut plan = self.plan.borrow_mut();
        let user_name = materialized.name.take();
        let store_name = user_name.clone().unwrap_or_else(|| plan.store_name(prefix));
        let name = plan.name_or(named.0, prefix);
        let parent = self.grouped_node(&mut plan, &store_name, location);
        let key_serde =
            materialized.key_serde.clone().unwrap_or_else(|| Arc::clone(&self.grouped.key_serde));
        let value_serde = Arc::clone(&self.grouped.value_serde);
        let caching = materialized.caching;
        materialized.name = Some(store_name);
        materialized.key_serde = Some(Arc::clone(&key_serde));
        let send_old = SendOld::default();
        let row_serde = Arc::clone(&materialized.value_serde);
        let versioned = materialized.history.is_some();
        let store = add_table_store(&mut plan, materialized, &key_serde, location);
        let table = Table::stored(store, Arc::clone(&key_serde), row_serde, send_old.clone())
            .with_store_name(user_name.as_deref())
            .with_history(versioned);
        let node_name = name.clone();
        let supplier = if versioned {
            node(move |linker| {
                Ok(VersionedAggregate {
                    name: node_name.clone(),
                    key_serde: Arc::clone(&key_serde),
                    value_serde: Arc::clone(&value_serde),
                    update: Arc::clone(&update),
                    rows: linker.versioned_rows(store)?,
                    send_old: send_old.is_enabled(),
                    next: linker.outlet()?,
                    key_bytes: Vec::new(),
                })
            })
        } else {
            flushing_node(move |linker| {
                Ok(Aggregate {
                    name: node_name.clone(),
                    key_serde: Arc::clone(&key_serde),
                    value_serde: Arc::clone(&value_serde),
                    fold: Fold {
                        update: Arc::clone(&update),
                        rows: linker.rows(store)?,
                        caching: caching && linker.record_cache(),
                        send_old: send_old.is_enabled(),
                    },
                    next: linker.outlet()?,
                    key_bytes: Vec::new(),
                })
            })
        };
        let kind = GraphNodeKind::Processor { name, supplier, stores: vec![store] };
        let node = plan.add_node(vec![parent], kind, location);
        drop(plan);
        KTable::new(Rc::clone(&self.plan), node, table)
    }

    /// The node whose records are partitioned by the group's key: the stream's own, or the source behind
    /// a repartition topic.
    pub(super) fn grouped_node(
        &self,
        plan: &mut Plan,
        store_name: &str,
        location: &'static Location<'static>,
    ) -> GraphNodeId {
        if !self.repartition_required {
            return self.node;
        }
        // The names use numbers up even where the topic is shared.
        let names = plan.repartition_names(self.grouped.name.as_deref().unwrap_or(store_name));
        if let (Some(node), Some(_)) = (self.repartition.get(), &self.grouped.name) {
            return node;
        }
        let repartition = RepartitionSpec {
            names,
            partitions: None,
            key_serde: Arc::clone(&self.grouped.key_serde),
            value_serde: Arc::clone(&self.grouped.value_serde),
        };
        let node = add_repartition(plan, self.node, repartition, location);
        self.repartition.set(Some(node));
        node
    }
}

pub(super) fn count_update<K, V>() -> Update<K, V, i64> {
    Arc::new(|_, _, count| Some(count.unwrap_or(0) + 1))
}

pub(super) fn reduce_update<K, V, R: Into<Option<V>>>(
    reducer: impl Fn(V, V) -> R + Send + Sync + 'static,
) -> Update<K, V, V> {
    Arc::new(move |_, value, old| match old {
        Some(old) => reducer(old, value).into(),
        None => Some(value),
    })
}

pub(super) fn aggregate_update<K, V, A, R: Into<Option<A>>>(
    initializer: impl Fn() -> A + Send + Sync + 'static,
    aggregator: impl Fn(&K, V, A) -> R + Send + Sync + 'static,
) -> Update<K, V, A> {
    Arc::new(move |key, value, old| aggregator(key, value, old.unwrap_or_else(&initializer)).into())
}
