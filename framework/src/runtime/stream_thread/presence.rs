//! Whether the process is still who its group thinks it is, before rows go to changelogs at least once: nobody
//! refuses them, and rows from before an absence would stand behind those of the tasks' next owner, and win. In a
//! transaction nobody reads them.
//!
//! The group is asked before rows are sent, if it has not been heard for a heartbeat: it takes an offset again that it has.
//! From then on rows have a lifetime, which ends before the group would give the tasks away without hearing of the process;
//! rows that are queued longer are given up by the client.

use std::time::Duration;

use crate::broker::{CommittedOffset, GroupMetadata};
use crate::error::{Error, ErrorKind};
use crate::ids::{TaskId, TopicPartition};
use crate::runtime::commit::{CommitStep, Offsets};
use crate::runtime::membership::Membership;
use crate::runtime::ownership::Grant;
use crate::runtime::pulse::Absences;
use crate::runtime::shared::Shared;

/// What a thread knows of its group.
#[derive(Debug, Default)]
pub(super) struct Presence {
    /// The absences after which the group has taken a commit.
    seen: Absences,
    /// Rows were not acknowledged.
    doubted: bool,
    /// Offsets that the group has; those of the last commit at least.
    committed: Offsets,
    /// When it was asked what it last answered.
    heard: Duration,
}

impl Presence {
    /// Notes that a thread without tasks is given some.
    pub(super) fn begin(&mut self, absences: Absences, now: Duration) {
        *self = Self { seen: absences, heard: now, ..Self::default() };
    }

    /// Notes what the group has for a partition of a task that begins: what was known of it is from an earlier time.
    pub(super) fn learn(
        &mut self,
        partition: &TopicPartition,
        committed: Option<&CommittedOffset>,
    ) {
        self.committed.retain(|(known, _)| known != partition);
        self.committed.extend(committed.map(|offset| (partition.clone(), offset.clone())));
    }

    /// Notes that the group has taken these offsets; it was asked at this time.
    pub(super) fn committed(&mut self, offsets: Offsets, asked: Duration) {
        (self.committed, self.heard) = (offsets, asked);
    }

    /// Notes that rows were not acknowledged: the next ones wait for the group's word.
    pub(super) fn doubt(&mut self) {
        self.doubted = true;
    }

    /// Whether there may be rows under way.
    pub(super) fn is_doubted(&self) -> bool {
        self.doubted
    }

    /// Asks the group after an absence or a doubt, and after each heartbeat's time, by committing again what it has for a
    /// partition that the thread has. A group that has nothing of the thread's tasks is not asked for the time alone.
    ///
    /// # Errors
    /// `TaskMigrated`: the group has gone on without the process, or nobody can say.
    pub(super) fn confirm(
        &mut self,
        absences: Absences,
        (now, heartbeat): (Duration, Duration),
        membership: &dyn Membership,
        has: impl Fn(&TopicPartition) -> bool,
    ) -> Result<(), Error> {
        let is_sure = absences == self.seen && !self.doubted;
        if is_sure && now.saturating_sub(self.heard) < heartbeat {
            return Ok(());
        }
        let answer = match self.committed.iter().find(|(partition, _)| has(partition)) {
            Some(known) => membership.commit(&vec![known.clone()]),
            None if is_sure => Ok(()),
            None => Err(away()),
        };
        match answer {
            // Tasks that come after this are none from before.
            Err(error) if error.kind() != ErrorKind::TaskMigrated => Err(error),
            answer => {
                (self.seen, self.doubted, self.heard) = (absences, false, now);
                answer
            }
        }
    }

    /// Until when rows may be queued without asking again: their lifetime allows for two heartbeats.
    pub(super) fn lasts_until(&self, heartbeat: Duration) -> Duration {
        self.heard + heartbeat * 2
    }
}

/// What was true when a commit began, and is looked at again between its steps: user code, full queues and brokers may
/// each have taken any time.
#[derive(Debug)]
pub(super) struct Confirmed<'a> {
    pub(super) shared: &'a Shared,
    pub(super) grants: &'a [(TaskId, Grant)],
    pub(super) absences: Absences,
    /// See [`Presence::lasts_until`].
    pub(super) until: Duration,
}

impl Confirmed<'_> {
    /// Checks before rows are sent, when they are queued, and when they are acknowledged.
    ///
    /// # Errors
    /// `Retriable`: no row has been queued; the next commit asks the group first. `TaskMigrated`: the tasks are no longer
    /// the thread's, or rows have been queued after an absence.
    pub(super) fn check(&self, step: CommitStep) -> Result<(), Error> {
        if !has_rows_under_way(step) && step != CommitStep::Acknowledged {
            return Ok(());
        }
        // ORDER: acknowledged rows of tasks that were given away meanwhile do not get into the store: its position would
        // be behind rows of their next owner that it does not have.
        let member = identity(self.shared, self.grants)?;
        let now = self.shared.clock.monotonic();
        let was_away = self.shared.pulse.beat(now) != self.absences;
        if step == CommitStep::CachesFlushed && (was_away || member.is_none() || now > self.until) {
            // ORDER: nothing is waited for between this and the sending of rows.
            let message = "the group has not been heard for a while; it is asked first";
            return Err(Error::new(ErrorKind::Retriable, message));
        }
        if step == CommitStep::ChangelogsSent && was_away {
            // ORDER: they are still in the queue, and are dropped with it.
            return Err(away());
        }
        Ok(())
    }
}

/// Who commits for tasks of these grants; `None`: nobody can at the moment.
///
/// ORDER: the identity is asked for while the grants hold. If they end afterwards, the identity ends with
/// them, and the broker refuses it.
pub(super) fn identity(
    shared: &Shared,
    grants: &[(TaskId, Grant)],
) -> Result<Option<GroupMetadata>, Error> {
    let membership = &shared.membership;
    let identity = shared.ownership.with(grants.iter().copied(), || membership.metadata());
    identity.ok_or_else(|| {
        let message = "tasks were given away while their thread was busy";
        Error::new(ErrorKind::TaskMigrated, message)
    })
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
