//! Kafka Streams for Rust: typed stream processing over partitioned tasks, with local state, changelogs and
//! windows.
//!
//! A program builds a [`Topology`] with a [`StreamsBuilder`] and runs it with [`KafkaStreams`], on Apache Kafka
//! ([`broker::kafka`]) or on a broker in its own process ([`broker::memory`]). Starting the program again, on
//! any machine, shares the work. Names, topics and bytes are those of Kafka Streams.
//!
//! # Examples
//! Counting page views by country, tested without any broker:
//! ```
//! use kstream::{KStream, StreamsBuilder};
//! use kstream_test_utils::TopologyTestDriver;
//!
//! let builder = StreamsBuilder::new();
//! let views: KStream<String, String> = builder.stream("page-views");
//! views.group_by(|_page, country| country.clone()).count().to_stream().to("countries");
//!
//! let driver = TopologyTestDriver::new(builder.build()?)?;
//! let input = driver.input_topic::<String, String>("page-views");
//! for (page, country) in [("/", "NL"), ("/about", "DE"), ("/", "NL")] {
//!     input.pipe(page.to_owned(), country.to_owned())?;
//! }
//! let counts = driver.output_topic::<String, i64>("countries").read_key_values()?;
//! assert_eq!(counts, [("NL".to_owned(), 1), ("DE".to_owned(), 1), ("NL".to_owned(), 2)]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod aggregates;
pub mod broker;
mod config;
#[cfg(feature = "__test-utils")]
#[doc(hidden)]
pub mod driver;
mod dsl;
mod error;
mod graph;
pub mod http;
mod ids;
pub mod metrics;
#[cfg(doctest)]
mod misuse;
mod processor;
mod record;
mod runtime;
pub mod serdes;
pub mod state;
pub mod time;
mod topology;

pub use config::{
    ChangelogUpdates, DslStoreFormat, MaxTaskIdle, ProcessingGuarantee, StreamsConfig,
};
pub use dsl::{
    AnyStoreBuilder, AsyncCalls, Branched, BranchedKStream, BufferConfig, CallOrder,
    CogroupWindowing, CogroupedKStream, Consumed, CountWindowedKStream, Distinct, Eager,
    EagerBufferConfig, EmitStrategy, FixedKeyProcessorSupplier, GlobalKTable, Grouped, Joined,
    KGroupedStream, KGroupedTable, KStream, KTable, KeyValueBytesStoreSupplier, Materialized,
    Named, ParentNode, Printed, ProcessorSupplier, Produced, Repartitioned,
    SessionBytesStoreSupplier, SessionWindowedCogroupedKStream, SessionWindowedKStream,
    StoreBuilder, StoreSource, Stores, StreamByKey, StreamJoined, StreamsBuilder, Strict,
    StrictBufferConfig, Suppressed, TableByKey, TableJoined, TimeWindowedCogroupedKStream,
    TimeWindowedKStream, Topics, TopologyBuilder, ValueTransformerWithKeySupplier,
    VersionedBytesStoreSupplier, WindowBytesStoreSupplier, Windowing,
};
pub use error::{Error, ErrorKind, TopologyError, TopologyErrors};
pub use ids::{TaskId, TopicId, TopicPartition};
pub use processor::Data;
pub use processor::api::{FixedKeyProcessor, Processor, ProcessorError};
pub use processor::handler::{
    DeadLetter, DeserializationHandler, ErrorContext, FailOnBadRecord, FailedRecord,
    HandlerResponse, LogAndContinue, ProcessingHandler, ProducedRecord, ProductionHandler,
    RecordPart, SerializationFailure, UserPanic,
};
pub use processor::processor_context::{FixedKeyProcessorContext, ProcessorContext};
pub use processor::punctuation::{PunctuationType, ScheduleId};
pub use processor::stream_partitioner::{Partitions, StreamPartitioner};
pub use processor::timestamp_extractor::{
    BuiltInTimestampExtractor, ConsumedRecord, ExtractTimestamp, TimestampExtractor,
};
pub use processor::topic_name_extractor::{RecordContext, TopicNameExtractor};
pub use processor::value_transformer::{TransformContext, ValueTransformerWithKey};
pub use record::{FixedKeyRecord, Header, Headers, Record, RecordMetadata, Timestamp};
pub use runtime::{
    KafkaStreams, State, StateRestoreListener, UncaughtErrorHandler, UncaughtErrorResponse,
};
pub use time::windows::{
    AsOf, CountWindow, CountWindowed, CountWindows, JoinWindows, SessionWindows, SlidingWindows,
    TimeWindows, UnlimitedWindows, Window, Windowed,
};
pub use topology::{
    AutoOffsetReset, StoreType, Subtopology, Topology, TopologyConfig, TopologyDescription,
    TopologyOptimization, UnknownOptimization,
};

#[doc = include_str!("../docs/kafka-streams.md")]
#[expect(clippy::doc_markdown, reason = "headings are names of Java classes")]
pub mod kafka_streams {}

#[doc = include_str!("../docs/operations.md")]
pub mod operations {}

/// The README's code, kept true by compiling it.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
