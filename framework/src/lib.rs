//! Kafka Streams for Rust.

pub mod broker;
mod config;
#[cfg(feature = "__test-utils")]
#[doc(hidden)]
pub mod driver;
mod dsl;
mod error;
mod graph;
mod ids;
pub mod http;
pub mod metrics;
mod processor;
mod record;
mod runtime;
pub mod serdes;
pub mod state;
pub mod time;
mod topology;

pub use config::StreamsConfig;
pub use dsl::{
    Branched, BranchedKStream, Consumed, Grouped, KGroupedStream, KStream, KTable, Materialized,
    Named, Produced, Repartitioned, StreamsBuilder, TimeWindowedKStream, TimeWindows, Topics,
    Window, Windowed,
};
pub use error::{Error, ErrorKind, TopologyError, TopologyErrors};
pub use ids::{TaskId, TopicPartition};
pub use processor::Data;
pub use processor::handler::{
    DeserializationHandler, ErrorContext, FailOnBadRecord, HandlerResponse, LogAndContinue,
};
pub use processor::timestamp_extractor::{ExtractTimestamp, TimestampExtractor};
pub use record::{Header, Headers, Record, RecordMetadata, Timestamp};
pub use runtime::{KafkaStreams, State};
pub use topology::{AutoOffsetReset, StoreType, Subtopology, Topology, TopologyDescription};
