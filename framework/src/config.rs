//! The settings of an application: typed, with Kafka Streams' names and defaults where it has them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use std::net::SocketAddr;

use crate::processor::handler::{
    DeserializationHandler, FailOnBadRecord, ProcessingHandler, ProductionHandler,
};
use crate::processor::timestamp_extractor::BuiltInTimestampExtractor;
use crate::runtime::{SharedHandler, UncaughtErrorHandler};

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
    pub(crate) processing_guarantee: ProcessingGuarantee,
    pub(crate) transaction_timeout: Duration,
    pub(crate) commit_interval: Option<Duration>,
    pub(crate) statestore_cache_max_bytes: usize,
    pub(crate) statestore_uncommitted_max_bytes: usize,
    pub(crate) statestore_row_cache_max_bytes: usize,
    pub(crate) changelog_updates: ChangelogUpdates,
    pub(crate) dsl_store_format: DslStoreFormat,
    pub(crate) rocksdb_memory_bytes: usize,
    pub(crate) restore_max_bytes_per_second: Option<u64>,
    pub(crate) replication_factor: i32,
    pub(crate) topic_configs: BTreeMap<String, String>,
    pub(crate) repartition_purge_interval: Duration,
    pub(crate) session_timeout: Duration,
    pub(crate) heartbeat_interval: Duration,
    pub(crate) max_poll_interval: Duration,
    pub(crate) close_timeout: Duration,
    pub(crate) state_cleanup_delay: Duration,
    pub(crate) uncaught_error_handler: SharedHandler,
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

