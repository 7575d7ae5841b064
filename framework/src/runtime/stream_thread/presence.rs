//! Whether the process is still who its group thinks it is, before rows go to changelogs at least once: nobody
//! refuses them, and rows from before an absence would stand behind those of the tasks' next owner, and win. In a
//! transaction nobody reads them.

use crate::broker::CommittedOffset;
use crate::error::{Error, ErrorKind};
use crate::ids::TopicPartition;
use crate::runtime::commit::Offsets;
use crate::runtime::membership::Membership;
use crate::runtime::pulse::Absences;

/// What a thread knows of its group.
#[derive(Debug, Default)]
pub(super) struct Presence {
    /// The absences after which the group has taken a commit.
    seen: Absences,
    /// An offset that it has taken.
    committed: Option<(TopicPartition, CommittedOffset)>,
}

impl Presence {
    /// Notes that a thread without tasks is given some.
    pub(super) fn begin(&mut self, absences: Absences) {
        *self = Self { seen: absences, committed: None };
    }

    /// Notes that the group has taken these offsets.
    pub(super) fn committed(&mut self, offsets: Offsets) {
        self.committed = offsets.into_iter().next();
    }

    /// Asks the group after an absence, by committing again what it has for a partition that the thread has.
    ///
    /// # Errors
    /// `TaskMigrated`: the group has gone on without the process, or nobody can say.
    pub(super) fn confirm(
        &mut self,
        absences: Absences,
        membership: &dyn Membership,
        has: impl Fn(&TopicPartition) -> bool,
    ) -> Result<(), Error> {
        if absences == self.seen {
            return Ok(());
        }
        let known = self.committed.clone().filter(|(partition, _)| has(partition));
        let Some(offset) = known else {
            // Tasks that come after this are none from before the absence.
            self.seen = absences;
            return Err(Error::new(ErrorKind::TaskMigrated, AWAY));
        };
        match membership.commit(&vec![offset]) {
            Err(error) if error.kind() == ErrorKind::TaskMigrated => {
                self.seen = absences;
                Err(Error::new(ErrorKind::TaskMigrated, AWAY).with_source(error))
            }
            answer => {
                answer?;
                self.seen = absences;
                Ok(())
            }
        }
    }
}

const AWAY: &str =
    "the process did not run for so long that the group may have given its tasks away";

/// The error of a commit during which the process was away: the next one asks the group first.
pub(super) fn doubtful() -> Error {
    Error::new(
        ErrorKind::Retriable,
        "the process did not run for a while; the group is asked first",
    )
}
