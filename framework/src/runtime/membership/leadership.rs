//! A leader's hands: it looks at the group, decides, and writes its decisions.
//!
//! INVARIANT: what is decided rests on everything that an earlier leader has written: the producers of all
//! other leaders are fenced, and the log has been read to its end since.
//!
//! A write is fenced twice. It is a transaction by the one transactional id of all leaders, so whoever led
//! before and was followed by another is refused; and it contains an offset commit by the group's member, so
//! whoever is not of the present generation is refused, although nobody has followed yet.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::ids::{MemberId, ProcessId};
use super::leader::{Decision, Leader, LeaderSettings, Me};
use super::log::{LogReader, record};
use super::messages::{Key, write};
use super::view::View;
use crate::broker::{
    Admin, Broker, BrokerError, BrokerErrorKind, CommittedOffset, GroupMember, GroupMetadata,
    Producer, ProducerSettings, TopicHandle, TransactionSettings,
};
use crate::error::{Error, ErrorKind};
use crate::ids::TopicPartition;
use crate::record::Headers;

/// How old the list of the group's members may be.
const GROUP_AGE: Duration = Duration::from_secs(1);
/// A leader's transaction takes milliseconds; one that a dead leader has left is ended by the next one.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(20);
/// How long one call about a transaction may hold up the loop.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a call is made again that may succeed then.
const ATTEMPTS: u32 = 3;
/// The pause after a write that was refused.
const PAUSE: Duration = Duration::from_millis(200);

/// See the module.
pub(super) struct Leadership {
    broker: Arc<dyn Broker>,
    admin: Arc<dyn Admin>,
    group: String,
    log: TopicPartition,
    client_id: String,
    leader: Leader,
    producer: Option<(Box<dyn Producer>, TopicHandle)>,
    /// The generation of the last term.
    last_generation: Option<i32>,
    /// While this process leads.
    term: Option<Term>,
    /// When to try again after a failure.
    pause_until: Duration,
}

/// One time of leading.
#[derive(Debug)]
struct Term {
    /// The generation that gave this process the log's partition.
    generation: i32,
    /// Where the log ended when this process began to lead, or after its last write; `None`: to be asked.
    end: Option<i64>,
    /// The group's members, and when they were asked for. Only after the log was read to its end.
    members: Option<(BTreeSet<MemberId>, Duration)>,
}

impl fmt::Debug for Leadership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leadership").field("term", &self.term).finish_non_exhaustive()
    }
}

/// What leading needs beside itself.
pub(super) struct Surroundings<'a> {
    pub(super) reader: &'a LogReader,
    pub(super) view: &'a View,
    pub(super) member: &'a dyn GroupMember,
    pub(super) process: ProcessId,
    pub(super) member_id: &'a MemberId,
    pub(super) now: Duration,
}

impl Leadership {
    pub(super) fn new(
        broker: Arc<dyn Broker>,
        admin: Arc<dyn Admin>,
        log: TopicPartition,
        group: &str,
        settings: LeaderSettings,
    ) -> Self {
        Self {
            broker,
            admin,
            group: group.to_owned(),
            client_id: format!("{group}-coordination-leader"),
            log,
            leader: Leader::new(settings),
            producer: None,
            last_generation: None,
            term: None,
            pause_until: Duration::ZERO,
        }
    }

    /// The group has given this process the log's partition, in this generation.
    pub(super) fn begin(&mut self, generation: i32) {
        // In a generation between the two another one may have led: what it has left open has to be ended.
        if self.last_generation.is_some_and(|last| last + 1 != generation) {
            self.producer = None;
        }
        self.last_generation = Some(generation);
        self.leader.new_generation();
        self.term = Some(Term { generation, end: None, members: None });
    }

    /// The group has taken it away. The producer stays for the case that nobody else leads meanwhile.
    pub(super) fn end(&mut self) {
        self.term = None;
    }

    /// A step: looks, decides and writes; false if there was nothing to do.
    ///
    /// # Errors
    /// `Config`, if this process itself does not fit those that run; what no other try would mend.
    pub(super) fn step(&mut self, around: &Surroundings<'_>) -> Result<bool, Error> {
        if self.term.is_none() || around.now < self.pause_until {
            return Ok(false);
        }
        match self.try_step(around) {
            Err(error) if error.kind() == ErrorKind::Retriable => {
                tracing::warn!(error = error.report(), "the leader cannot act; trying again");
                self.pause_until = around.now + PAUSE;
                Ok(false)
            }
            result => result,
        }
    }

    fn try_step(&mut self, around: &Surroundings<'_>) -> Result<bool, Error> {
        self.prepare()?;
        let Some(term) = &mut self.term else { return Ok(false) };
        let end = if let Some(end) = term.end {
            end
        } else {
            let ends = self.admin.end_offsets(std::slice::from_ref(&self.log)).map_err(settled)?;
            *term.end.insert(ends.into_iter().next().unwrap_or(0))
        };
        if !around.reader.has_read_to(end) {
            return Ok(false);
        }
        let fresh = |asked: Duration| around.now.saturating_sub(asked) < GROUP_AGE;
        let members = match term.members.take() {
            Some((members, asked)) if fresh(asked) => (members, asked),
            _ => {
                let members = self.admin.group_members(&self.group)?;
                let ids = members.into_iter().map(|member| MemberId::new(member.member_id));
                (ids.collect(), around.now)
            }
        };
        let (members, _) = term.members.insert(members);
        let me = Me { process: around.process, member_id: around.member_id };
        let Some(decision) = self.leader.decide(around.view, members, me, around.now)? else {
            return Ok(false);
        };
        if decision.is_empty() {
            return Ok(false);
        }
        // ORDER: whatever becomes of the write, the next decision rests on the log behind it.
        term.end = None;
        self.write(&decision, around)
    }

