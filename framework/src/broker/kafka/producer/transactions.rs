//! The transaction calls, and what their errors ask for.
//!
//! KAFKA: errors are looked at in the order that librdkafka's manual gives: fatal, abort required,
//! retriable; what is left is fatal as well. A call that has timed out goes on in the background, and the
//! same call takes it up again.
#![expect(unsafe_code, reason = "errors and metadata belong to a C library")]

use std::ffi::c_int;
use std::fmt::Display;
use std::ptr::{self, NonNull};
use std::time::Duration;

use rdkafka::bindings as sys;
use rdkafka::bindings::rd_kafka_error_t as NativeError;
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::types::{RDKafka, RDKafkaConsumerGroupMetadata};

use super::KafkaProducer;
use crate::broker::kafka::client::{Deadline, REASON_LEN, c_string, millis, text};
use crate::broker::kafka::errors::{at_its_end, broker_error_with, failed};
use crate::broker::kafka::partitions::offsets_of;
use crate::broker::{
    BrokerError, BrokerErrorKind, CommittedOffset, GroupMetadata, Producer, TransactionSettings,
};
use crate::ids::TopicPartition;

/// The pause before a call is repeated that could not even be sent.
const PAUSE: Duration = Duration::from_millis(20);

/// What may be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It has no transactions.
    Plain,
    /// `init_transactions` has not succeeded yet.
    New,
    /// Between two transactions.
    Ready,
    /// In a transaction, which may have failed already.
    Open,
    /// In a transaction whose commit has begun: only the same call may take it up again.
    Committing,
}

impl Phase {
    pub(super) fn at_first(transactions: Option<&TransactionSettings>) -> Self {
        if transactions.is_some() { Self::New } else { Self::Plain }
    }
}

impl KafkaProducer {
    pub(super) fn initialise(&mut self, timeout: Duration) -> Result<(), BrokerError> {
        self.expect(Phase::New, "initialise transactions")?;
        let what = format!("cannot initialise the transactions of {}", self.transactional_id);
        self.repeat(what, timeout, |client, step| {
            // SAFETY: the client is live.
            unsafe { sys::rd_kafka_init_transactions(client, step) }
        })?;
        self.phase = Phase::Ready;
        Ok(())
    }

    pub(super) fn begin(&mut self) -> Result<(), BrokerError> {
        self.expect(Phase::Ready, "begin a transaction")?;
        self.check()?;
        // SAFETY: the client is live.
        let error = unsafe { sys::rd_kafka_begin_transaction(self.client.handle()) };
        self.result(error, "cannot begin a transaction")?;
        self.phase = Phase::Open;
        Ok(())
    }

    pub(super) fn add_offsets(
        &self,
        offsets: &[(TopicPartition, CommittedOffset)],
        member: &GroupMetadata,
        timeout: Duration,
    ) -> Result<(), BrokerError> {
        self.expect(Phase::Open, "send offsets")?;
        self.check()?;
        let list = offsets_of(offsets)?;
        let native = NativeMetadata::new(member)?;
        let what = format!("cannot send offsets of group {} in a transaction", member.group_id);
        self.repeat(what, timeout, |client, step| {
            // SAFETY: client, list and metadata are live; the call copies both.
            unsafe {
                let member = native.0.as_ptr();
                sys::rd_kafka_send_offsets_to_transaction(client, list.ptr(), member, step)
            }
        })
    }

    pub(super) fn commit(&mut self, timeout: Duration) -> Result<(), BrokerError> {
        let deadline = Deadline::after(timeout);
        if self.phase != Phase::Committing {
            self.expect(Phase::Open, "commit a transaction")?;
            // librdkafka's commit flushes as well, but in steps of 10 ms.
            self.flush(timeout)?;
        }
        let result = self.repeat("cannot commit a transaction", deadline.left(), |client, step| {
            // SAFETY: the client is live.
            unsafe { sys::rd_kafka_commit_transaction(client, step) }
        });
        self.phase = match &result {
            Ok(()) => Phase::Ready,
            Err(error) if error.is_retriable() => Phase::Committing,
            Err(_) => Phase::Open,
        };
        result
    }

    pub(super) fn abort(&mut self, timeout: Duration) -> Result<(), BrokerError> {
        self.expect(Phase::Open, "abort a transaction")?;
        // Drops what is queued and serves the reports about it, which come by callback.
        self.repeat("cannot abort a transaction", timeout, |client, step| {
            // SAFETY: the client is live.
            unsafe { sys::rd_kafka_abort_transaction(client, step) }
        })?;
        self.client.serve(Duration::ZERO);
        self.client.context().role.forget_failure();
        self.phase = Phase::Ready;
        Ok(())
    }

    /// Why records are not taken any more, once librdkafka refuses them or one has failed.
    pub(super) fn lost(&self) -> BrokerError {
        self.client.serve(Duration::ZERO);
        if let Some(error) = self.fatal() {
            return error;
        }
        // Changes nothing while a transaction is open, and tells what has ended one that has failed.
        // SAFETY: the client is live.
        let error = unsafe { sys::rd_kafka_begin_transaction(self.client.handle()) };
        let what = "the transaction cannot go on";
        match self.result(error, what) {
            Err(error) if error.kind() != BrokerErrorKind::Invalid => error,
            _ => BrokerError::new(BrokerErrorKind::TransactionAborted, what),
        }
    }

