//! Rows on disk: one RocksDB per task, one column family per store, one memory budget per process.
//!
//! What always holds:
//! - A database holds committed rows only, written without a write-ahead log. A crash may lose the
//!   newest batches of a column family, never a part of one.
//! - Each column family carries its own position row, written in the batch of the rows it speaks of.
//!   After a crash the changelog is replayed from there.

mod env;
mod error;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod kill_tests;
mod layout;
mod options;
mod rows;
mod task_db;

pub use env::StateEnv;
pub use rows::PersistentRows;
pub use task_db::TaskDb;
