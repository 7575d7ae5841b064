//! What must hold whatever is underneath: one body of cases, run against each implementation.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "cases fail like tests")]

pub mod broker;
