//! Membership: which tasks this process runs. The rest of the runtime knows tasks only; what stands behind
//! this seam knows groups, leaders and messages.
//!
//! # The protocol ([`LogMembership`])
//! Client libraries offer a few assignors of partitions, none of which keeps co-partitioned topics together
//! *and* is sticky *and* knows where state is. So the group only says who is a member, and a leader assigns
//! tasks in a log, `<application id>-coordination` (one partition, compacted; `messages` has its records).
//!
//! - **Member**: a process. All members subscribe to the log's topic and to all source and repartition
//!   topics, so that the broker keeps their committed offsets as long as the application lives, and shows
//!   when one of them grows. Whatever partitions the group gives, only one of them means something:
//! - **Leader** is who has the log's partition. It asks the group who its members are, never a heartbeat of
//!   our own: whom the group has dropped can commit nothing any more (`leader`, `leadership`).
//! - **Assignment**: the leader writes who runs what. It is fenced twice: by the one transactional id of all
//!   leaders, and by an offset commit of its own in the same transaction.
//! - **Moves** take two assignments. The first takes a task from its owner, which commits and closes it and
//!   writes that it has; all its other tasks run on. The second gives it to the next one. Nobody gets a task
//!   that another member of the group has not released (`member`).
//! - **What a process holds belongs to one of its lives** in the group, which has its member id: one that was
//!   dropped and comes back holds nothing.
//!
//! Why no two processes commit for one task: ownership changes only by a leader's transaction, after a
//! release or after the group has dropped the owner. After a release the old owner sends nothing; after a
//! drop the broker refuses what it commits. Why no task stays without owner: there is a leader as long as
//! there is a member; it looks again at each change and each second; whatever does not show in the log is
//! written again.
//!
//! What happens when:
//! - *a process ends in good order*: it writes that it has left. Tasks without stores go to others at once,
//!   tasks with stores wait three heartbeats for it to come back;
//! - *a process is killed*: the group drops it after the session timeout. If it has come back by then, it
//!   finds its tasks; otherwise others get them, with the transactional ids whose transactions it may have
//!   left open;
//! - *a process is suspended and wakes up*: it is told that all is lost, before it can commit anything;
//! - *a process does not fit those that run*: it does not start; if it comes at the same time as the others,
//!   the leader refuses it;
//! - *a source topic grows*: an error that says so, in all members.
//!
//! # Source
//! The design takes the place of `StreamsPartitionAssignor` and KIP-441's follow-up rebalances; the words
//! are Kafka Streams'.

mod assignor;
mod compatible;
mod ids;
mod leader;
mod leadership;
mod log;
mod log_membership;
mod member;
mod messages;
#[cfg(test)]
mod on_kafka;
#[cfg(test)]
mod simulation;
mod timers;
mod view;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::Duration;

use crate::broker::{CommittedOffset, GroupMetadata};
use crate::error::Error;
use crate::ids::{TaskId, TopicPartition};
use crate::runtime::commit::Offsets;

pub(crate) use log::{COORDINATION_CONFIGS, coordination_topic};
pub(crate) use log_membership::{Enrolment, LogMembership, PlannedTask};

/// What a process is to do for which tasks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Assignment {
    /// It processes these, and nobody else does.
    pub(crate) active: BTreeSet<TaskId>,
    /// It keeps copies of the stores of these.
    pub(crate) standby: BTreeSet<TaskId>,
    /// It brings its stores of these up to date, to become active later.
    pub(crate) warm_up: BTreeSet<TaskId>,
    /// Transactional ids of members that are gone, which may have left a transaction open: it
    /// has to be ended before the committed offsets of these tasks are known.
    pub(crate) orphaned_transactions: BTreeSet<String>,
}

/// What the membership tells the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MembershipEvent {
    /// The process's whole assignment. What it does already goes on; nothing is taken away by this event
    /// alone: [`MembershipEvent::Revoked`] comes before.
    Assigned(Assignment),
    /// Commit these active tasks, close them and [`release`](Membership::release) them. The others go on.
    Revoked(BTreeSet<TaskId>),
    /// The group has dropped the process: stop all tasks and commit nothing, then
    /// [`rejoin`](Membership::rejoin).
    Lost,
    /// This member has asked all instances of the application to stop.
    ShutdownRequested(String),
}

/// What the process tells the others about itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct MemberReport {
    /// How many stream threads it has.
    pub(crate) threads: usize,
    /// The transactional ids of its producers, while it has some.
    pub(crate) transactional_ids: BTreeSet<String>,
    /// For each task with state on this process's disk: the changelog records that it lacks; 0 when it is
    /// up to date.
    pub(crate) lags: std::collections::BTreeMap<TaskId, u64>,
}

/// The process's membership.
pub(crate) trait Membership: Debug + Send + Sync {
    /// Waits up to `timeout` for an event. Called by one thread, which does nothing that takes long, often
    /// enough to stay in the group.
    fn poll(&self, timeout: Duration) -> Result<Option<MembershipEvent>, Error>;
    /// These tasks, revoked before, are committed or given up, and closed: others may have them.
    fn release(&self, tasks: &BTreeSet<TaskId>) -> Result<(), Error>;
    /// Asks for tasks anew, as a process that has none: after a loss, or when threads have dropped their
    /// tasks because a commit was refused.
    fn rejoin(&self) -> Result<(), Error>;
    /// Tells the others what has changed; what has not changed is not sent again.
    fn report(&self, report: &MemberReport) -> Result<(), Error>;
    /// Asks all instances of the application to stop, this one's others included.
    fn shut_down_application(&self) -> Result<(), Error>;
    /// Who the process is in its group at this moment; `None` while the group does not count it.
    fn metadata(&self) -> Option<GroupMetadata>;
    /// Commits offsets with the member's identity; refused as
    /// [`TaskMigrated`](crate::error::ErrorKind::TaskMigrated) if the group does not count it any more.
    fn commit(&self, offsets: &Offsets) -> Result<(), Error>;
    /// The committed offsets of these partitions, in order. Waits for transactions that may still change
    /// them, up to `timeout`.
    fn committed(
        &self,
        partitions: &[TopicPartition],
        timeout: Duration,
    ) -> Result<Vec<Option<CommittedOffset>>, Error>;
    /// Leaves the group, with all tasks released or given up. Transactions of producers that were reported may be open:
    /// whoever gets the tasks is told. Then polling says nothing, unless the
    /// group is [joined anew](Membership::rejoin).
    fn leave(&self) -> Result<(), Error>;
}
