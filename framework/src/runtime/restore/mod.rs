//! Restoring: a store reads its changelog from where its rows stand to where the changelog ended when the
//! task began. A store whose changelog is a source topic reads to where the group has committed: what comes
//! behind is processed.
//!
//! - `lookup`: what the brokers know, asked without holding up the thread;
//! - `start`: where to begin, or why the rows are of no use;
//! - `pace`: how much of the thread restoring may take;
//! - `speed`, `listener`: what is shown of it.
//!
//! What always holds: rows and the position behind them are written in one batch, so that a restore that is
//! cut off, by whatever, goes on from the last batch that the disk has.

mod listener;
pub(crate) mod lookup;
pub(crate) mod pace;
mod speed;
mod start;
#[cfg(test)]
pub(crate) mod tests;

use std::time::Duration;

use self::lookup::{Answer, LogFacts};
use self::pace::{Pace, RateLimit};
use crate::broker::{BrokerErrorKind, Consumer, RawRecord, RecordBatch, Slot, StartOffset};
use crate::error::{Error, ErrorKind};
use crate::ids::{TaskId, TopicId, TopicPartition};
use crate::metrics::RestoreProgress;
use crate::record::Timestamp;
use crate::runtime::task::{StreamTask, TaskStore};
use crate::state::StorePosition;
use crate::time::Clock;
use crate::topology::source_changelog::SourceRows;

pub(crate) use listener::RestoreListener;
pub use listener::StateRestoreListener;
pub(crate) use speed::Speed;
pub(crate) use start::start_offset;

/// A store being restored, or restored already.
#[derive(Debug)]
struct StoreRestore {
    /// The store's place in its task.
    store: usize,
    name: String,
    partition: TopicPartition,
    topic_id: Option<TopicId>,
    /// Where it reads; `None` once it is up to date.
    slot: Option<Slot>,
    start_offset: i64,
    next_offset: i64,
    end_offset: i64,
    /// When the rows last had all that their changelog had. That time stays with them until they have it
    /// again: a restore that is cut off and goes on much later must not believe that it has seen all
    /// tombstones of the meantime.
    behind_since_ms: Timestamp,
    /// Records and their bytes applied so far.
    records: u64,
    bytes: u64,
    /// Of these, the records that metrics show.
    published: u64,
    speed: Speed,
}

/// A task being restored.
#[derive(Debug)]
pub(crate) struct TaskRestore {
    task: TaskId,
    stores: Vec<StoreRestore>,
    /// The store whose turn it is.
    turn: usize,
    begun_ms: Timestamp,
    listener: RestoreListener,
}

/// What a turn may use.
pub(crate) struct Means<'a> {
    pub(crate) consumer: &'a mut dyn Consumer,
    pub(crate) pace: &'a mut Pace,
    pub(crate) limit: &'a RateLimit,
    pub(crate) clock: &'a dyn Clock,
}

impl TaskRestore {
    /// Begins to restore a task's stores; those that are up to date need nothing.
    ///
    /// # Errors
    /// `TaskCorrupted` when the rows cannot be brought up to date: see `start`.
    pub(crate) fn begin(
        task: &StreamTask,
        answer: &Answer,
        consumer: &mut dyn Consumer,
        now_ms: Timestamp,
        listener: RestoreListener,
    ) -> Result<Self, Error> {
        let mut stores = Vec::new();
        for facts in &answer.logs {
            let Some(store) = task.stores.get(facts.store) else { continue };
            let start = start_offset(facts, now_ms).map_err(|reason| {
                let message =
                    format!("store {} cannot be brought up to date: {reason}", store.name);
                Error::new(ErrorKind::TaskCorrupted, message).in_task(task.id)
            })?;
            if start < facts.log.wanted {
                stores.push(StoreRestore::new(&store.name, facts, start, now_ms));
            }
        }
        // All at once, so that a failure leaves nothing assigned.
        let starts: Vec<_> = stores
            .iter()
            .map(|store| (store.partition.clone(), StartOffset::At(store.start_offset)))
            .collect();
        let slots = consumer.assign(&starts)?;
        for (store, slot) in stores.iter_mut().zip(slots) {
            store.slot = Some(slot);
            let StoreRestore { partition, name, start_offset, end_offset, .. } = store;
            listener.tell(|listener| {
                listener.on_restore_start(partition, name, *start_offset, *end_offset);
            });
        }
        Ok(Self { task: task.id, stores, turn: 0, begun_ms: now_ms, listener })
    }

