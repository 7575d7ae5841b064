//! The idempotent producer.
//!
//! A record that fails for good poisons the producer: every later call returns that failure, so that
//! nothing is committed behind a hole. Inside a transaction the poison ends with the transaction's abort.
//! Acknowledgements are served inside `poll`, `send`, `flush` and the transaction calls, on the calling
//! thread.
#![expect(unsafe_code, reason = "topics belong to a C library")]

mod deliveries;
mod outgoing;
mod transactions;

use std::collections::HashMap;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::bindings as sys;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::types::RDKafkaTopic;

use self::deliveries::{Deliveries, TopicReports};
use self::outgoing::{OutgoingHeaders, produce};
use self::transactions::Phase;
use super::admin::KafkaAdmin;
use super::client::{Client, Deadline, c_string, millis};
use super::client_config::ClientConfig;
use super::errors::{self, broker_error, failed};
use crate::broker::{
    BrokerError, BrokerErrorKind, CommittedOffset, GroupMetadata, OutgoingRecord, Producer,
    ProducerSettings, TopicHandle, UndeliveredRecord,
};
use crate::ids::TopicPartition;

/// How long one step of waiting takes where an acknowledgement does not wake the waiter.
const STEP: Duration = Duration::from_millis(1);
/// The same where it does.
const LONG_STEP: Duration = Duration::from_millis(50);

/// What librdkafka does not say about a lifetime that it refuses.
const LIFETIME: &str = " (its records have a lifetime, and `linger.ms` has to be shorter)";

/// Looking a topic up is given up after this time.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(30);

/// A topic this producer has looked up.
#[derive(Debug)]
struct SendTopic {
    handle: NonNull<RDKafkaTopic>,
    name: String,
    partitions: i32,
    reports: Arc<TopicReports>,
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
    /// For messages.
    transactional_id: String,
    phase: Phase,
    client: Client<Deliveries>,
}

// SAFETY: librdkafka's topics are not bound to a thread.
unsafe impl Send for KafkaProducer {}

impl KafkaProducer {
    pub(super) fn new(
        config: &ClientConfig,
        settings: &ProducerSettings,
        admin: KafkaAdmin,
    ) -> Result<Self, BrokerError> {
        let transactions = settings.transactions.as_ref();
        let client = Client::new(config, Deliveries::new(transactions.is_some()))?;
        let (track_acks, phase) = (settings.track_acks, Phase::at_first(transactions));
        let transactional_id =
            transactions.map(|it| it.transactional_id.clone()).unwrap_or_default();
        Ok(Self {
            topics: Vec::new(),
            by_name: HashMap::new(),
            admin,
            track_acks,
            transactional_id,
            phase,
            client,
        })
    }

    fn check(&self) -> Result<(), BrokerError> {
        if self.client.context().role.has_failed() {
            return Err(self.failure());
        }
        self.client.check()
    }

    /// Why nothing can be sent any more. What ended the client or the transaction says more than what that
    /// did to a record.
    #[cold]
    fn failure(&self) -> BrokerError {
        let known = self.client.context().role.failure();
        let is_root = known.as_ref().is_some_and(|_| !self.client.context().role.was_purged());
        if let Some(fatal) = self.fatal() {
            return fatal;
        }
        match known {
            Some(failure) if is_root || self.phase == Phase::Plain => failure,
            _ => self.lost(),
        }
    }

    fn find(&mut self, name: &str, lifetime: Option<Duration>) -> Result<TopicHandle, BrokerError> {
        if let Some(handle) = self.by_name.get(name) {
            return Ok(*handle);
        }
        let topic = self.look_up(name, lifetime)?;
        let handle = TopicHandle(self.topics.len());
        self.topics.push(topic);
        self.by_name.insert(name.to_owned(), handle);
        Ok(handle)
    }

