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
    /// # Examples
    /// ```
    /// use kstream::state::KeyValueStore;
    /// use kstream::{
    ///     KStream, Processor, ProcessorContext, ProcessorError, Record, Stores, StreamsBuilder,
    /// };
    /// use kstream_test_utils::TopologyTestDriver;
    ///
    /// /// Forwards how much a value has changed since the key's last.
    /// #[derive(Default)]
    /// struct Difference {
    ///     last: Option<KeyValueStore<String, i64>>,
    /// }
    ///
    /// impl Processor<String, i64, String, i64> for Difference {
    ///     fn init(
    ///         &mut self,
    ///         context: &mut ProcessorContext<'_, String, i64>,
    ///     ) -> Result<(), ProcessorError> {
    ///         self.last = Some(context.store("last")?);
    ///         Ok(())
    ///     }
    ///
    ///     fn process(
    ///         &mut self,
    ///         context: &mut ProcessorContext<'_, String, i64>,
    ///         record: Record<String, i64>,
    ///     ) -> Result<(), ProcessorError> {
    ///         let store = self.last.as_ref().ok_or("init comes first")?;
    ///         let last = store.get(&record.key)?.unwrap_or(0);
    ///         store.put(&record.key, record.value)?;
    ///         let difference = record.value - last;
    ///         context.forward(record.with_value(difference))?;
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let builder = StreamsBuilder::new();
    /// let last = Stores::persistent_key_value_store("last");
    /// builder.add_state_store(Stores::key_value_store_builder::<String, i64>(last));
    /// let levels: KStream<String, i64> = builder.stream("levels");
    /// levels.process_with(Difference::default, "difference", &["last"]).to("differences");
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let input = driver.input_topic::<String, i64>("levels");
    /// input.pipe("a".to_owned(), 5)?;
    /// input.pipe("a".to_owned(), 3)?;
    /// let differences = driver.output_topic::<String, i64>("differences").read_values()?;
    /// assert_eq!(differences, [5, -2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Source
    /// `StreamsBuilder.addStateStore`.
    #[track_caller]
    pub fn add_state_store(&self, builder: impl Into<AnyStoreBuilder>) {
        self.plan.borrow_mut().add_built(builder.into(), Location::caller());
    }
}
