//! Conformance: what must hold whatever is underneath.
//!
//! [`broker`] is one body of cases for every broker port; [`vectors`] compares topologies with recorded
//! runs of Apache Kafka Streams.

#[expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "its cases fail like tests"
)]
pub mod broker;
pub mod vectors;