/// What a crash may do to results.
///
/// # Source
/// `processing.guarantee` (KIP-129, KIP-447).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ProcessingGuarantee {
    /// No record is lost; after a crash some may be counted, and sent, twice.
    #[default]
    AtLeastOnce,
    /// Each record counts once: output, state and offsets are committed as one transaction of the broker,
    /// which has to be version 2.5 or later. Whoever reads the output has to read committed records only
    /// (`isolation.level=read_committed`).
    ExactlyOnceV2,
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
            processing_guarantee: ProcessingGuarantee::default(),
            transaction_timeout: Duration::from_secs(10),
            commit_interval: None,
            statestore_cache_max_bytes: 10 * MIB,
            statestore_uncommitted_max_bytes: 64 * MIB,
            statestore_row_cache_max_bytes: 32 * MIB,
            changelog_updates: ChangelogUpdates::default(),
            dsl_store_format: DslStoreFormat::default(),
            rocksdb_memory_bytes: 256 * MIB,
            restore_max_bytes_per_second: None,
            replication_factor: -1,
            topic_configs: BTreeMap::new(),
            repartition_purge_interval: Duration::from_secs(30),
            session_timeout: Duration::from_secs(10),
            heartbeat_interval: Duration::from_secs(1),
            max_poll_interval: Duration::from_mins(2),
            close_timeout: Duration::from_secs(30),
            state_cleanup_delay: Duration::from_mins(10),
            uncaught_error_handler: SharedHandler::default(),
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

    /// What a crash may do to results (`processing.guarantee`); at least once by default.
    #[must_use]
    pub fn processing_guarantee(mut self, guarantee: ProcessingGuarantee) -> Self {
        self.processing_guarantee = guarantee;
        self
    }

    /// After this time the broker aborts a transaction that nobody has ended (`transaction.timeout.ms`); 10 s
    /// by default. Whoever takes over from a process that has died in a transaction may have to wait for it. At least twice
    /// the [commit interval](Self::commit_interval), and at most the brokers' `transaction.max.timeout.ms`.
    #[must_use]
    pub fn transaction_timeout(mut self, timeout: Duration) -> Self {
        self.transaction_timeout = timeout;
        self
    }

    /// How often offsets and state are committed (`commit.interval.ms`); by default 30 s, and 100 ms with
    /// exactly once. The record cache holds updates back until then, and with exactly once nobody sees a
    /// result before. With exactly once at most half of the [transaction's time](Self::transaction_timeout).
    #[must_use]
    pub fn commit_interval(mut self, interval: Duration) -> Self {
        self.commit_interval = Some(interval);
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

    /// How much all threads together read of changelogs while they bring stores up to date, in bytes of keys
    /// and values per second; without a limit by default. For a network or a disk that others need too: running
    /// tasks of the same process are not held up in any case, because restoring takes a fifth of a thread's time
    /// at most while they have records. (Kafka Streams has no such setting; there a quota of the broker does it.)
    #[must_use]
    pub fn restore_max_bytes_per_second(mut self, bytes: u64) -> Self {
        self.restore_max_bytes_per_second = Some(bytes);
        self
    }

    /// Copies of each internal topic's partitions (`replication.factor`); −1, the default, is the broker's
    /// own default.
    #[must_use]
    pub fn replication_factor(mut self, copies: i32) -> Self {
        self.replication_factor = copies;
        self
    }

    /// A config of every internal topic, by Kafka's name (`topic.` in front of it in Kafka Streams), such as
    /// `min.insync.replicas`. A store's own, given to
    /// [`Materialized::with_logging_enabled`](crate::Materialized::with_logging_enabled), wins over it. How
    /// long windows and versions are kept (`retention.ms`, `min.compaction.lag.ms`) is for their stores alone.
    ///
    /// Topics get it when they are made. An existing one is never changed: with it a start is refused where
    /// rows or records would be lost, and otherwise a difference is a warning.
    #[must_use]
    pub fn topic_config(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.topic_configs.insert(name.into(), value.into());
        self
    }

    /// How often records of repartition topics that have been read and committed are deleted
    /// (`repartition.purge.interval.ms`); 30 s by default. Their topics delete nothing by age.
    #[must_use]
    pub fn repartition_purge_interval(mut self, interval: Duration) -> Self {
        self.repartition_purge_interval = interval;
        self
    }

    /// After this time without a heartbeat the group gives this instance's tasks to others
    /// (`session.timeout.ms`); 10 s by default.
    #[must_use]
    pub fn session_timeout(mut self, timeout: Duration) -> Self {
        self.session_timeout = timeout;
        self
    }

    /// Time between heartbeats (`heartbeat.interval.ms`); 1 s by default. At most a third of the [session's time](Self::session_timeout).
    #[must_use]
    pub fn heartbeat_interval(mut self, interval: Duration) -> Self {
        self.heartbeat_interval = interval;
        self
    }

    /// How long giving tasks up may take before the group goes on without this instance
    /// (`max.poll.interval.ms`); 2 minutes by default, and at least the [session's time](Self::session_timeout). A
    /// stream thread that makes no progress for so long is reported, and its process gives all its tasks up.
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

    /// For how long the state of a task stays on disk that this instance does not run any more
    /// (`state.cleanup.delay.ms`); 10 minutes by default.
    #[must_use]
    pub fn state_cleanup_delay(mut self, delay: Duration) -> Self {
        self.state_cleanup_delay = delay;
        self
    }

    /// Decides what happens when a stream thread ends by an error; by default the instance stops.
    #[must_use]
    pub fn uncaught_error_handler(mut self, handler: impl UncaughtErrorHandler + 'static) -> Self {
        self.uncaught_error_handler = SharedHandler(Arc::new(handler));
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

    /// After so long without a sign of life the group may have given the process's tasks away. The group counts
    /// from the last heartbeat that it has heard, which was a while ago when the process stopped.
    pub(crate) fn patience(&self) -> Duration {
        let session = self.session_timeout;
        session.saturating_sub(self.heartbeat_interval * 2).max(session / 2)
    }

    /// How long rows on their way to a changelog are of use; `None`: as long as their transaction.
    pub(crate) fn row_lifetime(&self) -> Option<Duration> {
        (!self.is_exactly_once()).then(|| self.patience())
    }

    pub(crate) fn is_exactly_once(&self) -> bool {
        self.processing_guarantee == ProcessingGuarantee::ExactlyOnceV2
    }

    /// How often is committed, with the default of the guarantee.
    pub(crate) fn effective_commit_interval(&self) -> Duration {
        self.commit_interval.unwrap_or(match self.processing_guarantee {
            ProcessingGuarantee::AtLeastOnce => Duration::from_secs(30),
            ProcessingGuarantee::ExactlyOnceV2 => Duration::from_millis(100),
        })
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
        if self.restore_max_bytes_per_second == Some(0) {
            problems.push("restore_max_bytes_per_second: must be at least 1".to_owned());
        }
        let commit_interval = self.effective_commit_interval();
        if self.is_exactly_once() && commit_interval * 2 > self.transaction_timeout {
            problems.push(format!(
                "commit_interval: {commit_interval:?} must be at most half of transaction_timeout, {:?}",
                self.transaction_timeout
            ));
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
        if self.repartition_purge_interval.is_zero() {
            problems.push("repartition_purge_interval: must be longer than nothing".to_owned());
        }
        if self.replication_factor == 0 || self.replication_factor < -1 {
            problems.push("replication_factor: must be at least 1, or -1".to_owned());
        }
        problems
    }
}
