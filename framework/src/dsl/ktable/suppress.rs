//! `suppress`: a table whose updates are held back.

use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use super::origin::{GetterSupplier, Origin, TableView};
use super::{KTable, Table};
use crate::dsl::options::Suppressed;
use crate::dsl::options::suppressed::{BufferSettings, Wait};
use crate::error::{Error, ErrorKind};
use crate::graph::{GraphNodeKind, Plan};
use crate::processor::Data;
use crate::processor::operators::suppress::{Scratch, Suppress, SuppressedGetter, Suppression};
use crate::processor::value_getter::BoxedGetter;
use crate::serdes::ArcSerde;
use crate::state::buffer::{BufferKind, TimeOrderedBuffer};
use crate::topology::link::{BuiltStore, NodeSupplier, node};
use crate::topology::{StoreId, StoreKind, StoreType, TopologyStore};

impl<K: Data, V: Data> KTable<K, V> {
    /// Holds updates back: of those that come to a row while it waits only the last one goes on.
    ///
    /// **Shape**: `(K, V)` rows → `(K, V)` rows; the key does not change. What waits is in memory, in a store with
    /// a changelog. A row that was deleted goes on as a deletion, but not from
    /// [`Suppressed::until_window_closes`].
    ///
    /// **Time**: time is the highest timestamp that has come to this operator, and moves only with records: what
    /// is due goes on when the next record comes. Rows that fall due together go in the order of their first
    /// update's time (of their window's end), then of their key's bytes. They have the timestamp and headers of
    /// their last update.
    ///
    /// **Errors**: a full buffer that may not give out early stops the application with
    /// [`ErrorKind::Fatal`](crate::ErrorKind::Fatal). A versioned table is refused when the topology is built.
    ///
    /// # Examples
    /// One result per window:
    /// ```
    /// use std::time::Duration;
    ///
    /// use kstream::{BufferConfig, KStream, StreamsBuilder, Suppressed, TimeWindows};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// let builder = StreamsBuilder::new();
    /// let views: KStream<String, String> = builder.stream("views");
    /// let second = Duration::from_secs(1);
    /// let counts = views.group_by_key().windowed_by(TimeWindows::of_size_with_no_grace(second)).count();
    /// let final_counts = counts.suppress(Suppressed::until_window_closes(BufferConfig::unbounded()));
    /// final_counts.to_stream().select_key(|windowed, _| windowed.key.clone()).to("final-counts");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let input = driver.input_topic::<String, String>("views");
    /// input.pipe_at("US".to_owned(), "/".to_owned(), 100)?;
    /// input.pipe_at("US".to_owned(), "/about".to_owned(), 700)?;
    /// let output = driver.output_topic::<String, Option<i64>>("final-counts");
    /// assert!(output.read_key_values()?.is_empty());
    /// input.pipe_at("US".to_owned(), "/".to_owned(), 1000)?;
    /// assert_eq!(output.read_key_values()?, [("US".to_owned(), Some(2))]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// `KTable.suppress` (KIP-328).
    #[must_use]
    #[track_caller]
    pub fn suppress(&self, suppressed: Suppressed<K>) -> Self {
        let location = Location::caller();
        // What those downstream know of a row is the old value of its first update.
        self.enable_sending_old_values(true);
        let mut plan = self.plan.borrow_mut();
        let Suppressed { wait, buffer, name: given } = suppressed;
        let name = given.clone().unwrap_or_else(|| plan.processor_name("KTABLE-SUPPRESS-"));
        let store_name = match &given {
            Some(name) => format!("{name}-store"),
            None => plan.store_name("KTABLE-SUPPRESS-"),
        };
        for problem in self.problems(&wait) {
            plan.report(format!("node {name}"), problem.to_owned(), location);
        }
        let suppression = self.suppression(&wait, &buffer);
        let store = plan.add_store(buffer_store(store_name, buffer), location);
        let table = SuppressedTable {
            parent: Rc::clone(&self.table.origin),
            store,
            key_serde: Arc::clone(&self.table.key_serde),
            value_serde: self.table.value_serde.clone(),
        };
        let supplier = table.supplier(name.clone(), suppression);
        let kind = GraphNodeKind::Processor { name, supplier, stores: vec![store] };
        let node = plan.add_node(vec![self.node], kind, location);
        drop(plan);
        let table = Table {
            origin: Rc::new(table),
            store_name: None,
            versioned: false,
            ..self.table.clone()
        };
        Self::new(Rc::clone(&self.plan), node, table)
    }

