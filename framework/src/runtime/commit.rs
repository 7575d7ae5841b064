//! The commit of a thread's tasks.
//!
//! The steps, and what a crash leaves. *At least once*: input offsets are committed last, so what a crash
//! takes away is processed again. *Exactly once*: output, changelogs and input offsets are one transaction,
//! and it decides.
//!
//! INVARIANT: rows reach the local store only when the changelog has them for good, so a store never holds a
//! row that its changelog lacks: recovery is to replay the tail, whatever happened.

use std::time::Duration;

use crate::broker::{BrokerError, BrokerErrorKind, CommittedOffset, GroupMetadata};
use crate::error::{Error, ErrorKind};
use crate::ids::TopicPartition;
use crate::processor::collector::SharedProducer;
use crate::record::Timestamp;
use crate::runtime::task::StreamTask;

/// How long one wait for the broker lasts before it is reported and begun again.
const PATIENCE: Duration = Duration::from_secs(10);

/// The places between the steps of a commit; a test stops there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommitStep {
    CachesFlushed,
    ChangelogsSent,
    Acknowledged,
    /// At least once only.
    OffsetsCommitted,
    /// Exactly once only: the offsets are part of the transaction.
    OffsetsSent,
    /// Exactly once only.
    TransactionCommitted,
    StoresWritten,
}

/// Offsets behind the last processed records.
pub(crate) type Offsets = Vec<(TopicPartition, CommittedOffset)>;

/// How input offsets are committed.
pub(crate) enum InputOffsets<'a> {
    /// By themselves, as a member of the group; at the end.
    AtLeastOnce(&'a mut dyn FnMut(Offsets) -> Result<(), Error>),
    /// In the transaction of the output, on behalf of the member that this call names; it fails if the
    /// tasks are not its own any more.
    ExactlyOnce(&'a mut dyn FnMut() -> Result<GroupMetadata, Error>),
}

/// What a commit needs beside its tasks.
pub(crate) struct Commit<'a> {
    pub(crate) producer: &'a SharedProducer,
    pub(crate) now_ms: Timestamp,
    pub(crate) input_offsets: InputOffsets<'a>,
    /// Called between the steps.
    pub(crate) between: &'a mut dyn FnMut(CommitStep) -> Result<(), Error>,
    /// Called while the broker is waited for.
    pub(crate) waiting: &'a dyn Fn(),
}

