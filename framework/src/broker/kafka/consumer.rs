//! The consumer with manual assignment, on librdkafka's partition queues and batch call.
//!
//! It uses `consume_start`/`consume_stop`, which need no group: no coordinator is looked up, no right
//! on a group is asked for, and nothing could ever commit. Every partition keeps its own queue, so a
//! partition that is not fetched from holds back no other.
#![expect(unsafe_code, reason = "queues and topics belong to a C library")]

use std::collections::VecDeque;
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::bindings as sys;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::types::{RDKafka, RDKafkaMessage, RDKafkaQueue, RDKafkaTopic};

use super::batch::{KafkaBatch, Message};
use super::client::{Client, c_string};
use super::client_config::ClientConfig;
use super::errors::{broker_error, failed, topic_error};
use super::roles::Reader;
use crate::broker::{BrokerError, BrokerErrorKind, Consumer, RecordBatch, Slot, StartOffset};
use crate::ids::TopicPartition;

/// No batch is longer, whatever the caller asks for.
const MAX_BATCH: usize = 16_384;

/// Wakes the consumer's thread.
#[derive(Debug, Default)]
struct Signal {
    /// Guards "something arrived since the last wait"; taken by librdkafka's threads once per fetch
    /// response, never while calling into librdkafka.
    raised: Mutex<bool>,
    arrived: Condvar,
}

impl Signal {
    fn raise(&self) {
        *self.raised.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.arrived.notify_one();
    }

    fn wait(&self, timeout: Duration) {
        let raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut raised, _) = self
            .arrived
            .wait_timeout_while(raised, timeout, |raised| !*raised)
            .unwrap_or_else(PoisonError::into_inner);
        *raised = false;
    }
}

/// What librdkafka's threads tell about one partition queue.
#[derive(Debug)]
struct Readiness {
    /// The queue may have records.
    ready: AtomicBool,
    signal: Arc<Signal>,
}

/// A partition that is being read.
#[derive(Debug)]
struct Partition {
    name: TopicPartition,
    topic: NonNull<RDKafkaTopic>,
    queue: NonNull<RDKafkaQueue>,
    readiness: Arc<Readiness>,
    /// Taken from the queue together with an error, to be handed out in order.
    stash: VecDeque<Message>,
    /// The end that was last reached, if the client reports it.
    reached_end: Option<i64>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct KafkaConsumer {
    slots: Vec<Option<Partition>>,
    free: Vec<usize>,
    signal: Arc<Signal>,
    scratch: Vec<*mut RDKafkaMessage>,
    client: Arc<Client<Reader>>,
}

// SAFETY: librdkafka's queues, topics and messages are not bound to a thread; the raw pointers in
// `scratch` mean nothing between calls.
unsafe impl Send for KafkaConsumer {}

impl KafkaConsumer {
    pub(super) fn new(config: &ClientConfig) -> Result<Self, BrokerError> {
        Ok(Self {
            slots: Vec::new(),
            free: Vec::new(),
            signal: Arc::default(),
            scratch: Vec::new(),
            client: Arc::new(Client::new(config, Reader)?),
        })
    }

