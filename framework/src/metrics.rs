//! Metrics: a registry of this application's own, and handles that are resolved once.
//!
//! The runtime counts in plain integers and adds them to these handles once per slice, so that a record
//! costs no atomic operation. What always holds: a thread's, task's or store's series are on the page
//! while its group of handles lives, and no longer.

use std::fmt;
use std::sync::Arc;

use prometheus::core::{Collector, MetricVec, MetricVecBuilder};
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

use crate::ids::{TaskId, TopicPartition};
use crate::state::persistent::StateEnv;

mod catalog;
mod process;
mod pulled;
mod restore;
#[cfg(test)]
mod tests;

pub use catalog::{METRICS, MetricKind, MetricSpec};
pub use restore::RestoreProgress;

/// Upper bounds of commit durations: a millisecond for an idle commit, half a minute for a broker in
/// trouble.
const COMMIT_SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// The metrics of one application. Cloning shares them.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    families: Arc<Families>,
}

#[derive(Debug)]
struct Families {
    client_state: IntGauge,
    replaced_threads: IntCounter,
    thread_state: IntGaugeVec,
    poll_records: IntCounterVec,
    commits: IntCounterVec,
    commit_duration: HistogramVec,
    process_records: IntCounterVec,
    produced_records: IntCounterVec,
    dropped_records: IntCounterVec,
    lag_records: IntGaugeVec,
    store_rows: IntGaugeVec,
    store_bytes: IntGaugeVec,
    store_uncommitted_bytes: IntGaugeVec,
    restore_records: IntCounterVec,
    restore_remaining_records: IntGaugeVec,
    restore_rate: IntGaugeVec,
    restore_eta: IntGaugeVec,
    client_restored_records: IntCounter,
    client_restoring_stores: IntGauge,
    client_restore_remaining_records: IntGauge,
    client_restore_rate: IntGauge,
    client_restore_eta: IntGauge,
    client_state_deletions: IntCounter,
}

impl Metrics {
    /// A registry with all of [`METRICS`]; memory of stores is read from `state`.
    pub fn new(state: &StateEnv) -> Self {
        let registry = Registry::new();
        let gauges = |spec| register(&registry, IntGaugeVec::new(opts(spec), spec.labels));
        let counters = |spec| register(&registry, IntCounterVec::new(opts(spec), spec.labels));
        let gauge = |spec| register(&registry, IntGauge::with_opts(opts(spec)));
        let counter = |spec| register(&registry, IntCounter::with_opts(opts(spec)));
        let families = Families {
            client_state: gauge(&catalog::CLIENT_STATE),
            replaced_threads: counter(&catalog::REPLACED_THREADS),
            thread_state: gauges(&catalog::THREAD_STATE),
            poll_records: counters(&catalog::THREAD_POLL_RECORDS),
            commits: counters(&catalog::THREAD_COMMIT),
            commit_duration: register(&registry, commit_duration()),
            process_records: counters(&catalog::TASK_PROCESS_RECORDS),
            produced_records: counters(&catalog::TASK_PRODUCED_RECORDS),
            dropped_records: counters(&catalog::TASK_DROPPED_RECORDS),
            lag_records: gauges(&catalog::TASK_LAG_RECORDS),
            store_rows: gauges(&catalog::STORE_ROWS),
            store_bytes: gauges(&catalog::STORE_BYTES),
            store_uncommitted_bytes: gauges(&catalog::STORE_UNCOMMITTED_BYTES),
            restore_records: counters(&catalog::RESTORE_RECORDS),
            restore_remaining_records: gauges(&catalog::RESTORE_REMAINING_RECORDS),
            restore_rate: gauges(&catalog::RESTORE_RATE),
            restore_eta: gauges(&catalog::RESTORE_ETA),
            client_restored_records: counter(&catalog::CLIENT_RESTORE_RECORDS),
            client_restoring_stores: gauge(&catalog::CLIENT_RESTORING_STORES),
            client_restore_remaining_records: gauge(&catalog::CLIENT_RESTORE_REMAINING_RECORDS),
            client_restore_rate: gauge(&catalog::CLIENT_RESTORE_RATE),
            client_restore_eta: gauge(&catalog::CLIENT_RESTORE_ETA),
            client_state_deletions: counter(&catalog::CLIENT_STATE_DELETIONS),
        };
        gauges(&catalog::BUILD_INFO).with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        pulled::register_pulled(&registry, state);
        Self { registry, families: Arc::new(families) }
    }