    /// Applies what has arrived, as far as there are means. Stores that are done stop reading. The answer is
    /// how many batches there were.
    pub(crate) fn advance(
        &mut self,
        task: &StreamTask,
        means: &mut Means<'_>,
    ) -> Result<usize, Error> {
        let mut batches = 0;
        let mut in_vain = 0;
        // Batch by batch and store by store, so that the client fetches for all partitions at once.
        while in_vain < self.stores.len() && means.pace.has_credit() {
            self.turn = (self.turn + 1) % self.stores.len().max(1);
            let Some(restoring) = self.stores.get_mut(self.turn) else { break };
            let Some(store) = task.stores.get(restoring.store) else { break };
            if restoring.step(store, means, self.begun_ms, &self.listener)? {
                (batches, in_vain) = (batches + 1, 0);
            } else {
                in_vain += 1;
            }
        }
        Ok(batches)
    }

    /// Whether all stores are up to date.
    pub(crate) fn is_done(&self) -> bool {
        self.stores.iter().all(|store| store.slot.is_none())
    }

    /// Records applied so far.
    pub(crate) fn records(&self) -> u64 {
        self.stores.iter().map(|store| store.records).sum()
    }

    /// Stops reading: the task is given up before it is restored.
    pub(crate) fn abandon(self, consumer: &mut dyn Consumer) -> Result<(), Error> {
        let slots: Vec<Slot> = self.stores.iter().filter_map(|store| store.slot).collect();
        for store in self.stores.iter().filter(|store| store.slot.is_some()) {
            let StoreRestore { partition, name, records, .. } = store;
            self.listener.tell(|listener| {
                listener.on_restore_suspended(partition, name, *records);
            });
        }
        Ok(consumer.unassign(&slots)?)
    }

    /// How far the stores are; `shown` gets each store's place, and the records since the last call.
    pub(crate) fn observe(
        &mut self,
        now: Duration,
        mut shown: impl FnMut(usize, &RestoreProgress, u64),
    ) -> Vec<RestoreProgress> {
        let task = self.task;
        let progress = self.stores.iter_mut().map(|store| {
            store.speed.observe(now, offsets(store.start_offset, store.next_offset));
            let progress = store.progress(task);
            shown(store.store, &progress, store.records - store.published);
            store.published = store.records;
            progress
        });
        progress.collect()
    }
}

/// How many offsets there are from one to the other.
fn offsets(from: i64, to: i64) -> u64 {
    u64::try_from(to - from).unwrap_or(0)
}

impl StoreRestore {
    fn new(name: &str, facts: &LogFacts, start_offset: i64, now_ms: Timestamp) -> Self {
        Self {
            store: facts.store,
            name: name.to_owned(),
            partition: facts.partition.clone(),
            topic_id: facts.topic_id,
            slot: None,
            start_offset,
            next_offset: start_offset,
            end_offset: facts.log.wanted,
            behind_since_ms: facts.position.map_or(now_ms, |position| position.written_at_ms),
            records: 0,
            bytes: 0,
            published: 0,
            speed: Speed::default(),
        }
    }

