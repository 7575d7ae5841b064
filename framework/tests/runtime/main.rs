//! Whole instances on the in-process broker, with real threads.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]
#![expect(clippy::indexing_slicing, reason = "the same")]
#![expect(clippy::panic, reason = "the same")]

mod app;
mod close;
mod compatibility;
mod damage;
mod edges;
mod exactly_once;
mod failures;
mod faults;
mod final_results;
mod foreign_key;
mod global;
mod health;
mod joins;
mod life_cycle;
mod map_async;
mod membership;
mod processors;
mod purge;
mod restart;
mod restoring;
mod scaling;
mod source_changelog;
mod start;
mod suppress;
