//! A member of a consumer group: classic protocol, `range`, nothing fetched.
//!
//! The rebalance callback only notes the event; `acknowledge` answers it later, with an empty
//! assignment: librdkafka reports the group's assignment to the broker, and the data is read by other
//! consumers. A member that is leaving answers at once.
#![expect(unsafe_code, reason = "the group belongs to a C library")]

use std::collections::VecDeque;
use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::bindings as sys;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::types::{
    RDKafka, RDKafkaConf, RDKafkaQueue, RDKafkaRespErr, RDKafkaTopicPartitionList, RDKafkaType,
};

use super::client::{Client, Context, Deadline, Role, millis, text};
use super::client_config::ClientConfig;
use super::errors::{self, broker_error_with};
use super::event::Event;
use super::partitions::{self, elements, offsets_of};
use crate::broker::{
    BrokerError, BrokerErrorKind, CommittedOffset, GroupEvent, GroupMember, GroupMetadata,
};
use crate::ids::TopicPartition;

/// How long a commit may take: a little longer than a broker waits for its copies (`offsets.commit.timeout.ms`, 5 s). A
/// thread waits for it, also one that is to stop.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(6);
/// Leaving takes no longer; the broker notices by itself after the session timeout.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);
const LEAVE_STEP: Duration = Duration::from_millis(20);

/// What the rebalance callback writes.
#[derive(Debug, Default)]
pub(super) struct Rebalances {
    /// Guards the few words below; held for moments only, never while calling librdkafka.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    events: VecDeque<GroupEvent>,
    /// The event that `poll` handed out and nobody has answered yet.
    open: Option<GroupEvent>,
    standing: Standing,
    /// The member id of the last assignment.
    member_id: String,
    leaving: bool,
}

/// How the group counts the member, as far as its events tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Standing {
    /// Before the first assignment, after a loss, and once it has left.
    #[default]
    Outside,
    /// Between an assignment and the answer to its revocation.
    Working,
    /// Between that answer and the next assignment: the group counts it, and its generation moves.
    Rejoining,
}

impl Rebalances {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next event, unless one is still open.
    fn next(&self) -> Option<GroupEvent> {
        let mut state = self.state();
        if state.open.is_some() {
            return None;
        }
        let event = state.events.pop_front()?;
        state.open = Some(event.clone());
        Some(event)
    }
}

impl Role for Rebalances {
    const KIND: RDKafkaType = RDKafkaType::RD_KAFKA_CONSUMER;

    unsafe fn register(conf: *mut RDKafkaConf) {
        // SAFETY: the caller vouches for `conf`.
        unsafe { sys::rd_kafka_conf_set_rebalance_cb(conf, Some(on_rebalance)) };
    }
}

unsafe extern "C" fn on_rebalance(
    client: *mut RDKafka,
    error: RDKafkaRespErr,
    partitions: *mut RDKafkaTopicPartitionList,
    opaque: *mut c_void,
) {
    // SAFETY: librdkafka passes a live client and list; the context is this role's; a rebalance is
    // answered once, here or by `acknowledge`.
    unsafe {
        let role = &Context::<Rebalances>::from_opaque(opaque).role;
        let partitions = elements(partitions).map(|element| element.partition()).collect();
        let event = if error == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            GroupEvent::Assigned(partitions)
        } else if error == RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS
            && sys::rd_kafka_assignment_lost(client) == 0
        {
            GroupEvent::Revoked(partitions)
        } else {
            GroupEvent::Lost(partitions)
        };
        let member_id = match event {
            GroupEvent::Assigned(_) => identity(client).map(|(_, member_id)| member_id),
            GroupEvent::Revoked(_) | GroupEvent::Lost(_) => None,
        };
        let mut state = role.state();
        if state.leaving {
            state.standing = Standing::Outside;
            drop(state);
            sys::rd_kafka_assign(client, ptr::null());
        } else {
            match event {
                GroupEvent::Assigned(_) => {
                    state.standing = Standing::Working;
                    state.member_id = member_id.unwrap_or_default();
                }
                GroupEvent::Lost(_) => state.standing = Standing::Outside,
                GroupEvent::Revoked(_) => {}
            }
            state.events.push_back(event);
        }
        // Ends the poll that called us: the event is for its caller.
        sys::rd_kafka_yield(client);
    }
}

