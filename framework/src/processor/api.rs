//! Processors of the user's own: what they implement.
//!
//! A processor belongs to one task and so to one thread: it may keep what it likes in its fields.

use super::processor_context::{FixedKeyProcessorContext, ProcessorContext};
use super::punctuation::ScheduleId;
use crate::record::{FixedKeyRecord, Record, Timestamp};

/// Why a processor cannot go on: any error. One of the framework's own, as
/// [`ProcessorContext::forward`] gives it, keeps what it says about its place.
pub type ProcessorError = Box<dyn std::error::Error + Send + Sync>;

/// Works on records one by one: may change keys, values, timestamps and headers, forward any number of
/// records, keep state in stores, and be called at intervals of time.
///
/// A processor that forwards nothing has [`Infallible`](std::convert::Infallible) as `KOut` and `VOut`.
///
/// # Source
/// `org.apache.kafka.streams.processor.api.Processor`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no processor of `{KIn}` keys and `{VIn}` values",
    note = "implement `Processor<{KIn}, {VIn}, …>` for it, or `map` the stream to the types that it takes"
)]
pub trait Processor<KIn, VIn, KOut, VOut>: 'static {
    /// Called before the first record, when the stores are up to date: looks stores up, makes schedules.
    /// Called again when a task that was given away comes back.
    ///
    /// # Errors
    /// What stops the application.
    fn init(
        &mut self,
        context: &mut ProcessorContext<'_, KOut, VOut>,
    ) -> Result<(), ProcessorError> {
        let _ = context;
        Ok(())
    }

    /// Handles one record.
    ///
    /// # Errors
    /// What makes the record fail; forwarded errors among them.
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, KOut, VOut>,
        record: Record<KIn, VIn>,
    ) -> Result<(), ProcessorError>;

    /// Called when a schedule is due. `timestamp` is the present stream time or wall clock, in milliseconds; a
    /// call stands for all times of its schedule since the last one.
    ///
    /// # Errors
    /// What makes the call fail; forwarded errors among them.
    fn punctuate(
        &mut self,
        context: &mut ProcessorContext<'_, KOut, VOut>,
        schedule: ScheduleId,
        timestamp: Timestamp,
    ) -> Result<(), ProcessorError> {
        let _ = (context, schedule, timestamp);
        Ok(())
    }

    /// Called when the task stops here; its stores are still there, but nothing can be forwarded.
    fn close(&mut self) {}
}

/// A [`Processor`] that cannot change keys, so that no repartition topic is needed behind it.
///
/// # Source
/// `org.apache.kafka.streams.processor.api.FixedKeyProcessor` (KIP-820).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no fixed-key processor of `{K}` keys and `{VIn}` values",
    note = "implement `FixedKeyProcessor<{K}, {VIn}, …>` for it, or `map` the stream to the types that it takes"
)]
pub trait FixedKeyProcessor<K, VIn, VOut>: 'static {
    /// See [`Processor::init`].
    ///
    /// # Errors
    /// What stops the application.
    fn init(
        &mut self,
        context: &mut FixedKeyProcessorContext<'_, K, VOut>,
    ) -> Result<(), ProcessorError> {
        let _ = context;
        Ok(())
    }

    /// Handles one record.
    ///
    /// # Errors
    /// What makes the record fail; forwarded errors among them.
    fn process(
        &mut self,
        context: &mut FixedKeyProcessorContext<'_, K, VOut>,
        record: FixedKeyRecord<K, VIn>,
    ) -> Result<(), ProcessorError>;

    /// See [`Processor::punctuate`]. There is no record to forward here, except one that was kept.
    ///
    /// # Errors
    /// What makes the call fail; forwarded errors among them.
    fn punctuate(
        &mut self,
        context: &mut FixedKeyProcessorContext<'_, K, VOut>,
        schedule: ScheduleId,
        timestamp: Timestamp,
    ) -> Result<(), ProcessorError> {
        let _ = (context, schedule, timestamp);
        Ok(())
    }

    /// See [`Processor::close`].
    fn close(&mut self) {}
}
