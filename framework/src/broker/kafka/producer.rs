//! The idempotent producer.
//!
//! A record that fails for good poisons the producer: every later call returns that failure, so that
//! nothing is committed behind a hole. Acknowledgements are served inside `poll`, `send` and `flush`, on
//! the calling thread.
#![expect(unsafe_code, reason = "topics and headers belong to a C library")]

use std::collections::HashMap;
use std::ffi::{c_int, c_void};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::bindings as sys;
use rdkafka::bindings::rd_kafka_vtype_t as VType;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::types::{
    RDKafka, RDKafkaConf, RDKafkaHeaders, RDKafkaMessage, RDKafkaRespErr, RDKafkaTopic, RDKafkaType,
};

use super::admin::KafkaAdmin;
use super::batch::{bytes, headers_of};
use super::client::{Client, Context, Deadline, Role, c_string, millis, text};
use super::errors::{self, broker_error, broker_error_with, failed};
use crate::broker::{
    Admin, BrokerError, BrokerErrorKind, OutgoingRecord, Producer, TopicHandle, UndeliveredRecord,
};
use crate::ids::TopicPartition;
use crate::record::{Headers, Timestamp};

/// How long one step of waiting takes where an acknowledgement does not wake the waiter.
const STEP: Duration = Duration::from_millis(1);
/// The same where it does.
const LONG_STEP: Duration = Duration::from_millis(50);

/// Looking a topic up is given up after this time.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(30);

/// What delivery callbacks write.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    failure: OnceLock<Failure>,
    /// Whether failures are kept for `take_undelivered`, instead of the first ending the producer.
    reported: AtomicBool,
    /// Locked once per failure.
    undelivered: Mutex<Vec<UndeliveredRecord>>,
    /// Keeps what topics point to alive as long as the client. Locked once per topic.
    topics: Mutex<Vec<Arc<Acks>>>,
}

/// The first record that failed for good.
#[derive(Debug)]
struct Failure {
    code: RDKafkaErrorCode,
    place: String,
    reason: String,
}

/// The highest acknowledged offset per partition of a topic; −1: none.
#[derive(Debug)]
struct Acks(Box<[AtomicI64]>);

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
        let Some(code) = failed(message.err) else {
            let acks = sys::rd_kafka_topic_opaque(message.rkt).cast::<Acks>().as_ref();
            let last = usize::try_from(message.partition).ok().and_then(|p| acks?.0.get(p));
            if let Some(last) = last {
                last.store(message.offset, Ordering::Relaxed);
            }
            return;
        };
        let role = &Context::<Deliveries>::from_opaque(opaque).role;
        let topic = text(sys::rd_kafka_topic_name(message.rkt));
        let partition = TopicPartition::new(topic, message.partition);
        let reason = text(sys::rd_kafka_message_errstr(message));
        let failure = Failure { code, place: partition.to_string(), reason };
        if !role.reported.load(Ordering::Relaxed) {
            role.failure.get_or_init(|| failure);
            return;
        }
        let record = undelivered(message, partition, failure.cause());
        role.undelivered.lock().unwrap_or_else(PoisonError::into_inner).push(record);
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
    fn cause(&self) -> BrokerError {
        let what = format!("a record to {} could not be delivered", self.place);
        broker_error_with(self.code, &what, &self.reason)
    }

    fn error(&self) -> BrokerError {
        let error = self.cause();
        if error.is_retriable() {
            // librdkafka has done the retrying; this producer is at its end.
            return BrokerError::new(BrokerErrorKind::Fatal, error.to_string())
                .with_source(self.code);
        }
        error
    }
}

/// A topic this producer has looked up.
#[derive(Debug)]
struct SendTopic {
    handle: NonNull<RDKafkaTopic>,
    name: String,
    partitions: i32,
    acks: Arc<Acks>,
}