    /// The error after which the client cannot go on, if it has met one: known here before its callback
    /// is served.
    pub(super) fn fatal(&self) -> Option<BrokerError> {
        let mut reason = [0; REASON_LEN];
        // SAFETY: the client is live and the buffer has the length given.
        let code = failed(unsafe {
            sys::rd_kafka_fatal_error(self.client.handle(), reason.as_mut_ptr(), reason.len())
        })?;
        Some(fatal(code, "the producer cannot go on", &text(reason.as_ptr())))
    }

    fn expect(&self, phase: Phase, what: &str) -> Result<(), BrokerError> {
        if self.phase == phase { Ok(()) } else { Err(self.refuse(what)) }
    }

    /// The error of a call that does not fit the phase.
    pub(super) fn refuse(&self, what: &str) -> BrokerError {
        let why = match self.phase {
            Phase::Plain => "it was made without transactions",
            Phase::New => "its transactions are not initialised",
            Phase::Ready => "its transactions are initialised, and none is open",
            Phase::Open => "a transaction is open",
            Phase::Committing => "the commit of its transaction has begun: call that again",
        };
        let message = format!("the producer cannot {what}: {why}");
        BrokerError::new(BrokerErrorKind::Invalid, message)
    }

    /// Makes a call until it succeeds, fails for good or `timeout` has passed.
    fn repeat(
        &self,
        what: impl Display,
        timeout: Duration,
        call: impl Fn(*mut RDKafka, c_int) -> *mut NativeError,
    ) -> Result<(), BrokerError> {
        let deadline = Deadline::after(timeout);
        loop {
            let error = call(self.client.handle(), millis(deadline.left()));
            match self.result(error, &what) {
                Err(error) if error.is_retriable() && !deadline.passed() => {
                    self.client.serve(PAUSE.min(deadline.left()));
                }
                result => return result,
            }
        }
    }

    /// Turns the outcome of a call into what the caller is to do.
    fn result(&self, error: *mut NativeError, what: impl Display) -> Result<(), BrokerError> {
        let Some(error) = NonNull::new(error) else { return Ok(()) };
        // SAFETY: the error is ours: read here, and destroyed once.
        let (code, reason, is_fatal, requires_abort, is_retriable) = unsafe {
            let error = error.as_ptr();
            let found = (
                Code::from(sys::rd_kafka_error_code(error)),
                text(sys::rd_kafka_error_string(error)),
                sys::rd_kafka_error_is_fatal(error) != 0,
                sys::rd_kafka_error_txn_requires_abort(error) != 0,
                sys::rd_kafka_error_is_retriable(error) != 0,
            );
            sys::rd_kafka_error_destroy(error);
            found
        };
        if is_fatal {
            self.client.serve(Duration::ZERO);
            return Err(fatal(code, what, &reason));
        }
        let known = broker_error_with(code, &what, &reason);
        let kind = match (known.kind(), code) {
            (kind @ BrokerErrorKind::Authorization, _) => kind,
            _ if requires_abort => BrokerErrorKind::TransactionAborted,
            // Another call of this producer is not finished: waiting does not help.
            (_, Code::Conflict) => BrokerErrorKind::Invalid,
            _ if is_retriable => BrokerErrorKind::Retriable,
            (_, Code::State | Code::InvalidArgument) => BrokerErrorKind::Invalid,
            _ => BrokerErrorKind::Fatal,
        };
        Err(BrokerError::new(kind, known.to_string()).with_source(code))
    }
}

/// The error of a client that cannot go on.
fn fatal(code: Code, what: impl Display, reason: &str) -> BrokerError {
    let known = broker_error_with(code, what, reason);
    if code == Code::InvalidTransactionTimeout {
        return BrokerError::new(BrokerErrorKind::Invalid, known.to_string()).with_source(code);
    }
    at_its_end(&known, code)
}

/// A member's identity in librdkafka's form.
struct NativeMetadata(NonNull<RDKafkaConsumerGroupMetadata>);

impl NativeMetadata {
    fn new(member: &GroupMetadata) -> Result<Self, BrokerError> {
        // KAFKA: the broker takes an empty identity in a transaction without asking who it is.
        if member.generation < 0 || member.member_id.is_empty() {
            let message = format!("{member:?} is no member of a group");
            return Err(BrokerError::new(BrokerErrorKind::Invalid, message));
        }
        let (group, id) = (c_string(&member.group_id)?, c_string(&member.member_id)?);
        // SAFETY: the strings end with a zero byte and are copied; the call does not return null.
        unsafe {
            let native = sys::rd_kafka_consumer_group_metadata_new_with_genid(
                group.as_ptr(),
                member.generation,
                id.as_ptr(),
                ptr::null(),
            );
            Ok(Self(NonNull::new_unchecked(native)))
        }
    }
}

impl Drop for NativeMetadata {
    fn drop(&mut self) {
        // SAFETY: ours, and destroyed once.
        unsafe { sys::rd_kafka_consumer_group_metadata_destroy(self.0.as_ptr()) };
    }
}
