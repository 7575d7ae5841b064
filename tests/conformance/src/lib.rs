//! Conformance: what this project does, compared with what the real thing does.
//!
//! [`vectors`] compares topologies with recorded runs of Apache Kafka Streams.

pub mod vectors;
