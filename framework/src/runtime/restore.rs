//! Restoring: a store reads its changelog from where its rows stand to where the changelog ended when the
//! task began. A store whose changelog is a source topic reads to where the group has committed: what comes
//! behind is processed.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::broker::{Admin, BrokerErrorKind, Consumer, RecordBatch, Slot, StartOffset};
use crate::error::{Error, ErrorKind};
use crate::ids::TopicPartition;
use crate::record::Timestamp;
use crate::runtime::task::{StreamTask, TaskStore};
use crate::state::StorePosition;
use crate::topology::source_changelog::SourceRows;

/// How many changelog records go into a store at once.
const BATCH_RECORDS: usize = 5000;

/// Kafka's default `delete.retention.ms`, less a margin: what is older may have missed tombstones that
/// compaction has removed by now.
const MAX_AGE: Duration = Duration::from_hours(23);

/// A store being restored.
#[derive(Debug)]
pub(crate) struct StoreRestore {
    /// The store's place in its task.
    pub(crate) store: usize,
    slot: Slot,
    next_offset: i64,
    end_offset: i64,
}

/// A task being restored.
#[derive(Debug, Default)]
pub(crate) struct TaskRestore {
    stores: Vec<StoreRestore>,
    /// Records applied so far.
    pub(crate) restored: u64,
}

/// What one slice of restoring has done to a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RestoreProgress {
    pub(crate) store: usize,
    pub(crate) records: u64,
    pub(crate) remaining: i64,
}

impl TaskRestore {
    /// Begins to restore a task's stores; those that are up to date need nothing. `committed` has the group's
    /// offsets of the source topics that are changelogs.
    ///
    /// # Errors
    /// `TaskCorrupted` when the rows cannot be brought up to date: the changelog no longer, or not any
    /// more, has the offset they stand at, or they are older than its tombstones.
    pub(crate) fn begin(
        task: &StreamTask,
        admin: &dyn Admin,
        consumer: &mut dyn Consumer,
        committed: &BTreeMap<TopicPartition, i64>,
        now_ms: Timestamp,
    ) -> Result<Self, Error> {
        let stores = task.stores.iter().enumerate();
        let logged: Vec<(usize, TopicPartition)> =
            stores.filter_map(|(place, store)| Some((place, store.log()?.clone()))).collect();
        let partitions: Vec<TopicPartition> =
            logged.iter().map(|(_, partition)| partition.clone()).collect();
        let ends = admin.end_offsets(&partitions)?;
        let beginnings = admin.beginning_offsets(&partitions)?;
        let mut starts = Vec::new();
        for (((place, partition), log_end), beginning) in
            logged.into_iter().zip(ends).zip(beginnings)
        {
            let Some(store) = task.stores.get(place) else { continue };
            let end = match &store.source {
                Some(_) => committed.get(&partition).map_or(0, |offset| log_end.min(*offset)),
                None => log_end,
            };
            let position = store.built.managed.borrow().position()?;
            let log = LogRange { beginning, end: log_end, wanted: end };
            let start = start_offset(position, log, now_ms).map_err(|reason| {
                let message =
                    format!("store {} cannot be brought up to date: {reason}", store.name);
                Error::new(ErrorKind::TaskCorrupted, message).in_task(task.id)
            })?;
            if start < end {
                starts.push((place, end, (partition, start)));
            }
        }
        // All at once, so that a failure leaves nothing assigned.
        let assigned: Vec<_> = starts
            .iter()
            .map(|(_, _, (partition, start))| (partition.clone(), StartOffset::At(*start)))
            .collect();
        let slots = consumer.assign(&assigned)?;
        let stores = starts.into_iter().zip(slots);
        let stores = stores.map(|((store, end_offset, (_, next_offset)), slot)| StoreRestore {
            store,
            slot,
            next_offset,
            end_offset,
        });
        Ok(Self { stores: stores.collect(), restored: 0 })
    }

    /// Applies what has arrived. Stores that are done stop reading.
    pub(crate) fn advance(
        &mut self,
        task: &StreamTask,
        consumer: &mut dyn Consumer,
        now_ms: Timestamp,
        report: &mut dyn FnMut(RestoreProgress),
    ) -> Result<(), Error> {
        for restoring in &mut self.stores {
            let Some(store) = task.stores.get(restoring.store) else { continue };
            let batch = consumer.fetch(restoring.slot, BATCH_RECORDS).map_err(|error| {
                let corrupted = error.kind() == BrokerErrorKind::OffsetOutOfRange;
                let error = Error::from(error);
                if corrupted {
                    let message = format!("store {} lost its place in the changelog", store.name);
                    return Error::new(ErrorKind::TaskCorrupted, message).with_source(error);
                }
                error
            })?;
            let Some(batch) = batch else {
                // The last records may be gone, compacted away: then there is nothing more to come.
                let end = consumer.reached_end(restoring.slot).unwrap_or(0);
                restoring.next_offset = restoring.next_offset.max(end);
                continue;
            };
            restoring.next_offset = batch.record(batch.len() - 1).offset + 1;
            let records = restoring.apply(store, &*batch, now_ms)?;
            self.restored += records;
            report(RestoreProgress {
                store: restoring.store,
                records,
                remaining: (restoring.end_offset - restoring.next_offset).max(0),
            });
        }
        let done: Vec<Slot> = self
            .stores
            .iter()
            .filter(|restoring| restoring.next_offset >= restoring.end_offset)
            .map(|restoring| restoring.slot)
            .collect();
        if !done.is_empty() {
            consumer.unassign(&done)?;
            self.stores.retain(|restoring| restoring.next_offset < restoring.end_offset);
        }
        Ok(())
    }

