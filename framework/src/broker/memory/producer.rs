//! The producer: appends at once, so that a record sent is a record acknowledged.

use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use super::isolation::Outcome;
use super::partition::Refused;
use super::topic::Topic;
use super::transactions::Session;
use crate::broker::{
    BrokerError, BrokerErrorKind, CommittedOffset, GroupMetadata, OutgoingRecord, Producer,
    ProducerSettings, TopicHandle, TransactionSettings, not_transactional,
};
use crate::ids::TopicPartition;
use crate::time::Clock;

/// KAFKA: a record that is refused is refused by its own `send`, and the producer goes on; it is not part
/// of an open transaction. No failure can show later, because nothing is under way.
#[derive(Debug)]
pub(super) struct MemoryProducer {
    shared: Arc<Shared>,
    track_acks: bool,
    topics: Vec<Target>,
    transactions: Option<Transactional>,
}

#[derive(Debug)]
struct Target {
    topic: Arc<Topic>,
    name: String,
    /// The last offset per partition; empty unless acknowledgements are tracked.
    acked: Vec<Option<i64>>,
    /// The last transaction of this producer that each partition was part of; empty without transactions.
    joined: Vec<u64>,
}

/// What a transactional producer has beside.
#[derive(Debug)]
struct Transactional {
    settings: TransactionSettings,
    /// None before `init_transactions`.
    session: Option<Session>,
    phase: Phase,
    /// How many transactions it has begun.
    begun: u64,
    /// Why the open transaction has failed, if it has.
    failure: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// `init_transactions` was not called yet.
    New,
    /// Between two transactions.
    Ready,
    Open,
    /// In a transaction that can only be aborted.
    Failed,
    /// At its end.
    Fenced,
}

impl MemoryProducer {
    pub(super) fn new(shared: Arc<Shared>, settings: &ProducerSettings) -> Self {
        let transactions = settings.transactions.clone().map(Transactional::new);
        Self { shared, track_acks: settings.track_acks, topics: Vec::new(), transactions }
    }

    /// Runs a call about transactions at the broker's present time.
    fn transact(
        &mut self,
        call: impl FnOnce(&mut Transactional, Duration) -> Result<(), BrokerError>,
    ) -> Result<(), BrokerError> {
        let transactions = self.transactions.as_mut().ok_or_else(not_transactional)?;
        let result = call(transactions, self.shared.clock.monotonic());
        transactions.settle(result)
    }
}

impl Transactional {
    fn new(settings: TransactionSettings) -> Self {
        Self { settings, session: None, phase: Phase::New, begun: 0, failure: String::new() }
    }

    /// The session, if the producer is where a call needs it.
    fn expect(&self, phases: &[Phase]) -> Result<&Session, BrokerError> {
        let (Some(session), phase) = (&self.session, self.phase) else {
            return Err(invalid("its transactions are not initialised"));
        };
        if phases.contains(&phase) {
            return Ok(session);
        }
        Err(match phase {
            Phase::Fenced => session.fenced(),
            Phase::Failed if phases.contains(&Phase::Open) => self.failed(),
            Phase::New | Phase::Ready => invalid("no transaction is open"),
            Phase::Open | Phase::Failed => invalid("a transaction is open"),
        })
    }

    /// Fails once nothing can be sent any more.
    fn check(&self) -> Result<(), BrokerError> {
        match (self.phase, &self.session) {
            (Phase::Failed, _) => Err(self.failed()),
            (Phase::Fenced, Some(session)) => Err(session.fenced()),
            _ => Ok(()),
        }
    }

    fn failed(&self) -> BrokerError {
        BrokerError::new(BrokerErrorKind::TransactionAborted, self.failure.clone())
    }

    /// Notes what a failure means for the calls to come.
    fn settle<T>(&mut self, result: Result<T, BrokerError>) -> Result<T, BrokerError> {
        if let Err(error) = &result {
            if error.kind() == BrokerErrorKind::Fenced {
                self.phase = Phase::Fenced;
            } else if error.kind() == BrokerErrorKind::TransactionAborted
                && self.phase == Phase::Open
            {
                self.phase = Phase::Failed;
                self.failure = error.to_string();
            }
        }
        result
    }

    fn end(&mut self, outcome: Outcome, now: Duration) -> Result<(), BrokerError> {
        let phases: &[Phase] = match outcome {
            Outcome::Committed => &[Phase::Open],
            Outcome::Aborted => &[Phase::Open, Phase::Failed],
        };
        self.expect(phases)?.end(outcome, now)?;
        self.phase = Phase::Ready;
        Ok(())
    }

