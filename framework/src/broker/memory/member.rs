//! A group member as its owner sees it: polled for events, which it answers.
//!
//! ```text
//!               poll            everybody has          acknowledge
//!   ┌─────────┐ joins ┌─────────┐ rejoined  ┌─────────────────┐   ┌─────────┐
//!   │ Outside │ ────► │ Joining │ ────────► │ Asked(Assigned) │ ► │ Working │
//!   └─────────┘       └─────────┘           └─────────────────┘   └─────────┘
//!        ▲                 ▲  acknowledge   ┌────────────────┐ rebalance │
//!        │                 └─────────────── │ Asked(Revoked) │ ◄─────────┘
//!        │ acknowledge                      └────────────────┘
//!        │          ┌─────────────┐
//!        └───────── │ Asked(Lost) │ ◄─── expelled while it owns partitions
//!                   └─────────────┘
//! ```
//!
//! A member without partitions has nothing to give up or lose: it goes back to `Joining` or `Outside`
//! without an event. A heartbeat is a poll; a member that is dropped without `leave` is expelled like one
//! that has died.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::group::{Group, GroupState};
use super::{Shared, lock};
use crate::broker::{
    BrokerError, BrokerErrorKind, CommittedOffset, GroupEvent, GroupMember, GroupMetadata,
    GroupSettings,
};
use crate::ids::TopicPartition;

/// How often a waiting member looks at the clock: a manual clock does not wake anyone.
const CLOCK_CHECK: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(super) struct MemoryMember {
    shared: Arc<Shared>,
    group: Arc<Group>,
    settings: GroupSettings,
    /// Guards the owner's side; taken before the group's lock and never held while waiting.
    local: Mutex<Local>,
}

#[derive(Debug, Default)]
struct Local {
    /// Sorted, without repetitions; empty: the member does not want to join.
    subscription: Vec<String>,
    /// Empty while outside.
    id: String,
    generation: i32,
    owned: Vec<TopicPartition>,
    standing: Standing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Standing {
    #[default]
    Outside,
    Joining,
    /// The event must be acknowledged.
    Asked(Question),
    Working,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    Assigned,
    Revoked,
    Lost,
}

impl MemoryMember {
    pub(super) fn new(shared: Arc<Shared>, settings: &GroupSettings) -> Self {
        let group = shared.group(&settings.group_id);
        Self { shared, group, settings: settings.clone(), local: Mutex::default() }
    }

    fn now(&self) -> Duration {
        self.shared.clock.monotonic()
    }

    /// Runs one step on both sides, after those whose time is over have been expelled.
    fn step<R>(&self, step: impl FnOnce(&mut Local, &mut GroupState, Duration) -> R) -> R {
        let mut local = lock(&self.local);
        let now = self.now();
        self.group.step(|state| {
            state.expire(now);
            step(&mut local, state, now)
        })
    }
}

impl Local {
    fn next_event(
        &mut self,
        state: &mut GroupState,
        settings: &GroupSettings,
        now: Duration,
    ) -> Option<GroupEvent> {
        if self.standing != Standing::Outside && !state.heartbeat(&self.id, now) {
            if self.standing == Standing::Asked(Question::Lost) {
                return None;
            }
            if !self.owned.is_empty() {
                self.standing = Standing::Asked(Question::Lost);
                return Some(GroupEvent::Lost(self.owned.clone()));
            }
            self.step_outside();
        }
        state.look_at_topics(now);
        match self.standing {
            Standing::Outside if self.subscription.is_empty() => None,
            Standing::Outside => {
                self.id = state.join(settings, &self.subscription, now);
                self.standing = Standing::Joining;
                self.take_assignment(state)
            }
            Standing::Joining | Standing::Working if state.must_rejoin(&self.id) => {
                if !self.owned.is_empty() {
                    self.standing = Standing::Asked(Question::Revoked);
                    return Some(GroupEvent::Revoked(self.owned.clone()));
                }
                self.standing = Standing::Joining;
                state.rejoin(&self.id, now);
                self.take_assignment(state)
            }
            Standing::Joining => self.take_assignment(state),
            Standing::Working | Standing::Asked(_) => None,
        }
    }

