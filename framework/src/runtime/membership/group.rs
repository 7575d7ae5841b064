//! Membership by the group alone: tasks follow the partitions of the group's own assignment with the classic `range` strategy: it
//! gives the same partitions of equally sized topics to the same member, if all members subscribe to the
//! same topics. Topologies that need more than that are refused when topics are prepared.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Assignment, MemberReport, Membership, MembershipEvent};
use crate::broker::{CommittedOffset, GroupEvent, GroupMember, GroupMetadata};
use crate::error::{Error, ErrorKind};
use crate::ids::{TaskId, TopicPartition};
use crate::runtime::commit::Offsets;

/// Membership by the group's assignment of partitions.
#[derive(Debug)]
pub(crate) struct GroupMembership {
    member: Arc<dyn GroupMember>,
    topics: Vec<String>,
    /// Every task with its source partitions.
    tasks: Vec<(TaskId, Vec<TopicPartition>)>,
    /// Tasks that are still to be released.
    revoked: Mutex<BTreeSet<TaskId>>,
}

impl GroupMembership {
    /// Joins the group.
    pub(crate) fn join(
        member: Arc<dyn GroupMember>,
        topics: Vec<String>,
        tasks: Vec<(TaskId, Vec<TopicPartition>)>,
    ) -> Result<Self, Error> {
        member.subscribe(&topics)?;
        Ok(Self { member, topics, tasks, revoked: Mutex::default() })
    }

    fn revoked(&self) -> MutexGuard<'_, BTreeSet<TaskId>> {
        self.revoked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tasks whose partitions these are. Half a task is an error: two members would run it.
    fn tasks_of(&self, partitions: &[TopicPartition]) -> Result<BTreeSet<TaskId>, Error> {
        let assigned: BTreeSet<&TopicPartition> = partitions.iter().collect();
        let mut tasks = BTreeSet::new();
        for (task, needs) in &self.tasks {
            let has = needs.iter().filter(|partition| assigned.contains(partition)).count();
            if has == needs.len() {
                tasks.insert(*task);
            } else if has > 0 {
                let message = format!(
                    "the group gave this member {has} of the {} partitions of task {task}; do all members \
                     run the same topology, and have topics been changed while they ran?",
                    needs.len()
                );
                return Err(Error::new(ErrorKind::Config, message));
            }
        }
        Ok(tasks)
    }
}

impl Membership for GroupMembership {
    fn poll(&self, timeout: Duration) -> Result<Option<MembershipEvent>, Error> {
        Ok(match self.member.poll(timeout)? {
            None => None,
            Some(GroupEvent::Assigned(partitions)) => {
                let active = self.tasks_of(&partitions)?;
                self.member.acknowledge()?;
                Some(MembershipEvent::Assigned(Assignment { active, ..Assignment::default() }))
            }
            Some(GroupEvent::Revoked(partitions)) => {
                let tasks = self.tasks_of(&partitions)?;
                if tasks.is_empty() {
                    self.member.acknowledge()?;
                    return Ok(None);
                }
                self.revoked().clone_from(&tasks);
                Some(MembershipEvent::Revoked(tasks))
            }
            Some(GroupEvent::Lost(_)) => Some(MembershipEvent::Lost),
        })
    }

    fn release(&self, tasks: &BTreeSet<TaskId>) -> Result<(), Error> {
        let mut revoked = self.revoked();
        revoked.retain(|task| !tasks.contains(task));
        if !revoked.is_empty() {
            return Ok(());
        }
        Ok(self.member.acknowledge()?)
    }

    fn rejoin(&self) -> Result<(), Error> {
        self.member.leave()?;
        Ok(self.member.subscribe(&self.topics)?)
    }

    fn report(&self, _report: &MemberReport) -> Result<(), Error> {
        Ok(())
    }

    fn shut_down_application(&self) -> Result<(), Error> {
        Ok(())
    }

    fn metadata(&self) -> Option<GroupMetadata> {
        self.member.metadata()
    }

    fn commit(&self, offsets: &Offsets) -> Result<(), Error> {
        Ok(self.member.commit(offsets)?)
    }

    fn committed(
        &self,
        partitions: &[TopicPartition],
        timeout: Duration,
    ) -> Result<Vec<Option<CommittedOffset>>, Error> {
        Ok(self.member.committed(partitions, timeout)?)
    }

    fn leave(&self) -> Result<(), Error> {
        Ok(self.member.leave()?)
    }
}