    fn problems(&self, wait: &Wait<K>) -> impl Iterator<Item = &'static str> {
        let versioned = self.table.versioned.then_some(
            "a versioned table cannot be suppressed: its updates are not in the order of their rows",
        );
        let no_serde = self.table.value_serde.is_none().then_some(NO_VALUE_SERDE);
        let windowless = matches!(wait, Wait::WindowClose(_)) && self.table.grace_ms.is_none();
        let windowless = windowless.then_some(
            "it waits until windows close, but the table does not come from an aggregation in windows",
        );
        [versioned, no_serde, windowless].into_iter().flatten()
    }

    fn suppression(&self, wait: &Wait<K>, buffer: &BufferSettings) -> Suppression<K> {
        let (time, wait_ms) = match wait {
            Wait::TimeLimit(limit) => (None, i64::try_from(limit.as_millis()).unwrap_or(i64::MAX)),
            Wait::WindowClose(end) => (Some(*end), self.table.grace_ms.unwrap_or(0)),
        };
        Suppression {
            drop_tombstones: time.is_some(),
            time,
            wait_ms,
            max_records: buffer.max_records,
            max_bytes: buffer.max_bytes,
            emit_early: buffer.emit_early,
        }
    }
}

/// What to do about a table that does not know how its values become bytes.
pub(super) const NO_VALUE_SERDE: &str = "it needs the serde of the table's values, which is not known behind \
     operators that make new values; give it with the form of that operator that ends in `_materialized`";

/// The store of what waits.
fn buffer_store(name: String, settings: BufferSettings) -> TopologyStore {
    let BufferSettings { logging, topic_configs, .. } = settings;
    TopologyStore {
        name,
        kind: StoreKind::KeyValue,
        store_type: StoreType::InMemory,
        logging,
        caching: false,
        topic_configs,
        subtopology: 0,
        supplier: Arc::new(move |_, _| {
            let buffer = TimeOrderedBuffer::new(BufferKind::Suppression, logging);
            Ok(BuiltStore::of_buffer(buffer))
        }),
    }
}

/// A table whose updates are held back.
struct SuppressedTable<K, V> {
    parent: Rc<dyn Origin<K, V>>,
    store: StoreId,
    key_serde: ArcSerde<K>,
    value_serde: Option<ArcSerde<V>>,
}

impl<K: Data, V: Data> SuppressedTable<K, V> {
    fn supplier(&self, name: String, suppression: Suppression<K>) -> NodeSupplier {
        let store = self.store;
        let (key_serde, value_serde) = (Arc::clone(&self.key_serde), self.value_serde.clone());
        node(move |linker| {
            Ok(Suppress {
                name: name.clone(),
                suppression: suppression.clone(),
                key_serde: Arc::clone(&key_serde),
                value_serde: value_serde.clone().ok_or_else(no_value_serde)?,
                buffer: linker.buffer(store)?,
                next: linker.outlet()?,
                bytes: Scratch::default(),
                stream_time: -1,
            })
        })
    }
}

impl<K: Data, V: Data> Origin<K, V> for SuppressedTable<K, V> {
    fn enable_sending_old_values(&self, plan: &mut Plan, force: bool) -> bool {
        self.parent.enable_sending_old_values(plan, force)
    }

    fn view(&self, plan: &mut Plan) -> TableView<K, V> {
        let TableView { stores: mut connected, getter: parent } = self.parent.view(plan);
        let store = self.store;
        connected.push(store);
        let (key_serde, value_serde) = (Arc::clone(&self.key_serde), self.value_serde.clone());
        let getter: GetterSupplier<K, V> = Arc::new(move |linker| {
            let getter: BoxedGetter<K, V> = Box::new(SuppressedGetter {
                parent: parent(linker)?,
                buffer: linker.buffer(store)?,
                key_serde: Arc::clone(&key_serde),
                value_serde: value_serde.clone().ok_or_else(no_value_serde)?,
                key_bytes: Vec::new(),
            });
            Ok(getter)
        });
        TableView { stores: connected, getter }
    }
}

#[cold]
pub(super) fn no_value_serde() -> Error {
    Error::new(ErrorKind::Config, "the serde of the table's values is not known")
}