    /// Applies a batch; the answer says whether one had arrived. `begun_ms` is when the end was looked up.
    fn step(
        &mut self,
        store: &TaskStore,
        means: &mut Means<'_>,
        begun_ms: Timestamp,
        listener: &RestoreListener,
    ) -> Result<bool, Error> {
        let Some(slot) = self.slot else { return Ok(false) };
        let allowed = means.limit.allowed(means.clock.monotonic());
        let most = means.pace.batch_records().min(self.records_in(allowed));
        if most == 0 {
            return Ok(false);
        }
        let batch = means.consumer.fetch(slot, most).map_err(|error| {
            let corrupted = error.kind() == BrokerErrorKind::OffsetOutOfRange;
            let error = Error::from(error);
            if corrupted {
                let message = format!("store {} lost its place in the changelog", store.name);
                return Error::new(ErrorKind::TaskCorrupted, message).with_source(error);
            }
            error
        })?;
        let arrived = batch.is_some();
        if let Some(batch) = batch {
            let bytes = (0..batch.len()).map(|index| bytes_of(&batch.record(index))).sum();
            means.limit.spend(bytes);
            self.next_offset = batch.record(batch.len() - 1).offset + 1;
            let records = self.apply(store, &*batch, begun_ms)?;
            self.records += records;
            self.bytes += bytes;
            let last = self.next_offset - 1;
            listener.tell(|listener| {
                listener.on_batch_restored(&self.partition, &self.name, last, records);
            });
        } else if let Some(end) = means.consumer.reached_end(slot).filter(|_| self.is_behind()) {
            // The last records are not there any more, or never were: compacted away, aborted, or the
            // markers of transactions.
            if end > self.next_offset {
                self.next_offset = end;
                let position = self.position(begun_ms);
                store.built.managed.borrow_mut().restore(&NoRecords, position)?;
            }
        }
        means.pace.spend(means.clock.monotonic());
        if !self.is_behind() {
            means.consumer.unassign(&[slot])?;
            self.slot = None;
            listener.tell(|listener| {
                listener.on_restore_end(&self.partition, &self.name, self.records);
            });
        }
        Ok(arrived)
    }

    fn is_behind(&self) -> bool {
        self.next_offset < self.end_offset
    }

    /// How many records so many bytes are, by those before; at least one if there are any.
    fn records_in(&self, bytes: u64) -> usize {
        let usual = self.bytes.checked_div(self.records).unwrap_or(0).max(1);
        usize::try_from(bytes.div_ceil(usual)).unwrap_or(usize::MAX)
    }

    /// Where the rows stand.
    fn position(&self, begun_ms: Timestamp) -> StorePosition {
        let written_at_ms = if self.is_behind() { self.behind_since_ms } else { begun_ms };
        StorePosition { next_offset: self.next_offset, written_at_ms, topic_id: self.topic_id }
    }

    /// Applies records of the changelog, or of the source topic that stands for it; the answer is how many
    /// were rows.
    fn apply(
        &mut self,
        store: &TaskStore,
        batch: &dyn RecordBatch,
        begun_ms: Timestamp,
    ) -> Result<u64, Error> {
        let mut managed = store.built.managed.borrow_mut();
        let Some(source) = &store.source else {
            managed.restore(batch, self.position(begun_ms))?;
            return Ok(batch.len() as u64);
        };
        // Records behind the end have not been processed yet: they are no rows.
        self.next_offset = self.next_offset.min(self.end_offset);
        let position = self.position(begun_ms);
        let Some(rows) = SourceRows::of(batch, &source.read, self.end_offset, begun_ms) else {
            managed.restore(&NoRecords, position)?;
            return Ok(0);
        };
        managed.restore(&rows, position)?;
        Ok(rows.len() as u64)
    }

    fn progress(&self, task: TaskId) -> RestoreProgress {
        let remaining_records = offsets(self.next_offset, self.end_offset);
        RestoreProgress {
            task: task.to_string(),
            store: self.name.clone(),
            partition: self.partition.to_string(),
            restored_records: self.records,
            remaining_records,
            records_per_second: self.speed.per_second(),
            eta_seconds: self.speed.seconds_for(remaining_records),
        }
    }
}

fn bytes_of(record: &RawRecord<'_>) -> u64 {
    (record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len)) as u64
}

/// A batch that only moves the position.
#[derive(Debug)]
struct NoRecords;

impl RecordBatch for NoRecords {
    fn len(&self) -> usize {
        0
    }

    fn record(&self, _index: usize) -> RawRecord<'_> {
        RawRecord {
            offset: -1,
            timestamp: -1,
            key: None,
            value: None,
            headers: crate::Headers::new(),
        }
    }
}
