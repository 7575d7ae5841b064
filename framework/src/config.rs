//! The settings of an application: typed, with Kafka Streams' names and defaults where it has them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use std::net::SocketAddr;

use crate::processor::handler::{
    DeserializationHandler, FailOnBadRecord, ProcessingHandler, ProductionHandler,
};
use crate::processor::timestamp_extractor::BuiltInTimestampExtractor;

/// The settings of one application instance.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use kstream::StreamsConfig;
///
/// let config = StreamsConfig::new("geo-aggregation")
///     .num_stream_threads(2)
///     .commit_interval(Duration::from_secs(1));
/// ```
///
/// # Source
/// `org.apache.kafka.streams.StreamsConfig`.
#[derive(Debug, Clone)]
pub struct StreamsConfig {
    pub(crate) application_id: String,
    pub(crate) state_dir: PathBuf,
    pub(crate) num_stream_threads: usize,
    pub(crate) commit_interval: Duration,
    pub(crate) statestore_cache_max_bytes: usize,
    pub(crate) statestore_uncommitted_max_bytes: usize,
    pub(crate) statestore_row_cache_max_bytes: usize,
    pub(crate) changelog_updates: ChangelogUpdates,
    pub(crate) dsl_store_format: DslStoreFormat,
    pub(crate) rocksdb_memory_bytes: usize,
    pub(crate) replication_factor: i32,
    pub(crate) session_timeout: Duration,
    pub(crate) heartbeat_interval: Duration,
    pub(crate) max_poll_interval: Duration,
    pub(crate) close_timeout: Duration,
    pub(crate) deserialization_handler: Arc<dyn DeserializationHandler>,
    pub(crate) processing_handler: Option<Arc<dyn ProcessingHandler>>,
    pub(crate) production_handler: Option<Arc<dyn ProductionHandler>>,
    pub(crate) dead_letter_topic: Option<String>,
    pub(crate) default_timestamp_extractor: BuiltInTimestampExtractor,
    pub(crate) max_task_idle: MaxTaskIdle,
    pub(crate) http_listen: Option<SocketAddr>,
    pub(crate) async_runtime: Option<tokio::runtime::Handle>,
    pub(crate) accept_topology_changes: bool,
}

/// What a changelog topic gets of a row that changes several times between two commits.
///
/// Stores whose updates the record cache holds back always log the latest only, as in Kafka Streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ChangelogUpdates {
    /// The latest: fewer records to send and to restore.
    #[default]
    Latest,
    /// Every update in order, as Kafka Streams does: for those who read changelogs as streams.
    Every,
}

/// How long a task waits for a partition that has nothing ready, so that records are processed in the order of
/// their timestamps.
///
/// # Source
/// `max.task.idle.ms` (KIP-695).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MaxTaskIdle {
    /// Not at all (−1 in Kafka Streams): what is ready is processed.
    Disabled,
    /// While the broker has records of the partition that are not here yet, and then for this long, in whole
    /// milliseconds. Zero, the default, waits for what the broker has and no longer.
    For(Duration),
}

impl MaxTaskIdle {
    pub(crate) fn milliseconds(self) -> Option<i64> {
        match self {
            Self::Disabled => None,
            Self::For(idle) => Some(i64::try_from(idle.as_millis()).unwrap_or(i64::MAX)),
        }
    }
}

impl Default for MaxTaskIdle {
    fn default() -> Self {
        Self::For(Duration::ZERO)
    }
}

/// What the stores of tables and aggregations keep of the records that write their rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum DslStoreFormat {
    /// Values and timestamps.
    #[default]
    Default,
    /// Headers as well, as far as Kafka Streams 4.3 does so: the changelog records of deletions have the
    /// headers of the record that deletes.
    Headers,
}

const MIB: usize = 1 << 20;

