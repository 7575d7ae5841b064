//! Kafka Streams for Rust.

pub mod broker;
pub mod dsl;
mod ids;
mod record;
pub mod serdes;
pub mod state;
pub mod time;

pub use ids::{TaskId, TopicPartition};
pub use record::{Header, Headers, Record, RecordMetadata, Timestamp};
