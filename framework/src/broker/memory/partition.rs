//! A partition: its log behind a short lock, and the consumers that sleep until it has more.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use super::compaction::compact;
use super::configs::TopicConfigs;
use super::isolation::{NotOpen, Outcome, ProducerLife};
use super::lock;
use super::log::{OutOfRange, PartitionLog, SEGMENT_BYTES};
use super::segment::{Batch, NewRecord};
use crate::broker::{BrokerError, BrokerErrorKind};
use crate::ids::TopicPartition;
use crate::record::Timestamp;

/// What `stable_end` reads in a partition whose topic was deleted: no position equals it.
const DELETED: i64 = i64::MIN;

/// What `deadline_ms` reads while no transaction is open.
const NO_DEADLINE: u64 = u64::MAX;

/// One partition of a topic.
#[derive(Debug)]
pub(super) struct Partition {
    name: TopicPartition,
    /// The log's stable end, so that a consumer there need not take the lock. Written under the lock.
    stable_end: AtomicI64,
    /// The log's end while a transaction is open; anything below the stable end otherwise. Written under
    /// the lock.
    open_end: AtomicI64,
    /// When the oldest of the open transactions is aborted, by the broker's monotonic clock. Written under
    /// the lock.
    deadline_ms: AtomicU64,
    /// Guards the log; producers and consumers of this partition contend for it, for one append or
    /// one fetch each.
    contents: Mutex<Contents>,
}

#[derive(Debug)]
struct Contents {
    log: PartitionLog,
    deleted: bool,
    /// The consumers that have the partition assigned.
    readers: Vec<Arc<Signal>>,
}

/// What a consumer gets from one fetch.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) batch: Option<Batch>,
    /// Where it goes on.
    pub(super) position: i64,
    /// Where readers stop for now.
    pub(super) stable_end: i64,
    /// The log's end, undecided records included.
    pub(super) end: i64,
}

/// Why a record was not appended.
#[derive(Debug)]
pub(super) enum Refused {
    /// The producer's transaction is not open here any more.
    NotOpen,
    Broker(BrokerError),
}

/// Wakes one consumer.
#[derive(Debug, Default)]
pub(super) struct Signal {
    /// Whether the consumer sleeps or is about to. Set before it looks for records a last time,
    /// which it does under the partition's lock or after a change of `stable_end`.
    sleeping: AtomicBool,
    /// Whether it was called; guards nothing else.
    called: Mutex<bool>,
    wake: Condvar,
}

impl Signal {
    /// Sleeps until called or until `timeout`, unless `is_ready` says that there is something to do.
    pub(super) fn wait(&self, timeout: Duration, is_ready: impl FnOnce() -> bool) {
        *lock(&self.called) = false;
        // ORDER: the flag before the look; a producer changes `stable_end` before it looks at the flag.
        self.sleeping.store(true, Ordering::SeqCst);
        if !is_ready() {
            let called = lock(&self.called);
            drop(self.wake.wait_timeout_while(called, timeout, |called| !*called));
        }
        self.sleeping.store(false, Ordering::SeqCst);
    }

    fn call(&self) {
        // One call wakes: while the consumer is on its way, further records cost it nothing.
        if self.sleeping.load(Ordering::SeqCst) && self.sleeping.swap(false, Ordering::SeqCst) {
            *lock(&self.called) = true;
            self.wake.notify_one();
        }
    }
}

impl Contents {
    fn call_readers(&self) {
        for reader in &self.readers {
            reader.call();
        }
    }
}

impl Partition {
    pub(super) fn new(name: TopicPartition) -> Self {
        let log = PartitionLog::new(SEGMENT_BYTES);
        let contents = Contents { log, deleted: false, readers: Vec::new() };
        Self {
            name,
            stable_end: AtomicI64::new(0),
            open_end: AtomicI64::new(0),
            deadline_ms: AtomicU64::new(NO_DEADLINE),
            contents: Mutex::new(contents),
        }
    }

    pub(super) fn name(&self) -> &TopicPartition {
        &self.name
    }