impl StreamsConfig {
    /// The defaults for this application id: the consumer group, and the beginning of the names of all
    /// internal topics.
    pub fn new(application_id: impl Into<String>) -> Self {
        Self {
            application_id: application_id.into(),
            state_dir: std::env::temp_dir().join("kstream"),
            num_stream_threads: 1,
            commit_interval: Duration::from_secs(30),
            statestore_cache_max_bytes: 10 * MIB,
            statestore_uncommitted_max_bytes: 64 * MIB,
            statestore_row_cache_max_bytes: 32 * MIB,
            changelog_updates: ChangelogUpdates::default(),
            dsl_store_format: DslStoreFormat::default(),
            rocksdb_memory_bytes: 256 * MIB,
            replication_factor: -1,
            session_timeout: Duration::from_secs(10),
            heartbeat_interval: Duration::from_secs(1),
            max_poll_interval: Duration::from_mins(2),
            close_timeout: Duration::from_secs(30),
            deserialization_handler: Arc::new(FailOnBadRecord),
            processing_handler: None,
            production_handler: None,
            dead_letter_topic: None,
            default_timestamp_extractor: BuiltInTimestampExtractor::default(),
            max_task_idle: MaxTaskIdle::default(),
            http_listen: None,
            async_runtime: None,
            accept_topology_changes: false,
        }
    }

