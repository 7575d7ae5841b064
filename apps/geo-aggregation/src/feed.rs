//! Reads the counted totals from their topics: for the page and for the database.
//!
//! Every instance reads all partitions from the beginning, as a global table is read. So each has
//! the whole picture, also of what other instances count, and whatever an instance had counted but
//! not yet written to the database when it died is written by any other one, or by its successor.
//! The topics are compacted and hold a few hundred keys, so this costs little.

use std::sync::Arc;
use std::time::Duration;

use kstream::TopicPartition;
use kstream::broker::{
    Admin, Broker, BrokerError, BrokerErrorKind, Consumer, ConsumerRole, RecordBatch, Slot,
    StartOffset,
};
use kstream::serdes::{ArcSerde, DefaultSerde as _, SerdeError};
use kstream::time::Clock;
use tokio::sync::{mpsc, watch};
use tracing::warn;

use crate::country::CountryCode;
use crate::model::{LineSource, WindowVisits};
use crate::stop::Stop;
use crate::topics::{self, COUNTRY_VISITS, REJECTED_LINES, VISIT_WINDOWS};
use crate::totals::Totals;

/// Records taken at once.
const BATCH_RECORDS: usize = 1000;

/// How long to wait for records before looking at the request to stop.
const WAIT: Duration = Duration::from_millis(100);

/// The pause after an error that will pass.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// How long the last records may take to arrive.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// Who wants the totals.
#[derive(Debug)]
pub struct Readers {
    /// Gets what has changed.
    pub changes: mpsc::Sender<Totals>,
    /// Gets everything.
    pub totals: watch::Sender<Arc<Totals>>,
    /// Gets the next offset of each partition, when the totals before it are out.
    pub positions: watch::Sender<Vec<i64>>,
}

/// A reader of the totals' topics.
#[derive(Debug)]
pub struct Feed {
    consumer: Box<dyn Consumer>,
    admin: Box<dyn Admin>,
    clock: Arc<dyn Clock>,
    partitions: Vec<TopicPartition>,
    /// The next offset of each partition, and its slot.
    positions: Vec<(Slot, i64)>,
    decoder: Decoder,
    totals: Totals,
}

impl Feed {
    /// Begins at the beginning of the totals' topics, which have to exist.
    ///
    /// # Errors
    /// The broker is away, or a topic is not there.
    pub fn open(broker: &Arc<dyn Broker>, clock: Arc<dyn Clock>) -> Result<Self, BrokerError> {
        let admin = broker.admin()?;
        let mut partitions = Vec::new();
        for topic in [COUNTRY_VISITS, REJECTED_LINES, VISIT_WINDOWS] {
            partitions.extend(topics::partitions_of(&*admin, topic)?);
        }
        let starts = admin.beginning_offsets(&partitions)?;
        let mut consumer = broker.consumer(ConsumerRole::Restore, "geo-aggregation-totals")?;
        let assignment: Vec<_> =
            partitions.iter().map(|partition| (partition.clone(), StartOffset::Earliest)).collect();
        let positions = consumer.assign(&assignment)?.into_iter().zip(starts).collect();
        let (decoder, totals) = (Decoder::new(), Totals::default());
        Ok(Self { consumer, admin, clock, partitions, positions, decoder, totals })
    }

    /// What it reads, in the order of positions.
    pub fn partitions(&self) -> &[TopicPartition] {
        &self.partitions
    }

    /// Reads until `stop`, then on to the end that the topics have by then.
    ///
    /// # Errors
    /// The broker is away for longer than the client bears.
    pub fn run(mut self, readers: &Readers, stop: &Stop) -> Result<(), BrokerError> {
        while !stop.is_requested() {
            match self.turn(readers) {
                Ok(()) => {}
                Err(error) if error.kind() == BrokerErrorKind::Retriable => {
                    warn!(%error, "totals cannot be read for now");
                    stop.wait(RETRY_PAUSE);
                }
                Err(error) => return Err(error),
            }
        }
        self.drain(readers)
    }