impl Drop for SendTopic {
    fn drop(&mut self) {
        // SAFETY: ours, and destroyed once, before the client.
        unsafe { sys::rd_kafka_topic_destroy(self.handle.as_ptr()) };
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct KafkaProducer {
    topics: Vec<SendTopic>,
    by_name: HashMap<String, TopicHandle>,
    admin: KafkaAdmin,
    track_acks: bool,
    client: Client<Deliveries>,
}

// SAFETY: librdkafka's topics are not bound to a thread.
unsafe impl Send for KafkaProducer {}

impl KafkaProducer {
    pub(super) fn new(
        config: &ClientConfig,
        track_acks: bool,
        admin: KafkaAdmin,
    ) -> Result<Self, BrokerError> {
        let client = Client::new(config, Deliveries::default())?;
        Ok(Self { topics: Vec::new(), by_name: HashMap::new(), admin, track_acks, client })
    }

    fn check(&self) -> Result<(), BrokerError> {
        if let Some(failure) = self.client.context().role.failure.get() {
            return Err(failure.error());
        }
        self.client.check()
    }

    fn look_up(&self, name: &str) -> Result<SendTopic, BrokerError> {
        // Asked through the admin client, because a producer's own question could create the topic.
        let counts = self.admin.partition_counts(&[name])?;
        let Some(partitions) = counts.first().copied().flatten() else {
            let message = format!("topic {name} does not exist");
            return Err(BrokerError::new(BrokerErrorKind::UnknownTopicOrPartition, message));
        };
        let acks = Arc::new(Acks((0..partitions).map(|_| AtomicI64::new(-1)).collect()));
        let role = &self.client.context().role;
        role.topics.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&acks));
        let c_name = c_string(name)?;
        let client = self.client.handle();
        // SAFETY: the client is live; the topic takes the configuration over; its opaque lives as
        // long as the client.
        let handle = unsafe {
            let conf = sys::rd_kafka_default_topic_conf_dup(client);
            sys::rd_kafka_topic_conf_set_opaque(conf, Arc::as_ptr(&acks).cast_mut().cast());
            sys::rd_kafka_topic_new(client, c_name.as_ptr(), conf)
        };
        let handle = NonNull::new(handle).ok_or_else(|| {
            // SAFETY: reads a thread-local of librdkafka.
            let code = RDKafkaErrorCode::from(unsafe { sys::rd_kafka_last_error() });
            broker_error(code, format_args!("cannot use topic {name}"))
        })?;
        let topic = SendTopic { handle, name: name.to_owned(), partitions, acks };
        self.await_metadata(&topic)?;
        Ok(topic)
    }

    /// Lets this client learn the topic's partitions, so that the first records go straight to them.
    fn await_metadata(&self, topic: &SendTopic) -> Result<(), BrokerError> {
        let mut metadata = ptr::null();
        // SAFETY: client and topic are live; what the call returns is freed, once.
        let error = unsafe {
            let error = sys::rd_kafka_metadata(
                self.client.handle(),
                0,
                topic.handle.as_ptr(),
                &raw mut metadata,
                millis(LOOKUP_TIMEOUT),
            );
            if !metadata.is_null() {
                sys::rd_kafka_metadata_destroy(metadata);
            }
            error
        };
        errors::check(error, format_args!("cannot look up topic {}", topic.name), "")
    }

    fn step(&self) -> Duration {
        if self.track_acks { LONG_STEP } else { STEP }
    }
}

impl Producer for KafkaProducer {
    fn topic(&mut self, name: &str) -> Result<TopicHandle, BrokerError> {
        if let Some(handle) = self.by_name.get(name) {
            return Ok(*handle);
        }
        let topic = self.look_up(name)?;
        let handle = TopicHandle(self.topics.len());
        self.topics.push(topic);
        self.by_name.insert(name.to_owned(), handle);
        Ok(handle)
    }

    fn partition_count(&self, topic: TopicHandle) -> i32 {
        self.topics.get(topic.0).map_or(0, |topic| topic.partitions)
    }

    fn send(&mut self, topic: TopicHandle, record: OutgoingRecord<'_>) -> Result<(), BrokerError> {
        self.check()?;
        let Some(topic) = self.topics.get(topic.0) else {
            let message = format!("topic handle {} is not this producer's", topic.0);
            return Err(BrokerError::new(BrokerErrorKind::Invalid, message));
        };
        if !(0..topic.partitions).contains(&record.partition) {
            let message = format!("topic {} has no partition {}", topic.name, record.partition);
            return Err(BrokerError::new(BrokerErrorKind::UnknownTopicOrPartition, message));
        }
        let mut headers = OutgoingHeaders::new(record.headers)?;
        loop {
            let error = produce(&self.client, topic, &record, &mut headers);
            let Some(code) = failed(error) else { return Ok(()) };
            if code != RDKafkaErrorCode::QueueFull {
                let place = format_args!("{}-{}", topic.name, record.partition);
                return Err(broker_error(code, format_args!("cannot send a record to {place}")));
            }
            // Bounded by message.timeout.ms: a record that cannot leave fails, and poisons.
            self.client.serve(self.step());
            self.check()?;
        }
    }

    fn poll(&mut self) -> Result<(), BrokerError> {
        self.client.serve(Duration::ZERO);
        self.check()
    }

