//! What a partition knows of transactions: the open ones hold readers back, the records of aborted ones
//! are passed over.
//!
//! KAFKA: a control marker ends a transaction in each partition that it has touched, and takes an offset.
//! Here it is a gap, as compaction leaves them: no reader ever gets to see it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

/// A transactional producer in one of its lives: each one that starts anew has a higher epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ProducerLife {
    /// The same for all lives of a transactional id.
    pub(super) number: u64,
    pub(super) epoch: u64,
}

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Committed,
    Aborted,
}

/// The producer has no transaction open in the partition: it was fenced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotOpen;

/// A transaction that has touched the partition and is not at its end.
#[derive(Debug)]
struct Open {
    producer: ProducerLife,
    /// When it is aborted for its age.
    deadline: Duration,
    /// The offsets of its records, in order.
    runs: Vec<Range<i64>>,
}

/// The transactions of one partition.
#[derive(Debug, Default)]
pub(super) struct Isolation {
    /// Few: one per producer that is at work.
    open: Vec<Open>,
    pub(super) aborted: Aborted,
}

impl Isolation {
    pub(super) fn has_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// When the first of the open transactions is aborted for its age.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.open.iter().map(|open| open.deadline).min()
    }

    /// The offset of the oldest record that is neither committed nor aborted.
    pub(super) fn first_undecided(&self) -> Option<i64> {
        let firsts = self.open.iter().filter_map(|open| open.runs.first());
        firsts.map(|run| run.start).min()
    }

    pub(super) fn begin(&mut self, producer: ProducerLife, deadline: Duration) {
        if !self.open.iter().any(|open| open.producer == producer) {
            self.open.push(Open { producer, deadline, runs: Vec::new() });
        }
    }

    /// Makes the record at `offset`, which is the next one of the log, part of the producer's transaction.
    pub(super) fn add(&mut self, producer: ProducerLife, offset: i64) -> Result<(), NotOpen> {
        let open = self.open.iter_mut().find(|open| open.producer == producer).ok_or(NotOpen)?;
        match open.runs.last_mut() {
            Some(run) if run.end == offset => run.end += 1,
            _ => open.runs.push(offset..offset + 1),
        }
        Ok(())
    }

    pub(super) fn end(&mut self, producer: ProducerLife, outcome: Outcome) -> Result<(), NotOpen> {
        let index = self.open.iter().position(|open| open.producer == producer).ok_or(NotOpen)?;
        let ended = self.open.swap_remove(index);
        if outcome == Outcome::Aborted {
            self.aborted.0.extend(ended.runs.into_iter().map(|run| (run.start, run.end)));
        }
        Ok(())
    }
}

/// The offsets of aborted records: the first of each run, and the one behind its last.
#[derive(Debug, Clone, Default)]
pub(super) struct Aborted(BTreeMap<i64, i64>);

impl Aborted {
    /// The first offset at or above this one that no aborted record has.
    pub(super) fn skip(&self, mut offset: i64) -> i64 {
        while let Some((_, end)) = self.0.range(..=offset).next_back().filter(|run| *run.1 > offset)
        {
            offset = *end;
        }
        offset
    }

    pub(super) fn contains(&self, offset: i64) -> bool {
        self.0.range(..=offset).next_back().is_some_and(|run| *run.1 > offset)
    }

    /// Where the next run begins.
    pub(super) fn next_after(&self, offset: i64) -> Option<i64> {
        self.0.range(offset..).next().map(|run| *run.0)
    }

    /// Forgets the runs whose records, all of them below `offset`, are gone.
    pub(super) fn forget_below(&mut self, offset: i64) {
        self.0.retain(|_, end| *end > offset);
    }
}