    /// The registry, for an application's own metrics beside these.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// All metrics in Prometheus' text format.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    /// The client's state, as the number that [`METRICS`] explains.
    pub fn client_state(&self) -> &IntGauge {
        &self.families.client_state
    }

    /// Changelog records that the process has applied.
    pub(crate) fn restored_records(&self) -> &IntCounter {
        &self.families.client_restored_records
    }

    /// How often the local state of a task was deleted.
    pub(crate) fn state_deletions(&self) -> &IntCounter {
        &self.families.client_state_deletions
    }

    /// Stream threads that ended by an error and were replaced.
    pub(crate) fn replaced_threads(&self) -> &IntCounter {
        &self.families.replaced_threads
    }

    /// The handles of stream thread `thread`.
    pub fn thread(&self, thread: &str) -> ThreadMetrics {
        let (f, mut series) = (&self.families, Series::default());
        let labels = [thread];
        ThreadMetrics {
            state: series.add(&f.thread_state, &labels),
            poll_records: series.add(&f.poll_records, &labels),
            commits: series.add(&f.commits, &labels),
            commit_duration: series.add(&f.commit_duration, &labels),
            _series: series,
        }
    }

    /// The handles of `task`, with one lag per input partition in the order given. A task has one
    /// group of handles at a time.
    pub fn task(&self, task: TaskId, inputs: &[TopicPartition]) -> TaskMetrics {
        let (f, mut series) = (&self.families, Series::default());
        let task = task.to_string();
        let labels = [task.as_str()];
        let lag = inputs.iter().map(|input| {
            let labels = [task.as_str(), &input.topic, &input.partition.to_string()];
            series.add(&f.lag_records, &labels)
        });
        TaskMetrics {
            lag_records: lag.collect(),
            process_records: series.add(&f.process_records, &labels),
            produced_records: series.add(&f.produced_records, &labels),
            dropped_records: DropReason::ALL
                .map(|reason| series.add(&f.dropped_records, &[&task, reason.name()])),
            _series: series,
        }
    }

    /// The handles of `store` of `task`.
    pub fn store(&self, task: TaskId, store: &str) -> StoreMetrics {
        let (f, mut series) = (&self.families, Series::default());
        let task = task.to_string();
        let labels = [task.as_str(), store];
        StoreMetrics {
            rows: series.add(&f.store_rows, &labels),
            bytes: series.add(&f.store_bytes, &labels),
            uncommitted_bytes: series.add(&f.store_uncommitted_bytes, &labels),
            restore_records: series.add(&f.restore_records, &labels),
            restore_remaining_records: series.add(&f.restore_remaining_records, &labels),
            restore_rate: series.add(&f.restore_rate, &labels),
            restore_eta: series.add(&f.restore_eta, &labels),
            _series: series,
        }
    }
}

/// A stream thread's handles.
#[derive(Debug)]
pub struct ThreadMetrics {
    /// The thread's state, as the number that [`METRICS`] explains.
    pub state: IntGauge,
    /// Records fetched.
    pub poll_records: IntCounter,
    /// Commits that succeeded.
    pub commits: IntCounter,
    /// Seconds per commit.
    pub commit_duration: Histogram,
    _series: Series,
}

/// A task's handles.
#[derive(Debug)]
pub struct TaskMetrics {
    /// Records that went through the topology.
    pub process_records: IntCounter,
    /// Records sent.
    pub produced_records: IntCounter,
    /// Records behind the end, per input partition.
    pub lag_records: Vec<IntGauge>,
    dropped_records: [IntCounter; DropReason::ALL.len()],
    _series: Series,
}

