//! Value transformers of the user's own: what they implement.

use std::convert::Infallible;

use super::api::ProcessorError;
use super::processor_context::ProcessorContext;
use super::punctuation::ScheduleId;
use crate::record::Timestamp;

/// What a value transformer sees of its task: everything but a way to forward.
pub type TransformContext<'a> = ProcessorContext<'a, Infallible, Infallible>;

/// Makes a new value of each value of a table, with a look at the key and at stores. It forwards nothing of
/// its own.
///
/// # Source
/// `org.apache.kafka.streams.kstream.ValueTransformerWithKey`; here it may fail, and has its context in every
/// call.
pub trait ValueTransformerWithKey<K, V, VOut>: 'static {
    /// Called before the first value, when the stores are up to date: looks stores up, makes schedules.
    ///
    /// # Errors
    /// What stops the application.
    fn init(&mut self, context: &mut TransformContext<'_>) -> Result<(), ProcessorError> {
        let _ = context;
        Ok(())
    }

    /// The new value of a row's value. A deletion is `None`; the answer `None` deletes the row.
    ///
    /// # Errors
    /// What makes the record fail.
    fn transform(
        &mut self,
        context: &mut TransformContext<'_>,
        key: &K,
        value: Option<V>,
    ) -> Result<Option<VOut>, ProcessorError>;

    /// Called when a schedule is due; see [`Processor::punctuate`](crate::Processor::punctuate).
    ///
    /// # Errors
    /// What makes the call fail.
    fn punctuate(
        &mut self,
        context: &mut TransformContext<'_>,
        schedule: ScheduleId,
        timestamp: Timestamp,
    ) -> Result<(), ProcessorError> {
        let _ = (context, schedule, timestamp);
        Ok(())
    }

    /// Called when the task stops here; its stores are still there.
    fn close(&mut self) {}
}