    fn live(&self) -> Result<MutexGuard<'_, Contents>, BrokerError> {
        let contents = lock(&self.contents);
        if contents.deleted { Err(unknown_partition(&self.name)) } else { Ok(contents) }
    }

    /// Shows consumers where the log ends now.
    fn publish(&self, contents: &Contents) {
        let stable_end = contents.log.stable_end();
        if contents.log.has_open_transactions() {
            self.open_end.store(contents.log.end_offset(), Ordering::SeqCst);
            if stable_end == self.stable_end.load(Ordering::SeqCst) {
                return;
            }
        }
        self.stable_end.store(stable_end, Ordering::SeqCst);
        contents.call_readers();
    }

    fn publish_deadline(&self, contents: &Contents) {
        let deadline = contents.log.transaction_deadline();
        let deadline_ms =
            deadline.map_or(NO_DEADLINE, |at| at.as_millis().try_into().unwrap_or(NO_DEADLINE));
        self.deadline_ms.store(deadline_ms, Ordering::SeqCst);
    }

    /// Appends a record and gives its offset.
    pub(super) fn append(&self, record: NewRecord<'_>) -> Result<i64, BrokerError> {
        let mut contents = self.live()?;
        let offset = contents.log.append(record);
        self.publish(&contents);
        Ok(offset)
    }

    /// Lets a producer append in a transaction, which is aborted at `deadline`.
    pub(super) fn begin(
        &self,
        producer: ProducerLife,
        deadline: Duration,
    ) -> Result<(), BrokerError> {
        let mut contents = self.live()?;
        contents.log.begin(producer, deadline);
        self.publish_deadline(&contents);
        Ok(())
    }

    /// Appends a record in the producer's transaction and gives its offset.
    pub(super) fn append_in(
        &self,
        producer: ProducerLife,
        record: NewRecord<'_>,
    ) -> Result<i64, Refused> {
        let mut contents = self.live().map_err(Refused::Broker)?;
        let offset =
            contents.log.append_in(producer, record).map_err(|NotOpen| Refused::NotOpen)?;
        self.publish(&contents);
        Ok(offset)
    }

    /// Ends the producer's transaction here, if it is open.
    pub(super) fn end(&self, producer: ProducerLife, outcome: Outcome) {
        let mut contents = lock(&self.contents);
        if !contents.deleted && contents.log.end(producer, outcome).is_ok() {
            self.publish_deadline(&contents);
            self.publish(&contents);
        }
    }

    /// Whether some transaction is open, and since it is: when the first of them is aborted for its age.
    pub(super) fn transaction_deadline(&self) -> Option<Duration> {
        let deadline_ms = self.deadline_ms.load(Ordering::SeqCst);
        (deadline_ms != NO_DEADLINE).then(|| Duration::from_millis(deadline_ms))
    }

    /// Appends a record at this offset, behind a gap.
    #[cfg(any(test, feature = "__test-utils"))]
    pub(super) fn append_at(&self, offset: i64, record: NewRecord<'_>) -> Result<i64, BrokerError> {
        let mut contents = self.live()?;
        contents.log.skip_to(offset);
        let offset = contents.log.append(record);
        self.publish(&contents);
        Ok(offset)
    }

    /// Up to `max_records` records from `position`; see [`PartitionLog::read`].
    pub(super) fn read(&self, position: i64, max_records: usize) -> Result<Fetched, BrokerError> {
        if self.is_at_end(position) {
            let end = self.open_end.load(Ordering::SeqCst).max(position);
            return Ok(Fetched { batch: None, position, stable_end: position, end });
        }
        let mut contents = self.live()?;
        let (stable_end, end) = (contents.log.stable_end(), contents.log.end_offset());
        let read = contents.log.read(position, max_records);
        let read = read.map_err(|range| self.out_of_range(position, range))?;
        Ok(Fetched { batch: read.batch, position: read.position, stable_end, end })
    }

    /// Whether a consumer at `position` has nothing to fetch and nothing to be told.
    pub(super) fn is_at_end(&self, position: i64) -> bool {
        self.stable_end.load(Ordering::SeqCst) == position
    }

    pub(super) fn start_offset(&self) -> i64 {
        lock(&self.contents).log.start_offset()
    }

    pub(super) fn end_offset(&self) -> i64 {
        lock(&self.contents).log.end_offset()
    }

    pub(super) fn add_reader(&self, reader: &Arc<Signal>) {
        lock(&self.contents).readers.push(Arc::clone(reader));
    }

    pub(super) fn remove_reader(&self, reader: &Arc<Signal>) {
        lock(&self.contents).readers.retain(|other| !Arc::ptr_eq(other, reader));
    }

    /// Drops the records before `offset`.
    pub(super) fn truncate_before(&self, offset: i64) -> Result<(), BrokerError> {
        let mut contents = lock(&self.contents);
        let truncated = contents.log.truncate_before(offset);
        if !contents.deleted && contents.log.has_open_transactions() {
            self.publish(&contents);
        }
        truncated.map_err(|range| self.out_of_range(offset, range))
    }

    /// Drops the records; whoever still holds the partition is told that it does not exist.
    pub(super) fn delete(&self) {
        let mut contents = lock(&self.contents);
        contents.log.clear();
        contents.deleted = true;
        self.stable_end.store(DELETED, Ordering::SeqCst);
        self.deadline_ms.store(NO_DEADLINE, Ordering::SeqCst);
        contents.call_readers();
    }

    /// Drops what the topic's configs no longer want at `now`. One caller at a time.
    pub(super) fn clean(&self, configs: &TopicConfigs, now: Timestamp) {
        if configs.is_deleting() {
            let mut contents = lock(&self.contents);
            if let Some(retention_ms) = configs.retention_ms() {
                contents.log.delete_older_than(now.saturating_sub(retention_ms));
            }
            if let Some(retention_bytes) = configs.retention_bytes() {
                contents.log.delete_beyond(retention_bytes);
            }
        }
        if configs.is_compacting() {
            self.compact(configs, now);
        }
    }

    fn compact(&self, configs: &TopicConfigs, now: Timestamp) {
        let newest_ms =
            configs.min_compaction_lag_ms().map_or(Timestamp::MAX, |lag| now.saturating_sub(lag));
        let uncompacted = lock(&self.contents).log.uncompacted(newest_ms, now);
        let Some(uncompacted) = uncompacted else { return };
        let Some(last) = uncompacted.segments.last() else { return };
        let tombstones_until = now.saturating_add(configs.delete_retention_ms());
        let compacted = compact(&uncompacted, now, tombstones_until);
        lock(&self.contents).log.replace(last.last_offset(), compacted);
    }

    fn out_of_range(&self, offset: i64, range: OutOfRange) -> BrokerError {
        let OutOfRange { start, end } = range;
        BrokerError::new(
            BrokerErrorKind::OffsetOutOfRange,
            format!("offset {offset} of {} is not in {start}..={end}", self.name),
        )
    }
}

/// The error for a partition that does not exist.
pub(super) fn unknown_partition(name: &TopicPartition) -> BrokerError {
    BrokerError::new(
        BrokerErrorKind::UnknownTopicOrPartition,
        format!("partition {name} does not exist"),
    )
}
