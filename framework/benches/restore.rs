//! What restoring costs, on the in-process broker: rows per second into an empty store, and what a running task
//! keeps of its throughput while another task of its thread restores.
//!
//! Arguments are names of workloads; none means all.

#![expect(clippy::print_stdout, reason = "a benchmark shows what it measures")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]

use std::error::Error;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kstream::broker::OutgoingRecord;
use kstream::broker::memory::MemoryBroker;
use kstream::time::SystemClock;
use kstream::{
    Headers, KStream, KafkaStreams, Materialized, StateRestoreListener, StoreType, StreamsBuilder,
    StreamsConfig, TopicPartition, Topology,
};

use kstream_test_support::poll_until;

type BoxError = Box<dyn Error>;

/// Rows of the changelog, each with a key of 16 and a value of 100 bytes.
const ROWS: u32 = 1_000_000;
const VALUE_BYTES: usize = 100;
/// Records for the task that runs while another restores.
const RECORDS: u32 = 6_000_000;
const SOON: Duration = Duration::from_mins(10);
/// How often the benchmark looks; counters are published every 200 ms.
const LOOK: Duration = Duration::from_millis(5);

type Workload = (&'static str, fn(&str) -> Result<(), BoxError>);

const WORKLOADS: [Workload; 4] = [
    ("on disk", |name| restore(name, StoreType::Persistent, ROWS)),
    ("on disk, four million", |name| restore(name, StoreType::Persistent, 4 * ROWS)),
    ("in memory", |name| restore(name, StoreType::InMemory, ROWS)),
    ("beside a running task", beside),
];

fn latest(store_type: StoreType) -> Result<Topology, BoxError> {
    let builder = StreamsBuilder::new();
    let records: KStream<String, String> = builder.stream("in");
    let rows = Materialized::named("rows").with_store_type(store_type);
    drop(records.group_by_key().reduce_with(|_, new| new, "latest", rows));
    Ok(builder.build()?)
}

fn produce(
    broker: &MemoryBroker,
    topic: &str,
    partition: i32,
    key: &str,
    value: &str,
) -> Result<(), BoxError> {
    let (key, value) = (Some(key.as_bytes()), Some(value.as_bytes()));
    let record =
        OutgoingRecord { partition, key, value, timestamp: Some(1), headers: &Headers::new() };
    broker.produce(topic, record)?;
    Ok(())
}

/// Fills a changelog partition with rows in no order.
fn fill(broker: &MemoryBroker, partition: i32, rows: u32) -> Result<(), BoxError> {
    let value = "v".repeat(VALUE_BYTES);
    for number in 0..rows {
        // Odd, so every number comes once.
        let key = format!("{:016x}", number.wrapping_mul(2_654_435_761));
        produce(broker, "bench-rows-changelog", partition, &key, &value)?;
    }
    Ok(())
}

fn broker(partitions: i32) -> Result<MemoryBroker, BoxError> {
    use kstream::broker::{Broker, NewTopic};
    let broker = MemoryBroker::new(Arc::new(SystemClock::new()));
    broker.create_topic("in", partitions)?;
    let configs = [("cleanup.policy".to_owned(), "compact".to_owned())].into();
    let name = "bench-rows-changelog".to_owned();
    let changelog = NewTopic { name, partitions, replication_factor: -1, configs };
    for created in broker.admin()?.create_topics(&[changelog])? {
        created?;
    }
    Ok(broker)
}

/// Times a restore.
#[derive(Debug, Clone, Default)]
struct Watch(Arc<Mutex<(Option<Instant>, Option<Duration>)>>);

impl Watch {
    /// Waits for the end; gives the time that the restore took.
    fn wait(&self) -> Result<Duration, BoxError> {
        let took = || Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).1);
        Ok(poll_until(SOON, "the end of the restore", took)?)
    }
}

impl StateRestoreListener for Watch {
    fn on_restore_start(&self, _: &TopicPartition, _: &str, _: i64, _: i64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0 = Some(Instant::now());
    }
    fn on_restore_end(&self, _: &TopicPartition, _: &str, _: u64) {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        times.1 = times.0.map(|started| started.elapsed());
    }
}

