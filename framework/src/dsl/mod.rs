//! The typed surface: streams, tables, windows and their options.
//!
//! Handles are small and clonable; they share the plan that their calls extend. Types live here: below,
//! the plan is names, edges and opaque suppliers.

mod branched_kstream;
mod global_ktable;
mod joins;
mod kgrouped_stream;
mod kgrouped_table;
mod kstream;
mod ktable;
pub(crate) mod options;
mod processor_supplier;
mod repartition;
mod state_store;
mod store_builder;
mod stores;
mod streams_builder;
mod time_windowed_kstream;
mod topology_builder;

pub use branched_kstream::BranchedKStream;
pub use global_ktable::GlobalKTable;
pub use kgrouped_stream::KGroupedStream;
pub use kgrouped_table::KGroupedTable;
pub use kstream::KStream;
pub use ktable::KTable;
pub use options::{Distinct, StreamJoined};
pub use options::{
    Branched, BufferConfig, Consumed, Eager, EagerBufferConfig, Grouped, Joined, Materialized,
    Named, Produced, Repartitioned, Strict, StrictBufferConfig, Suppressed, TableJoined,
};
pub use processor_supplier::{FixedKeyProcessorSupplier, ProcessorSupplier};
pub use state_store::AnyStoreBuilder;
pub use store_builder::{
    KeyValueBytesStoreSupplier, SessionBytesStoreSupplier, StoreBuilder, Stores,
    VersionedBytesStoreSupplier, WindowBytesStoreSupplier,
};
pub use streams_builder::{StreamsBuilder, Topics};
pub use time_windowed_kstream::TimeWindowedKStream;
pub use topology_builder::{ParentNode, TopologyBuilder};
