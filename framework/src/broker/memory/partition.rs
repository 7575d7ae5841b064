//! A partition: its log behind a short lock, and the consumers that sleep until it has more.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::compaction::compact;
use super::configs::TopicConfigs;
use super::lock;
use super::log::{OutOfRange, PartitionLog, SEGMENT_BYTES};
use super::segment::{Batch, NewRecord};
use crate::broker::{BrokerError, BrokerErrorKind};
use crate::ids::TopicPartition;
use crate::record::Timestamp;

/// What `end` reads in a partition whose topic was deleted: no position equals it.
const DELETED: i64 = i64::MIN;

/// One partition of a topic.
#[derive(Debug)]
pub(super) struct Partition {
    name: TopicPartition,
    /// The log's end offset, so that a consumer at the end need not take the lock. Written under
    /// the lock.
    end: AtomicI64,
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

/// Wakes one consumer.
#[derive(Debug, Default)]
pub(super) struct Signal {
    /// Whether the consumer sleeps or is about to. Set before it looks for records a last time,
    /// which it does under the partition's lock or after a change of `end`.
    sleeping: AtomicBool,
    /// Whether it was called; guards nothing else.
    called: Mutex<bool>,
    wake: Condvar,
}

impl Signal {
    /// Sleeps until called or until `timeout`, unless `is_ready` says that there is something to do.
    pub(super) fn wait(&self, timeout: Duration, is_ready: impl FnOnce() -> bool) {
        *lock(&self.called) = false;
        // ORDER: the flag before the look; a producer changes `end` before it looks at the flag.
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
        Self { name, end: AtomicI64::new(0), contents: Mutex::new(contents) }
    }

    pub(super) fn name(&self) -> &TopicPartition {
        &self.name
    }

    /// Appends a record and gives its offset.
    pub(super) fn append(&self, record: NewRecord<'_>) -> Result<i64, BrokerError> {
        let mut contents = lock(&self.contents);
        if contents.deleted {
            return Err(unknown_partition(&self.name));
        }
        let offset = contents.log.append(record);
        self.end.store(offset + 1, Ordering::SeqCst);
        contents.call_readers();
        Ok(offset)
    }

    /// Appends a record at this offset, behind a gap.
    #[cfg(any(test, feature = "__test-utils"))]
    pub(super) fn append_at(&self, offset: i64, record: NewRecord<'_>) -> Result<i64, BrokerError> {
        let mut contents = lock(&self.contents);
        if contents.deleted {
            return Err(unknown_partition(&self.name));
        }
        contents.log.skip_to(offset);
        let offset = contents.log.append(record);
        self.end.store(offset + 1, Ordering::SeqCst);
        contents.call_readers();
        Ok(offset)
    }

    /// Up to `max_records` records from `position`, and the log's end; see [`PartitionLog::read`].
    pub(super) fn read(
        &self,
        position: i64,
        max_records: usize,
    ) -> Result<(Option<Batch>, i64), BrokerError> {
        if self.is_at_end(position) {
            return Ok((None, position));
        }
        let mut contents = lock(&self.contents);
        if contents.deleted {
            return Err(unknown_partition(&self.name));
        }
        let end = contents.log.end_offset();
        let batch = contents.log.read(position, max_records);
        batch.map(|batch| (batch, end)).map_err(|range| self.out_of_range(position, range))
    }

    /// Whether a consumer at `position` has nothing to fetch and nothing to be told.
    pub(super) fn is_at_end(&self, position: i64) -> bool {
        self.end.load(Ordering::SeqCst) == position
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
        let truncated = lock(&self.contents).log.truncate_before(offset);
        truncated.map_err(|range| self.out_of_range(offset, range))
    }

    /// Drops the records; whoever still holds the partition is told that it does not exist.
    pub(super) fn delete(&self) {
        let mut contents = lock(&self.contents);
        contents.log.clear();
        contents.deleted = true;
        self.end.store(DELETED, Ordering::SeqCst);
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