fn config(folder: &Path) -> StreamsConfig {
    StreamsConfig::new("bench").state_dir(folder).commit_interval(Duration::from_millis(100))
}

fn restore(name: &str, store_type: StoreType, rows: u32) -> Result<(), BoxError> {
    let broker = broker(1)?;
    fill(&broker, 0, rows)?;
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let folder = tempfile::tempdir()?;
        let mut streams =
            KafkaStreams::new(latest(store_type)?, config(folder.path()), broker.clone())?;
        let watch = Watch::default();
        streams.set_global_state_restore_listener(watch.clone())?;
        streams.start()?;
        best = best.min(watch.wait()?);
        if streams.restored_records() != u64::from(rows) {
            return Err(format!("{} records restored", streams.restored_records()).into());
        }
        streams.close()?;
    }
    let seconds = best.as_secs_f64();
    let megabytes = f64::from(rows) * 116.0 / 1e6;
    println!(
        "{name:<24} {:>9.0} records/s {:>7.1} MB/s",
        f64::from(rows) / seconds,
        megabytes / seconds
    );
    Ok(())
}

/// Records that the running task has processed, as its metrics say.
fn processed(streams: &KafkaStreams) -> Result<f64, BoxError> {
    let text = streams.metrics().text()?;
    let prefix = "kstream_task_process_records_total{task=\"0_0\"} ";
    let line = text.lines().find_map(|line| line.strip_prefix(prefix));
    Ok(line.map_or(Ok(0.0), str::parse)?)
}

/// Waits until something has happened; gives the processed records and the time since the start.
fn until(
    streams: &KafkaStreams,
    started: Instant,
    what: impl Fn(f64) -> bool,
) -> Result<(f64, f64), BoxError> {
    loop {
        let processed = processed(streams)?;
        let now = started.elapsed();
        if what(processed) {
            return Ok((processed, now.as_secs_f64()));
        }
        if now > SOON {
            return Err("it takes too long".into());
        }
        std::thread::sleep(LOOK);
    }
}

/// Task `0_0` processes a backlog while task `0_1` restores, then alone.
fn beside(name: &str) -> Result<(), BoxError> {
    let broker = broker(2)?;
    fill(&broker, 1, ROWS)?;
    for number in 0..RECORDS {
        produce(&broker, "in", 0, &format!("{:06}", number % 10_000), "value")?;
    }
    let folder = tempfile::tempdir()?;
    let topology = latest(StoreType::Persistent)?;
    let mut streams = KafkaStreams::new(topology, config(folder.path()), broker)?;
    streams.start()?;
    let started = Instant::now();
    let all = f64::from(RECORDS);
    let has_begun = |processed| processed > 0.0 && streams.restored_records() > 0;
    let (before, begun) = until(&streams, started, has_begun)?;
    let rows_before = streams.restored_records();
    let is_restored = || streams.restored_records() >= u64::from(ROWS);
    let (beside, restored) =
        until(&streams, started, |processed| is_restored() || processed >= all)?;
    let rows = streams.restored_records();
    let restoring_rate = (beside - before) / (restored - begun);
    println!(
        "{name:<24} {restoring_rate:>9.0} records/s processed, {:>9.0} rows/s restored, {rows} rows in {:.1} s",
        rate(rows - rows_before, restored - begun),
        restored - begun,
    );
    if rows < u64::from(ROWS) {
        println!("{:<24} the backlog was over before the rows were", "");
    } else {
        let (end, finished) = until(&streams, started, |processed| processed >= all)?;
        let alone = (end - beside) / (finished - restored);
        println!(
            "{:<24} {alone:>9.0} records/s alone: {:.0} % kept while restoring",
            "",
            100.0 * restoring_rate / alone
        );
    }
    streams.close()?;
    Ok(())
}

fn main() -> Result<(), BoxError> {
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    for (name, run) in WORKLOADS {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            run(name)?;
        }
    }
    Ok(())
}

/// So many per second.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn rate(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds
}
