//! The global thread: reads the topics of all global stores, to the end before tasks begin, and follows them
//! from then on.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::positions::Positions;
use super::{global_partitions, global_task_id};
use crate::broker::{BrokerErrorKind, Consumer, ConsumerRole, ProducerSettings, Slot, StartOffset};
use crate::error::{Error, ErrorKind};
use crate::ids::TopicPartition;
use crate::processor::collector::{RecordCollector, SharedProducer};
use crate::processor::context::TaskContext;
use crate::processor::handler::Handlers;
use crate::runtime::commit::Commit;
use crate::runtime::stream_thread::Shared;
use crate::runtime::task::StreamTask;
use crate::runtime::task::partition_group::RecordQueue;
use crate::topology::link::{LinkSettings, TaskScope};

/// Records that are processed between two commits, which make them visible.
const SLICE_RECORDS: usize = 1000;
/// How long an idle thread waits for records.
const IDLE_WAIT: Duration = Duration::from_millis(10);
/// How often what has been read is made safe on disk; after a crash it is read again from there.
const CHECKPOINT_INTERVAL: Duration = Duration::from_mins(1);

/// What fills the global stores; made and run on its own OS thread.
pub(crate) struct GlobalThread {
    shared: Shared,
    stop: Arc<AtomicBool>,
    task: StreamTask,
    consumer: Box<dyn Consumer>,
    producer: SharedProducer,
    slots: Vec<Slot>,
    /// Where the partitions ended when the thread began; empty once all have been read that far.
    ends: Vec<i64>,
    positions: Positions,
    last_checkpoint: Duration,
}

impl GlobalThread {
    pub(crate) fn new(shared: Shared, stop: Arc<AtomicBool>) -> Result<Self, Error> {
        let client_id = format!("{}-GlobalStreamThread", shared.config.application_id);
        let producer = shared.broker.producer(&ProducerSettings {
            client_id: format!("{client_id}-producer"),
            track_acks: false,
        })?;
        let producer: SharedProducer = Rc::new(RefCell::new(producer));
        let consumer =
            shared.broker.consumer(ConsumerRole::Restore, &format!("{client_id}-consumer"))?;
        let task = link_task(&shared, &producer)?;
        let last_checkpoint = shared.clock.monotonic();
        let positions = shared.globals.take_positions();
        let (slots, ends) = (Vec::new(), Vec::new());
        Ok(Self { shared, stop, task, consumer, producer, slots, ends, positions, last_checkpoint })
    }

    /// Runs until told to stop, or until an error that no retry mends.
    pub(crate) fn run(mut self) -> Result<(), Error> {
        self.task.context.wall_clock = self.shared.clock.now_ms();
        self.task.start()?;
        while !self.stop.load(Ordering::SeqCst) {
            match self.turn() {
                Ok(0) => self.consumer.wait(IDLE_WAIT),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Retriable => {
                    tracing::warn!(
                        error = error.report(),
                        "a global topic cannot be read; trying again"
                    );
                    self.consumer.wait(IDLE_WAIT);
                }
                Err(error) => return Err(error),
            }
        }
        self.task.stop();
        self.checkpoint()
    }

    /// One turn; the answer is how much was done.
    fn turn(&mut self) -> Result<usize, Error> {
        if self.slots.is_empty() {
            self.begin()?;
        }
        self.consumer.poll()?;
        self.producer.borrow_mut().poll()?;
        self.fetch()?;
        self.task.context.wall_clock = self.shared.clock.now_ms();
        let processed = self.task.process(SLICE_RECORDS)?;
        self.task.punctuate_wall_clock()?;
        self.commit()?;
        if !self.ends.is_empty() && self.has_caught_up() {
            self.ends.clear();
            tracing::info!("global stores are complete");
            self.shared.globals.set_complete();
        }
        let now = self.shared.clock.monotonic();
        if now.saturating_sub(self.last_checkpoint) >= CHECKPOINT_INTERVAL {
            self.last_checkpoint = now;
            self.checkpoint()?;
        }
        Ok(processed)
    }

