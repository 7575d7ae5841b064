//! Sends the workload at a steady rate, until it is told to stop. Everything is sent once, by a
//! producer that waits for brokers that are away.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use kstream::time::{Clock, SystemClock};
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};

use crate::ChaosError;
use crate::workload::{Outgoing, Workload};

/// How often records are sent.
const TURN: Duration = Duration::from_millis(5);
/// How long brokers may be away.
const DELIVERY: Duration = Duration::from_mins(5);

/// Notes records that were not delivered: then the input is not what the model thinks it is.
#[derive(Debug, Default, Clone)]
struct Deliveries(Arc<Mutex<Option<KafkaError>>>);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
        }
    }
}

/// The thread that sends.
#[derive(Debug)]
pub(crate) struct Feeder {
    stop: Arc<AtomicBool>,
    events: Arc<AtomicU64>,
    thread: JoinHandle<Result<Workload, ChaosError>>,
}

impl Feeder {
    /// Starts to send `rate` records a second.
    pub(crate) fn start(
        bootstrap: &str,
        workload: Workload,
        rate: u64,
    ) -> Result<Self, ChaosError> {
        let (stop, events): (Arc<AtomicBool>, Arc<AtomicU64>) = Default::default();
        let sender = Sender::new(bootstrap)?;
        let (is_stopped, sent) = (Arc::clone(&stop), Arc::clone(&events));
        let thread = thread::spawn(move || {
            let mut workload = workload;
            let (clock, mut records) = (SystemClock::new(), 0);
            while !is_stopped.load(Ordering::SeqCst) {
                let due = u64::try_from(clock.monotonic().as_millis()).unwrap_or(0) * rate / 1000;
                while records < due {
                    sender.send(&workload.next_record(), &clock)?;
                    records += 1;
                }
                sent.store(workload.events(), Ordering::SeqCst);
                sender.serve()?;
                thread::park_timeout(TURN);
            }
            sender.flush()?;
            Ok(workload)
        });
        Ok(Self { stop, events, thread })
    }

    /// The number of the event sent last.
    pub(crate) fn last_event(&self) -> u64 {
        self.events.load(Ordering::SeqCst)
    }

    /// Stops, when everything is delivered.
    pub(crate) fn stop(self) -> Result<Workload, ChaosError> {
        self.stop.store(true, Ordering::SeqCst);
        let joined = self.thread.join();
        joined.unwrap_or_else(|_| Err(ChaosError::Runner("the feeder panicked".to_owned())))
    }
}

/// Sends records and waits for their delivery.
pub(crate) fn send_all(bootstrap: &str, records: &[Outgoing]) -> Result<(), ChaosError> {
    let sender = Sender::new(bootstrap)?;
    let clock = SystemClock::new();
    records.iter().try_for_each(|record| sender.send(record, &clock))?;
    sender.flush()
}

struct Sender {
    producer: BaseProducer<Deliveries>,
    deliveries: Deliveries,
}

impl Sender {
    fn new(bootstrap: &str) -> Result<Self, ChaosError> {
        let deliveries = Deliveries::default();
        let producer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("client.id", "chaos-feeder")
            .set("enable.idempotence", "true")
            .set("linger.ms", "5")
            .set("message.timeout.ms", DELIVERY.as_millis().to_string())
            .set("partitioner", "murmur2_random")
            .set("reconnect.backoff.max.ms", "1000")
            .create_with_context(deliveries.clone())
            .map_err(ChaosError::kafka("make a producer"))?;
        Ok(Self { producer, deliveries })
    }

    fn send(&self, outgoing: &Outgoing, clock: &dyn Clock) -> Result<(), ChaosError> {
        let record = BaseRecord::to(outgoing.topic).key(&outgoing.key).timestamp(clock.now_ms());
        let mut record = match &outgoing.value {
            Some(value) => record.payload(value),
            None => record,
        };
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                    record = again;
                    self.producer.poll(TURN);
                }
                Err((error, _)) => return Err(ChaosError::kafka("send a record")(error)),
            }
        }
    }

    fn serve(&self) -> Result<(), ChaosError> {
        self.producer.poll(Duration::ZERO);
        match self.deliveries.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) => Err(ChaosError::kafka("deliver a record of the input")(error)),
            None => Ok(()),
        }
    }

    fn flush(&self) -> Result<(), ChaosError> {
        self.producer.flush(DELIVERY).map_err(ChaosError::kafka("deliver the input"))?;
        self.serve()
    }
}
