//! Recorded runs of Apache Kafka Streams, and the comparison of our topologies with them.
//!
//! A vector file holds one topology: its description and, for some random inputs, every record that
//! went in and came out, step by step. [`check`] feeds the same input to a [`Driver`] and reports what
//! differs. Everything here is bytes; what a topology is made of, only [`topologies`] knows.
//!
//! What must be equal: the records of output, changelog and internal topics of each step, exactly and in
//! order per topic; whether a step fails; the nodes, stores and edges of the description. Two headers of
//! dead letter records name Java's exceptions: of these only the presence counts. Where we differ on purpose,
//! `DEVIATIONS.md` says so.

mod check;
mod description;
mod file;
mod record;
mod report;
mod task_driver;
pub mod topologies;

use std::collections::BTreeMap;
use std::error::Error;

pub use check::{Difference, Outcome, check};
pub use file::{Action, Run, Step, VectorError, VectorFile};
pub use record::VectorRecord;
pub use report::Report;

/// The Streams configs of a vector file, by Kafka's names.
pub type Config = BTreeMap<String, String>;

/// Why a step failed. Only that it failed is compared.
pub type DriverError = Box<dyn Error + Send + Sync>;

/// Makes a driver without any state; called once per run.
pub type DriverFactory = Box<dyn Fn(&Config) -> Result<Box<dyn Driver>, DriverError>>;

/// A topology under test, with one task, an empty broker and a clock at 0.
pub trait Driver {
    /// The description of the topology, as `Topology::describe` prints it.
    fn describe(&self) -> String;
    /// Sends one record to an input topic and works until nothing is left to do.
    fn pipe(&mut self, record: &VectorRecord) -> Result<StepOutput, DriverError>;
    /// Moves the wall clock and works until nothing is left to do.
    fn advance_wall_clock(&mut self, ms: i64) -> Result<StepOutput, DriverError>;
}

/// What one step wrote. Topics have their full names; the order matters within a topic only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepOutput {
    /// Records on output topics, dead letters among them.
    pub out: Vec<VectorRecord>,
    /// Records on changelog topics.
    pub changelog: Vec<VectorRecord>,
    /// Records on repartition topics.
    pub internal: Vec<VectorRecord>,
}
