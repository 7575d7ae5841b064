//! From join calls to nodes and stores of the plan.

pub(super) mod as_of;
pub(super) mod repartition;
mod sides;
pub(super) mod stores;
pub(super) mod streams;
pub(super) mod table;