impl Commit<'_> {
    /// Commits the tasks that have processed something.
    ///
    /// # Errors
    /// `Retriable`: the commit is to be made again, as a whole, by tasks that may have gone on meanwhile.
    /// `TransactionAborted`: exactly once, and nothing of it is committed, or it is not known whether: what the
    /// tasks hold in memory is to be forgotten, and they go on from what a reader of committed records finds.
    pub(crate) fn run<'t>(
        mut self,
        tasks: impl Iterator<Item = &'t mut StreamTask>,
    ) -> Result<(), Error> {
        let mut tasks: Vec<&mut StreamTask> = tasks.filter(|task| task.needs_commit()).collect();
        if tasks.is_empty() {
            return Ok(());
        }
        let transactional = matches!(self.input_offsets, InputOffsets::ExactlyOnce(_));
        // 1. What the record cache holds back goes downstream.
        //    Crash: rows are in memory only, so the state is as if nothing had happened. What has gone
        //    downstream may have been sent, and is sent again. Exactly once: nobody reads it, because its
        //    transaction is aborted.
        for task in &mut tasks {
            task.flush_caches()?;
            task.find_changelogs().map_err(|error| error.in_task(task.id))?;
        }
        // ORDER: what a buffer has given out is acknowledged before its changelog forgets it. A crash
        //    in between gives it out again; the other way round it would be lost, because its input need
        //    not come again: it is long committed. In a transaction the two are one.
        if !transactional && tasks.iter().any(|task| task.gave_out()) {
            self.deliver(&mut tasks)?;
        }
        (self.between)(CommitStep::CachesFlushed)?;
        // 2. Rows go to the changelogs.
        //    ORDER: the caller makes sure in `between`, before and after, that the process has not been away: at
        //    least once nobody would refuse the rows of tasks that are somebody else's by now. If it is away
        //    later, the rows' lifetime ends before the group gives its tasks away.
        //    Crash: the changelog may have some of them, and the store none. Restoring gives those rows, and
        //    their input is processed again: at least once. Exactly once: restoring passes them over.
        for task in &mut tasks {
            task.send_changelogs().map_err(|error| error.in_task(task.id))?;
        }
        (self.between)(CommitStep::ChangelogsSent)?;
        // 3. ORDER: everything sent is acknowledged before any row is written locally, and before the
        //    transaction may be committed.
        //    Crash: the changelog has all rows, the store none. At least once: the tail is replayed, and its
        //    input is processed again. Exactly once: as before.
        self.deliver(&mut tasks)?;
        (self.between)(CommitStep::Acknowledged)?;
        let offsets: Offsets = tasks.iter().flat_map(|task| task.consumed_offsets()).collect();
        if transactional {
            self.commit_transaction(&offsets)?;
        }
        // At least once 4, exactly once 6. Rows and changelog position go to the local store in one batch
        //    per store.
        //    Crash: each store has its batch or not; the position says from where to replay. Input
        //    offsets are still the old ones: at least once. Exactly once: the commit stands, and replaying
        //    the tail adds what a store lacks.
        for task in &mut tasks {
            task.write_stores(self.producer, self.now_ms)
                .map_err(|error| error.in_task(task.id))?;
        }
        (self.between)(CommitStep::StoresWritten)?;
        if let InputOffsets::AtLeastOnce(commit) = &mut self.input_offsets {
            // 5. ORDER: input offsets last. If the group refuses them, the tasks belong to somebody else by
            //    now; the rows written above are in the changelog, so whoever restores it has them too.
            //    Crash after this: nothing is lost and nothing is repeated.
            // There are none where the group has never had any, and only punctuations have happened.
            if !offsets.is_empty() {
                commit(offsets)?;
            }
            (self.between)(CommitStep::OffsetsCommitted)?;
        }
        for task in &mut tasks {
            task.committed();
        }
        Ok(())
    }

    /// Exactly once, 4 and 5: input offsets join the transaction, and it is committed.
    fn commit_transaction(&mut self, offsets: &Offsets) -> Result<(), Error> {
        let InputOffsets::ExactlyOnce(member) = &mut self.input_offsets else { return Ok(()) };
        // 4. ORDER: asked who we are only now, so that a member whose group has moved on meanwhile is
        //    refused by the broker.
        //    Crash: the transaction is aborted when this thread begins again, or by its timeout; until then
        //    whoever takes a task over waits for its offsets.
        let member = member()?;
        // There are none where the group has never had any, and only punctuations have happened.
        if !offsets.is_empty() {
            let send = || self.producer.borrow_mut().send_offsets(offsets, &member, PATIENCE);
            answered("the offsets of a transaction", self.waiting, send)?;
        }
        (self.between)(CommitStep::OffsetsSent)?;
        // 5. ORDER: no row is written before this has returned. If its outcome stays unknown, the rows in
        //    memory are forgotten: the changelog, read without what was aborted, knows.
        //    Crash: committed or aborted, but the store has nothing of it in either case. Replaying
        //    adds it exactly if it was committed, and the committed offsets say the same.
        let commit = || self.producer.borrow_mut().commit_transaction(PATIENCE);
        answered("the commit of a transaction", self.waiting, commit).map_err(unknown_outcome)?;
        (self.between)(CommitStep::TransactionCommitted)
    }

    /// Waits until everything sent is acknowledged; the production handler decides about what is refused.
    fn deliver(&self, tasks: &mut [&mut StreamTask]) -> Result<(), Error> {
        loop {
            let flushed = flush(self.producer, self.waiting);
            let refused = self.producer.borrow_mut().take_undelivered();
            if matches!(self.input_offsets, InputOffsets::ExactlyOnce(_)) {
                // A transaction with a hole is not committed, whatever a handler says. What no second try
                // mends ends the thread.
                return match refused.into_iter().find(|record| is_final(&record.error)) {
                    Some(record) => Err(refused_in_transaction(&record.partition, record.error)),
                    None => flushed,
                };
            }
            let is_settled = refused.is_empty();
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
            flushed?;
            if is_settled {
                return Ok(());
            }
        }
    }
}

/// Whether sending the record again ends in the same way.
pub(crate) fn is_final(error: &BrokerError) -> bool {
    matches!(
        error.kind(),
        BrokerErrorKind::RecordTooLarge
            | BrokerErrorKind::Authorization
            | BrokerErrorKind::Invalid
            | BrokerErrorKind::UnknownTopicOrPartition
    )
}

/// A client that is at its end leaves open whether the transaction was committed: that is found out as if it
/// was not.
fn unknown_outcome(error: Error) -> Error {
    if error.kind() != ErrorKind::Fatal {
        return error;
    }
    let message = "the outcome of a transaction is not known";
    Error::new(ErrorKind::TransactionAborted, message).with_source(error)
}

/// A record that the broker has taken and then refused cannot be left out of its transaction.
pub(crate) fn refused_in_transaction(partition: &TopicPartition, error: BrokerError) -> Error {
    let cause = Error::from(error);
    let message = format!(
        "the broker refused a record to {partition}, so its transaction cannot be committed; records that \
         the client refuses itself (`message.max.bytes` of the producer at or below the topic's \
         `max.message.bytes`) go to the production handler instead"
    );
    Error::new(cause.kind(), message).with_source(cause)
}

/// Waits until everything sent is acknowledged, however long a broker is away.
fn flush(producer: &SharedProducer, waiting: &dyn Fn()) -> Result<(), Error> {
    answered("records", waiting, || producer.borrow_mut().flush(PATIENCE))
}

/// Asks until the broker answers, however long it is away.
fn answered(
    what: &str,
    waiting: &dyn Fn(),
    mut ask: impl FnMut() -> Result<(), BrokerError>,
) -> Result<(), Error> {
    loop {
        match ask() {
            Err(error) if error.is_retriable() => {
                waiting();
                tracing::warn!(error = %error, "the broker has not acknowledged {what} yet; waiting");
            }
            result => return Ok(result?),
        }
    }
}

#[cfg(test)]
mod tests;
