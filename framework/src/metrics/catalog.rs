//! Every metric's name, type, labels and help: the one place they are made from.
//!
//! Names follow those of Kafka Streams, in Prometheus' style: base units, `_total` on counters.

/// What a metric is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricSpec {
    /// The full name.
    pub name: &'static str,
    /// One sentence for whoever reads the number.
    pub help: &'static str,
    /// How its values behave.
    pub kind: MetricKind,
    /// The names of its labels, in the order of their values.
    pub labels: &'static [&'static str],
}

/// How a metric's values behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations by size.
    Histogram,
}

macro_rules! catalog {
    ($($id:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(pub(super) const $id: MetricSpec = MetricSpec {
            name: $name,
            help: $help,
            kind: MetricKind::$kind,
            labels: &[$($label),*],
        };)*

        /// Every metric of the framework.
        pub const METRICS: &[MetricSpec] = &[$($id),*];
    };
}

catalog! {
    BUILD_INFO = Gauge "kstream_build_info" ["version"]
        "Always 1; its label is the version of kstream.";
    CLIENT_STATE = Gauge "kstream_client_state" []
        "State of the client, numbered as in Kafka Streams: 0 created, 1 rebalancing, 2 running, 3 pending shutdown, 4 not running, 5 pending error, 6 error.";
    CLIENT_RESTORE_RECORDS = Counter "kstream_client_restore_records_total" []
        "Changelog records replayed into the stores of all tasks, also of those that have moved away.";
    CLIENT_RESTORING_STORES = Gauge "kstream_client_restoring_stores" []
        "Stores that are being brought up to date from their changelogs.";
    CLIENT_RESTORE_REMAINING_RECORDS = Gauge "kstream_client_restore_remaining_records" []
        "Changelog records still to be replayed, of all stores together.";
    CLIENT_RESTORE_RATE = Gauge "kstream_client_restore_rate_records" []
        "Changelog records replayed per second over the last seconds, of all stores together.";
    CLIENT_RESTORE_ETA = Gauge "kstream_client_restore_eta_seconds" []
        "Seconds until the last store is up to date at the present speed, -1 while that is not known.";
    CLIENT_STATE_DELETIONS = Counter "kstream_client_state_deletions_total" []
        "Times that the local state of a task was deleted because it was damaged, or out of date for good.";
    REPLACED_THREADS = Counter "kstream_client_replaced_threads_total" []
        "Stream threads that ended by an error and were replaced.";

    THREAD_STATE = Gauge "kstream_thread_state" ["thread"]
        "State of the stream thread, numbered as in Kafka Streams: 0 created, 1 starting, 2 partitions revoked, 3 partitions assigned, 4 running, 5 pending shutdown, 6 dead.";
    THREAD_POLL_RECORDS = Counter "kstream_thread_poll_records_total" ["thread"]
        "Records fetched from the broker.";
    THREAD_COMMIT = Counter "kstream_thread_commit_total" ["thread"]
        "Commits that succeeded.";
    THREAD_COMMIT_DURATION = Histogram "kstream_thread_commit_duration_seconds" ["thread"]
        "Time a commit took, from the flush of the caches to the committed offsets.";

    TASK_PROCESS_RECORDS = Counter "kstream_task_process_records_total" ["task"]
        "Records that went through the task's topology.";
    TASK_PRODUCED_RECORDS = Counter "kstream_task_produced_records_total" ["task"]
        "Records the task sent to output and repartition topics.";
    TASK_DROPPED_RECORDS = Counter "kstream_task_dropped_records_total" ["task", "reason"]
        "Records the task left out, by reason.";
    TASK_LAG_RECORDS = Gauge "kstream_task_lag_records" ["task", "topic", "partition"]
        "Records between the task's position and the end of the input partition.";

    STORE_ROWS = Gauge "kstream_store_rows" ["task", "store"]
        "About how many rows the store holds.";
    STORE_BYTES = Gauge "kstream_store_bytes" ["task", "store"]
        "About how many bytes the store's committed rows take, on disk and in memory.";
    STORE_UNCOMMITTED_BYTES = Gauge "kstream_store_uncommitted_bytes" ["task", "store"]
        "Bytes of rows written since the last commit.";
    RESTORE_RECORDS = Counter "kstream_restore_records_total" ["task", "store"]
        "Changelog records replayed into the store.";
    RESTORE_REMAINING_RECORDS = Gauge "kstream_restore_remaining_records" ["task", "store"]
        "Changelog records still to be replayed before the store is up to date.";
    RESTORE_RATE = Gauge "kstream_restore_rate_records" ["task", "store"]
        "Changelog records replayed per second over the last seconds; 0 once the store is up to date.";
    RESTORE_ETA = Gauge "kstream_restore_eta_seconds" ["task", "store"]
        "Seconds until the store is up to date at the present speed, -1 while that is not known.";

    ROCKSDB_BLOCK_CACHE_BYTES = Gauge "kstream_rocksdb_block_cache_bytes" []
        "Bytes charged to the cache all stores share, with those of unflushed rows.";
    ROCKSDB_MEMTABLE_BYTES = Gauge "kstream_rocksdb_memtable_bytes" []
        "Bytes of committed rows that are in memory only.";
    PROCESS_RESIDENT_MEMORY = Gauge "process_resident_memory_bytes" []
        "Physical memory of the process.";
    PROCESS_CPU = Counter "process_cpu_seconds_total" []
        "User and system CPU time of the process.";
}
