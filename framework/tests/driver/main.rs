//! Operators through the real task, on an in-process broker and a manual clock; one module per operator.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]
#![expect(clippy::indexing_slicing, reason = "helpers of tests fail like tests")]

mod aggregate;
mod as_of_joins;
mod bad_records;
mod branch;
mod build_errors;
mod cogroup;
mod count_windows;
mod distinct;
mod emit_final;
mod filter;
mod flat_map;
mod foreign_key;
mod foreign_key_models;
mod forks;
mod fresh;
mod global_tables;
mod group;
mod harness;
mod headers;
mod idle;
mod late_records;
mod map;
mod merge;
mod models;
mod names;
mod nulls;
mod optimization;
mod peek;
mod processing_errors;
mod processors;
mod production_errors;
mod punctuation;
mod record_cache;
mod repartition;
mod session_windows;
mod sink_topics;
mod sketches;
mod sliding_windows;
mod stores;
mod stream_join_models;
mod stream_joins;
mod stream_table_joins;
mod suppress;
mod suppress_models;
mod table;
mod table_models;
mod tables;
mod task_order;
mod timestamps;
mod topology_builder;
mod unlimited_windows;
mod window_models;
mod windows;