    /// Makes the leader's producer, which fences those of earlier leaders.
    fn prepare(&mut self) -> Result<(), Error> {
        if self.producer.is_some() {
            return Ok(());
        }
        let mut producer = self.broker.producer(&ProducerSettings {
            client_id: self.client_id.clone(),
            track_acks: false,
            transactions: Some(TransactionSettings {
                transactional_id: self.log.topic.to_string(),
                timeout: TRANSACTION_TIMEOUT,
            }),
        })?;
        producer.init_transactions(CALL_TIMEOUT)?;
        let topic = producer.topic(&self.log.topic).map_err(settled)?;
        self.producer = Some((producer, topic));
        Ok(())
    }

    fn write(&mut self, decision: &Decision, around: &Surroundings<'_>) -> Result<bool, Error> {
        let Some(generation) = self.term.as_ref().map(|term| term.generation) else {
            return Ok(false);
        };
        let mine = |metadata: &GroupMetadata| {
            metadata.generation == generation && metadata.member_id == around.member_id.as_str()
        };
        let Some(metadata) = around.member.metadata().filter(mine) else { return Ok(false) };
        let records = records(decision)?;
        let offset =
            CommittedOffset { offset: around.reader.next_offset(), metadata: String::new() };
        let offsets = [(self.log.clone(), offset)];
        let Some((producer, topic)) = &mut self.producer else { return Ok(false) };
        let written = transact(&mut **producer, *topic, &records, &offsets, &metadata);
        match written {
            Ok(()) => {
                if let Some(assignment) = &decision.assignment {
                    tracing::info!(
                        epoch = assignment.epoch,
                        members = assignment.members.len(),
                        waiting = assignment.waiting.len(),
                        "tasks assigned to members"
                    );
                }
                Ok(true)
            }
            Err(failure) => {
                if failure.producer_is_spent {
                    self.producer = None;
                }
                // Whether this process leads still, the group tells.
                self.pause_until = around.now + PAUSE;
                let kind = failure.error.kind();
                if matches!(kind, BrokerErrorKind::Authorization | BrokerErrorKind::Invalid) {
                    return Err(failure.error.into());
                }
                tracing::debug!(error = %failure.error, "an assignment was not written");
                Ok(false)
            }
        }
    }
}

/// A topic that was made a moment ago may not have come to every broker yet.
fn settled(error: BrokerError) -> Error {
    if error.kind() == BrokerErrorKind::UnknownTopicOrPartition {
        let message = "the coordination topic is not known to all brokers";
        return Error::new(ErrorKind::Retriable, message).with_source(error);
    }
    error.into()
}

/// Keys and values, in order; what is deleted has no value.
type Records = Vec<(String, Option<Vec<u8>>)>;

fn records(decision: &Decision) -> Result<Records, Error> {
    let mut records = Records::new();
    if let Some(plan) = &decision.plan {
        records.push((Key::Plan.text(), Some(write(plan)?)));
    }
    if let Some(assignment) = &decision.assignment {
        records.push((Key::Assignment.text(), Some(write(assignment)?)));
    }
    let forgotten = decision.forget.iter().map(|process| (Key::Member(*process).text(), None));
    records.extend(forgotten);
    Ok(records)
}

struct Failure {
    error: BrokerError,
    /// The producer cannot go on, or nobody knows what has become of its transaction.
    producer_is_spent: bool,
}

/// Writes the records in one transaction, as this member.
fn transact(
    producer: &mut dyn Producer,
    topic: TopicHandle,
    records: &Records,
    offsets: &[(TopicPartition, CommittedOffset)],
    member: &GroupMetadata,
) -> Result<(), Failure> {
    let spent = |error| Failure { error, producer_is_spent: true };
    producer.begin_transaction().map_err(spent)?;
    let headers = Headers::new();
    let mut fill = || {
        for (key, value) in records {
            producer.send(topic, record(key, value.as_deref(), &headers))?;
        }
        producer.flush(CALL_TIMEOUT)?;
        again(|| producer.send_offsets(offsets, member, CALL_TIMEOUT))
    };
    if let Err(error) = fill() {
        let aborted = error.kind() != BrokerErrorKind::Fenced
            && again(|| producer.abort_transaction(CALL_TIMEOUT)).is_ok();
        return Err(Failure { error, producer_is_spent: !aborted });
    }
    match again(|| producer.commit_transaction(CALL_TIMEOUT)) {
        Err(error) if error.kind() == BrokerErrorKind::TransactionAborted => {
            let aborted = again(|| producer.abort_transaction(CALL_TIMEOUT)).is_ok();
            Err(Failure { error, producer_is_spent: !aborted })
        }
        result => result.map_err(spent),
    }
}

/// Makes a call a few times, as long as another try may help.
fn again(mut call: impl FnMut() -> Result<(), BrokerError>) -> Result<(), BrokerError> {
    for _ in 1..ATTEMPTS {
        match call() {
            Err(error) if error.is_retriable() => {}
            result => return result,
        }
    }
    call()
}