    fn start(&self, name: &TopicPartition, start: StartOffset) -> Result<Partition, BrokerError> {
        let offset = raw_offset(name, start)?;
        let what = format!("cannot read {name}");
        let topic_name = c_string(&name.topic)?;
        let handle = self.client.handle();
        // SAFETY: the client is live and the name ends with a zero byte; null takes the client's
        // own topic configuration.
        let topic =
            unsafe { sys::rd_kafka_topic_new(handle, topic_name.as_ptr(), std::ptr::null_mut()) };
        let topic = NonNull::new(topic).ok_or_else(|| last_error(&what))?;
        // SAFETY: topic and client are live; both handles are destroyed once if the partition is not to be read.
        let queue = unsafe {
            let queue =
                sys::rd_kafka_queue_get_partition(handle, topic_name.as_ptr(), name.partition);
            let Some(queue) = NonNull::new(queue) else {
                let error = last_error(&what);
                sys::rd_kafka_topic_destroy(topic.as_ptr());
                return Err(error);
            };
            // KAFKA: "no such offset" belongs to no assignment, and comes behind the end of one when both
            // meet: then it would be taken for the answer to this one (librdkafka 2.12).
            drain(queue);
            if sys::rd_kafka_consume_start(topic.as_ptr(), name.partition, offset) != 0 {
                let error = last_error(&what);
                sys::rd_kafka_queue_destroy(queue.as_ptr());
                sys::rd_kafka_topic_destroy(topic.as_ptr());
                return Err(error);
            }
            queue
        };
        // The first fetch looks into the queue by itself: records may be there before the callback.
        let readiness =
            Arc::new(Readiness { ready: AtomicBool::new(true), signal: Arc::clone(&self.signal) });
        let opaque = Arc::as_ptr(&readiness).cast_mut().cast();
        // SAFETY: `Partition::drop` takes the callback away before the opaque is freed.
        unsafe { sys::rd_kafka_queue_cb_event_enable(queue.as_ptr(), Some(on_arrival), opaque) };
        let (name, stash) = (name.clone(), VecDeque::new());
        Ok(Partition { name, topic, queue, readiness, stash, reached_end: None })
    }

    fn is_assigned(&self, partition: &TopicPartition) -> bool {
        self.slots.iter().flatten().any(|assigned| assigned.name == *partition)
    }

    fn place(&mut self, partition: Partition) -> Slot {
        if let Some(index) = self.free.pop()
            && let Some(slot) = self.slots.get_mut(index)
        {
            *slot = Some(partition);
            return Slot(index);
        }
        self.slots.push(Some(partition));
        Slot(self.slots.len() - 1)
    }
}

/// A start in librdkafka's numbers.
fn raw_offset(partition: &TopicPartition, start: StartOffset) -> Result<i64, BrokerError> {
    match start {
        StartOffset::At(offset) if offset >= 0 => Ok(offset),
        StartOffset::At(offset) => {
            let message = format!("{partition} cannot be read from offset {offset}");
            Err(BrokerError::new(BrokerErrorKind::Invalid, message))
        }
        StartOffset::Earliest => Ok(i64::from(sys::RD_KAFKA_OFFSET_BEGINNING)),
        StartOffset::Latest => Ok(i64::from(sys::RD_KAFKA_OFFSET_END)),
    }
}

fn no_such_slot(slot: Slot) -> BrokerError {
    BrokerError::new(BrokerErrorKind::Invalid, format!("slot {} is not assigned", slot.0))
}

fn last_error(what: &str) -> BrokerError {
    // SAFETY: reads a thread-local of librdkafka.
    broker_error(RDKafkaErrorCode::from(unsafe { sys::rd_kafka_last_error() }), what)
}

impl Consumer for KafkaConsumer {
    fn assign(
        &mut self,
        partitions: &[(TopicPartition, StartOffset)],
    ) -> Result<Vec<Slot>, BrokerError> {
        if let Some((twice, _)) = partitions.iter().find(|(it, _)| self.is_assigned(it)) {
            let message = format!("{twice} is assigned already");
            return Err(BrokerError::new(BrokerErrorKind::Invalid, message));
        }
        // Nothing is placed before all have started, so that a failure leaves the assignment as it was.
        let start = |(name, start): &(TopicPartition, StartOffset)| self.start(name, *start);
        let started: Vec<_> = partitions.iter().map(start).collect::<Result<_, _>>()?;
        self.signal.raise();
        Ok(started.into_iter().map(|partition| self.place(partition)).collect())
    }

