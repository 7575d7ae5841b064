//! One operator per file.

pub(crate) mod aggregate;
pub(crate) mod branch;
pub(crate) mod filter;
pub(crate) mod flat_map;
pub(crate) mod fold;
pub(crate) mod held_back;
pub(crate) mod join_window;
pub(crate) mod kept_rows;
pub(crate) mod map;
pub(crate) mod merge;
pub(crate) mod peek;
pub(crate) mod process;
pub(crate) mod repartition_filter;
pub(crate) mod self_join;
pub(crate) mod sink;
pub(crate) mod source;
pub(crate) mod stream_join;
pub(crate) mod stream_table_join;
pub(crate) mod table_derive;
pub(crate) mod table_join;
pub(crate) mod table_join_merge;
pub(crate) mod table_select;
pub(crate) mod table_source;
pub(crate) mod to_stream;
pub(crate) mod unmatched;
pub(crate) mod windowed_aggregate;
