//! The records a task has ready, by partition, and which comes next.
//!
//! INVARIANT: the next record is the one with the smallest extracted timestamp at the head of its queue; at
//! equal timestamps that of the queue which has had records for longest. A record's timestamp is extracted
//! when it becomes the head.

mod idle;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use self::idle::IdleClock;
use crate::broker::RecordBatch;
use crate::error::Error;
use crate::ids::TopicPartition;
use crate::processor::context::{DropReason, TaskContext};
use crate::processor::failed_node::Entered;
use crate::processor::operators::source::{QueueTime, RawNode, Timing};
use crate::record::Timestamp;

/// One source partition of a task.
pub(crate) struct RecordQueue {
    pub(crate) partition: TopicPartition,
    /// The name of the source node.
    name: Rc<str>,
    source: Rc<RefCell<dyn RawNode>>,
    timing: Timing,
    batches: VecDeque<Box<dyn RecordBatch>>,
    /// The next record of the first batch.
    next: usize,
    buffered: usize,
    /// The timestamp of the record at the head, once it is known.
    head: Option<Timestamp>,
    /// The highest timestamp of the records processed; −1 before the first.
    partition_time: Timestamp,
    /// When the queue last went from empty to filled.
    filled: u64,
    /// The offset behind the last processed record; `None` before the first.
    pub(crate) consumed: Option<i64>,
    idle: IdleClock,
}

/// The source partitions of a task.
#[derive(Default)]
pub(crate) struct PartitionGroup {
    queues: Vec<RecordQueue>,
    fills: u64,
    /// How many queues have nothing ready.
    empty: usize,
    /// How long an empty queue holds up the others, in milliseconds; `None`: not at all.
    max_idle_ms: Option<Timestamp>,
}

/// What a task does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Wait: nothing is ready, or an empty partition may still get something that comes first.
    Nothing,
    /// Go on: the record at the head of a queue was dropped.
    Dropped,
    /// Process the record at the head of this queue.
    Record(usize),
}

impl PartitionGroup {
    /// No partitions yet; an empty one holds up the others for `max_idle_ms`.
    pub(crate) fn new(max_idle_ms: Option<Timestamp>) -> Self {
        Self { max_idle_ms, ..Self::default() }
    }

    /// Adds a partition; its number is its place.
    pub(crate) fn add(
        &mut self,
        partition: TopicPartition,
        name: &str,
        source: Rc<RefCell<dyn RawNode>>,
    ) {
        let timing = source.borrow().timing();
        self.empty += 1;
        self.queues.push(RecordQueue {
            partition,
            name: name.into(),
            source,
            timing,
            batches: VecDeque::new(),
            next: 0,
            buffered: 0,
            head: None,
            partition_time: -1,
            filled: 0,
            consumed: None,
            idle: IdleClock::default(),
        });
    }

    pub(crate) fn queues(&self) -> &[RecordQueue] {
        &self.queues
    }

    /// Takes this offset as the one behind the last processed record of a partition.
    pub(crate) fn set_consumed(&mut self, queue: usize, offset: i64) {
        if let Some(queue) = self.queues.get_mut(queue) {
            queue.consumed = Some(offset);
        }
    }

    /// Appends records to a partition.
    pub(crate) fn push(&mut self, queue: usize, batch: Box<dyn RecordBatch>) {
        let Some(queue) = self.queues.get_mut(queue) else { return };
        if queue.buffered == 0 {
            self.fills += 1;
            self.empty -= 1;
            queue.filled = self.fills;
            queue.idle.reset();
        }
        queue.buffered += batch.len();
        queue.batches.push_back(batch);
    }

    /// Finds out what comes next; where a record's timestamp depends on the record, it is read for that.
    #[inline]
    pub(crate) fn next(&mut self, task: &mut TaskContext) -> Result<Next, Error> {
        if let [only] = self.queues.as_mut_slice() {
            return match only.timing {
                _ if only.buffered == 0 => Ok(Next::Nothing),
                // `process` finds the timestamp on its way.
                Timing::BuiltIn(_) => Ok(Next::Record(0)),
                Timing::Record => {
                    Ok(if self.stamp(0, task)? { Next::Record(0) } else { Next::Dropped })
                }
            };
        }
        if self.empty > 0 && !self.is_ready(task.wall_clock) {
            return Ok(Next::Nothing);
        }
        for index in 0..self.queues.len() {
            let unknown = |queue: &RecordQueue| queue.buffered > 0 && queue.head.is_none();
            if self.queues.get(index).is_some_and(unknown) && !self.stamp(index, task)? {
                return Ok(Next::Dropped);
            }
        }
        let ready = self.queues.iter().enumerate().filter(|(_, queue)| queue.buffered > 0);
        let first = ready.min_by_key(|(_, queue)| (queue.head, queue.filled));
        Ok(first.map_or(Next::Nothing, |(index, _)| Next::Record(index)))
    }