    fn seek(&mut self, slot: Slot, start: StartOffset) -> Result<(), BrokerError> {
        let assigned = self.slots.get(slot.0).and_then(Option::as_ref);
        let name = assigned.ok_or_else(|| no_such_slot(slot))?.name.clone();
        raw_offset(&name, start)?;
        // ORDER: stopped first, because a partition has one reader.
        if let Some(place) = self.slots.get_mut(slot.0) {
            *place = None;
        }
        let partition = self.start(&name, start)?;
        if let Some(place) = self.slots.get_mut(slot.0) {
            *place = Some(partition);
        }
        self.signal.raise();
        Ok(())
    }

    fn unassign(&mut self, slots: &[Slot]) -> Result<(), BrokerError> {
        for slot in slots {
            let partition = self.slots.get_mut(slot.0).and_then(Option::take);
            drop(partition.ok_or_else(|| no_such_slot(*slot))?);
            self.free.push(slot.0);
        }
        Ok(())
    }

    fn fetch(
        &mut self,
        slot: Slot,
        max_records: usize,
    ) -> Result<Option<Box<dyn RecordBatch>>, BrokerError> {
        let partition = self
            .slots
            .get_mut(slot.0)
            .and_then(Option::as_mut)
            .ok_or_else(|| no_such_slot(slot))?;
        let max = max_records.clamp(1, MAX_BATCH);
        let messages = match partition.take_stashed(max) {
            Some(stashed) => stashed?,
            None => partition.take_queued(max, &mut self.scratch)?,
        };
        Ok((!messages.is_empty()).then(|| {
            let client = Arc::clone(&self.client);
            Box::new(KafkaBatch::new(messages, client)) as Box<dyn RecordBatch>
        }))
    }

    fn wait(&mut self, timeout: Duration) {
        self.signal.wait(timeout);
    }

    fn poll(&mut self) -> Result<(), BrokerError> {
        self.client.serve(Duration::ZERO);
        self.client.check()
    }

    fn end_offset(&self, slot: Slot) -> Option<i64> {
        let partition = self.slots.get(slot.0)?.as_ref()?;
        let (mut low, mut high) = (-1, -1);
        // SAFETY: client and topic are live; the call reads what the last fetch told, and writes the
        // two numbers.
        let error = unsafe {
            sys::rd_kafka_get_watermark_offsets(
                self.client.handle(),
                sys::rd_kafka_topic_name(partition.topic.as_ptr()),
                partition.name.partition,
                &raw mut low,
                &raw mut high,
            )
        };
        (failed(error).is_none() && high >= 0).then_some(high)
    }

    fn reached_end(&self, slot: Slot) -> Option<i64> {
        self.slots.get(slot.0)?.as_ref()?.reached_end
    }
}

impl Partition {
    /// Takes what an error left behind: records before the next error, or that error.
    fn take_stashed(&mut self, max: usize) -> Option<Result<Box<[Message]>, BrokerError>> {
        while let Some(end) = self.stash.front()?.end_of_partition() {
            self.reached_end = Some(end);
            self.stash.pop_front();
        }
        if self.stash.front()?.error().is_some() {
            let message = self.stash.pop_front()?;
            return Some(Err(self.failure(&message)));
        }
        let good = self.stash.iter().take_while(|message| message.error().is_none()).count();
        Some(Ok(self.stash.drain(..good.min(max)).collect()))
    }

