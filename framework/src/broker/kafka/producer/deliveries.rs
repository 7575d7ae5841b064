//! What delivery reports tell: the offsets of acknowledged records, and the records that failed.
#![expect(unsafe_code, reason = "messages belong to a C library")]

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::bindings as sys;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::types::{RDKafka, RDKafkaConf, RDKafkaMessage, RDKafkaType};

use crate::broker::kafka::batch::{bytes, headers_of};
use crate::broker::kafka::client::{Context, Role, text};
use crate::broker::kafka::errors::{failed, topic_error};
use crate::broker::{BrokerError, BrokerErrorKind, UndeliveredRecord};
use crate::ids::TopicPartition;

/// What delivery callbacks write.
#[derive(Debug, Default)]
pub(in crate::broker::kafka) struct Deliveries {
    failure: First,
    /// A record of a topic whose records have a lifetime.
    expired: First,
    /// Whether failures are kept for `take_undelivered`, instead of the first ending the producer.
    reported: AtomicBool,
    /// Locked once per failure.
    undelivered: Mutex<Vec<UndeliveredRecord>>,
    /// Keeps what topics point to alive as long as the client. Locked once per topic.
    topics: Mutex<BTreeMap<String, Arc<TopicReports>>>,
    transactional: bool,
}

/// The first of its kind.
#[derive(Debug, Default)]
struct First {
    /// Whether there is one: looked at with each record.
    is_there: AtomicBool,
    /// Locked at a failure only.
    failure: Mutex<Option<Failure>>,
}

impl First {
    fn is_there(&self) -> bool {
        self.is_there.load(Ordering::Acquire)
    }

    fn note(&self, failure: Failure) {
        let mut first = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(failure);
        self.is_there.store(true, Ordering::Release);
    }

    fn take(&self) -> Option<Failure> {
        let mut first = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_there.store(false, Ordering::Release);
        first.take()
    }

    fn look<T>(&self, look: impl FnOnce(&Failure) -> T) -> Option<T> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(look)
    }
}

/// A record that failed for good.
#[derive(Debug)]
pub(super) struct Failure {
    code: RDKafkaErrorCode,
    place: TopicPartition,
    reason: String,
}

/// What delivery reports tell of a topic.
#[derive(Debug)]
pub(super) struct TopicReports {
    /// The highest acknowledged offset per partition; −1: none.
    acked: Box<[AtomicI64]>,
    /// Whether records have a lifetime.
    pub(super) may_expire: bool,
}

impl TopicReports {
    pub(super) fn last_acked(&self, partition: i32) -> Option<i64> {
        let last = self.acked.get(usize::try_from(partition).ok()?)?.load(Ordering::Relaxed);
        (last >= 0).then_some(last)
    }
}

impl Deliveries {
    pub(super) fn new(transactional: bool) -> Self {
        Self { transactional, ..Self::default() }
    }

    /// Room for the reports of a topic, for as long as the client lives.
    ///
    /// KAFKA: a client keeps the first opaque of a topic, and drops that of a second handle: a look-up that failed
    /// behind the first must find the same room.
    pub(super) fn topic(&self, name: &str, partitions: i32, may_expire: bool) -> Arc<TopicReports> {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        let reports = topics.entry(name.to_owned()).or_insert_with(|| {
            let acked = (0..partitions).map(|_| AtomicI64::new(-1)).collect();
            Arc::new(TopicReports { acked, may_expire })
        });
        Arc::clone(reports)
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failure.is_there()
    }

    /// The first failure since the last `forget_failure`.
    pub(super) fn failure(&self) -> Option<BrokerError> {
        self.failure.look(|failure| failure.error(self.transactional))
    }

    /// Whether the first failure is a record that was dropped with its transaction.
    pub(super) fn was_purged(&self) -> bool {
        self.failure.look(Failure::is_purge).unwrap_or(false)
    }

    pub(super) fn forget_failure(&self) {
        self.failure.take();
    }

    /// Fails once after records whose lifetime has ended.
    pub(super) fn check_expired(&self) -> Result<(), BrokerError> {
        if !self.expired.is_there() {
            return Ok(());
        }
        self.expired.take().map_or(Ok(()), |failure| Err(failure.expiry()))
    }

    pub(super) fn report(&self) {
        self.reported.store(true, Ordering::Relaxed);
    }

