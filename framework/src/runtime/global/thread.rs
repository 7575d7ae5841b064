//! The global thread: reads the topics of all global stores, to the end before tasks begin, and follows them
//! from then on.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::positions::Positions;
use super::progress::GlobalProgress;
use super::{global_partitions, global_task_id};
use crate::broker::{BrokerErrorKind, Consumer, ConsumerRole, ProducerSettings, Slot, StartOffset};
use crate::error::{Error, ErrorKind};
use crate::ids::TopicPartition;
use crate::processor::collector::{RecordCollector, SharedProducer};
use crate::processor::context::TaskContext;
use crate::processor::handler::Handlers;
use crate::runtime::active_task::ActiveTask;
use crate::runtime::commit::{Commit, InputOffsets};
use crate::runtime::ownership::Grant;
use crate::runtime::restore::lookup::KnownTopics;
use crate::runtime::shared::Shared;
use crate::runtime::stream_thread::PUBLISH_INTERVAL;
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
    active: ActiveTask,
    consumer: Box<dyn Consumer>,
    producer: SharedProducer,
    /// Where the partitions ended when the thread began; empty once all have been read that far.
    ends: Vec<i64>,
    /// How far they have been read that far.
    progress: Option<GlobalProgress>,
    /// Records fetched of each partition.
    fetched: Vec<u64>,
    positions: Positions,
    last_checkpoint: Duration,
    last_publish: Duration,
}

impl GlobalThread {
    pub(crate) fn new(shared: Shared, stop: Arc<AtomicBool>) -> Result<Self, Error> {
        let client_id = format!("{}-GlobalStreamThread", shared.config.application_id);
        let producer = shared.broker.producer(&ProducerSettings {
            client_id: format!("{client_id}-producer"),
            track_acks: false,
            transactions: None,
        })?;
        let producer: SharedProducer = Rc::new(RefCell::new(producer));
        let consumer =
            shared.broker.consumer(ConsumerRole::Restore, &format!("{client_id}-consumer"))?;
        let active = ActiveTask::of(link_task(&shared, &producer)?, Grant::default(), &shared);
        let now = shared.clock.monotonic();
        let positions = shared.globals.take_positions();
        Ok(Self {
            shared,
            stop,
            active,
            consumer,
            producer,
            ends: Vec::new(),
            progress: None,
            fetched: Vec::new(),
            positions,
            last_checkpoint: now,
            last_publish: now,
        })
    }

    /// Runs until told to stop, or until an error that no retry mends.
    pub(crate) fn run(mut self) -> Result<(), Error> {
        self.active.task.context.wall_clock = self.shared.clock.now_ms();
        self.active.task.start()?;
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
        self.active.task.stop();
        self.active.publish(&*self.consumer);
        if let Some(progress) = &self.progress {
            progress.suspend();
        }
        self.checkpoint()
    }

    /// One turn; the answer is how much was done.
    fn turn(&mut self) -> Result<usize, Error> {
        if self.active.slots.is_empty() {
            self.begin()?;
        }
        self.consumer.poll()?;
        self.producer.borrow_mut().poll()?;
        self.fetch()?;
        self.active.task.context.wall_clock = self.shared.clock.now_ms();
        let processed = self.active.task.process(SLICE_RECORDS)?;
        self.active.task.punctuate_wall_clock()?;
        self.commit()?;
        let now = self.shared.clock.monotonic();
        if !self.ends.is_empty() && self.has_caught_up() {
            self.ends.clear();
            if let Some(mut progress) = self.progress.take() {
                progress.publish(&self.shared.topology, &self.shared.status, now);
            }
            tracing::info!("global stores are complete");
            self.shared.globals.set_complete();
        }
        if now.saturating_sub(self.last_checkpoint) >= CHECKPOINT_INTERVAL {
            self.last_checkpoint = now;
            self.checkpoint()?;
        }
        if now.saturating_sub(self.last_publish) >= PUBLISH_INTERVAL {
            self.last_publish = now;
            self.active.publish(&*self.consumer);
            if let Some(progress) = &mut self.progress {
                progress.publish(&self.shared.topology, &self.shared.status, now);
            }
        }
        Ok(processed)
    }

