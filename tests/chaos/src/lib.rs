//! Chaos: an application on a real cluster whose instances and brokers are killed, stopped, restarted,
//! added and removed by a seeded script, and a checker that then compares what came out with a naive
//! model of what went in.
//!
//! What always holds: the checker uses nothing of kstream, neither to read topics nor to work out the
//! truth; every process that a run starts ends with it, however it ends.

pub mod app;
pub mod checker;
mod guarantee;
pub mod model;
pub mod records;
pub mod wire;

pub use guarantee::Guarantee;
