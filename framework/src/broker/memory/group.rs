//! The coordinator of one consumer group: who is a member, which generation it is, and what has been
//! committed.
//!
//! ```text
//!                                joined, member gone
//!                                      ┌───┐
//!   ┌───────┐  joined        ┌─────────┴───▼──────┐  all rejoined      ┌────────┐
//!   │ Empty │ ─────────────► │ PreparingRebalance │ ─────────────────► │ Stable │
//!   └───────┘                └────────────────────┘                    └────────┘
//!     ▲   ▲                       │           ▲                          │   │
//!     │   └───────────────────────┘           └──────────────────────────┘   │
//!     │     last member gone           joined, member gone, topics changed   │
//!     └──────────────────────────────────────────────────────────────────────┘
//!                               last member gone
//! ```
//!
//! KAFKA: there is no `CompletingRebalance`, because the coordinator itself computes the assignment
//! in the moment in which the last member rejoins; a member learns it at its next poll.
//!
//! What always holds: partitions are given out only while every member has rejoined and so owns
//! nothing; the generation grows with each assignment. Time passes by the broker's clock, and is
//! looked at whenever any member calls.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::isolation::Outcome;
use super::lock;
use super::offsets::Offsets;
use super::range::range_assignment;
use super::topic::Topics;
use crate::broker::{
    BrokerError, BrokerErrorKind, CommittedOffset, GroupMemberInfo, GroupMetadata, GroupSettings,
};
use crate::ids::TopicPartition;

/// What the group is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It has no members; committed offsets stay.
    Empty,
    /// It waits until every member has rejoined.
    PreparingRebalance,
    /// Every member has its partitions, or may fetch its new assignment.
    Stable,
}

/// What happens to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Joined,
    AllRejoined,
    MemberGone,
    LastMemberGone,
    TopicsChanged,
}

/// What each change leads to; no other change happens in that phase.
const TRANSITIONS: [(Phase, Change, Phase); 9] = [
    (Phase::Empty, Change::Joined, Phase::PreparingRebalance),
    (Phase::PreparingRebalance, Change::Joined, Phase::PreparingRebalance),
    (Phase::PreparingRebalance, Change::MemberGone, Phase::PreparingRebalance),
    (Phase::PreparingRebalance, Change::LastMemberGone, Phase::Empty),
    (Phase::PreparingRebalance, Change::AllRejoined, Phase::Stable),
    (Phase::Stable, Change::Joined, Phase::PreparingRebalance),
    (Phase::Stable, Change::MemberGone, Phase::PreparingRebalance),
    (Phase::Stable, Change::TopicsChanged, Phase::PreparingRebalance),
    (Phase::Stable, Change::LastMemberGone, Phase::Empty),
];

/// A group, shared by its members.
#[derive(Debug)]
pub(super) struct Group {
    /// Guards all of the group; held for one step of a member, never while it waits or works.
    state: Mutex<GroupState>,
    changed: Condvar,
}

impl Group {
    pub(super) fn new(name: &str, topics: Arc<Topics>) -> Self {
        Self { state: Mutex::new(GroupState::new(name, topics)), changed: Condvar::new() }
    }

    /// Runs one step on the state and wakes the members if it has changed something they wait for.
    pub(super) fn step<R>(&self, step: impl FnOnce(&mut GroupState) -> R) -> R {
        let mut state = lock(&self.state);
        let before = state.version;
        let result = step(&mut state);
        let changed = state.version != before;
        drop(state);
        if changed {
            self.changed.notify_all();
        }
        result
    }

    /// Waits until the state is no longer as it was at `version`; false after `timeout`.
    pub(super) fn wait_for_change(&self, version: u64, timeout: Duration) -> bool {
        let unchanged = |state: &mut GroupState| state.version == version;
        let state = lock(&self.state);
        let waited = self.changed.wait_timeout_while(state, timeout, unchanged);
        waited.is_ok_and(|(_, result)| !result.timed_out())
    }
}

#[derive(Debug)]
pub(super) struct GroupState {
    name: String,
    topics: Arc<Topics>,
    phase: Phase,
    generation: i32,
    /// By member id, so in the order in which `range` deals.
    members: BTreeMap<String, Member>,
    /// How many members there have ever been.
    joined_ever: u64,
    /// When those that have not rejoined are expelled.
    rebalance_deadline: Duration,
    /// The partition counts that the assignment was made for, and when they were last looked at.
    partition_counts: BTreeMap<String, i32>,
    topics_version: u64,
    offsets: Offsets,
    /// Grows with every change that a waiting member wants to know of.
    version: u64,
}

