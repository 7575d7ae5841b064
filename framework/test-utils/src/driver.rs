//! The driver: one task that runs the whole topology.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use kstream::driver::TaskDriver;
use kstream::serdes::{ArcSerde, DefaultSerde};
use kstream::{StreamsConfig, Timestamp, Topology};

use crate::error::TestError;
use crate::topics::{TestInputTopic, TestOutputTopic};

/// Runs a topology record by record.
///
/// Every topic has one partition; the wall clock starts at 0 and moves by
/// [`advance_wall_clock_time`](TopologyTestDriver::advance_wall_clock_time) alone. When a record has been piped in,
/// everything it causes has happened, repartition topics included, and is committed. The record cache is off
/// unless the config turns it on.
///
/// # Source
/// `org.apache.kafka.streams.TopologyTestDriver`.
#[derive(Debug, Clone)]
pub struct TopologyTestDriver {
    task: Rc<RefCell<TaskDriver>>,
}

/// A row of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row<K, V> {
    /// The key.
    pub key: K,
    /// The window's start, in a window store.
    pub window_start: Option<Timestamp>,
    /// The value.
    pub value: V,
    /// The row's timestamp.
    pub timestamp: Timestamp,
}

impl TopologyTestDriver {
    /// A driver with application id `app`, and the record cache off.
    pub fn new(topology: Topology) -> Result<Self, TestError> {
        Self::with_config(topology, StreamsConfig::new("app").statestore_cache_max_bytes(0))
    }

    /// A driver with this configuration.
    pub fn with_config(topology: Topology, config: StreamsConfig) -> Result<Self, TestError> {
        let task = TaskDriver::new(topology, config)?;
        Ok(Self { task: Rc::new(RefCell::new(task)) })
    }

    /// A topic to pipe records into, with default serdes.
    pub fn input_topic<K, V>(&self, topic: &str) -> TestInputTopic<K, V>
    where
        K: DefaultSerde + 'static,
        V: DefaultSerde + 'static,
    {
        self.input_topic_with(topic, K::default_serde(), V::default_serde())
    }

    /// A topic to pipe records into.
    pub fn input_topic_with<K: 'static, V: 'static>(
        &self,
        topic: &str,
        key_serde: ArcSerde<K>,
        value_serde: ArcSerde<V>,
    ) -> TestInputTopic<K, V> {
        TestInputTopic::new(Rc::clone(&self.task), topic, key_serde, value_serde)
    }

    /// A topic to read from the beginning, with default serdes.
    pub fn output_topic<K, V>(&self, topic: &str) -> TestOutputTopic<K, V>
    where
        K: DefaultSerde + 'static,
        V: DefaultSerde + 'static,
    {
        self.output_topic_with(topic, K::default_serde(), V::default_serde())
    }

    /// A topic to read from the beginning.
    pub fn output_topic_with<K: 'static, V: 'static>(
        &self,
        topic: &str,
        key_serde: ArcSerde<K>,
        value_serde: ArcSerde<V>,
    ) -> TestOutputTopic<K, V> {
        TestOutputTopic::new(Rc::clone(&self.task), topic, key_serde, value_serde)
    }

    /// Moves the wall clock, in whole milliseconds.
    pub fn advance_wall_clock_time(&self, by: Duration) -> Result<(), TestError> {
        Ok(self.task.borrow_mut().advance_wall_clock(by)?)
    }

    /// How many records have been dropped so far, for whatever reason.
    pub fn dropped_records(&self) -> u64 {
        self.task.borrow().dropped_records()
    }

    /// The rows of a store, in the order of their keys' bytes.
    pub fn store_rows<K, V>(&self, store: &str) -> Result<Vec<Row<K, V>>, TestError>
    where
        K: DefaultSerde + 'static,
        V: Clone + 'static,
    {
        let serde = K::default_serde();
        let rows = self.task.borrow().rows::<V>(store)?;
        rows.into_iter()
            .map(|row| {
                let key = serde.deserialize(&row.key).map_err(|source| TestError::Serde {
                    topic: store.to_owned(),
                    part: "key",
                    source,
                })?;
                let (window_start, value) = (row.window_start, row.value);
                Ok(Row { key, window_start, value, timestamp: row.timestamp })
            })
            .collect()
    }

    /// What the driver is made of, for harnesses that compare bytes.
    #[doc(hidden)]
    pub fn task(&self) -> Rc<RefCell<TaskDriver>> {
        Rc::clone(&self.task)
    }
}
