//! Kafka Streams for Rust.

pub mod broker;
pub mod dsl;
pub mod http;
mod ids;
pub mod metrics;
mod record;
pub mod serdes;
pub mod state;
pub mod time;

pub use ids::{TaskId, TopicPartition};
pub use record::{Header, Headers, Record, RecordMetadata, Timestamp};
