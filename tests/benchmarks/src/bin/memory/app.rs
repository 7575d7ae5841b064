//! The application that is measured, and what its settings allow it.

use std::path::Path;
use std::time::Duration;

use kstream::broker::kafka::{KafkaBroker, KafkaSettings};
use kstream::{
    KStream, KafkaStreams, Materialized, ProcessingGuarantee, StreamsBuilder, StreamsConfig,
    TimeWindows, Topology, TopologyErrors, Windowed,
};

use crate::Failure;

/// The group of the application, and the beginning of its topics' names.
pub(crate) const APP_ID: &str = "memory";
pub(crate) const INPUT: &str = "bench-in";
pub(crate) const REPARTITION: &str = "memory-counts-repartition";
pub(crate) const OUTPUT: &str = "bench-out";
pub(crate) const PARTITIONS: i32 = 4;

const WINDOW: Duration = Duration::from_secs(10);
/// How many characters of a key, from its end.
const GROUPED_BY: usize = 3;

const ROCKSDB_MIB: usize = 64;
const RECORD_CACHE_MIB: usize = 16;
/// For each thread.
const UNCOMMITTED_MIB: usize = 16;
/// For each store of a task.
const ROW_CACHE_MIB: usize = 4;
/// For each thread: what waits to be sent.
const PRODUCER_MIB: usize = 8;
/// For each source partition: what was fetched ahead, 2 MiB in the client, and the fetch that is on its way.
const PREFETCH_MIB: usize = 3;
/// The program itself, its threads and clients, and what an allocator keeps between them.
const BASE_MIB: usize = 64;
/// Tasks with a store, and partitions that are read: of the input and of the repartition topic.
const STORES: usize = 2 * PARTITIONS as usize;

/// What the process may take by its settings: names and MiB.
pub(crate) fn budget(threads: usize) -> Vec<(&'static str, usize)> {
    vec![
        ("rocksdb_memory_bytes", ROCKSDB_MIB),
        ("statestore_cache_max_bytes", RECORD_CACHE_MIB),
        ("statestore_uncommitted_max_bytes × threads", UNCOMMITTED_MIB * threads),
        ("statestore_row_cache_max_bytes × stores of tasks", ROW_CACHE_MIB * STORES),
        ("fetched ahead × source partitions", PREFETCH_MIB * STORES),
        ("waiting to be sent × threads", PRODUCER_MIB * threads),
        ("program, clients, allocator", BASE_MIB),
    ]
}

/// Counts by a part of the key, through a repartition topic and behind the record cache; and counts by key
/// and window, whose rows expire.
fn topology() -> Result<Topology, TopologyErrors> {
    let builder = StreamsBuilder::new();
    let records: KStream<String, String> = builder.stream(INPUT);
    records
        .group_by(|key, _| key[key.len() - GROUPED_BY..].to_owned())
        .count_with("count", Materialized::named("counts"))
        .to_stream()
        .to(OUTPUT);
    records
        .group_by_key()
        .windowed_by(TimeWindows::of_size_and_grace(WINDOW, Duration::ZERO))
        .count_with("count-windows", Materialized::named("windows"))
        .to_stream()
        .map(|key: Windowed<String>, count| (format!("{}@{}", key.key, key.window.start), count))
        .to(OUTPUT);
    builder.build()
}

/// Runs the application until SIGTERM.
pub(crate) fn run(
    bootstrap: &str,
    state_dir: &Path,
    threads: usize,
    guarantee: ProcessingGuarantee,
) -> Result<(), Failure> {
    let mib = |count: usize| count << 20;
    let config = StreamsConfig::new(APP_ID)
        .state_dir(state_dir)
        .num_stream_threads(threads)
        .processing_guarantee(guarantee)
        .commit_interval(Duration::from_millis(200))
        .rocksdb_memory_bytes(mib(ROCKSDB_MIB))
        .statestore_cache_max_bytes(mib(RECORD_CACHE_MIB))
        .statestore_uncommitted_max_bytes(mib(UNCOMMITTED_MIB))
        .statestore_row_cache_max_bytes(mib(ROW_CACHE_MIB));
    let mut settings = KafkaSettings::default();
    let queue = (PRODUCER_MIB << 10).to_string();
    settings.producer.insert("queue.buffering.max.kbytes".to_owned(), queue);
    let broker = KafkaBroker::new(bootstrap, settings)?;
    let topology = topology().map_err(|errors| errors.to_string())?;
    let streams = KafkaStreams::new(topology, config, broker).map_err(|error| error.report())?;
    Ok(streams.run().map_err(|error| error.report())?)
}
