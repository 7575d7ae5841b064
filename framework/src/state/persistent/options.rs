//! Every setting of RocksDB we depend on, set explicitly, so that another default changes nothing.

use rocksdb::{
    BlockBasedOptions, DBCompactionStyle, DBCompressionType, LogLevel, Options,
    UniversalCompactOptions, UniversalCompactionStopStyle, WriteOptions,
};

use super::env::StateEnv;

/// Small, because there are many stores, and the rows of one commit are few.
const WRITE_BUFFER_BYTES: usize = 8 << 20;
/// One is filled while the other is written to disk.
const WRITE_BUFFERS: i32 = 2;
/// What a store's first row allocates; also the unit in which the cache is charged for it.
const ARENA_BLOCK_BYTES: usize = 256 << 10;
/// One flush and one compaction at a time per database, on threads that all databases share.
const BACKGROUND_JOBS: i32 = 2;
/// RocksDB's own diary, of warnings only.
const LOG_FILE_BYTES: usize = 1 << 20;

/// Settings of a task's database.
pub(super) fn database(env: &StateEnv) -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true); // a store added to the topology starts empty
    options.set_paranoid_checks(true); // damage must show, the changelog can repair it
    options.set_write_buffer_manager(env.write_buffers());
    options.set_atomic_flush(false); // each store has its own position row, see `layout`
    options.set_max_background_jobs(BACKGROUND_JOBS);
    options.set_max_open_files(-1); // few files, and dropping ranges of files relies on it
    options.set_allow_concurrent_memtable_write(false); // one writer: ascending keys insert faster
    options.set_enable_write_thread_adaptive_yield(false); // and nobody to spin for
    options.set_avoid_unnecessary_blocking_io(true); // files are deleted in the background
    options.set_skip_stats_update_on_db_open(true); // opening must not read every file
    options.set_bytes_per_sync(1 << 20); // spreads the writing of large files over time
    options.set_manifest_preallocation_size(64 << 10); // 4 MiB for each task would be wasted
    options.set_stats_dump_period_sec(0); // no housekeeping for numbers nobody reads
    options.set_stats_persist_period_sec(0);
    options.set_log_level(LogLevel::Warn);
    options.set_max_log_file_size(LOG_FILE_BYTES);
    options.set_keep_log_file_num(2);
    options
}

/// Settings of a store's column family.
pub(super) fn column_family(env: &StateEnv) -> Options {
    let mut options = Options::default();
    options.set_write_buffer_size(WRITE_BUFFER_BYTES);
    options.set_max_write_buffer_number(WRITE_BUFFERS);
    options.set_min_write_buffer_number_to_merge(1); // flushed rows shorten the replay after a crash
    options.set_arena_block_size(ARENA_BLOCK_BYTES);
    options.set_compression_type(DBCompressionType::Lz4);
    // LZ4 on the last level too: zstd saves disk, but takes CPU at each compaction and cold read.
    options.set_bottommost_compression_type(DBCompressionType::Lz4);
    options.set_block_based_table_factory(&tables(env));
    compaction(&mut options);
    options
}

fn compaction(options: &mut Options) {
    // Universal: stores are written more than they are large, and it rewrites rows least often.
    options.set_compaction_style(DBCompactionStyle::Universal);
    let mut universal = UniversalCompactOptions::default();
    universal.set_size_ratio(1);
    universal.set_min_merge_width(2);
    universal.set_max_size_amplification_percent(200);
    universal.set_stop_style(UniversalCompactionStopStyle::Total);
    options.set_universal_compaction_options(&universal);
    options.set_num_levels(7);
    options.set_level_zero_file_num_compaction_trigger(4);
    options.set_level_zero_slowdown_writes_trigger(20);
    options.set_level_zero_stop_writes_trigger(36);
    options.set_target_file_size_base(64 << 20); // expired windows are dropped by whole files
    options.set_ttl(0); // rows expire by event time, never by the age of their file
    options.set_periodic_compaction_seconds(0);
}

fn tables(env: &StateEnv) -> BlockBasedOptions {
    let mut tables = BlockBasedOptions::default();
    tables.set_format_version(6);
    tables.set_block_size(4 << 10); // a point read decompresses one block
    tables.set_block_cache(env.cache());
    tables.set_bloom_filter(10.0, false); // 1 % of the reads of a missing key touch a block
    tables.set_whole_key_filtering(true);
    tables.set_optimize_filters_for_memory(true);
    // Indexes and filters belong to the budget; those of the newest files are needed by every read.
    tables.set_cache_index_and_filter_blocks(true);
    tables.set_cache_index_and_filter_blocks_with_high_priority(true);
    tables.set_pin_l0_filter_and_index_blocks_in_cache(true);
    tables
}

/// How batches are written: no log, because the changelog is the log.
pub(super) fn writes() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.disable_wal(true);
    options
}