    fn look_up(&self, name: &str, lifetime: Option<Duration>) -> Result<SendTopic, BrokerError> {
        // Asked through the admin client, because a producer's own question could create the topic.
        let Some(partitions) = self.admin.known_partition_count(name)? else {
            let message = format!("topic {name} does not exist");
            return Err(BrokerError::new(BrokerErrorKind::UnknownTopicOrPartition, message));
        };
        let reports = self.client.context().role.topic(name, partitions, lifetime.is_some());
        let c_name = c_string(name)?;
        let lifetime =
            lifetime.map(|lifetime| c_string(&millis(lifetime).to_string())).transpose()?;
        let client = self.client.handle();
        // SAFETY: the client is live; the topic takes the configuration over, also a lifetime that it refuses;
        // its opaque lives as long as the client.
        let handle = unsafe {
            let conf = sys::rd_kafka_default_topic_conf_dup(client);
            sys::rd_kafka_topic_conf_set_opaque(conf, Arc::as_ptr(&reports).cast_mut().cast());
            if let Some(lifetime) = &lifetime {
                sys::rd_kafka_topic_conf_set(
                    conf,
                    c"message.timeout.ms".as_ptr(),
                    lifetime.as_ptr(),
                    ptr::null_mut(),
                    0,
                );
            }
            sys::rd_kafka_topic_new(client, c_name.as_ptr(), conf)
        };
        let handle = NonNull::new(handle).ok_or_else(|| {
            // SAFETY: reads a thread-local of librdkafka.
            let code = RDKafkaErrorCode::from(unsafe { sys::rd_kafka_last_error() });
            let of_rows = if lifetime.is_some() { LIFETIME } else { "" };
            broker_error(code, format_args!("cannot use topic {name}{of_rows}"))
        })?;
        let topic = SendTopic { handle, name: name.to_owned(), partitions, reports };
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
        self.find(name, None)
    }

    fn topic_with_lifetime(
        &mut self,
        name: &str,
        lifetime: Duration,
    ) -> Result<TopicHandle, BrokerError> {
        self.find(name, Some(lifetime))
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
        if !matches!(self.phase, Phase::Plain | Phase::Open) {
            return Err(self.refuse(&format!("send a record to topic {}", topic.name)));
        }
        let mut headers = OutgoingHeaders::new(record.headers)?;
        loop {
            if topic.reports.may_expire {
                self.client.context().role.check_expired()?;
            }
            let error = produce(&self.client, topic, &record, &mut headers);
            match failed(error) {
                None => return Ok(()),
                Some(RDKafkaErrorCode::QueueFull) => {}
                Some(RDKafkaErrorCode::State | RDKafkaErrorCode::Fatal) => return Err(self.lost()),
                Some(code) => {
                    let place = format_args!("{}-{}", topic.name, record.partition);
                    return Err(broker_error(
                        code,
                        format_args!("cannot send a record to {place}"),
                    ));
                }
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
            let Some(code) = failed(error) else {
                return self.client.context().role.check_expired();
            };
            if deadline.passed() {
                let message = format!("records are not acknowledged after {timeout:?}");
                return Err(BrokerError::new(BrokerErrorKind::Retriable, message).with_source(code));
            }
        }
    }

    fn report_undelivered(&mut self) {
        self.client.context().role.report();
    }

    fn take_undelivered(&mut self) -> Vec<UndeliveredRecord> {
        self.client.context().role.take_undelivered()
    }

    fn last_acked(&self, topic: TopicHandle, partition: i32) -> Option<i64> {
        self.topics.get(topic.0)?.reports.last_acked(partition)
    }

    fn init_transactions(&mut self, timeout: Duration) -> Result<(), BrokerError> {
        self.initialise(timeout)
    }

    fn begin_transaction(&mut self) -> Result<(), BrokerError> {
        self.begin()
    }

    fn send_offsets(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        member: &GroupMetadata,
        timeout: Duration,
    ) -> Result<(), BrokerError> {
        self.add_offsets(offsets, member, timeout)
    }

    fn commit_transaction(&mut self, timeout: Duration) -> Result<(), BrokerError> {
        self.commit(timeout)
    }

    fn abort_transaction(&mut self, timeout: Duration) -> Result<(), BrokerError> {
        self.abort(timeout)
    }
}