    fn drain(&mut self, readers: &Readers) -> Result<(), BrokerError> {
        let ends = self.admin.end_offsets(&self.partitions)?;
        let deadline = self.clock.monotonic() + DRAIN_TIMEOUT;
        while self.positions.iter().zip(&ends).any(|((_, position), end)| position < end) {
            self.turn(readers)?;
            if self.clock.monotonic() > deadline {
                let message = "the last totals did not arrive in time".to_owned();
                return Err(BrokerError::new(BrokerErrorKind::Retriable, message));
            }
        }
        Ok(())
    }

    /// Takes what has arrived, or waits for something to arrive.
    fn turn(&mut self, readers: &Readers) -> Result<(), BrokerError> {
        self.consumer.poll()?;
        let mut changed = Totals::default();
        for index in 0..self.positions.len() {
            self.take_partition(index, &mut changed)?;
        }
        if changed.is_empty() {
            self.consumer.wait(WAIT);
            return Ok(());
        }
        self.totals.merge(&changed);
        self.totals.forget_old_windows(self.clock.now_ms());
        readers.totals.send_replace(Arc::new(self.totals.clone()));
        // Nobody may want changes any more; then the page still does.
        drop(readers.changes.blocking_send(changed));
        let positions = self.positions.iter().map(|(_, position)| *position);
        readers.positions.send_replace(positions.collect());
        Ok(())
    }

    fn take_partition(&mut self, index: usize, changed: &mut Totals) -> Result<(), BrokerError> {
        let Some(((slot, position), partition)) =
            self.positions.get_mut(index).zip(self.partitions.get(index))
        else {
            return Ok(());
        };
        let batch = match self.consumer.fetch(*slot, BATCH_RECORDS) {
            Err(error) if error.kind() == BrokerErrorKind::OffsetOutOfRange => {
                // Retention was faster; what it dropped is older than anybody needs.
                self.consumer.unassign(&[*slot])?;
                let again = [(partition.clone(), StartOffset::Earliest)];
                if let Some(new) = self.consumer.assign(&again)?.first() {
                    *slot = *new;
                }
                return Ok(());
            }
            other => other?,
        };
        if let Some(batch) = batch {
            *position = self.decoder.take(&*batch, partition, changed);
        }
        Ok(())
    }
}

/// Turns records of the totals' topics into totals.
struct Decoder {
    country: ArcSerde<CountryCode>,
    source: ArcSerde<LineSource>,
    window: ArcSerde<WindowVisits>,
    number: ArcSerde<i64>,
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Decoder")
    }
}

impl Decoder {
    fn new() -> Self {
        Self {
            country: CountryCode::default_serde(),
            source: LineSource::default_serde(),
            window: WindowVisits::default_serde(),
            number: i64::default_serde(),
        }
    }

    /// Adds the records to `changed`; the next offset. A record that is none of ours is passed over:
    /// whatever it is, totals do not depend on it.
    fn take(
        &self,
        batch: &dyn RecordBatch,
        partition: &TopicPartition,
        changed: &mut Totals,
    ) -> i64 {
        let mut next = 0;
        for index in 0..batch.len() {
            let record = batch.record(index);
            next = record.offset + 1;
            let (Some(key), Some(value)) = (record.key, record.value) else { continue };
            if let Err(error) = self.add(partition.topic.as_ref(), key, value, changed) {
                warn!(topic = %partition.topic, partition = partition.partition,
                    offset = record.offset, %error, "a total was passed over");
            }
        }
        next
    }

    fn add(
        &self,
        topic: &str,
        key: &[u8],
        value: &[u8],
        changed: &mut Totals,
    ) -> Result<(), SerdeError> {
        let mut one = Totals::default();
        match topic {
            COUNTRY_VISITS => {
                let visits = u64::try_from(self.number.deserialize(value)?)?;
                one.visits.insert(self.country.deserialize(key)?, visits);
            }
            REJECTED_LINES => {
                let lines = u64::try_from(self.number.deserialize(value)?)?;
                one.rejected.insert(self.source.deserialize(key)?.to_string(), lines);
            }
            _ => {
                let window = self.window.deserialize(value)?;
                let country = self.country.deserialize(key)?;
                one.windows.insert((window.start_ms, country), window.visits);
            }
        }
        changed.merge(&one);
        Ok(())
    }
}
