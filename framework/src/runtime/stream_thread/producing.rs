//! A thread's producer and its transactions.
//!
//! ```text
//!                 init                begin
//!   ┌─────────┐  answered ┌────────┐ ───────► ┌──────┐
//!   │ Starting│ ────────► │ Closed │          │ Open │
//!   └─────────┘           └────────┘ ◄─────── └──┬───┘
//!        ▲                     ▲     committed   │ abort
//!        │ fenced              └──────────────┐  ▼
//!        └──────────────────────────────── Aborting
//! ```
//! At least once there are no transactions, and the producer is always ready; another one takes its place when
//! tasks are taken away.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use crate::broker::{Producer, ProducerSettings, TransactionSettings};
use crate::error::Error;
use crate::processor::collector::SharedProducer;
use crate::runtime::commit::{is_final, refused_in_transaction};
use crate::runtime::shared::Shared;

/// How long one try to begin or abort waits; other work of the thread waits as long.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transaction {
    /// There are none.
    Never,
    /// The broker has not ended yet what an earlier producer of this id has left open.
    Starting,
    Closed,
    Open,
    Aborting,
}

/// See the module.
pub(super) struct ThreadProducer {
    settings: ProducerSettings,
    reports_undelivered: bool,
    shared: SharedProducer,
    transaction: Transaction,
}

impl ThreadProducer {
    /// `name` is the thread's; it names the producer, and its transactions, in the same way in the next life
    /// of the process.
    pub(super) fn new(shared: &Shared, name: &str) -> Result<Self, Error> {
        let config = &shared.config;
        let transactions = config.is_exactly_once().then(|| TransactionSettings {
            transactional_id: shared.transactional_id(name),
            timeout: config.transaction_timeout,
        });
        let transactional = transactions.is_some();
        let settings = ProducerSettings {
            client_id: format!("{}-{name}-producer", config.application_id),
            track_acks: shared.topology.stores.iter().any(|store| store.logging),
            transactions,
        };
        let reports_undelivered = transactional || config.production_handler.is_some();
        let producer = make(shared, &settings, reports_undelivered)?;
        Ok(Self {
            settings,
            reports_undelivered,
            shared: Rc::new(RefCell::new(producer)),
            transaction: if transactional { Transaction::Starting } else { Transaction::Never },
        })
    }

    /// The producer as tasks use it.
    pub(super) fn shared(&self) -> &SharedProducer {
        &self.shared
    }

    pub(super) fn is_transactional(&self) -> bool {
        self.settings.transactions.is_some()
    }

    /// Serves acknowledgements, and waits a little for what the broker still has to answer; false: it has
    /// not answered, nothing may be sent yet.
    pub(super) fn poll(&mut self, shared: &Shared) -> Result<bool, Error> {
        let answer = match self.transaction {
            Transaction::Never | Transaction::Closed | Transaction::Open => {
                self.shared.borrow_mut().poll()?;
                return Ok(true);
            }
            Transaction::Starting => self.shared.borrow_mut().init_transactions(PATIENCE),
            Transaction::Aborting => self.shared.borrow_mut().abort_transaction(PATIENCE),
        };
        match answer {
            Ok(()) => self.transaction = Transaction::Closed,
            Err(error) if error.is_retriable() => {
                tracing::warn!(%error, "the broker has not ended an old transaction yet; trying again");
                return Ok(false);
            }
            Err(error) if self.transaction == Transaction::Aborting => {
                tracing::info!(%error, "the producer is at its end; another one takes its place");
                self.replace(shared)?;
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(true)
    }

    /// What is sent from now on is in a transaction.
    pub(super) fn begin(&mut self) -> Result<(), Error> {
        if self.transaction == Transaction::Closed {
            self.shared.borrow_mut().begin_transaction()?;
            self.transaction = Transaction::Open;
        }
        Ok(())
    }

    /// The open transaction is committed.
    pub(super) fn committed(&mut self) {
        if self.transaction == Transaction::Open {
            self.transaction = Transaction::Closed;
        }
    }

    /// Gives up what the tasks that are gone have sent: the open transaction, [`poll`](Self::poll) says when that is
    /// done; at least once what has not left the process yet, because their changelogs may be somebody else's by
    /// now. Fails when a transaction holds a record that the broker will refuse again.
    pub(super) fn abort(&mut self, shared: &Shared) -> Result<(), Error> {
        match self.transaction {
            Transaction::Never => return self.replace(shared),
            Transaction::Open => self.transaction = Transaction::Aborting,
            Transaction::Starting | Transaction::Closed | Transaction::Aborting => {}
        }
        let refused = self.shared.borrow_mut().take_undelivered();
        match refused.into_iter().find(|record| is_final(&record.error)) {
            Some(record) if self.is_transactional() => {
                Err(refused_in_transaction(&record.partition, record.error))
            }
            _ => Ok(()),
        }
    }

    /// Whether an open transaction is being given up.
    pub(super) fn is_aborting(&self) -> bool {
        self.transaction == Transaction::Aborting
    }

    /// Makes another producer, which fences the old one if it has transactions. Only between two sets of
    /// tasks: they know the old one's topics.
    fn replace(&mut self, shared: &Shared) -> Result<(), Error> {
        let producer = make(shared, &self.settings, self.reports_undelivered)?;
        *self.shared.borrow_mut() = producer;
        self.transaction =
            if self.is_transactional() { Transaction::Starting } else { Transaction::Never };
        Ok(())
    }
}

fn make(
    shared: &Shared,
    settings: &ProducerSettings,
    reports_undelivered: bool,
) -> Result<Box<dyn Producer>, Error> {
    let mut producer = shared.broker.producer(settings)?;
    if reports_undelivered {
        producer.report_undelivered();
    }
    Ok(producer)
}