    fn send(
        &self,
        target: &mut Target,
        record: OutgoingRecord<'_>,
        clock: &dyn Clock,
    ) -> Result<i64, BrokerError> {
        let session = self.expect(&[Phase::Open])?;
        let (partition, prepared) = target.topic.prepare(record, clock)?;
        let index = usize::try_from(record.partition).unwrap_or_default();
        if let Some(joined) = target.joined.get_mut(index)
            && *joined != self.begun
        {
            session.add_partition(partition, clock.monotonic())?;
            *joined = self.begun;
        }
        partition.append_in(session.life(), prepared).map_err(|refused| match refused {
            Refused::NotOpen => session.fenced(),
            Refused::Broker(error) => error,
        })
    }
}

fn invalid(why: &str) -> BrokerError {
    BrokerError::new(BrokerErrorKind::Invalid, format!("the producer cannot do this now: {why}"))
}

impl Producer for MemoryProducer {
    fn topic(&mut self, name: &str) -> Result<TopicHandle, BrokerError> {
        let topic = self.shared.topics.get(name)?;
        let count = topic.partitions().len();
        let acked = vec![None; if self.track_acks { count } else { 0 }];
        let joined = vec![0; if self.transactions.is_some() { count } else { 0 }];
        let target = Target { topic, name: name.to_owned(), acked, joined };
        let Some(known) = self.topics.iter().position(|target| target.name == name) else {
            self.topics.push(target);
            return Ok(TopicHandle(self.topics.len() - 1));
        };
        // A topic that was deleted and created again is another one under the same handle.
        if let Some(old) =
            self.topics.get_mut(known).filter(|old| !Arc::ptr_eq(&old.topic, &target.topic))
        {
            *old = target;
        }
        Ok(TopicHandle(known))
    }

    fn partition_count(&self, topic: TopicHandle) -> i32 {
        self.topics.get(topic.0).map_or(0, |target| target.topic.partition_count())
    }

    fn send(&mut self, topic: TopicHandle, record: OutgoingRecord<'_>) -> Result<(), BrokerError> {
        let target = self.topics.get_mut(topic.0).ok_or_else(|| {
            BrokerError::new(BrokerErrorKind::Invalid, format!("no topic has handle {}", topic.0))
        })?;
        let clock = &*self.shared.clock;
        let offset = match &mut self.transactions {
            None => target.topic.append(record, clock)?,
            Some(transactions) => {
                let sent = transactions.send(target, record, clock);
                transactions.settle(sent)?
            }
        };
        let partition = usize::try_from(record.partition).ok();
        if let Some(acked) = partition.and_then(|index| target.acked.get_mut(index)) {
            *acked = Some(offset);
        }
        Ok(())
    }

    fn poll(&mut self) -> Result<(), BrokerError> {
        self.transactions.as_ref().map_or(Ok(()), Transactional::check)
    }

    fn flush(&mut self, _timeout: Duration) -> Result<(), BrokerError> {
        self.poll()
    }

    fn last_acked(&self, topic: TopicHandle, partition: i32) -> Option<i64> {
        let index = usize::try_from(partition).ok()?;
        self.topics.get(topic.0)?.acked.get(index).copied().flatten()
    }

    fn init_transactions(&mut self, _timeout: Duration) -> Result<(), BrokerError> {
        let transactions = self.transactions.as_mut().ok_or_else(not_transactional)?;
        if transactions.phase != Phase::New {
            return Err(invalid("its transactions are initialised already"));
        }
        transactions.session = Some(self.shared.transactions.start(&transactions.settings));
        transactions.phase = Phase::Ready;
        Ok(())
    }

    fn begin_transaction(&mut self) -> Result<(), BrokerError> {
        self.transact(|transactions, now| {
            transactions.expect(&[Phase::Ready])?.check(now)?;
            transactions.phase = Phase::Open;
            transactions.begun += 1;
            Ok(())
        })
    }

    fn send_offsets(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        member: &GroupMetadata,
        _timeout: Duration,
    ) -> Result<(), BrokerError> {
        let shared = Arc::clone(&self.shared);
        self.transact(|transactions, now| {
            let session = transactions.expect(&[Phase::Open])?;
            if member.generation < 0 || member.member_id.is_empty() {
                return Err(invalid(&format!("{member:?} is no member of a group")));
            }
            if offsets.is_empty() {
                return Ok(());
            }
            for (partition, _) in offsets {
                shared.topics.partition(partition).map_err(|error| {
                    let message = format!("cannot send offsets: {error}");
                    BrokerError::new(BrokerErrorKind::TransactionAborted, message)
                })?;
            }
            session.add_offsets(&shared.group(&member.group_id), member, offsets, now)
        })
    }

    fn commit_transaction(&mut self, _timeout: Duration) -> Result<(), BrokerError> {
        self.transact(|transactions, now| transactions.end(Outcome::Committed, now))
    }

    fn abort_transaction(&mut self, _timeout: Duration) -> Result<(), BrokerError> {
        self.transact(|transactions, now| transactions.end(Outcome::Aborted, now))
    }
}