#[derive(Debug)]
struct Member {
    subscription: Vec<String>,
    /// Time without a poll after which it is expelled.
    session_timeout: Duration,
    /// Time it may take to rejoin.
    rebalance_timeout: Duration,
    expires_at: Duration,
    rejoined: bool,
    assignment: Vec<TopicPartition>,
}

impl GroupState {
    fn new(name: &str, topics: Arc<Topics>) -> Self {
        Self {
            name: name.to_owned(),
            topics,
            phase: Phase::Empty,
            generation: 0,
            members: BTreeMap::new(),
            joined_ever: 0,
            rebalance_deadline: Duration::ZERO,
            partition_counts: BTreeMap::new(),
            topics_version: 0,
            offsets: Offsets::default(),
            version: 0,
        }
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Takes in a new member and gives its id. Ids sort by client id, then in the order of joining.
    pub(super) fn join(
        &mut self,
        settings: &GroupSettings,
        subscription: &[String],
        now: Duration,
    ) -> String {
        self.joined_ever += 1;
        let id = format!("{}-{:010}", settings.client_id, self.joined_ever);
        let session_timeout = settings.session_timeout.min(settings.max_poll_interval);
        self.members.insert(
            id.clone(),
            Member {
                subscription: subscription.to_vec(),
                session_timeout,
                rebalance_timeout: settings.max_poll_interval,
                expires_at: now + session_timeout,
                rejoined: false,
                assignment: Vec::new(),
            },
        );
        self.change(Change::Joined, now);
        self.rejoin(&id, now);
        id
    }

    /// A member that owns nothing any more is ready for the next assignment.
    pub(super) fn rejoin(&mut self, id: &str, now: Duration) {
        if let Some(member) = self.members.get_mut(id) {
            member.rejoined = true;
            member.expires_at = now + member.session_timeout;
            self.complete_if_all_rejoined(now);
        }
    }

    /// Who is a member, in the order of ids.
    pub(super) fn members(&self) -> Vec<GroupMemberInfo> {
        let info = |id: &String| {
            let client_id = id.rsplit_once('-').map_or(id.as_str(), |(client_id, _)| client_id);
            GroupMemberInfo { member_id: id.clone(), client_id: client_id.to_owned() }
        };
        self.members.keys().map(info).collect()
    }

    /// Notes that the member is alive; false if the group does not know it.
    pub(super) fn heartbeat(&mut self, id: &str, now: Duration) -> bool {
        self.members.get_mut(id).is_some_and(|member| {
            member.expires_at = now + member.session_timeout;
            true
        })
    }

    /// Whether the member has to give up its partitions and rejoin.
    pub(super) fn must_rejoin(&self, id: &str) -> bool {
        self.phase == Phase::PreparingRebalance
            && self.members.get(id).is_some_and(|member| !member.rejoined)
    }

    /// The generation and the member's part of it, once everybody has rejoined.
    pub(super) fn assignment(&self, id: &str) -> Option<(i32, Vec<TopicPartition>)> {
        let member = self.members.get(id).filter(|_| self.phase == Phase::Stable)?;
        Some((self.generation, member.assignment.clone()))
    }

    /// Takes a member out.
    pub(super) fn remove(&mut self, id: &str, now: Duration) {
        if self.members.remove(id).is_some() {
            let last = self.members.is_empty();
            self.change(if last { Change::LastMemberGone } else { Change::MemberGone }, now);
            self.complete_if_all_rejoined(now);
        }
    }

    /// Expels whoever has not polled for its session timeout, and whoever is late to rejoin.
    pub(super) fn expire(&mut self, now: Duration) {
        let late = self.phase == Phase::PreparingRebalance && self.rebalance_deadline <= now;
        let is_out = |member: &Member| member.expires_at <= now || (late && !member.rejoined);
        let out: Vec<_> =
            self.members.iter().filter(|(_, m)| is_out(m)).map(|(id, _)| id.clone()).collect();
        for id in out {
            self.remove(&id, now);
        }
    }

    /// Starts a rebalance if a subscribed topic has come, gone or changed its size.
    pub(super) fn look_at_topics(&mut self, now: Duration) {
        let version = self.topics.version();
        if self.phase == Phase::Stable && self.topics_version != version {
            self.topics_version = version;
            if self.current_partition_counts() != self.partition_counts {
                self.change(Change::TopicsChanged, now);
            }
        }
    }

    /// The present generation as the member would be asked for it; `None` when the group does not count it.
    pub(super) fn generation_of(&self, id: &str) -> Option<i32> {
        self.members.contains_key(id).then_some(self.generation)
    }

    /// Stores offsets for a member of the present generation.
    pub(super) fn commit(
        &mut self,
        id: &str,
        generation: i32,
        offsets: &[(TopicPartition, CommittedOffset)],
    ) -> Result<(), BrokerError> {
        self.check_member(id, generation)?;
        self.offsets.commit(offsets);
        Ok(())
    }

    /// Keeps offsets until the producer's transaction ends.
    pub(super) fn add_pending(
        &mut self,
        producer: u64,
        deadline: Duration,
        member: &GroupMetadata,
        offsets: &[(TopicPartition, CommittedOffset)],
    ) -> Result<(), BrokerError> {
        // KAFKA: whether the group is between two generations does not matter.
        self.check_member(&member.member_id, member.generation).map_err(|error| {
            BrokerError::new(BrokerErrorKind::TransactionAborted, error.to_string())
                .with_source(error)
        })?;
        self.offsets.add_pending(producer, deadline, offsets);
        Ok(())
    }

    /// Makes the pending offsets of the producer's transaction count, or forgets them.
    pub(super) fn end_transaction(&mut self, producer: u64, outcome: Outcome) {
        if self.offsets.end_transaction(producer, outcome) {
            self.version += 1;
        }
    }

    fn check_member(&self, id: &str, generation: i32) -> Result<(), BrokerError> {
        let known = self.members.contains_key(id);
        if known && generation == self.generation {
            return Ok(());
        }
        let kind = if known { BrokerErrorKind::Rebalancing } else { BrokerErrorKind::NotAMember };
        let message = format!(
            "group {} is at generation {}: member {id:?} of generation {generation} is fenced",
            self.name, self.generation
        );
        Err(BrokerError::new(kind, message))
    }

    /// The offsets that count now.
    pub(super) fn committed(&self, partitions: &[TopicPartition]) -> Vec<Option<CommittedOffset>> {
        partitions.iter().map(|partition| self.offsets.committed(partition)).collect()
    }

    /// While a transaction with offsets of these partitions is open: when the first such is aborted for its
    /// age.
    pub(super) fn pending_until(&self, partitions: &[TopicPartition]) -> Option<Duration> {
        partitions.iter().filter_map(|partition| self.offsets.pending_until(partition)).min()
    }

    /// Forgets what was committed for a topic.
    pub(super) fn forget_topic(&mut self, topic: &str) {
        self.offsets.forget_topic(topic);
        self.version += 1;
    }

    fn change(&mut self, change: Change, now: Duration) {
        let row = TRANSITIONS.iter().find(|row| (row.0, row.1) == (self.phase, change));
        let Some((before, _, after)) = row else { return };
        self.phase = *after;
        self.version += 1;
        if *after == Phase::PreparingRebalance && after != before {
            self.begin_rebalance(now);
        }
    }

    fn begin_rebalance(&mut self, now: Duration) {
        let timeout = self.members.values().map(|member| member.rebalance_timeout).max();
        self.rebalance_deadline = now + timeout.unwrap_or_default();
        for member in self.members.values_mut() {
            member.rejoined = false;
        }
    }

    fn complete_if_all_rejoined(&mut self, now: Duration) {
        let all_rejoined = self.members.values().all(|member| member.rejoined);
        if self.phase != Phase::PreparingRebalance || !all_rejoined {
            return;
        }
        self.topics_version = self.topics.version();
        self.partition_counts = self.current_partition_counts();
        let subscriptions: Vec<_> =
            self.members.values().map(|member| member.subscription.as_slice()).collect();
        let assignments = range_assignment(&subscriptions, &self.partition_counts);
        for (member, assignment) in self.members.values_mut().zip(assignments) {
            member.assignment = assignment;
        }
        self.generation += 1;
        self.change(Change::AllRejoined, now);
    }

    fn current_partition_counts(&self) -> BTreeMap<String, i32> {
        let subscribed = self.members.values().flat_map(|member| &member.subscription);
        let count = |name: &String| {
            self.topics.find(name).map(|topic| (name.clone(), topic.partition_count()))
        };
        subscribed.filter_map(count).collect()
    }
}

#[cfg(test)]
mod tests;