/// The generation and the member id that the client has now; `None` when it has not both. It is asked
/// of librdkafka's main thread, not of the broker.
///
/// # Safety
/// The client must be live.
unsafe fn identity(client: *mut RDKafka) -> Option<(i32, String)> {
    // SAFETY: the copy that the call returns is read, and freed once.
    unsafe {
        let native = NonNull::new(sys::rd_kafka_consumer_group_metadata(client))?;
        let generation = sys::rd_kafka_consumer_group_metadata_generation_id(native.as_ptr());
        let member_id = text(sys::rd_kafka_consumer_group_metadata_member_id(native.as_ptr()));
        sys::rd_kafka_consumer_group_metadata_destroy(native.as_ptr());
        // KAFKA: the broker takes an empty identity in a transaction without asking who it is, and in
        // a commit when the group is empty.
        (generation >= 0 && !member_id.is_empty()).then_some((generation, member_id))
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct KafkaMember {
    group: String,
    client: Client<Rebalances>,
}

impl KafkaMember {
    pub(super) fn new(config: &ClientConfig, group: &str) -> Result<Self, BrokerError> {
        let client = Client::new(config, Rebalances::default())?;
        // SAFETY: the client is live; from here on one poll serves everything.
        unsafe { sys::rd_kafka_poll_set_consumer(client.handle()) };
        Ok(Self { group: group.to_owned(), client })
    }

    fn role(&self) -> &Rebalances {
        &self.client.context().role
    }

    /// Serves the client; an error that it reports as a message is returned.
    fn serve(&self, timeout: Duration) -> Result<(), BrokerError> {
        // SAFETY: the client is live; a message is read and destroyed here.
        let (code, reason) = unsafe {
            let message = sys::rd_kafka_consumer_poll(self.client.handle(), millis(timeout));
            let Some(message) = NonNull::new(message) else { return self.client.check() };
            let found =
                (message.as_ref().err, text(sys::rd_kafka_message_errstr(message.as_ptr())));
            sys::rd_kafka_message_destroy(message.as_ptr());
            found
        };
        self.client.check()?;
        let code = RDKafkaErrorCode::from(code);
        let error = broker_error_with(code, format_args!("group {}", self.group), &reason);
        // These pass by themselves, or an event follows. A topic that a member subscribes to may not
        // have reached its broker yet, because another member has just made it.
        let passes = [
            BrokerErrorKind::Retriable,
            BrokerErrorKind::NotAMember,
            BrokerErrorKind::Rebalancing,
            BrokerErrorKind::UnknownTopicOrPartition,
        ];
        if !passes.contains(&error.kind()) && code != RDKafkaErrorCode::PollExceeded {
            return Err(error);
        }
        tracing::warn!(group = self.group, %code, "{reason}");
        Ok(())
    }

    fn assign(&self, assignment: *const RDKafkaTopicPartitionList) -> Result<(), BrokerError> {
        // SAFETY: the client is live, and so is the list, if any.
        let error = unsafe { sys::rd_kafka_assign(self.client.handle(), assignment) };
        self.check(error, "cannot answer a rebalance")
    }

    fn check(&self, error: RDKafkaRespErr, what: &str) -> Result<(), BrokerError> {
        errors::check(error, format_args!("group {}: {what}", self.group), "")
    }

    fn not_a_member(&self) -> BrokerError {
        let message = format!("group {}: not a member with an assignment", self.group);
        BrokerError::new(BrokerErrorKind::NotAMember, message)
    }

    fn commit_now(&self, offsets: &[(TopicPartition, CommittedOffset)]) -> Result<(), BrokerError> {
        let list = offsets_of(offsets)?;
        let queue = ReplyQueue::new(&self.client);
        // SAFETY: client, list and queue are live; the list is copied.
        let error = unsafe {
            sys::rd_kafka_commit_queue(
                self.client.handle(),
                list.ptr(),
                queue.0.as_ptr(),
                None,
                ptr::null_mut(),
            )
        };
        let what = "cannot commit offsets";
        self.check(error, what)?;
        let Some(reply) = queue.reply(COMMIT_TIMEOUT) else {
            return self.check(RDKafkaRespErr::RD_KAFKA_RESP_ERR__TIMED_OUT, what);
        };
        reply.check(&format!("group {}: {what}", self.group))?;
        reply.partitions().try_for_each(|element| element.check(what))
    }

    /// Answers the open event, if any.
    fn answer(&self) -> Result<bool, BrokerError> {
        let Some(event) = self.role().state().open.take() else { return Ok(false) };
        match event {
            GroupEvent::Assigned(_) => self.assign(TopicPartitionList::new().ptr())?,
            GroupEvent::Revoked(_) => {
                let mut state = self.role().state();
                if state.standing == Standing::Working {
                    state.standing = Standing::Rejoining;
                }
                drop(state);
                self.assign(ptr::null())?;
            }
            GroupEvent::Lost(_) => self.assign(ptr::null())?,
        }
        Ok(true)
    }

    /// Answers what is open, and lets the callback answer what is to come.
    fn answer_from_now_on(&self) -> Result<(), BrokerError> {
        self.role().state().leaving = true;
        while self.answer()? || self.role().next().is_some() {}
        Ok(())
    }
}

impl GroupMember for KafkaMember {
    fn subscribe(&self, topics: &[String]) -> Result<(), BrokerError> {
        let mut list = TopicPartitionList::with_capacity(topics.len());
        for topic in topics {
            list.add_topic_unassigned(topic);
        }
        self.role().state().leaving = false;
        // SAFETY: client and list are live; the list is copied.
        let error = unsafe { sys::rd_kafka_subscribe(self.client.handle(), list.ptr()) };
        self.check(error, "cannot subscribe")
    }

    fn poll(&self, timeout: Duration) -> Result<Option<GroupEvent>, BrokerError> {
        let deadline = Deadline::after(timeout);
        loop {
            if let Some(event) = self.role().next() {
                return Ok(Some(event));
            }
            self.serve(deadline.left())?;
            if deadline.passed() {
                return Ok(self.role().next());
            }
        }
    }

    fn acknowledge(&self) -> Result<(), BrokerError> {
        if self.answer()? {
            return Ok(());
        }
        let message = format!("group {}: no event is waiting for an answer", self.group);
        Err(BrokerError::new(BrokerErrorKind::Invalid, message))
    }

    fn commit(&self, offsets: &[(TopicPartition, CommittedOffset)]) -> Result<(), BrokerError> {
        let counted = self.metadata().is_some();
        match self.role().state().standing {
            Standing::Working if counted => {}
            // Not asked of the broker: it would answer after the join, which waits for all members.
            Standing::Rejoining if counted => {
                let message = format!("group {} is between two generations", self.group);
                return Err(BrokerError::new(BrokerErrorKind::Rebalancing, message));
            }
            Standing::Outside | Standing::Working | Standing::Rejoining => {
                return Err(self.not_a_member());
            }
        }
        if offsets.is_empty() {
            return Ok(());
        }
        self.commit_now(offsets).map_err(|error| {
            let expelled =
                error.kind() == BrokerErrorKind::Rebalancing && self.metadata().is_none();
            if expelled { self.not_a_member().with_source(error) } else { error }
        })
    }

    fn committed(
        &self,
        partitions: &[TopicPartition],
        timeout: Duration,
    ) -> Result<Vec<Option<CommittedOffset>>, BrokerError> {
        partitions::committed(&self.client, &self.group, partitions, timeout)
    }

    fn metadata(&self) -> Option<GroupMetadata> {
        let expected = {
            let state = self.role().state();
            (state.standing != Standing::Outside).then(|| state.member_id.clone())?
        };
        // SAFETY: the client is live.
        let (generation, member_id) = unsafe { identity(self.client.handle()) }?;
        // Another id: the group has dropped the member meanwhile and taken it in anew, without an event
        // because there was nothing to lose.
        (member_id == expected).then(|| GroupMetadata {
            group_id: self.group.clone(),
            generation,
            member_id,
        })
    }

    fn leave(&self) -> Result<(), BrokerError> {
        let deadline = Deadline::after(LEAVE_TIMEOUT);
        self.answer_from_now_on()?;
        // SAFETY: the client is live.
        let error = unsafe { sys::rd_kafka_unsubscribe(self.client.handle()) };
        self.check(error, "cannot leave")?;
        while self.role().state().standing == Standing::Working && !deadline.passed() {
            if let Err(error) = self.serve(LEAVE_STEP) {
                tracing::debug!(group = self.group, %error, "while leaving");
            }
        }
        self.role().state().standing = Standing::Outside;
        Ok(())
    }
}

impl Drop for KafkaMember {
    fn drop(&mut self) {
        // Destroying the client revokes what is still assigned, and waits for the answer.
        if let Err(error) = self.answer_from_now_on() {
            tracing::debug!(group = self.group, %error, "while closing");
        }
    }
}

/// A queue for one answer.
struct ReplyQueue(NonNull<RDKafkaQueue>);

impl ReplyQueue {
    fn new(client: &Client<Rebalances>) -> Self {
        // SAFETY: the client is live; the call does not return null.
        Self(unsafe { NonNull::new_unchecked(sys::rd_kafka_queue_new(client.handle())) })
    }

    fn reply(&self, timeout: Duration) -> Option<Event> {
        // SAFETY: the queue is live; the event is ours.
        unsafe { Event::new(sys::rd_kafka_queue_poll(self.0.as_ptr(), millis(timeout))) }
    }
}

impl Drop for ReplyQueue {
    fn drop(&mut self) {
        // SAFETY: ours, and destroyed once.
        unsafe { sys::rd_kafka_queue_destroy(self.0.as_ptr()) };
    }
}