    /// Where local state is kept (`state.dir`); by default a folder of the system's temporary one, which
    /// a restart of the machine may empty: set it in production.
    #[must_use]
    pub fn state_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.state_dir = folder.into();
        self
    }

    /// How many threads process records (`num.stream.threads`); 1 by default.
    #[must_use]
    pub fn num_stream_threads(mut self, threads: usize) -> Self {
        self.num_stream_threads = threads;
        self
    }

    /// How often offsets and state are committed (`commit.interval.ms`); 30 s by default. The record cache
    /// holds updates back until then.
    #[must_use]
    pub fn commit_interval(mut self, interval: Duration) -> Self {
        self.commit_interval = interval;
        self
    }

    /// The record cache of all stores together (`statestore.cache.max.bytes`); 10 MiB by default. 0 forwards
    /// every update at once.
    #[must_use]
    pub fn statestore_cache_max_bytes(mut self, bytes: usize) -> Self {
        self.statestore_cache_max_bytes = bytes;
        self
    }

    /// Memory for rows written since the last commit, per thread (`statestore.uncommitted.max.bytes`,
    /// KIP-892); 64 MiB by default. Above it the thread commits early.
    #[must_use]
    pub fn statestore_uncommitted_max_bytes(mut self, bytes: usize) -> Self {
        self.statestore_uncommitted_max_bytes = bytes;
        self
    }

    /// Memory for committed rows that are kept as values, per store of a task; 32 MiB by default. It saves
    /// reading and deserializing rows that are used often; 0 keeps none. (Kafka Streams has no such
    /// setting.)
    #[must_use]
    pub fn statestore_row_cache_max_bytes(mut self, bytes: usize) -> Self {
        self.statestore_row_cache_max_bytes = bytes;
        self
    }

    /// What the changelogs of stores without record cache get of a row that changes several times between
    /// two commits; the latest by default.
    #[must_use]
    pub fn changelog_updates(mut self, updates: ChangelogUpdates) -> Self {
        self.changelog_updates = updates;
        self
    }

    /// What the stores of tables and aggregations keep of the records that write their rows.
    ///
    /// # Source
    /// `dsl.store.format` (KIP-1271).
    #[must_use]
    pub fn dsl_store_format(mut self, format: DslStoreFormat) -> Self {
        self.dsl_store_format = format;
        self
    }

    /// RocksDB's memory for all stores together, block cache and write buffers; 256 MiB by default.
    #[must_use]
    pub fn rocksdb_memory_bytes(mut self, bytes: usize) -> Self {
        self.rocksdb_memory_bytes = bytes;
        self
    }

    /// Copies of each internal topic's partitions (`replication.factor`); −1, the default, is the broker's
    /// own default.
    #[must_use]
    pub fn replication_factor(mut self, copies: i32) -> Self {
        self.replication_factor = copies;
        self
    }

    /// After this time without a heartbeat the group gives this instance's tasks to others
    /// (`session.timeout.ms`); 10 s by default.
    #[must_use]
    pub fn session_timeout(mut self, timeout: Duration) -> Self {
        self.session_timeout = timeout;
        self
    }

    /// Time between heartbeats (`heartbeat.interval.ms`); 1 s by default.
    #[must_use]
    pub fn heartbeat_interval(mut self, interval: Duration) -> Self {
        self.heartbeat_interval = interval;
        self
    }

    /// How long giving tasks up may take before the group goes on without this instance
    /// (`max.poll.interval.ms`); 2 minutes by default.
    #[must_use]
    pub fn max_poll_interval(mut self, interval: Duration) -> Self {
        self.max_poll_interval = interval;
        self
    }

    /// How long a graceful stop may take; 30 s by default.
    #[must_use]
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = timeout;
        self
    }

    /// Decides about records that cannot be read (`deserialization.exception.handler`);
    /// [`FailOnBadRecord`] by default.
    #[must_use]
    pub fn deserialization_handler(mut self, handler: impl DeserializationHandler) -> Self {
        self.deserialization_handler = Arc::new(handler);
        self
    }

    /// Decides about records at which a node fails (`processing.exception.handler`, KIP-1033). By default the
    /// first failure stops the application.
    ///
    /// With a handler each node keeps a copy of its record while it works on it; without one nothing is paid.
    #[must_use]
    pub fn processing_handler(mut self, handler: impl ProcessingHandler) -> Self {
        self.processing_handler = Some(Arc::new(handler));
        self
    }

    /// Decides about records that cannot be written (`production.exception.handler`, KIP-210). By default the
    /// first one stops the application.
    #[must_use]
    pub fn production_handler(mut self, handler: impl ProductionHandler) -> Self {
        self.production_handler = Some(Arc::new(handler));
        self
    }

    /// Where timestamps come from where a source does not say (`default.timestamp.extractor`);
    /// [`FailOnInvalidTimestamp`](BuiltInTimestampExtractor::FailOnInvalidTimestamp) by default.
    #[must_use]
    pub fn default_timestamp_extractor(mut self, extractor: BuiltInTimestampExtractor) -> Self {
        self.default_timestamp_extractor = extractor;
        self
    }

    /// How long a task that reads several partitions waits for one that has nothing ready
    /// (`max.task.idle.ms`); by default until the broker has no more records of it.
    #[must_use]
    pub fn max_task_idle(mut self, idle: MaxTaskIdle) -> Self {
        self.max_task_idle = idle;
        self
    }

    /// Where a copy of each record goes that a handler was asked about (`errors.dead.letter.queue.topic.name`,
    /// KIP-1034), whatever it decided; nowhere by default. The topic has to exist. See [`DeadLetter::usual`] for
    /// what is written.
    ///
    /// [`DeadLetter::usual`]: crate::DeadLetter::usual
    #[must_use]
    pub fn dead_letter_topic(mut self, topic: impl Into<String>) -> Self {
        self.dead_letter_topic = Some(topic.into());
        self
    }

    /// Serves metrics, health and the topology by HTTP on this address; not by default.
    #[must_use]
    pub fn http_listen(mut self, address: SocketAddr) -> Self {
        self.http_listen = Some(address);
        self
    }

    /// What runs the calls of [`map_async`](crate::KStream::map_async) and
    /// [`map_values_async`](crate::KStream::map_values_async), for an application that has a runtime of its own:
    /// one that is always at work, with I/O and time enabled as the calls need them. By default the instance
    /// starts one, as soon as a task has such an operator.
    #[must_use]
    pub fn async_runtime(mut self, runtime: tokio::runtime::Handle) -> Self {
        self.async_runtime = Some(runtime);
        self
    }

    /// Starts although the topology does not fit the state that the application id has: what still fits is
    /// kept, the rest is left behind. Off by default: such a start is refused, with a list of what has
    /// changed. (Kafka Streams has no such setting, and does not notice.)
    #[must_use]
    pub fn accept_topology_changes(mut self, accept: bool) -> Self {
        self.accept_topology_changes = accept;
        self
    }

    /// Everything that is wrong with the settings.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if self.application_id.is_empty() || !self.application_id.chars().all(allowed) {
            problems.push(format!(
                "application_id: `{}` must be letters, digits, dots, dashes and underscores, at least one",
                self.application_id
            ));
        }
        if self.num_stream_threads == 0 {
            problems.push("num_stream_threads: must be at least 1".to_owned());
        }
        if self.heartbeat_interval * 3 > self.session_timeout {
            problems.push(format!(
                "heartbeat_interval: {:?} must be at most a third of session_timeout, {:?}",
                self.heartbeat_interval, self.session_timeout
            ));
        }
        if self.max_poll_interval < self.session_timeout {
            problems.push(format!(
                "max_poll_interval: {:?} must be at least session_timeout, {:?}",
                self.max_poll_interval, self.session_timeout
            ));
        }
        if self.replication_factor == 0 || self.replication_factor < -1 {
            problems.push("replication_factor: must be at least 1, or -1".to_owned());
        }
        problems
    }
}
