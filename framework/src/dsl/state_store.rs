//! Stores that the user builds and connects to processors by name.

use std::panic::Location;

use super::streams_builder::StreamsBuilder;
pub use crate::graph::AnyStoreBuilder;

impl StreamsBuilder {
    /// Adds a store for processors; they are connected to it by its name where they are added. A store
    /// that no processor is connected to is left out.
    ///
    /// **Shape**: one store per task, with a changelog topic unless its builder switches that off.
    ///
    /// # Source
    /// `StreamsBuilder.addStateStore`.
    #[track_caller]
    pub fn add_state_store(&self, builder: impl Into<AnyStoreBuilder>) {
        self.plan.borrow_mut().add_built(builder.into(), Location::caller());
    }
}
