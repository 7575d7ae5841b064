//! The typed surface: streams, tables, windows and their options.
//!
//! Handles are small and clonable; they share the plan that their calls extend. Types live here: below,
//! the plan is names, edges and opaque suppliers.

mod branched_kstream;
mod joins;
mod kgrouped_stream;
mod kstream;
mod ktable;
pub(crate) mod options;
mod repartition;
mod stores;
mod streams_builder;
mod time_windowed_kstream;

pub use branched_kstream::BranchedKStream;
pub use kgrouped_stream::KGroupedStream;
pub use kstream::KStream;
pub use ktable::KTable;
pub use options::{
    Branched, Consumed, Grouped, Joined, Materialized, Named, Produced, Repartitioned, StreamJoined,
};
pub use streams_builder::{StreamsBuilder, Topics};
pub use time_windowed_kstream::TimeWindowedKStream;
