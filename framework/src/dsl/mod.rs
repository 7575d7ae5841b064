//! The typed surface: streams, tables, windows and their options.
//!
//! Handles are small and clonable; they share the plan that their calls extend. Types live here: below,
//! the plan is names, edges and opaque suppliers.

mod aggregation;
mod branched_kstream;
mod cogrouped_kstream;
mod count_windowed_kstream;
mod global_ktable;
pub(crate) mod join_sides;
mod joins;
mod kgrouped_stream;
mod kgrouped_table;
mod kstream;
mod ktable;
mod late_records;
pub(crate) mod options;
mod placement;
mod processor_supplier;
mod repartition;
mod session_windowed_cogrouped_kstream;
mod session_windowed_kstream;
mod state_store;
mod store_builder;
mod stores;
mod streams_builder;
mod time_windowed_cogrouped_kstream;
mod time_windowed_kstream;
mod time_windowing;
mod topology_builder;

pub use branched_kstream::BranchedKStream;
pub use cogrouped_kstream::CogroupedKStream;
pub use count_windowed_kstream::CountWindowedKStream;
pub use global_ktable::GlobalKTable;
pub use join_sides::{StreamByKey, TableByKey};
pub use kgrouped_stream::KGroupedStream;
pub use kgrouped_table::KGroupedTable;
pub use kstream::KStream;
pub use ktable::KTable;
pub use options::{
    AsyncCalls, Branched, BufferConfig, CallOrder, Consumed, Distinct, Eager, EagerBufferConfig,
    EmitStrategy, Grouped, Joined, Materialized, Named, Printed, Produced, Repartitioned,
    StreamJoined, Strict, StrictBufferConfig, Suppressed, TableJoined,
};
pub use processor_supplier::{
    FixedKeyProcessorSupplier, ProcessorSupplier, ValueTransformerWithKeySupplier,
};
pub use session_windowed_cogrouped_kstream::SessionWindowedCogroupedKStream;
pub use session_windowed_kstream::SessionWindowedKStream;
pub use state_store::AnyStoreBuilder;
pub use store_builder::{
    KeyValueBytesStoreSupplier, SessionBytesStoreSupplier, StoreBuilder, Stores,
    VersionedBytesStoreSupplier, WindowBytesStoreSupplier,
};
pub use streams_builder::{StreamsBuilder, Topics};
pub use time_windowed_cogrouped_kstream::TimeWindowedCogroupedKStream;
pub use time_windowed_kstream::TimeWindowedKStream;
pub use time_windowing::{CogroupWindowing, Windowing};
pub use topology_builder::{ParentNode, StoreSource, TopologyBuilder};
