//! Chaos: an application on a real cluster whose instances and brokers are killed, stopped, restarted,
//! upgraded, added and removed by a seeded script, and a checker that then compares what came out with a naive
//! model of what went in.
//!
//! What always holds: the checker uses nothing of kstream, neither to read topics nor to work out the
//! truth; every process that a run starts ends with it, however it ends.

pub mod app;
pub mod checker;
mod error;
mod feeder;
mod guarantee;
mod history;
mod instances;
pub mod model;
mod monitor;
pub mod reader;
pub mod records;
mod runner;
pub mod script;
mod summary;
pub mod wire;
pub mod workload;

pub use app::Release;
pub use error::{ChaosError, FailedRun};
pub use guarantee::Guarantee;
pub use history::HISTORY_FILE;
pub use instances::AppOptions;
pub use runner::{Options, run};
pub use summary::Summary;
