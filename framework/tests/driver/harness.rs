//! A topology under test: text in, text out.

use std::fmt::Display;

use kstream::broker::OutgoingRecord;
use kstream::serdes::DefaultSerde;
use kstream::{Error, Headers, Record, StreamsBuilder, StreamsConfig, Timestamp};
use kstream_test_utils::{TestError, TopologyTestDriver};

/// A string that may be null.
pub(crate) type Text = Option<String>;

/// A driver that reads records as `key=value@timestamp`.
pub(crate) struct Harness {
    pub(crate) driver: TopologyTestDriver,
}

/// What keys and values may be written as in a test.
pub(crate) trait IntoText {
    fn into_text(self) -> Text;
}

impl IntoText for &str {
    fn into_text(self) -> Text {
        Some(self.to_owned())
    }
}

impl IntoText for Text {
    fn into_text(self) -> Text {
        self
    }
}

/// Null.
#[derive(Clone, Copy)]
pub(crate) struct Null;

impl IntoText for Null {
    fn into_text(self) -> Text {
        None
    }
}

/// The settings of most tests, where a test changes some.
pub(crate) fn config() -> StreamsConfig {
    StreamsConfig::new("app").statestore_cache_max_bytes(0)
}

/// The error of a topology that has failed.
#[track_caller]
pub(crate) fn topology_error(result: Result<(), TestError>) -> Error {
    match result.unwrap_err() {
        TestError::Topology(error) => error,
        other @ (TestError::Serde { .. } | TestError::Null { .. } | _) => {
            unreachable!("the topology should have failed, not the test: {other}")
        }
    }
}

impl Harness {
    #[track_caller]
    pub(crate) fn new(build: impl FnOnce(&StreamsBuilder)) -> Self {
        Self::with_config(config(), build)
    }

    #[track_caller]
    pub(crate) fn with_config(config: StreamsConfig, build: impl FnOnce(&StreamsBuilder)) -> Self {
        let builder = StreamsBuilder::new();
        build(&builder);
        let topology = builder.build().unwrap();
        Self { driver: TopologyTestDriver::with_config(topology, config).unwrap() }
    }

    /// Sends a record to a topic.
    #[track_caller]
    pub(crate) fn pipe_to(
        &self,
        topic: &str,
        key: impl IntoText,
        value: impl IntoText,
        timestamp: Timestamp,
    ) {
        self.try_pipe(topic, key, value, timestamp).unwrap();
    }

    pub(crate) fn try_pipe(
        &self,
        topic: &str,
        key: impl IntoText,
        value: impl IntoText,
        timestamp: Timestamp,
    ) -> Result<(), TestError> {
        let input = self.driver.input_topic::<Text, Text>(topic);
        input.pipe_at(key.into_text(), value.into_text(), timestamp)
    }

    /// Sends a record to the topic `in`.
    #[track_caller]
    pub(crate) fn pipe(&self, key: impl IntoText, value: impl IntoText, timestamp: Timestamp) {
        self.pipe_to("in", key, value, timestamp);
    }

    /// Sends records to the topic `in` that are processed in one commit.
    #[track_caller]
    pub(crate) fn pipe_together(&self, records: &[(Text, Text, Timestamp)]) {
        let task = self.driver.task();
        let headers = Headers::new();
        for (key, value, timestamp) in records {
            let record = OutgoingRecord {
                partition: 0,
                key: key.as_deref().map(str::as_bytes),
                value: value.as_deref().map(str::as_bytes),
                timestamp: Some(*timestamp),
                headers: &headers,
            };
            task.borrow_mut().append("in", record).unwrap();
        }
        task.borrow_mut().process_waiting(records.len()).unwrap();
    }

    /// Sends a number to the topic `in`.
    #[track_caller]
    pub(crate) fn pipe_number(&self, key: &str, value: i64, timestamp: Timestamp) {
        let input = self.driver.input_topic::<String, i64>("in");
        input.pipe_at(key.to_owned(), value, timestamp).unwrap();
    }

    /// All records of a topic, as `key=value@timestamp`.
    #[track_caller]
    pub(crate) fn read_from<V: DefaultSerde + Display + 'static>(
        &self,
        topic: &str,
    ) -> Vec<String> {
        let records = self.records::<V>(topic);
        let line = |record: Record<Text, Option<V>>| {
            let value = record.value.map_or_else(|| "null".to_owned(), |value| value.to_string());
            let key = record.key.unwrap_or_else(|| "null".to_owned());
            format!("{key}={value}@{}", record.timestamp)
        };
        records.into_iter().map(line).collect()
    }

    /// All records of a topic.
    #[track_caller]
    pub(crate) fn records<V: DefaultSerde + 'static>(
        &self,
        topic: &str,
    ) -> Vec<Record<Text, Option<V>>> {
        self.driver.output_topic::<Text, Option<V>>(topic).read_records().unwrap()
    }

    /// All records of the topic `out` with text values.
    #[track_caller]
    pub(crate) fn out(&self) -> Vec<String> {
        self.read_from::<String>("out")
    }

    /// All records of the topic `out` with numbers.
    #[track_caller]
    pub(crate) fn out_numbers(&self) -> Vec<String> {
        self.read_from::<i64>("out")
    }

    /// The rows of a store as `key=value@timestamp`, with `key@start` for a window.
    #[track_caller]
    pub(crate) fn rows<V: Clone + Display + 'static>(&self, store: &str) -> Vec<String> {
        let rows = self.driver.store_rows::<String, V>(store).unwrap();
        rows.into_iter()
            .map(|row| {
                let window = row.window_start.map(|start| format!("[{start}]"));
                format!("{}{}={}@{}", row.key, window.unwrap_or_default(), row.value, row.timestamp)
            })
            .collect()
    }
}
