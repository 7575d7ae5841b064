//! The user's processors beside their records: started, called when their schedules are due, closed.

use super::{StreamTask, guarded};
use crate::error::{Error, ErrorKind};
use crate::processor::context::TaskContext;
use crate::processor::punctuation::PunctuationType;
use crate::record::Timestamp;
use crate::topology::link::Processors;

impl StreamTask {
    /// Starts the user's processors: the stores are up to date, records follow.
    pub(crate) fn start(&mut self) -> Result<(), Error> {
        let started = guarded(|| {
            let mut processors = self.processors.values();
            processors.try_for_each(|processor| processor.borrow_mut().init(&mut self.context))
        });
        started.map_err(|error| error.in_task(self.id))
    }

    /// Closes the user's processors, drops their schedules, and cancels calls. A panic in one keeps none of the others
    /// from closing.
    pub(crate) fn stop(&mut self) {
        self.cancel_calls();
        self.context.punctuations.clear();
        for processor in self.processors.values() {
            let closed = guarded(|| {
                processor.borrow_mut().close();
                Ok(())
            });
            if let Err(error) = closed {
                tracing::warn!(task = %self.id, error = error.report(), "a processor did not close");
            }
        }
    }

    /// Makes the calls that are due by the wall clock; says whether there were any.
    pub(crate) fn punctuate_wall_clock(&mut self) -> Result<bool, Error> {
        let kind = PunctuationType::WallClockTime;
        let now = self.context.wall_clock;
        // While a commit waits for calls, none are to be added.
        if self.draining || !self.context.punctuations.may_be_due(kind, now) {
            return Ok(false);
        }
        let called = guarded(|| punctuate(&self.processors, &mut self.context, kind, now));
        self.dirty |= *called.as_ref().unwrap_or(&true);
        called.map_err(|error| error.in_task(self.id))
    }
}

/// Makes the calls that are due at a time of one clock; says whether there were any.
pub(super) fn punctuate(
    processors: &Processors,
    context: &mut TaskContext,
    kind: PunctuationType,
    now: Timestamp,
) -> Result<bool, Error> {
    let mut called = false;
    while let Some(schedule) = context.punctuations.take_due(kind, now) {
        called = true;
        context.begin_punctuation();
        let Some(processor) = processors.get(&schedule.processor) else {
            return Err(Error::new(ErrorKind::Fatal, "a schedule has no processor"));
        };
        let name = processor.borrow().name().to_owned();
        let result = context.punctuate_guarded(&name, now, |context| {
            processor.borrow_mut().punctuate(context, schedule.id, now)
        });
        context.punctuations.made(kind, schedule, now);
        result?;
    }
    Ok(called)
}