    /// Extracts the timestamp of a queue's head; false: the record is dropped.
    fn stamp(&mut self, index: usize, task: &mut TaskContext) -> Result<bool, Error> {
        let Some(queue) = self.queues.get_mut(index) else { return Ok(false) };
        if queue.head.is_some() {
            return Ok(true);
        }
        queue.head = queue.extract(index, task)?;
        if queue.head.is_none() {
            self.advance(index);
        }
        Ok(self.queues.get(index).is_some_and(|queue| queue.head.is_some()))
    }

    /// Processes the record at the head of a queue to the end.
    #[inline]
    pub(crate) fn process(&mut self, index: usize, task: &mut TaskContext) -> Result<(), Error> {
        if let Some(queue) = self.queues.get_mut(index) {
            queue.process(index, task)?;
        }
        self.advance(index);
        Ok(())
    }

    /// Goes on to a queue's next record.
    #[inline]
    fn advance(&mut self, index: usize) {
        let Some(queue) = self.queues.get_mut(index) else { return };
        let Some(batch) = queue.batches.front() else { return };
        queue.head = None;
        queue.next += 1;
        queue.buffered -= 1;
        if queue.next == batch.len() {
            queue.batches.pop_front();
            queue.next = 0;
            if queue.buffered == 0 {
                self.empty += 1;
            }
        }
    }
}

impl RecordQueue {
    /// The timestamp of the record at the head; `None`: it is dropped.
    fn extract(
        &mut self,
        index: usize,
        task: &mut TaskContext,
    ) -> Result<Option<Timestamp>, Error> {
        let Some(batch) = self.batches.front() else { return Ok(None) };
        if let Timing::BuiltIn(extractor) = self.timing {
            let broker = batch.timestamp(self.next);
            let time = extractor.extract(broker, self.partition_time, task.wall_clock);
            if let Ok(0..) = time {
                return Ok(time.ok());
            }
        }
        let raw = batch.record(self.next);
        task.begin(&self.partition, &raw);
        let time = match self.timing {
            Timing::BuiltIn(extractor) => {
                extractor.extract(raw.timestamp, self.partition_time, task.wall_clock).map(Some)
            }
            Timing::Record => {
                let queue = QueueTime { queue: index, time: self.partition_time };
                let entered = Entered(&self.name);
                let time = self.source.borrow_mut().extract(task, &raw, queue);
                entered.leave();
                time
            }
        };
        let time = time.map_err(|error| error.at_node(&self.name))?;
        if let Some(0..) = time {
            return Ok(time);
        }
        if let Some(negative) = time {
            skip(task, &self.name, negative);
        }
        task.counters.processed += 1;
        self.consumed = Some(raw.offset + 1);
        Ok(None)
    }

    #[inline]
    fn process(&mut self, index: usize, task: &mut TaskContext) -> Result<(), Error> {
        let Some(batch) = self.batches.front() else { return Ok(()) };
        let raw = batch.record(self.next);
        task.begin(&self.partition, &raw);
        task.counters.processed += 1;
        let time = match (self.head, self.timing) {
            (Some(time), _) => Ok(time),
            (None, Timing::BuiltIn(extractor)) => {
                extractor.extract(raw.timestamp, self.partition_time, task.wall_clock)
            }
            (None, Timing::Record) => Ok(raw.timestamp),
        };
        let entered = Entered(&self.name);
        let read = time.and_then(|time| {
            if time < 0 {
                skip(task, &self.name, time);
                return Ok(None);
            }
            let queue = QueueTime { queue: index, time };
            let read = self.source.borrow_mut().process(task, &raw, queue)?;
            Ok(read.then_some(time))
        });
        entered.leave();
        if let Some(time) = read.map_err(|error| error.at_node(&self.name))? {
            self.partition_time = self.partition_time.max(time);
        }
        self.consumed = Some(raw.offset + 1);
        Ok(())
    }

    /// How many records are ready.
    pub(crate) fn buffered(&self) -> usize {
        self.buffered
    }
}

#[cold]
fn skip(task: &mut TaskContext, node: &str, timestamp: Timestamp) {
    tracing::warn!(
        task = %task.task,
        node,
        topic = &*task.topic,
        partition = task.partition,
        offset = task.offset,
        timestamp,
        "record with a negative timestamp dropped"
    );
    task.drop_record(DropReason::Timestamp);
}
