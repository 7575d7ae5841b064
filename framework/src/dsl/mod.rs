//! The typed surface: streams, tables, windows and their options.
//!
//! Handles are small and clonable; they share the plan that their calls extend. Types live here: below,
//! the plan is names, edges and opaque suppliers.

mod aggregation;
mod branched_kstream;
mod cogrouped_kstream;
mod kgrouped_stream;
mod kstream;
mod ktable;
mod late_records;
pub(crate) mod options;
mod repartition;
mod session_windowed_cogrouped_kstream;
mod session_windowed_kstream;
mod stores;
mod streams_builder;
mod time_windowed_cogrouped_kstream;
mod time_windowed_kstream;
mod time_windowing;

pub use branched_kstream::BranchedKStream;
pub use cogrouped_kstream::CogroupedKStream;
pub use kgrouped_stream::KGroupedStream;
pub use kstream::KStream;
pub use ktable::KTable;
pub use options::{
    Branched, Consumed, EmitStrategy, Grouped, Materialized, Named, Produced, Repartitioned,
};
pub use session_windowed_cogrouped_kstream::SessionWindowedCogroupedKStream;
pub use session_windowed_kstream::SessionWindowedKStream;
pub use streams_builder::{StreamsBuilder, Topics};
pub use time_windowed_cogrouped_kstream::TimeWindowedCogroupedKStream;
pub use time_windowed_kstream::TimeWindowedKStream;
pub use time_windowing::{CogroupWindowing, Windowing};