    pub(super) fn take_undelivered(&self) -> Vec<UndeliveredRecord> {
        std::mem::take(&mut *self.undelivered.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Role for Deliveries {
    const KIND: RDKafkaType = RDKafkaType::RD_KAFKA_PRODUCER;

    unsafe fn register(conf: *mut RDKafkaConf) {
        // SAFETY: the caller vouches for `conf`.
        unsafe { sys::rd_kafka_conf_set_dr_msg_cb(conf, Some(on_delivery)) };
    }
}

unsafe extern "C" fn on_delivery(
    _client: *mut RDKafka,
    message: *const RDKafkaMessage,
    opaque: *mut c_void,
) {
    // SAFETY: librdkafka passes a live message; a topic's opaque is null or one of
    // `Deliveries::topics`; the context is this role's.
    unsafe {
        let message = &*message;
        let reports = sys::rd_kafka_topic_opaque(message.rkt).cast::<TopicReports>().as_ref();
        let Some(code) = failed(message.err) else {
            let last = usize::try_from(message.partition).ok().and_then(|p| reports?.acked.get(p));
            if let Some(last) = last {
                last.store(message.offset, Ordering::Relaxed);
            }
            return;
        };
        let role = &Context::<Deliveries>::from_opaque(opaque).role;
        let topic = text(sys::rd_kafka_topic_name(message.rkt));
        let partition = TopicPartition::new(topic, message.partition);
        // Not `rd_kafka_message_errstr`, which takes the record's value for an error text.
        let told = sys::rd_kafka_message_produce_errstr(message);
        let told = if told.is_null() { sys::rd_kafka_err2str(message.err) } else { told };
        let reason = text(told);
        let failure = Failure { code, place: partition.clone(), reason };
        let may_expire = reports.is_some_and(|reports| reports.may_expire);
        if may_expire && code == RDKafkaErrorCode::MessageTimedOut {
            return role.expired.note(failure);
        }
        // A record that was dropped with its transaction is no failure of its own.
        if role.reported.load(Ordering::Relaxed) && !failure.is_purge() {
            let record = undelivered(message, partition, failure.cause());
            role.undelivered.lock().unwrap_or_else(PoisonError::into_inner).push(record);
            if !role.transactional {
                return;
            }
        }
        role.failure.note(failure);
    }
}

/// A copy of a record that failed.
///
/// # Safety
/// The message must be live.
unsafe fn undelivered(
    message: &RDKafkaMessage,
    partition: TopicPartition,
    error: BrokerError,
) -> UndeliveredRecord {
    // SAFETY: the caller vouches for the message; its callback is on one thread.
    unsafe {
        UndeliveredRecord {
            partition,
            key: bytes(message.key.cast(), message.key_len).map(<[u8]>::to_vec),
            value: bytes(message.payload.cast(), message.len).map(<[u8]>::to_vec),
            timestamp: sys::rd_kafka_message_timestamp(message, ptr::null_mut()),
            headers: headers_of(message),
            error,
        }
    }
}

impl Failure {
    /// Dropped because the transaction was lost already.
    fn is_purge(&self) -> bool {
        matches!(self.code, RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight)
    }

    /// The error of a record whose lifetime has ended.
    fn expiry(&self) -> BrokerError {
        let message =
            format!("a record to {} was not acknowledged in time, and is given up", self.place);
        BrokerError::new(BrokerErrorKind::Expired, message).with_source(self.code)
    }

    fn cause(&self) -> BrokerError {
        let what = format!("a record to {} could not be delivered", self.place);
        topic_error(self.code, &what, &self.reason, ("WRITE", &self.place.topic))
    }

    fn error(&self, transactional: bool) -> BrokerError {
        let cause = self.cause();
        let kind = cause.kind();
        // Doing the work again does not help.
        let is_final = matches!(kind, BrokerErrorKind::Authorization | BrokerErrorKind::Fenced);
        let kind = if transactional && !is_final {
            BrokerErrorKind::TransactionAborted
        } else if kind == BrokerErrorKind::Retriable {
            // librdkafka has done the retrying; this producer is at its end.
            BrokerErrorKind::Fatal
        } else {
            kind
        };
        BrokerError::new(kind, cause.to_string()).with_source(self.code)
    }
}