    fn flush(&mut self, timeout: Duration) -> Result<(), BrokerError> {
        let deadline = Deadline::after(timeout);
        loop {
            let step = millis(self.step().min(deadline.left()));
            // SAFETY: the client is live. The call ends linger.ms, serves deliveries and waits.
            let error = unsafe { sys::rd_kafka_flush(self.client.handle(), step) };
            self.check()?;
            let Some(code) = failed(error) else { return Ok(()) };
            if deadline.passed() {
                let message = format!("records are not acknowledged after {timeout:?}");
                return Err(BrokerError::new(BrokerErrorKind::Retriable, message).with_source(code));
            }
        }
    }

    fn report_undelivered(&mut self) {
        self.client.context().role.reported.store(true, Ordering::Relaxed);
    }

    fn take_undelivered(&mut self) -> Vec<UndeliveredRecord> {
        let role = &self.client.context().role;
        std::mem::take(&mut *role.undelivered.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn last_acked(&self, topic: TopicHandle, partition: i32) -> Option<i64> {
        let acks = &self.topics.get(topic.0)?.acks;
        let last = acks.0.get(usize::try_from(partition).ok()?)?.load(Ordering::Relaxed);
        (last >= 0).then_some(last)
    }
}

/// Headers in librdkafka's form; they are its own once a record has been queued.
struct OutgoingHeaders(*mut RDKafkaHeaders);

impl OutgoingHeaders {
    fn new(headers: &Headers) -> Result<Self, BrokerError> {
        if headers.is_empty() {
            return Ok(Self(ptr::null_mut()));
        }
        // SAFETY: a new list; names and values are copied with the lengths given.
        unsafe {
            let list = Self(sys::rd_kafka_headers_new(headers.len()));
            for header in headers {
                let value = header.value.as_deref();
                let error = sys::rd_kafka_header_add(
                    list.0,
                    header.name.as_ptr().cast(),
                    header.name.len().cast_signed(),
                    value.map_or(ptr::null(), <[u8]>::as_ptr).cast(),
                    value.map_or(0, <[u8]>::len).cast_signed(),
                );
                errors::check(error, format_args!("cannot send header {:?}", header.name), "")?;
            }
            Ok(list)
        }
    }
}

impl Drop for OutgoingHeaders {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: still ours, as the record was not queued.
            unsafe { sys::rd_kafka_headers_destroy(self.0) };
        }
    }
}

/// librdkafka takes 0 for "now".
const NOW: Timestamp = 0;

/// Queues a copy of the record.
fn produce(
    client: &Client<Deliveries>,
    topic: &SendTopic,
    record: &OutgoingRecord<'_>,
    headers: &mut OutgoingHeaders,
) -> RDKafkaRespErr {
    let timestamp = match record.timestamp {
        None => NOW,
        // KAFKA: the start of the epoch cannot be sent by librdkafka. A millisecond later is the
        // smaller evil: "now" would push stream time half a century ahead.
        Some(NOW) => NOW + 1,
        Some(timestamp) => timestamp,
    };
    let (key, key_len) = raw(record.key);
    let (value, value_len) = raw(record.value);
    // SAFETY: the list of tagged arguments is what `rd_kafka_producev` expects, with C types; key and
    // value are copied by the call; headers change hands when it succeeds.
    let error = unsafe {
        sys::rd_kafka_producev(
            client.handle(),
            VType::RD_KAFKA_VTYPE_RKT as c_int,
            topic.handle.as_ptr(),
            VType::RD_KAFKA_VTYPE_PARTITION as c_int,
            record.partition,
            VType::RD_KAFKA_VTYPE_MSGFLAGS as c_int,
            sys::RD_KAFKA_MSG_F_COPY as c_int,
            VType::RD_KAFKA_VTYPE_VALUE as c_int,
            value,
            value_len,
            VType::RD_KAFKA_VTYPE_KEY as c_int,
            key,
            key_len,
            VType::RD_KAFKA_VTYPE_TIMESTAMP as c_int,
            timestamp,
            VType::RD_KAFKA_VTYPE_HEADERS as c_int,
            headers.0,
            VType::RD_KAFKA_VTYPE_END as c_int,
        )
    };
    if failed(error).is_none() {
        headers.0 = ptr::null_mut();
    }
    error
}

/// Null for `None`; an empty slice is not null.
fn raw(bytes: Option<&[u8]>) -> (*const c_void, usize) {
    bytes.map_or((ptr::null(), 0), |bytes| (bytes.as_ptr().cast(), bytes.len()))
}
