//! The transaction coordinator: which producer may write under a transactional id, and what its open
//! transaction has touched.
//!
//! ```text
//!             first record or offsets        committed, aborted
//!   ┌──────┐ ────────────────────────► ┌──────┐ ──► back to None
//!   │ None │                           │ Open │
//!   └──────┘ ◄──────────────────────── └──────┘
//!              too old, or a new producer: aborted, and the epoch grows
//! ```
//!
//! What always holds: a record is in a transaction only while its partition knows that transaction as
//! open, and the end of a transaction takes it out of every partition before anything else is done; so
//! whoever is fenced cannot write any more. Time passes by the broker's clock, and is looked at by
//! whoever ends a transaction, or waits for one to end.
//!
//! ORDER: the lock of a transactional id is taken before those of partitions and groups.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::group::Group;
use super::isolation::{Outcome, ProducerLife};
use super::lock;
use super::partition::Partition;
use crate::broker::{
    BrokerError, BrokerErrorKind, CommittedOffset, GroupMetadata, TransactionSettings,
};
use crate::ids::TopicPartition;

/// All transactional ids that there have ever been.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    /// Guards the map only; whoever uses an id takes it out first.
    by_id: Mutex<BTreeMap<String, Arc<Transactional>>>,
}

impl Transactions {
    /// Starts a new life under the settings' id: earlier ones are fenced, and what they have left open is
    /// aborted.
    pub(super) fn start(&self, settings: &TransactionSettings) -> Session {
        let mut by_id = lock(&self.by_id);
        let number = by_id.len() as u64;
        let id = settings.transactional_id.clone();
        let new = || Arc::new(Transactional::new(&id, number));
        let transactional = Arc::clone(by_id.entry(id.clone()).or_insert_with(new));
        drop(by_id);
        let mut state = lock(&transactional.state);
        state.fence(transactional.number);
        let life = ProducerLife { number: transactional.number, epoch: state.epoch };
        drop(state);
        Session { transactional, life, timeout: settings.timeout }
    }

    /// Aborts the transactions that are too old at `now`.
    pub(super) fn expire(&self, now: Duration) {
        let all: Vec<_> = lock(&self.by_id).values().cloned().collect();
        for transactional in all {
            lock(&transactional.state).expire(transactional.number, now);
        }
    }
}

/// What is shared by all producers with one id.
#[derive(Debug)]
struct Transactional {
    id: String,
    number: u64,
    /// Guards which producer is the present one; held for whole ends of transactions, never while waiting.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    epoch: u64,
    open: Option<Open>,
}

/// What a transaction has touched.
#[derive(Debug)]
struct Open {
    deadline: Duration,
    partitions: Vec<Arc<Partition>>,
    groups: Vec<Arc<Group>>,
}

impl Transactional {
    fn new(id: &str, number: u64) -> Self {
        Self { id: id.to_owned(), number, state: Mutex::default() }
    }
}

impl State {
    /// Ends the life of the present producer.
    fn fence(&mut self, number: u64) {
        self.end(number, Outcome::Aborted);
        self.epoch += 1;
    }

    fn expire(&mut self, number: u64, now: Duration) {
        if self.open.as_ref().is_some_and(|open| open.deadline <= now) {
            self.fence(number);
        }
    }

    fn end(&mut self, number: u64, outcome: Outcome) {
        let Some(open) = self.open.take() else { return };
        let life = ProducerLife { number, epoch: self.epoch };
        for partition in open.partitions {
            partition.end(life, outcome);
        }
        // Last, so that whoever waits for the offsets finds the records.
        for group in open.groups {
            group.step(|state| state.end_transaction(number, outcome));
        }
    }

    fn open_until(&mut self, deadline: Duration) -> &mut Open {
        self.open.get_or_insert_with(|| Open {
            deadline,
            partitions: Vec::new(),
            groups: Vec::new(),
        })
    }
}

/// One life of a transactional producer.
#[derive(Debug)]
pub(super) struct Session {
    transactional: Arc<Transactional>,
    life: ProducerLife,
    timeout: Duration,
}

impl Session {
    pub(super) fn life(&self) -> ProducerLife {
        self.life
    }

    /// Runs a step of the present producer; fails for one that is fenced, or has been too slow.
    fn step<R>(
        &self,
        now: Duration,
        step: impl FnOnce(&mut State) -> Result<R, BrokerError>,
    ) -> Result<R, BrokerError> {
        let mut state = lock(&self.transactional.state);
        state.expire(self.transactional.number, now);
        if state.epoch == self.life.epoch { step(&mut state) } else { Err(self.fenced()) }
    }

    /// Whether the producer is still the present one.
    pub(super) fn check(&self, now: Duration) -> Result<(), BrokerError> {
        self.step(now, |_| Ok(()))
    }

    /// Makes the partition part of the transaction.
    pub(super) fn add_partition(
        &self,
        partition: &Arc<Partition>,
        now: Duration,
    ) -> Result<(), BrokerError> {
        self.step(now, |state| {
            let open = state.open_until(now + self.timeout);
            partition.begin(self.life, open.deadline)?;
            open.partitions.push(Arc::clone(partition));
            Ok(())
        })
    }

    /// Makes the offsets part of the transaction, on behalf of this member of the group.
    pub(super) fn add_offsets(
        &self,
        group: &Arc<Group>,
        member: &GroupMetadata,
        offsets: &[(TopicPartition, CommittedOffset)],
        now: Duration,
    ) -> Result<(), BrokerError> {
        self.step(now, |state| {
            let open = state.open_until(now + self.timeout);
            if !open.groups.iter().any(|known| Arc::ptr_eq(known, group)) {
                open.groups.push(Arc::clone(group));
            }
            let deadline = open.deadline;
            group.step(|state| {
                state.expire(now);
                state.add_pending(self.life.number, deadline, member, offsets)
            })
        })
    }

    /// Ends the transaction.
    pub(super) fn end(&self, outcome: Outcome, now: Duration) -> Result<(), BrokerError> {
        self.step(now, |state| {
            state.end(self.transactional.number, outcome);
            Ok(())
        })
    }

    pub(super) fn fenced(&self) -> BrokerError {
        let id = &self.transactional.id;
        let message = format!(
            "transactional id {id}: a newer producer has it, or the transaction was open for longer \
             than {:?}; make another producer",
            self.timeout
        );
        BrokerError::new(BrokerErrorKind::Fenced, message)
    }
}
