//! The runtime: tasks, threads, commit, restore, membership.
//!
//! A control thread listens to the group and deals tasks to stream threads; each stream thread runs its tasks
//! with one consumer and one producer; a task belongs to one thread at a time.

mod active_task;
pub(crate) mod commit;
mod compatibility;
mod control;
mod fencing;
pub(crate) mod global;
mod housekeeping;
mod kafka_streams;
mod membership;
mod ownership;
mod pulse;
mod purge;
mod restore;
mod shared;
mod status;
mod stores;
mod stream_thread;
pub(crate) mod task;
mod topics;
mod uncaught;
mod watchdog;

pub use kafka_streams::KafkaStreams;
pub use restore::StateRestoreListener;
pub use status::State;
pub(crate) use uncaught::SharedHandler;
pub use uncaught::{UncaughtErrorHandler, UncaughtErrorResponse};
