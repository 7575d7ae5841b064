//! A task on a stream thread: the task, where it reads, and what it shows of itself.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::ownership::Grant;
use super::restore::TaskRestore;
use super::shared::Shared;
use super::task::{StreamTask, source_partitions};
use crate::broker::{Consumer, Slot};
use crate::error::{Error, ErrorKind};
use crate::ids::TaskId;
use crate::metrics::{DropReason, Metrics, RestoreProgress, StoreMetrics, TaskMetrics};
use crate::processor::collector::{RecordCollector, SharedProducer};
use crate::processor::context::TaskContext;
use crate::processor::handler::Handlers;

/// A task with its slots and metrics.
pub(crate) struct ActiveTask {
    pub(crate) task: StreamTask,
    /// The right to commit it.
    pub(crate) grant: Grant,
    /// Where each of its partitions is read, in order.
    pub(crate) slots: Vec<Slot>,
    /// The partitions whose positions the log no longer has, and what the client says about it.
    pub(crate) lost: BTreeMap<usize, String>,
    metrics: TaskMetrics,
    store_metrics: Vec<StoreMetrics>,
}

impl ActiveTask {
    /// Opens the task's stores and links its nodes; `None` while another thread has the stores open.
    pub(crate) fn open(
        shared: &Shared,
        id: TaskId,
        grant: Grant,
        producer: &SharedProducer,
    ) -> Result<Option<Self>, Error> {
        let Some(mut rows) = shared.stores.open(&shared.topology, id)? else { return Ok(None) };
        let config = &shared.config;
        let collector = RecordCollector::new(Rc::clone(producer), config.dead_letter_topic.clone())
            .with_row_lifetime(config.row_lifetime());
        let handlers = Handlers::of(config);
        let context = TaskContext::new(id, shared.clock.now_ms(), collector, handlers);
        let partitions = source_partitions(&shared.topology, id, &shared.link, &|topic| {
            shared.plan.partition_count(topic)
        });
        let mut task =
            StreamTask::new(&shared.topology, context, &shared.link, partitions, &mut |store| {
                if shared.topology.is_global(store) {
                    return shared.globals.reader(store);
                }
                let name = &shared.topology.store(store).name;
                rows.remove(&store).ok_or_else(|| {
                    let message = format!("store {name} was not opened");
                    Error::new(ErrorKind::Fatal, message)
                })
            })?;
        task.offset_metadata = shared.fingerprint.offset_metadata(id);
        Ok(Some(Self::of(task, grant, shared)))
    }

    /// A task that does not read yet.
    pub(crate) fn of(task: StreamTask, grant: Grant, shared: &Shared) -> Self {
        let metrics = shared.metrics.task(task.id, &task.partitions());
        let stores = task.stores.iter();
        let store_metrics = stores.map(|store| shared.metrics.store(task.id, &store.name));
        let store_metrics = store_metrics.collect();
        Self { task, grant, slots: Vec::new(), lost: BTreeMap::new(), metrics, store_metrics }
    }

    /// Reads partitions on from where the topology says, because the log no longer has their positions: retention has been
    /// faster than the application. What fails is tried again in the next turn: the client tells once that a position is
    /// lost.
    ///
    /// # Errors
    /// `TransactionAborted`: exactly once, what the application deletes itself has been read and committed before.
    /// To read it again would count it twice, so the group is asked anew.
    pub(crate) fn reset_lost(
        &mut self,
        shared: &Shared,
        consumer: &mut dyn Consumer,
    ) -> Result<(), Error> {
        while let Some((queue, error)) = self.lost.first_key_value() {
            self.reset_position(*queue, error, shared, consumer)?;
            self.lost.pop_first();
        }
        Ok(())
    }

    fn reset_position(
        &self,
        queue: usize,
        error: &str,
        shared: &Shared,
        consumer: &mut dyn Consumer,
    ) -> Result<(), Error> {
        let starts = self.task.start_offsets(&shared.topology, &shared.link);
        let partitions = self.task.partitions();
        let (Some(partition), Some(start), Some(slot)) =
            (partitions.get(queue), starts.get(queue), self.slots.get(queue))
        else {
            return Ok(());
        };
        if shared.config.is_exactly_once() && shared.purge.covers(&partition.topic) {
            let message = format!(
                "{partition} does not have the position that the group has committed ({error}); if this goes on, it \
                 was truncated or created anew, and the application has to be reset"
            );
            return Err(Error::new(ErrorKind::TransactionAborted, message).in_task(self.task.id));
        }
        tracing::warn!(
            task = %self.task.id,
            %partition,
            ?start,
            %error,
            "the log no longer has the position of this partition; records are lost, reading goes on"
        );
        Ok(consumer.seek(*slot, *start)?)
    }

    /// Tells the task what the broker still has of its partitions, where it waits for that.
    pub(crate) fn update_lags(&mut self, consumer: &dyn Consumer) {
        if !self.task.group.wants_lags() {
            return;
        }
        for (queue, slot) in self.slots.iter().enumerate() {
            let reached = consumer.reached_end(*slot);
            let end = consumer.end_offset(*slot);
            let lag = reached.zip(end).map(|(reached, end)| (end - reached).max(0));
            self.task.group.set_lag(queue, lag);
        }
    }

    /// Shows how far the task's restore is.
    pub(crate) fn publish_restore(
        &self,
        restore: &mut TaskRestore,
        now: Duration,
        totals: &Metrics,
    ) -> Vec<RestoreProgress> {
        restore.observe(now, |store, progress, records| {
            totals.restored_records().inc_by(records);
            if let Some(metrics) = self.store_metrics.get(store) {
                metrics.restored(progress, records);
            }
        })
    }

    /// Publishes what was counted since the last time.
    pub(crate) fn publish(&mut self, consumer: &dyn Consumer) {
        let counters = std::mem::take(&mut self.task.context.counters);
        self.metrics.process_records.inc_by(counters.processed);
        let produced = std::mem::take(&mut self.task.context.collector.produced);
        self.metrics.produced_records.inc_by(produced);
        for (reason, count) in DropReason::ALL.into_iter().zip(counters.dropped) {
            self.metrics.dropped_records(reason).inc_by(count);
        }
        let queues = self.task.group.queues().iter().zip(&self.slots);
        for ((queue, slot), gauge) in queues.zip(&self.metrics.lag_records) {
            if let (Some(end), Some(consumed)) = (consumer.end_offset(*slot), queue.consumed) {
                gauge.set((end - consumed).max(0));
            }
        }
        for (store, metrics) in self.task.stores.iter().zip(&self.store_metrics) {
            let rows = store.built.managed.borrow();
            let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
            metrics.uncommitted_bytes.set(gauge(rows.uncommitted_bytes() as u64));
            metrics.rows.set(gauge(rows.approximate_rows()));
            metrics.bytes.set(gauge(rows.approximate_bytes()));
        }
    }
}