    /// Finds where the partitions end, and starts to read each where its rows stand.
    fn begin(&mut self) -> Result<(), Error> {
        let partitions = self.active.task.partitions();
        let ends = self.shared.admin.end_offsets(&partitions)?;
        let beginnings = self.shared.admin.beginning_offsets(&partitions)?;
        let known = KnownTopics::of(&*self.shared.admin, partitions.iter())?;
        let ids =
            partitions.iter().filter_map(|it| Some((it.topic.to_string(), known.id(&it.topic)?)));
        self.positions.begin(ids, self.shared.clock.now_ms());
        let ranges: Vec<_> = partitions
            .iter()
            .zip(&ends)
            .zip(beginnings)
            .map(|((partition, end), beginning)| {
                let start = self.positions.of(partition).unwrap_or(beginning);
                (partition.clone(), start, *end)
            })
            .collect();
        let starts: Vec<_> = partitions
            .into_iter()
            .map(|partition| {
                let start = self.positions.of(&partition);
                (partition, start.map_or(StartOffset::Earliest, StartOffset::At))
            })
            .collect();
        self.active.slots = self.consumer.assign(&starts)?;
        self.fetched = vec![0; ends.len()];
        self.ends = ends;
        let (topology, id) = (&self.shared.topology, &self.shared.config.application_id);
        let listener = self.shared.restore_listener.clone();
        let progress = GlobalProgress::begin(topology, id, ranges.into_iter(), listener);
        self.progress = Some(progress);
        Ok(())
    }

    fn fetch(&mut self) -> Result<(), Error> {
        for queue in 0..self.active.slots.len() {
            let buffered =
                self.active.task.group.queues().get(queue).map_or(0, RecordQueue::buffered);
            let Some(slot) =
                self.active.slots.get(queue).copied().filter(|_| buffered < SLICE_RECORDS)
            else {
                continue;
            };
            match self.consumer.fetch(slot, SLICE_RECORDS) {
                Ok(None) => {}
                Ok(Some(batch)) => {
                    if let Some(fetched) = self.fetched.get_mut(queue) {
                        *fetched += batch.len() as u64;
                    }
                    self.active.task.group.push(queue, batch);
                }
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
        let Some(partition) = self.active.task.partitions().into_iter().nth(queue) else {
            return Ok(());
        };
        tracing::warn!(
            %partition,
            "the log no longer has the position of this global partition; reading it from its beginning"
        );
        Ok(self.consumer.seek(slot, StartOffset::Earliest)?)
    }

    /// Makes what was processed visible to the tasks.
    fn commit(&mut self) -> Result<(), Error> {
        let positions = &mut self.positions;
        let commit = Commit {
            producer: &self.producer,
            now_ms: self.shared.clock.now_ms(),
            input_offsets: InputOffsets::AtLeastOnce(&mut |offsets| {
                for (partition, committed) in offsets {
                    positions.set(&partition, committed.offset);
                }
                Ok(())
            }),
            between: &mut |_| Ok(()),
            waiting: &|| (),
        };
        commit.run(std::iter::once(&mut self.active.task))
    }

    /// Whether everything has been read that was there when the thread began; notes how far that is.
    fn has_caught_up(&mut self) -> bool {
        let Some(progress) = &mut self.progress else { return false };
        let queues = self.active.task.group.queues().iter().zip(&self.active.slots).zip(&self.ends);
        let mut all = true;
        for (number, ((queue, slot), end)) in queues.enumerate() {
            let next = self.positions.of(&queue.partition);
            let fetched = self.fetched.get(number).copied().unwrap_or(0);
            let records = fetched.saturating_sub(queue.buffered() as u64);
            progress.read(number, next.unwrap_or(0), records);
            // The last records may be gone, compacted away.
            let gone = || {
                let reached = self.consumer.reached_end(*slot);
                queue.buffered() == 0 && reached.is_some_and(|reached| reached >= *end)
            };
            if *end == 0 || next.is_some_and(|next| next >= *end) || gone() {
                progress.done(number);
            } else {
                all = false;
            }
        }
        all
    }

    /// ORDER: rows are on disk before the positions behind them. After a crash, records in between are read
    /// again.
    fn checkpoint(&mut self) -> Result<(), Error> {
        let now_ms = self.shared.clock.now_ms();
        for (queue, slot) in self.active.task.group.queues().iter().zip(&self.active.slots) {
            if queue.buffered() == 0 && self.consumer.reached_end(*slot).is_some() {
                self.positions.up_to_date(&queue.partition, now_ms);
            }
        }
        self.active.task.flush_stores()?;
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
