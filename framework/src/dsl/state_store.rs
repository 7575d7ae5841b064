//! Stores that the user builds and connects to processors by name.

use std::panic::Location;

use super::streams_builder::StreamsBuilder;
use crate::graph::Plan;
use crate::topology::TopologyStore;

/// A store builder of any kind: what [`StreamsBuilder::add_state_store`] takes, and what a supplier brings
/// along. Made from a store builder with `into()`.
///
/// # Source
/// `org.apache.kafka.streams.state.StoreBuilder<?>`.
pub struct AnyStoreBuilder {
    pub(crate) store: TopologyStore,
    /// What is wrong with it; `build` says so.
    pub(crate) problem: Option<String>,
}

impl AnyStoreBuilder {
    /// The store's name.
    pub fn name(&self) -> &str {
        &self.store.name
    }
}

impl std::fmt::Debug for AnyStoreBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AnyStoreBuilder").field("name", &self.store.name).finish_non_exhaustive()
    }
}

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

impl Plan {
    /// Adds a store that a builder describes, which belongs to no node yet.
    pub(crate) fn add_built(
        &mut self,
        builder: AnyStoreBuilder,
        location: &'static Location<'static>,
    ) {
        let AnyStoreBuilder { store, problem } = builder;
        if let Some(problem) = problem {
            self.report(format!("store {}", store.name), problem, location);
        }
        self.add_unconnected(store, location);
    }
}
