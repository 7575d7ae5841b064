//! The first reading of global topics, as a restore of the stores that they fill.

use std::time::Duration;

use super::global_task_id;
use crate::ids::TopicPartition;
use crate::metrics::RestoreProgress;
use crate::runtime::restore::{RestoreListener, Speed};
use crate::runtime::status::Status;
use crate::topology::Topology;

/// What one partition has, and how much of it has been read.
#[derive(Debug)]
struct PartitionProgress {
    partition: TopicPartition,
    store: String,
    start: i64,
    next: i64,
    end: i64,
    records: u64,
    is_done: bool,
    speed: Speed,
}

/// The partitions of all global topics, until they have been read to where they ended at the start.
#[derive(Debug)]
pub(super) struct GlobalProgress {
    partitions: Vec<PartitionProgress>,
    listener: RestoreListener,
}

impl GlobalProgress {
    /// Reading begins: partition, first offset and end of each, in the order of the task's queues.
    pub(super) fn begin(
        topology: &Topology,
        application_id: &str,
        ranges: impl Iterator<Item = (TopicPartition, i64, i64)>,
        listener: RestoreListener,
    ) -> Self {
        let partitions = ranges.map(|(partition, start, end)| {
            let store = store_of(topology, application_id, &partition.topic);
            let is_done = start >= end;
            if !is_done {
                listener.tell(|listener| listener.on_restore_start(&partition, &store, start, end));
            }
            let (next, records, speed) = (start, 0, Speed::default());
            PartitionProgress { partition, store, start, next, end, records, is_done, speed }
        });
        Self { partitions: partitions.collect(), listener }
    }

    /// A partition has been read up to here, and its records so far are so many.
    pub(super) fn read(&mut self, queue: usize, next: i64, records: u64) {
        let Some(progress) = self.partitions.get_mut(queue) else { return };
        let new = records.saturating_sub(progress.records);
        if progress.is_done || new == 0 {
            return;
        }
        (progress.next, progress.records) = (next, records);
        let PartitionProgress { partition, store, .. } = progress;
        self.listener.tell(|listener| listener.on_batch_restored(partition, store, next - 1, new));
    }

    /// A partition has been read to its end.
    pub(super) fn done(&mut self, queue: usize) {
        let Some(progress) = self.partitions.get_mut(queue).filter(|progress| !progress.is_done)
        else {
            return;
        };
        (progress.is_done, progress.next) = (true, progress.end);
        let PartitionProgress { partition, store, records, .. } = progress;
        self.listener.tell(|listener| listener.on_restore_end(partition, store, *records));
    }

    /// Shows how far the partitions are, if it goes on, or that nothing is restored any more.
    pub(super) fn publish(&mut self, topology: &Topology, status: &Status, now: Duration) {
        let Some(task) = global_task_id(topology) else { return };
        let restoring = self.partitions.iter_mut().filter(|progress| !progress.is_done);
        let stores = restoring.map(|progress| {
            let offsets = |from: i64, to: i64| u64::try_from(to - from).unwrap_or(0);
            progress.speed.observe(now, offsets(progress.start, progress.next));
            let remaining_records = offsets(progress.next, progress.end);
            RestoreProgress {
                task: task.to_string(),
                store: progress.store.clone(),
                partition: progress.partition.to_string(),
                restored_records: progress.records,
                remaining_records,
                records_per_second: progress.speed.per_second(),
                eta_seconds: progress.speed.seconds_for(remaining_records),
            }
        });
        status.set_restoring(task, stores.collect());
    }

    /// Reading ends before the partitions' ends.
    pub(super) fn suspend(&self) {
        for progress in self.partitions.iter().filter(|progress| !progress.is_done) {
            let PartitionProgress { partition, store, records, .. } = progress;
            self.listener
                .tell(|listener| listener.on_restore_suspended(partition, store, *records));
        }
    }
}

/// The store that a global topic fills; the topic's name if it fills none.
fn store_of(topology: &Topology, application_id: &str, topic: &str) -> String {
    let mut global = topology.subtopologies.iter().filter(|subtopology| subtopology.global);
    let reads = global.find(|subtopology| {
        subtopology.sources.iter().any(|source| source.resolve(application_id) == topic)
    });
    let store = reads.and_then(|subtopology| subtopology.stores.first());
    store.map_or_else(|| topic.to_owned(), |store| topology.store(*store).name.clone())
}
