//! Whether the process is still who its group thinks it is, before rows go to changelogs at least once: nobody
//! refuses them, and rows from before an absence would stand behind those of the tasks' next owner, and win. In a
//! transaction nobody reads them.
//!
//! Rows that were queued before an absence are given up by the client, because their lifetime has ended; before others
//! are queued the group is asked.

use crate::broker::CommittedOffset;
use crate::error::{Error, ErrorKind};
use crate::ids::TopicPartition;
use crate::runtime::commit::{CommitStep, Offsets};
use crate::runtime::membership::Membership;
use crate::runtime::pulse::Absences;

/// What a thread knows of its group.
#[derive(Debug, Default)]
pub(super) struct Presence {
    /// The absences after which the group has taken a commit.
    seen: Absences,
    /// Rows were not acknowledged.
    doubted: bool,
    /// An offset that it has taken.
    committed: Option<(TopicPartition, CommittedOffset)>,
}

impl Presence {
    /// Notes that a thread without tasks is given some.
    pub(super) fn begin(&mut self, absences: Absences) {
        *self = Self { seen: absences, ..Self::default() };
    }

    /// Notes that the group has taken these offsets.
    pub(super) fn committed(&mut self, offsets: Offsets) {
        self.committed = offsets.into_iter().next();
    }

    /// Notes that rows were not acknowledged: the next ones wait for the group's word.
    pub(super) fn doubt(&mut self) {
        self.doubted = true;
    }

    /// Whether there may be rows under way.
    pub(super) fn is_doubted(&self) -> bool {
        self.doubted
    }

    /// Asks the group after an absence or a doubt, by committing again what it has for a partition that the
    /// thread has.
    ///
    /// # Errors
    /// `TaskMigrated`: the group has gone on without the process, or nobody can say.
    pub(super) fn confirm(
        &mut self,
        absences: Absences,
        membership: &dyn Membership,
        has: impl Fn(&TopicPartition) -> bool,
    ) -> Result<(), Error> {
        if absences == self.seen && !self.doubted {
            return Ok(());
        }
        let known = self.committed.clone().filter(|(partition, _)| has(partition));
        let answer = known.map_or_else(|| Err(away()), |offset| membership.commit(&vec![offset]));
        match answer {
            // Tasks that come after this are none from before.
            Err(error) if error.kind() != ErrorKind::TaskMigrated => Err(error),
            answer => {
                (self.seen, self.doubted) = (absences, false);
                answer
            }
        }
    }
}

/// What an absence means between two steps of a commit.
///
/// # Errors
/// `Retriable`: the next commit asks the group first. `TaskMigrated`: rows have been queued after the absence.
pub(super) fn was_away(step: CommitStep) -> Result<(), Error> {
    match step {
        // ORDER: nothing is waited for between this and the sending of rows.
        CommitStep::CachesFlushed => Err(Error::new(
            ErrorKind::Retriable,
            "the process did not run for a while; the group is asked first",
        )),
        // ORDER: they are still in the queue, and are dropped with it.
        CommitStep::ChangelogsSent => Err(away()),
        CommitStep::Acknowledged
        | CommitStep::OffsetsCommitted
        | CommitStep::OffsetsSent
        | CommitStep::TransactionCommitted
        | CommitStep::StoresWritten => Ok(()),
    }
}

/// Whether rows may have been sent and not been acknowledged when a commit fails behind this step.
pub(super) fn has_rows_under_way(step: CommitStep) -> bool {
    matches!(step, CommitStep::CachesFlushed | CommitStep::ChangelogsSent)
}

/// The error of a thread whose tasks may be somebody else's.
fn away() -> Error {
    Error::new(
        ErrorKind::TaskMigrated,
        "the process did not run, or no row left it, for so long that the group may have given its tasks away",
    )
}
