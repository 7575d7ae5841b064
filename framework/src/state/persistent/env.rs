//! What all databases of a process share: one cache, one limit for unflushed rows, one budget.

use std::fmt;

use rocksdb::{Cache, WriteBufferManager};

/// The memory of all RocksDB databases of a process. Cloning shares it.
///
/// Blocks read, indexes, filters and rows not flushed yet are all charged to one cache, so the budget
/// holds however many tasks and stores there are.
#[derive(Clone)]
pub struct StateEnv {
    cache: Cache,
    write_buffers: WriteBufferManager,
}

impl StateEnv {
    /// The budget of a process that asks for no other: a quarter of a GiB.
    pub const DEFAULT_BUDGET_BYTES: usize = 256 << 20;

    /// An environment whose databases together keep `budget_bytes` in memory. It takes memory only as
    /// rows are written and read.
    pub fn new(budget_bytes: usize) -> Self {
        // Charge 0: the table grows with use, where a guess of the entry size would be wrong, because
        // unflushed rows are charged in pieces of their own size.
        let cache = Cache::new_hyper_clock_cache(budget_bytes, 0);
        // Half for unflushed rows. No stall at the limit: it would stop all stream threads at once.
        let write_buffers = WriteBufferManager::new_write_buffer_manager_with_cache(
            budget_bytes / 2,
            false,
            cache.clone(),
        );
        Self { cache, write_buffers }
    }

    /// Bytes in the cache now, with the charge for unflushed rows.
    pub fn block_cache_bytes(&self) -> u64 {
        self.cache.get_usage() as u64
    }

    /// Bytes of rows that are not on disk yet.
    pub fn memtable_bytes(&self) -> u64 {
        self.write_buffers.get_usage() as u64
    }

    pub(super) fn cache(&self) -> &Cache {
        &self.cache
    }

    pub(super) fn write_buffers(&self) -> &WriteBufferManager {
        &self.write_buffers
    }
}

impl Default for StateEnv {
    fn default() -> Self {
        Self::new(Self::DEFAULT_BUDGET_BYTES)
    }
}

impl fmt::Debug for StateEnv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateEnv")
            .field("block_cache_bytes", &self.block_cache_bytes())
            .field("memtable_bytes", &self.memtable_bytes())
            .finish()
    }
}