impl TaskMetrics {
    /// Records left out for `reason`.
    pub fn dropped_records(&self, reason: DropReason) -> &IntCounter {
        let [
            null_key,
            null_value,
            late,
            timestamp,
            deserialization,
            processing,
            production,
            unrouted,
            stale,
        ] = &self.dropped_records;
        match reason {
            DropReason::NullKey => null_key,
            DropReason::NullValue => null_value,
            DropReason::Late => late,
            DropReason::Timestamp => timestamp,
            DropReason::Deserialization => deserialization,
            DropReason::Processing => processing,
            DropReason::Production => production,
            DropReason::Unrouted => unrouted,
            DropReason::StaleResponse => stale,
        }
    }
}

/// A store's handles.
#[derive(Debug)]
pub struct StoreMetrics {
    /// Rows it holds, about.
    pub rows: IntGauge,
    /// Bytes of its committed rows, about.
    pub bytes: IntGauge,
    /// Bytes written since the last commit.
    pub uncommitted_bytes: IntGauge,
    /// Changelog records replayed.
    pub restore_records: IntCounter,
    /// Changelog records still to be replayed.
    pub restore_remaining_records: IntGauge,
    /// Changelog records replayed per second.
    pub restore_rate: IntGauge,
    /// Seconds until the store is up to date; −1 while that is not known.
    pub restore_eta: IntGauge,
    _series: Series,
}

/// Why a record was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    /// The operator needs a key.
    NullKey,
    /// The operator needs a value.
    NullValue,
    /// Its window is closed: it came after the grace period.
    Late,
    /// Its timestamp is negative.
    Timestamp,
    /// Its bytes could not be read, and the handler went on.
    Deserialization,
    /// A node failed at it, and the handler went on.
    Processing,
    /// It could not be written, and the handler went on.
    Production,
    /// The partitioner chose no partition for it.
    Unrouted,
    /// The answer of a foreign-key join came when the row had changed.
    StaleResponse,
}

impl DropReason {
    /// Every reason, in the order of the handles.
    pub(crate) const ALL: [Self; 9] = [
        Self::NullKey,
        Self::NullValue,
        Self::Late,
        Self::Timestamp,
        Self::Deserialization,
        Self::Processing,
        Self::Production,
        Self::Unrouted,
        Self::StaleResponse,
    ];

    /// The value of the label `reason`.
    pub fn name(self) -> &'static str {
        match self {
            Self::NullKey => "null_key",
            Self::NullValue => "null_value",
            Self::Late => "late",
            Self::Timestamp => "timestamp",
            Self::Deserialization => "deserialization",
            Self::Processing => "processing",
            Self::Production => "production",
            Self::Unrouted => "unrouted",
            Self::StaleResponse => "stale_response",
        }
    }
}

/// The series of one group of handles. Dropping it takes them off the page: a task that moved away
/// must not show its last lag for ever.
#[derive(Default)]
struct Series(Vec<Box<dyn Fn() + Send + Sync>>);

impl Series {
    fn add<B>(&mut self, family: &MetricVec<B>, labels: &[&str]) -> B::M
    where
        B: MetricVecBuilder + 'static,
    {
        let handle = family.with_label_values(labels);
        let family = family.clone();
        let labels: Vec<String> = labels.iter().map(ToString::to_string).collect();
        self.0.push(Box::new(move || {
            // Fails only for a series that is gone already.
            drop(family.remove_label_values(&labels));
        }));
        handle
    }
}

impl Drop for Series {
    fn drop(&mut self) {
        for remove in &self.0 {
            remove();
        }
    }
}

impl fmt::Debug for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Series({})", self.0.len())
    }
}

fn opts(spec: &MetricSpec) -> Opts {
    Opts::new(spec.name, spec.help)
}

fn commit_duration() -> prometheus::Result<HistogramVec> {
    let spec = &catalog::THREAD_COMMIT_DURATION;
    let opts = HistogramOpts::new(spec.name, spec.help).buckets(COMMIT_SECONDS.to_vec());
    HistogramVec::new(opts, spec.labels)
}

#[expect(clippy::expect_used, reason = "the catalog's names are constants, and each is used once")]
fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: prometheus::Result<C>,
) -> C {
    let collector = collector.expect("the catalog's names and labels are legal");
    registry.register(Box::new(collector.clone())).expect("the catalog names each metric once");
    collector
}