    /// Finds where the partitions end, and starts to read each where its rows stand.
    fn begin(&mut self) -> Result<(), Error> {
        let partitions = self.task.partitions();
        self.ends = self.shared.admin.end_offsets(&partitions)?;
        let starts: Vec<_> = partitions
            .into_iter()
            .map(|partition| {
                let start = self.positions.of(&partition);
                (partition, start.map_or(StartOffset::Earliest, StartOffset::At))
            })
            .collect();
        self.slots = self.consumer.assign(&starts)?;
        Ok(())
    }

    fn fetch(&mut self) -> Result<(), Error> {
        for queue in 0..self.slots.len() {
            let buffered = self.task.group.queues().get(queue).map_or(0, RecordQueue::buffered);
            let Some(slot) = self.slots.get(queue).copied().filter(|_| buffered < SLICE_RECORDS)
            else {
                continue;
            };
            match self.consumer.fetch(slot, SLICE_RECORDS) {
                Ok(None) => {}
                Ok(Some(batch)) => self.task.group.push(queue, batch),
                Err(error) if error.kind() == BrokerErrorKind::OffsetOutOfRange => {
                    self.restart(queue, slot)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Reads a partition anew because its log no longer has the position: cleaning has been faster.
    fn restart(&mut self, queue: usize, slot: Slot) -> Result<(), Error> {
        let Some(partition) = self.task.partitions().into_iter().nth(queue) else { return Ok(()) };
        tracing::warn!(
            %partition,
            "the log no longer has the position of this global partition; reading it from its beginning"
        );
        self.consumer.unassign(&[slot])?;
        let new = self.consumer.assign(&[(partition, StartOffset::Earliest)])?;
        if let (Some(place), Some(new)) = (self.slots.get_mut(queue), new.first()) {
            *place = *new;
        }
        Ok(())
    }

    /// Makes what was processed visible to the tasks.
    fn commit(&mut self) -> Result<(), Error> {
        let positions = &mut self.positions;
        let commit = Commit {
            producer: &self.producer,
            now_ms: self.shared.clock.now_ms(),
            input_offsets: &mut |offsets| {
                for (partition, committed) in offsets {
                    positions.set(&partition, committed.offset);
                }
                Ok(())
            },
            between: &mut |_| Ok(()),
        };
        commit.run(std::iter::once(&mut self.task))
    }

    /// Whether everything has been read that was there when the thread began.
    fn has_caught_up(&self) -> bool {
        let queues = self.task.group.queues().iter().zip(&self.slots).zip(&self.ends);
        queues.into_iter().all(|((queue, slot), end)| {
            let read = self.positions.of(&queue.partition).is_some_and(|read| read >= *end);
            // The last records may be gone, compacted away.
            let gone = || {
                let reached = self.consumer.reached_end(*slot);
                queue.buffered() == 0 && reached.is_some_and(|reached| reached >= *end)
            };
            *end == 0 || read || gone()
        })
    }

    /// ORDER: rows are on disk before the positions behind them. After a crash, records in between are read
    /// again.
    fn checkpoint(&mut self) -> Result<(), Error> {
        self.task.flush_stores()?;
        Ok(self.positions.save()?)
    }
}

fn link_task(shared: &Shared, producer: &SharedProducer) -> Result<StreamTask, Error> {
    let missing = || Error::new(ErrorKind::Fatal, "there is no global store to fill");
    let id = global_task_id(&shared.topology).ok_or_else(missing)?;
    let config = &shared.config;
    let collector = RecordCollector::new(Rc::clone(producer), config.dead_letter_topic.clone());
    let handlers = Handlers::of(config);
    let context = TaskContext::new(id, shared.clock.now_ms(), collector, handlers);
    let link = LinkSettings { scope: TaskScope::Global, ..(*shared.link).clone() };
    let partitions: Vec<TopicPartition> =
        global_partitions(&shared.topology, &config.application_id, &|topic| {
            shared.plan.global_partition_count(topic)
        });
    StreamTask::new(&shared.topology, context, &link, partitions, &mut |store| {
        shared.globals.writer(store)
    })
}
