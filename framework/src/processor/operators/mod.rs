//! One operator per file.

pub(crate) mod aggregate;
pub(crate) mod branch;
pub(crate) mod filter;
pub(crate) mod final_results;
pub(crate) mod flat_map;
pub(crate) mod fold;
pub(crate) mod held_back;
pub(crate) mod late;
pub(crate) mod map;
pub(crate) mod merge;
pub(crate) mod peek;
pub(crate) mod repartition_filter;
pub(crate) mod session_aggregate;
pub(crate) mod sink;
pub(crate) mod sliding_aggregate;
pub(crate) mod source;
pub(crate) mod table_source;
pub(crate) mod to_stream;
pub(crate) mod window_keys;
pub(crate) mod windowed_aggregate;
pub(crate) mod windowed_rows;
