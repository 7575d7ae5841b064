//! The records a task has ready, by partition, and which comes next.
//!
//! INVARIANT: the next record is the one with the smallest timestamp at the head of its queue; at equal
//! timestamps that of the queue which has had records for longest.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use crate::broker::RecordBatch;
use crate::ids::TopicPartition;
use crate::processor::operators::source::RawNode;
use crate::record::Timestamp;

/// One source partition of a task.
pub(crate) struct RecordQueue {
    pub(crate) partition: TopicPartition,
    pub(crate) source: Rc<RefCell<dyn RawNode>>,
    batches: VecDeque<Box<dyn RecordBatch>>,
    /// The next record of the first batch.
    next: usize,
    buffered: usize,
    head_timestamp: Timestamp,
    /// When the queue last went from empty to filled.
    filled: u64,
    /// The offset behind the last processed record; `None` before the first.
    pub(crate) consumed: Option<i64>,
}

/// The source partitions of a task.
#[derive(Default)]
pub(crate) struct PartitionGroup {
    queues: Vec<RecordQueue>,
    fills: u64,
}

impl PartitionGroup {
    /// Adds a partition; its number is its place.
    pub(crate) fn add(&mut self, partition: TopicPartition, source: Rc<RefCell<dyn RawNode>>) {
        self.queues.push(RecordQueue {
            partition,
            source,
            batches: VecDeque::new(),
            next: 0,
            buffered: 0,
            head_timestamp: 0,
            filled: 0,
            consumed: None,
        });
    }

    pub(crate) fn queues(&self) -> &[RecordQueue] {
        &self.queues
    }

    pub(crate) fn queue_mut(&mut self, queue: usize) -> Option<&mut RecordQueue> {
        self.queues.get_mut(queue)
    }

    /// Appends records to a partition.
    pub(crate) fn push(&mut self, queue: usize, batch: Box<dyn RecordBatch>) {
        let Some(queue) = self.queues.get_mut(queue) else { return };
        if queue.buffered == 0 {
            self.fills += 1;
            queue.filled = self.fills;
            queue.head_timestamp = batch.timestamp(0);
        }
        queue.buffered += batch.len();
        queue.batches.push_back(batch);
    }

    /// The partition that comes next.
    #[inline]
    pub(crate) fn choose(&self) -> Option<usize> {
        if let [only] = self.queues.as_slice() {
            return (only.buffered > 0).then_some(0);
        }
        let filled = self.queues.iter().enumerate().filter(|(_, queue)| queue.buffered > 0);
        filled.min_by_key(|(_, queue)| (queue.head_timestamp, queue.filled)).map(|(index, _)| index)
    }

    /// Drops what is buffered, and forgets what was consumed: when the task goes on, another member may
    /// have committed more.
    pub(crate) fn clear(&mut self) {
        for queue in &mut self.queues {
            queue.batches.clear();
            queue.next = 0;
            queue.buffered = 0;
            queue.consumed = None;
        }
    }
}

impl RecordQueue {
    /// The records at the head and the place of the next one among them.
    #[inline]
    pub(crate) fn head(&self) -> Option<(&dyn RecordBatch, usize)> {
        self.batches.front().map(|batch| (&**batch, self.next))
    }

    /// Goes on to the next record.
    #[inline]
    pub(crate) fn advance(&mut self, alone: bool) {
        let Some(batch) = self.batches.front() else { return };
        self.next += 1;
        self.buffered -= 1;
        if self.next == batch.len() {
            self.batches.pop_front();
            self.next = 0;
        }
        if !alone && let Some(batch) = self.batches.front() {
            self.head_timestamp = batch.timestamp(self.next);
        }
    }

    /// How many records are ready.
    pub(crate) fn buffered(&self) -> usize {
        self.buffered
    }
}