    fn take_assignment(&mut self, state: &GroupState) -> Option<GroupEvent> {
        let (generation, assignment) = state.assignment(&self.id)?;
        self.generation = generation;
        self.owned.clone_from(&assignment);
        self.standing = Standing::Asked(Question::Assigned);
        Some(GroupEvent::Assigned(assignment))
    }

    /// The present generation and the member's id, once it has been part of a generation.
    fn metadata(&self, state: &GroupState) -> Option<(i32, String)> {
        let generation = state.generation_of(&self.id).filter(|_| self.generation > 0)?;
        Some((generation, self.id.clone()))
    }

    fn step_outside(&mut self) {
        self.id.clear();
        self.generation = 0;
        self.owned.clear();
        self.standing = Standing::Outside;
    }
}

impl GroupMember for MemoryMember {
    fn subscribe(&self, topics: &[String]) -> Result<(), BrokerError> {
        let mut local = lock(&self.local);
        if local.standing != Standing::Outside {
            return Err(invalid("a member cannot change its subscription"));
        }
        local.subscription = topics.to_vec();
        local.subscription.sort();
        local.subscription.dedup();
        Ok(())
    }

    fn poll(&self, timeout: Duration) -> Result<Option<GroupEvent>, BrokerError> {
        let mut remaining = timeout;
        loop {
            let (event, version) = self.step(|local, state, now| {
                (local.next_event(state, &self.settings, now), state.version())
            });
            if event.is_some() || remaining.is_zero() {
                return Ok(event);
            }
            let slice = remaining.min(CLOCK_CHECK);
            if !self.group.wait_for_change(version, slice) {
                remaining -= slice;
            }
        }
    }

    fn acknowledge(&self) -> Result<(), BrokerError> {
        self.step(|local, state, now| match local.standing {
            Standing::Asked(Question::Assigned) => {
                local.standing = Standing::Working;
                Ok(())
            }
            Standing::Asked(Question::Revoked) if state.heartbeat(&local.id, now) => {
                local.owned.clear();
                local.standing = Standing::Joining;
                state.rejoin(&local.id, now);
                Ok(())
            }
            Standing::Asked(Question::Revoked | Question::Lost) => {
                local.step_outside();
                Ok(())
            }
            Standing::Outside | Standing::Joining | Standing::Working => {
                Err(invalid("there is no event to acknowledge"))
            }
        })
    }

    fn commit(&self, offsets: &[(TopicPartition, CommittedOffset)]) -> Result<(), BrokerError> {
        for (partition, _) in offsets {
            self.shared.topics.partition(partition)?;
        }
        self.step(|local, state, _| {
            if local.standing == Standing::Joining && local.metadata(state).is_some() {
                // KAFKA: the coordinator would answer only behind the join that is under way.
                let message =
                    format!("group {} is between two generations", self.settings.group_id);
                return Err(BrokerError::new(BrokerErrorKind::Rebalancing, message));
            }
            state.commit(&local.id, local.generation, offsets)
        })
    }

    fn committed(
        &self,
        partitions: &[TopicPartition],
        timeout: Duration,
    ) -> Result<Vec<Option<CommittedOffset>>, BrokerError> {
        let mut remaining = timeout;
        loop {
            let (pending, committed, version) = self.group.step(|state| {
                (state.pending_until(partitions), state.committed(partitions), state.version())
            });
            let Some(deadline) = pending else { return Ok(committed) };
            let now = self.now();
            if deadline <= now {
                self.shared.transactions.expire(now);
                continue;
            }
            if remaining.is_zero() {
                let group = &self.settings.group_id;
                let message = format!("group {group}: a transaction with these offsets is open");
                return Err(BrokerError::new(BrokerErrorKind::Retriable, message));
            }
            let slice = remaining.min(CLOCK_CHECK);
            if !self.group.wait_for_change(version, slice) {
                remaining -= slice;
            }
        }
    }

    fn metadata(&self) -> Option<GroupMetadata> {
        let (generation, member_id) = self.step(|local, state, _| local.metadata(state))?;
        Some(GroupMetadata { group_id: self.settings.group_id.clone(), generation, member_id })
    }

    fn leave(&self) -> Result<(), BrokerError> {
        self.step(|local, state, now| {
            state.remove(&local.id, now);
            local.subscription.clear();
            local.step_outside();
        });
        Ok(())
    }
}

fn invalid(message: &str) -> BrokerError {
    BrokerError::new(BrokerErrorKind::Invalid, message)
}
