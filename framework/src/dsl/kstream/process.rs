//! Processors of the user's own in a stream.

use std::marker::PhantomData;
use std::panic::Location;
use std::rc::Rc;

use super::{KStream, Operator};
use crate::dsl::options::Named;
use crate::dsl::processor_supplier::{FixedKeyProcessorSupplier, ProcessorSupplier};
use crate::graph::{GraphNodeKind, UserStores};
use crate::processor::Data;
use crate::processor::operators::process::{Process, ProcessValues};
use crate::topology::link::{NodeSupplier, processor};

impl<K: Data, V: Data> KStream<K, V> {
    /// Gives each record to a processor of the user's own, which forwards what it likes.
    ///
    /// **Shape**: `(K, V)` → `(KOut, VOut)`, any number per record and per punctuation. The key may change: a
    /// grouping behind it goes through a repartition topic; [`KStream::process_values`] saves that.
    ///
    /// # Errors
    /// What the processor fails with stops the application, or goes to its handler, with the node's name.
    ///
    /// # Examples
    /// ```
    /// use kstream::{KStream, Processor, ProcessorContext, ProcessorError, Record, StreamsBuilder};
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// struct Halves;
    ///
    /// impl Processor<String, i64, String, i64> for Halves {
    ///     fn process(
    ///         &mut self,
    ///         context: &mut ProcessorContext<'_, String, i64>,
    ///         record: Record<String, i64>,
    ///     ) -> Result<(), ProcessorError> {
    ///         let half = record.value / 2;
    ///         context.forward(record.clone().with_value(half))?;
    ///         let rest = record.value - half;
    ///         context.forward(record.with_value(rest))?;
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let builder = StreamsBuilder::new();
    /// let sizes: KStream<String, i64> = builder.stream("sizes");
    /// sizes.process(|| Halves).to("halves");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input_topic::<String, i64>("sizes").pipe("a".to_owned(), 7)?;
    /// let halves = driver.output_topic::<String, i64>("halves").read_key_values()?;
    /// assert_eq!(halves, [("a".to_owned(), 3), ("a".to_owned(), 4)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// `KStream.process`.
    #[track_caller]
    pub fn process<KOut: Data, VOut: Data>(
        &self,
        supplier: impl ProcessorSupplier<K, V, KOut, VOut>,
    ) -> KStream<KOut, VOut> {
        self.process_with(supplier, Named::default(), &[])
    }

    /// [`KStream::process`] with a name, and with the names of the stores that the processor uses: those of
    /// [`add_state_store`](crate::StreamsBuilder::add_state_store) and of tables. Global stores need no naming.
    #[track_caller]
    pub fn process_with<KOut: Data, VOut: Data>(
        &self,
        supplier: impl ProcessorSupplier<K, V, KOut, VOut>,
        named: impl Into<Named>,
        stores: &[&str],
    ) -> KStream<KOut, VOut> {
        let used = UserStores::new(stores, supplier.stores());
        let node = process_supplier(supplier);
        let named = named.into();
        let operator = Operator { prefix: "KSTREAM-PROCESSOR-", named, changes_key: true };
        self.add_processor(operator, node, used)
    }

    /// Gives each record to a processor of the user's own that keeps the key.
    ///
    /// **Shape**: `(K, V)` → `(K, VOut)`, any number per record; the key does not change.
    ///
    /// # Errors
    /// What the processor fails with stops the application, or goes to its handler, with the node's name.
    ///
    /// # Examples
    /// ```
    /// use kstream::{
    ///     FixedKeyProcessor, FixedKeyProcessorContext, FixedKeyRecord, KStream, ProcessorError,
    ///     StreamsBuilder,
    /// };
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// /// Notes where each record came from.
    /// struct Origin;
    ///
    /// impl FixedKeyProcessor<String, String, String> for Origin {
    ///     fn process(
    ///         &mut self,
    ///         context: &mut FixedKeyProcessorContext<'_, String, String>,
    ///         record: FixedKeyRecord<String, String>,
    ///     ) -> Result<(), ProcessorError> {
    ///         let offset = context.record_metadata().map_or(-1, |metadata| metadata.offset);
    ///         let value = format!("{} at {offset}", record.value);
    ///         context.forward(record.with_value(value))?;
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let builder = StreamsBuilder::new();
    /// let views: KStream<String, String> = builder.stream("views");
    /// views.process_values(|| Origin).to("origins");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// driver.input_topic::<String, String>("views").pipe("NL".to_owned(), "/".to_owned())?;
    /// let origins = driver.output_topic::<String, String>("origins").read_key_values()?;
    /// assert_eq!(origins, [("NL".to_owned(), "/ at 0".to_owned())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// `KStream.processValues` (KIP-820).
    #[track_caller]
    pub fn process_values<VOut: Data>(
        &self,
        supplier: impl FixedKeyProcessorSupplier<K, V, VOut>,
    ) -> KStream<K, VOut> {
        self.process_values_with(supplier, Named::default(), &[])
    }

    /// [`KStream::process_values`] with a name and stores, as [`KStream::process_with`].
    #[track_caller]
    pub fn process_values_with<VOut: Data>(
        &self,
        supplier: impl FixedKeyProcessorSupplier<K, V, VOut>,
        named: impl Into<Named>,
        stores: &[&str],
    ) -> KStream<K, VOut> {
        let used = UserStores::new(stores, supplier.stores());
        let node = process_values_supplier(supplier);
        let named = named.into();
        let operator = Operator { prefix: "KSTREAM-PROCESSVALUES-", named, changes_key: false };
        self.add_processor(operator, node, used)
    }

    #[track_caller]
    fn add_processor<KOut: Data, VOut: Data>(
        &self,
        operator: Operator,
        supplier: NodeSupplier,
        stores: UserStores,
    ) -> KStream<KOut, VOut> {
        let location = Location::caller();
        let mut plan = self.plan.borrow_mut();
        // KAFKA: a name of the user's uses no number up here.
        let name = operator.named.0.unwrap_or_else(|| plan.processor_name(operator.prefix));
        let kind = GraphNodeKind::Processor { name, supplier, stores: Vec::new() };
        let node = plan.add_node(vec![self.node], kind, location);
        plan.connect(node, stores, location);
        drop(plan);
        let repartition_required = self.repartition_required || operator.changes_key;
        let key_serde = if operator.changes_key { None } else { self.key_serde_of() };
        KStream::new(Rc::clone(&self.plan), node, repartition_required).with_key_serde(key_serde)
    }
}

/// A supplier of nodes with processors.
pub(crate) fn process_supplier<K: Data, V: Data, KOut: Data, VOut: Data>(
    supplier: impl ProcessorSupplier<K, V, KOut, VOut>,
) -> NodeSupplier {
    processor(move |linker| {
        Ok(Process {
            processor: supplier.get(),
            node: linker.processor_node(),
            next: linker.outlet()?,
            input: PhantomData,
        })
    })
}

/// A supplier of nodes with fixed-key processors.
pub(crate) fn process_values_supplier<K: Data, V: Data, VOut: Data>(
    supplier: impl FixedKeyProcessorSupplier<K, V, VOut>,
) -> NodeSupplier {
    processor(move |linker| {
        Ok(ProcessValues {
            processor: supplier.get(),
            node: linker.processor_node(),
            next: linker.outlet()?,
            input: PhantomData,
        })
    })
}
