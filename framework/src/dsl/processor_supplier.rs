//! What makes processors: a closure, or a type that brings stores along.
//!
//! A supplier makes one processor per task, on whichever thread the task is linked.

use super::state_store::AnyStoreBuilder;
use crate::processor::api::{FixedKeyProcessor, Processor};
use crate::processor::value_transformer::ValueTransformerWithKey;

/// Makes the processors of a node, one per task. Every closure that gives a processor is one; implement it
/// to bring stores along.
///
/// # Examples
/// ```
/// use kstream::state::KeyValueStore;
/// use kstream::{
///     AnyStoreBuilder, KStream, Processor, ProcessorContext, ProcessorError, ProcessorSupplier, Record,
///     Stores, StreamsBuilder,
/// };
/// use kstream_test_utils::TopologyTestDriver;
///
/// /// Numbers the records of each key.
/// struct Numbered;
///
/// impl ProcessorSupplier<String, String, String, i64> for Numbered {
///     type Processor = Numbering;
///
///     fn get(&self) -> Numbering {
///         Numbering { numbers: None }
///     }
///
///     fn stores(&self) -> Vec<AnyStoreBuilder> {
///         let numbers = Stores::persistent_key_value_store("numbers");
///         vec![Stores::key_value_store_builder::<String, i64>(numbers).into()]
///     }
/// }
///
/// struct Numbering {
///     numbers: Option<KeyValueStore<String, i64>>,
/// }
///
/// impl Processor<String, String, String, i64> for Numbering {
///     fn init(
///         &mut self,
///         context: &mut ProcessorContext<'_, String, i64>,
///     ) -> Result<(), ProcessorError> {
///         self.numbers = Some(context.store("numbers")?);
///         Ok(())
///     }
///
///     fn process(
///         &mut self,
///         context: &mut ProcessorContext<'_, String, i64>,
///         record: Record<String, String>,
///     ) -> Result<(), ProcessorError> {
///         let numbers = self.numbers.as_ref().ok_or("init comes first")?;
///         let number = numbers.get(&record.key)?.unwrap_or(0) + 1;
///         numbers.put(&record.key, number)?;
///         context.forward(record.with_value(number))?;
///         Ok(())
///     }
/// }
///
/// let builder = StreamsBuilder::new();
/// let views: KStream<String, String> = builder.stream("views");
/// views.process(Numbered).to("numbers");
/// let driver = TopologyTestDriver::new(builder.build()?)?;
/// let input = driver.input_topic::<String, String>("views");
/// input.pipe("ann".to_owned(), "/".to_owned())?;
/// input.pipe("ann".to_owned(), "/about".to_owned())?;
/// let numbers = driver.output_topic::<String, i64>("numbers").read_values()?;
/// assert_eq!(numbers, [1, 2]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