    /// Whether all stores are up to date.
    pub(crate) fn is_done(&self) -> bool {
        self.stores.is_empty()
    }

    /// Stops reading: the task is given up before it is restored.
    pub(crate) fn abandon(self, consumer: &mut dyn Consumer) -> Result<(), Error> {
        let slots: Vec<Slot> = self.stores.iter().map(|restoring| restoring.slot).collect();
        Ok(consumer.unassign(&slots)?)
    }
}

impl StoreRestore {
    /// Applies records of the changelog, or of the source topic that stands for it; the answer is how many
    /// were rows.
    fn apply(
        &mut self,
        store: &TaskStore,
        batch: &dyn RecordBatch,
        now_ms: Timestamp,
    ) -> Result<u64, Error> {
        let mut managed = store.built.managed.borrow_mut();
        let at = |next_offset| StorePosition { next_offset, written_at_ms: now_ms };
        let Some(source) = &store.source else {
            managed.restore(batch, at(self.next_offset))?;
            return Ok(batch.len() as u64);
        };
        // Records behind the end have not been processed yet: they are no rows.
        self.next_offset = self.next_offset.min(self.end_offset);
        let Some(rows) = SourceRows::of(batch, &source.read, self.end_offset, now_ms) else {
            return Ok(0);
        };
        managed.restore(&rows, at(self.next_offset))?;
        Ok(rows.len() as u64)
    }
}

/// What a changelog has, and how far it is wanted.
#[derive(Debug, Clone, Copy)]
struct LogRange {
    beginning: i64,
    end: i64,
    wanted: i64,
}

/// Where to read from; an error says why the rows are of no use.
fn start_offset(
    position: Option<StorePosition>,
    log: LogRange,
    now_ms: Timestamp,
) -> Result<i64, String> {
    let LogRange { beginning, end, wanted } = log;
    let Some(StorePosition { next_offset, written_at_ms }) = position else { return Ok(beginning) };
    if next_offset > end {
        return Err(format!("it stands at offset {next_offset}, but the changelog ends at {end}"));
    }
    if next_offset < beginning {
        return Err(format!(
            "it stands at offset {next_offset}, but the changelog begins at {beginning}"
        ));
    }
    let max_age = i64::try_from(MAX_AGE.as_millis()).unwrap_or(i64::MAX);
    if next_offset < wanted && now_ms.saturating_sub(written_at_ms) > max_age {
        return Err("it is older than the changelog keeps tombstones".to_owned());
    }
    Ok(next_offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 24 * 60 * 60 * 1000;

    fn start(
        next_offset: i64,
        written_at_ms: i64,
        log: std::ops::Range<i64>,
    ) -> Result<i64, String> {
        let position = StorePosition { next_offset, written_at_ms };
        start_offset(Some(position), range(log), 10 * DAY_MS)
    }

    fn range(log: std::ops::Range<i64>) -> LogRange {
        LogRange { beginning: log.start, end: log.end, wanted: log.end }
    }

    #[test]
    fn a_new_store_reads_everything() {
        assert_eq!(start_offset(None, range(3..9), 0), Ok(3));
    }

    #[test]
    fn a_store_reads_the_tail_from_its_position() {
        assert_eq!(start(7, 10 * DAY_MS, 3..9), Ok(7));
        assert_eq!(start(9, 10 * DAY_MS, 3..9), Ok(9));
        assert_eq!(start(3, 10 * DAY_MS, 3..9), Ok(3));
    }

    #[test]
    fn a_store_off_its_changelog_is_of_no_use() {
        assert!(start(10, 10 * DAY_MS, 3..9).is_err());
        assert!(start(2, 10 * DAY_MS, 3..9).is_err());
    }

    #[test]
    fn a_store_may_be_ahead_of_what_the_group_has_committed() {
        let position = Some(StorePosition { next_offset: 7, written_at_ms: 0 });
        let log = LogRange { beginning: 3, end: 9, wanted: 5 };
        assert_eq!(start_offset(position, log, 10 * DAY_MS), Ok(7));
    }

    #[test]
    fn an_old_store_is_of_use_only_if_it_missed_nothing() {
        assert!(start(7, 9 * DAY_MS, 3..9).is_err());
        assert_eq!(start(9, 9 * DAY_MS, 3..9), Ok(9));
    }
}
