//! Operators through the real task, on an in-process broker and a manual clock; one module per operator.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]
#![expect(clippy::indexing_slicing, reason = "helpers of tests fail like tests")]

mod aggregate;
mod as_of_joins;
mod bad_records;
mod branch;
mod build_errors;
mod distinct;
mod filter;
mod flat_map;
mod foreign_key;
mod foreign_key_models;
mod forks;
mod fresh;
mod group;
mod harness;
mod headers;
mod map;
mod merge;
mod models;
mod names;
mod nulls;
mod optimization;
mod peek;
mod record_cache;
mod repartition;
mod stream_join_models;
mod stream_joins;
mod stream_table_joins;
mod sketches;
mod suppress;
mod suppress_models;
mod table;
mod table_models;
mod tables;
mod timestamps;
mod window_models;
mod windows;
