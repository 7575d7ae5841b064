//! The commit of a thread's tasks, at least once.
//!
//! The steps, and what a crash leaves. Input offsets are committed last, so what a crash takes away is
//! processed again; rows reach the local store only when the changelog has them, so a store never holds a
//! row that its changelog lacks.

use std::time::Duration;

use crate::broker::CommittedOffset;
use crate::error::Error;
use crate::ids::TopicPartition;
use crate::processor::collector::SharedProducer;
use crate::record::Timestamp;
use crate::runtime::task::StreamTask;

/// How long one wait for acknowledgements lasts before it is reported and begun again.
const FLUSH_PATIENCE: Duration = Duration::from_secs(10);

/// The places between the steps of a commit; a test stops there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommitStep {
    CachesFlushed,
    ChangelogsSent,
    Acknowledged,
    StoresWritten,
    OffsetsCommitted,
}

/// Offsets behind the last processed records.
pub(crate) type Offsets = Vec<(TopicPartition, CommittedOffset)>;

/// What a commit needs beside its tasks.
pub(crate) struct Commit<'a> {
    pub(crate) producer: &'a SharedProducer,
    pub(crate) now_ms: Timestamp,
    /// Commits input offsets as a member of the group.
    pub(crate) input_offsets: &'a mut dyn FnMut(Offsets) -> Result<(), Error>,
    /// Called between the steps.
    pub(crate) between: &'a mut dyn FnMut(CommitStep) -> Result<(), Error>,
}

impl Commit<'_> {
    /// Commits the tasks that have processed something.
    pub(crate) fn run<'t>(
        self,
        tasks: impl Iterator<Item = &'t mut StreamTask>,
    ) -> Result<(), Error> {
        let mut tasks: Vec<&mut StreamTask> = tasks.filter(|task| task.needs_commit()).collect();
        if tasks.is_empty() {
            return Ok(());
        }
        // 1. What the record cache holds back goes downstream.
        //    Crash: rows are in memory only, so the state is as if nothing had happened. What has gone
        //    downstream may have been sent, and is sent again: at least once.
        for task in &mut tasks {
            task.flush_caches()?;
        }
        (self.between)(CommitStep::CachesFlushed)?;
        // ORDER: what a buffer has given out is acknowledged before its changelog forgets it. A crash
        //    in between gives it out again; the other way round it would be lost, because its input need
        //    not come again: it is long committed.
        if tasks.iter().any(|task| task.gave_out()) {
            self.deliver(&mut tasks)?;
        }
        // 2. Rows go to the changelogs.
        //    Crash: the changelog may have some of them, and the store none. Restoring gives those rows, and
        //    their input is processed again: at least once.
        for task in &mut tasks {
            task.send_changelogs().map_err(|error| error.in_task(task.id))?;
        }
        (self.between)(CommitStep::ChangelogsSent)?;
        // 3. ORDER: everything sent is acknowledged before any row is written locally.
        //    Crash: the changelog has all rows, the store none. The tail is replayed, and its input is
        //    processed again: at least once.
        self.deliver(&mut tasks)?;
        (self.between)(CommitStep::Acknowledged)?;
        // 4. Rows and changelog position go to the local store in one batch per store.
        //    Crash: each store has its batch or not; the position says from where to replay. Input
        //    offsets are still the old ones: at least once.
        for task in &mut tasks {
            task.write_stores(self.producer, self.now_ms)
                .map_err(|error| error.in_task(task.id))?;
        }
        (self.between)(CommitStep::StoresWritten)?;
        // 5. ORDER: input offsets last. If the group refuses them, the tasks belong to somebody else by
        //    now; the rows written above are in the changelog, so whoever restores it has them too.
        //    Crash after this: nothing is lost and nothing is repeated.
        let offsets: Offsets = tasks.iter().flat_map(|task| task.consumed_offsets()).collect();
        // There are none where only punctuations have happened.
        if !offsets.is_empty() {
            (self.input_offsets)(offsets)?;
        }
        (self.between)(CommitStep::OffsetsCommitted)?;
        for task in &mut tasks {
            task.committed();
        }
        Ok(())
    }

    /// Waits until everything sent is acknowledged; the production handler decides about what is refused.
    fn deliver(&self, tasks: &mut [&mut StreamTask]) -> Result<(), Error> {
        loop {
            flush(self.producer)?;
            let refused = self.producer.borrow_mut().take_undelivered();
            if refused.is_empty() {
                return Ok(());
            }
            for record in refused {
                // INVARIANT: a changelog has every row of its store.
                if tasks.iter().any(|task| task.logs_to(&record.partition)) {
                    return Err(record.error.into());
                }
                if let Some(task) = tasks.first_mut() {
                    let decided = task.context.delivery_failed(record);
                    decided.map_err(|error| error.in_task(task.id))?;
                }
            }
        }
    }
}

/// Waits until everything sent is acknowledged, however long a broker is away.
fn flush(producer: &SharedProducer) -> Result<(), Error> {
    loop {
        match producer.borrow_mut().flush(FLUSH_PATIENCE) {
            Err(error) if error.is_retriable() => {
                tracing::warn!(error = %error, "the broker has not acknowledged everything yet; waiting");
            }
            result => return Ok(result?),
        }
    }
}

#[cfg(test)]
mod tests;
