//! What makes processors: a closure, or a type that brings stores along.
//!
//! A supplier makes one processor per task, on whichever thread the task is linked.

use super::state_store::AnyStoreBuilder;
use crate::processor::api::{FixedKeyProcessor, Processor};
use crate::processor::value_transformer::ValueTransformerWithKey;

/// Makes the processors of a node, one per task. Every closure that gives a processor is one; implement it
/// to bring stores along.
///
/// # Source
/// `org.apache.kafka.streams.processor.api.ProcessorSupplier`, `ConnectedStoreProvider` (KIP-401).
pub trait ProcessorSupplier<KIn, VIn, KOut, VOut>: Send + Sync + 'static {
    /// What it makes.
    type Processor: Processor<KIn, VIn, KOut, VOut>;

    /// A new processor.
    fn get(&self) -> Self::Processor;

    /// Stores that are added to the topology and connected to the node. Suppliers that bring a store of the
    /// same name and kind share it.
    fn stores(&self) -> Vec<AnyStoreBuilder> {
        Vec::new()
    }
}

impl<F, P, KIn, VIn, KOut, VOut> ProcessorSupplier<KIn, VIn, KOut, VOut> for F
where
    F: Fn() -> P + Send + Sync + 'static,
    P: Processor<KIn, VIn, KOut, VOut>,
{
    type Processor = P;

    fn get(&self) -> P {
        self()
    }
}

/// Makes fixed-key processors; see [`ProcessorSupplier`].
///
/// # Source
/// `org.apache.kafka.streams.processor.api.FixedKeyProcessorSupplier`.
pub trait FixedKeyProcessorSupplier<K, VIn, VOut>: Send + Sync + 'static {
    /// What it makes.
    type Processor: FixedKeyProcessor<K, VIn, VOut>;

    /// A new processor.
    fn get(&self) -> Self::Processor;

    /// See [`ProcessorSupplier::stores`].
    fn stores(&self) -> Vec<AnyStoreBuilder> {
        Vec::new()
    }
}

impl<F, P, K, VIn, VOut> FixedKeyProcessorSupplier<K, VIn, VOut> for F
where
    F: Fn() -> P + Send + Sync + 'static,
    P: FixedKeyProcessor<K, VIn, VOut>,
{
    type Processor = P;

    fn get(&self) -> P {
        self()
    }
}

/// Makes value transformers; see [`ProcessorSupplier`].
///
/// # Source
/// `org.apache.kafka.streams.kstream.ValueTransformerWithKeySupplier`.
pub trait ValueTransformerWithKeySupplier<K, V, VOut>: Send + Sync + 'static {
    /// What it makes.
    type Transformer: ValueTransformerWithKey<K, V, VOut>;

    /// A new transformer.
    fn get(&self) -> Self::Transformer;

    /// See [`ProcessorSupplier::stores`].
    fn stores(&self) -> Vec<AnyStoreBuilder> {
        Vec::new()
    }
}

impl<F, T, K, V, VOut> ValueTransformerWithKeySupplier<K, V, VOut> for F
where
    F: Fn() -> T + Send + Sync + 'static,
    T: ValueTransformerWithKey<K, V, VOut>,
{
    type Transformer = T;

    fn get(&self) -> T {
        self()
    }
}