    /// Takes up to `max` records from the queue.
    fn take_queued(
        &mut self,
        max: usize,
        scratch: &mut Vec<*mut RDKafkaMessage>,
    ) -> Result<Box<[Message]>, BrokerError> {
        if !self.readiness.ready.load(Ordering::Acquire) {
            return Ok(Box::default());
        }
        // ORDER: cleared before the queue is read, so that a record that arrives behind the read
        // sets it again.
        self.readiness.ready.store(false, Ordering::Release);
        scratch.clear();
        scratch.reserve(max);
        // SAFETY: the queue is live and the array has room for `max` pointers, of which the call
        // writes as many as it returns. Each is ours to destroy.
        let taken = unsafe {
            let count = sys::rd_kafka_consume_batch_queue(
                self.queue.as_ptr(),
                0,
                scratch.as_mut_ptr(),
                max,
            );
            let Ok(count) = usize::try_from(count) else {
                return Err(last_error(&format!("cannot fetch from {}", self.name)));
            };
            scratch.set_len(count);
            scratch.iter().map(|message| Message::new(*message)).collect::<Box<[_]>>()
        };
        if taken.len() == max {
            self.readiness.ready.store(true, Ordering::Release);
            self.readiness.signal.raise();
        }
        if taken.iter().all(|message| message.error().is_none()) {
            return Ok(taken);
        }
        self.stash.extend(taken);
        self.readiness.ready.store(true, Ordering::Release);
        self.readiness.signal.raise();
        self.take_stashed(max).unwrap_or_else(|| Ok(Box::default()))
    }

    fn failure(&self, message: &Message) -> BrokerError {
        let code = message.error().unwrap_or(RDKafkaErrorCode::Unknown);
        let what = format!("cannot fetch from {}", self.name);
        topic_error(code, what, &message.error_text(), ("READ", &self.name.topic))
    }
}

impl Drop for Partition {
    fn drop(&mut self) {
        self.stash.clear();
        // SAFETY: topic and queue are live and used by nobody else. The callback goes before its opaque.
        unsafe {
            sys::rd_kafka_queue_cb_event_enable(self.queue.as_ptr(), None, std::ptr::null_mut());
            sys::rd_kafka_consume_stop(self.topic.as_ptr(), self.name.partition);
            drain(self.queue);
            sys::rd_kafka_queue_destroy(self.queue.as_ptr());
            sys::rd_kafka_topic_destroy(self.topic.as_ptr());
        }
    }
}

/// Empties the queue of a partition that is not being read: the batch call drops what was fetched ahead; what it
/// still returns is destroyed here.
///
/// # Safety
/// The queue must be live and used by nobody else.
unsafe fn drain(queue: NonNull<RDKafkaQueue>) {
    let mut rest = [std::ptr::null_mut(); 64];
    loop {
        // SAFETY: the caller vouches for the queue; the array has room for what is asked for, and each message is
        // ours to destroy.
        let count = unsafe {
            sys::rd_kafka_consume_batch_queue(queue.as_ptr(), 0, rest.as_mut_ptr(), rest.len())
        };
        let count = usize::try_from(count).unwrap_or(0);
        // SAFETY: as above.
        rest.iter().take(count).for_each(|message| drop(unsafe { Message::new(*message) }));
        if count == 0 {
            return;
        }
    }
}

/// Called with the queue locked: signals, and nothing else.
unsafe extern "C" fn on_arrival(_client: *mut RDKafka, opaque: *mut c_void) {
    // SAFETY: the opaque of `KafkaConsumer::start`, alive until the callback is taken away.
    let readiness = unsafe { &*opaque.cast::<Readiness>() };
    readiness.ready.store(true, Ordering::Release);
    readiness.signal.raise();
}

#[cfg(test)]
mod tests {
    use super::super::settings::KafkaSettings;
    use super::*;
    use crate::broker::ConsumerRole;

    #[test]
    fn nobody_waits_for_brokers_that_do_not_answer() {
        let settings = KafkaSettings::default();
        let config = settings.consumer("127.0.0.1:1", ConsumerRole::Main, "test");
        let mut consumer = KafkaConsumer::new(&config).unwrap();
        let partition = TopicPartition::new("topic", 0);
        let slot = consumer.assign(&[(partition, StartOffset::Latest)]).unwrap()[0];
        consumer.seek(slot, StartOffset::At(5)).unwrap();
        assert!(consumer.fetch(slot, 1).unwrap().is_none());
        consumer.unassign(&[slot]).unwrap();
    }
}
