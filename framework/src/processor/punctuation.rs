//! Calls that a processor has asked for at intervals of time, and which of them is due.
//!
//! There is one queue for stream time and one for the wall clock. Calls that are due at the same time come in the
//! order in which Kafka Streams makes them, which is that of its binary heap.

use super::ProcessorId;
use crate::record::Timestamp;

/// The clock that a schedule follows.
///
/// # Source
/// `org.apache.kafka.streams.processor.PunctuationType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PunctuationType {
    /// The highest timestamp of the task's records so far: it stands still while none come.
    StreamTime,
    /// The machine's clock.
    WallClockTime,
}

/// A schedule of a processor; cancels it, and tells one from another in `punctuate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ScheduleId(u64);

/// A call that is to be made.
#[derive(Debug)]
pub(crate) struct Schedule {
    pub(crate) id: ScheduleId,
    /// The processor that asked for it.
    pub(crate) processor: ProcessorId,
    at: Timestamp,
    interval: i64,
    cancelled: bool,
}

impl Schedule {
    /// The next time after `now`, in whole intervals from the last: times that were missed are skipped.
    fn moved_on(mut self, now: Timestamp) -> Self {
        let missed = (now - self.at).max(0) / self.interval;
        self.at = self.at.saturating_add((missed + 1).saturating_mul(self.interval));
        self
    }
}

/// The schedules of a task.
#[derive(Debug, Default)]
pub(crate) struct Punctuations {
    stream_time: Queue,
    wall_clock: Queue,
    /// The schedule whose call is being made, and whether it has been cancelled meanwhile.
    firing: Option<(ScheduleId, bool)>,
    next_id: u64,
}

impl Punctuations {
    /// Adds a schedule; `interval` is at least one millisecond.
    pub(crate) fn schedule(
        &mut self,
        processor: ProcessorId,
        kind: PunctuationType,
        first: Timestamp,
        interval: i64,
    ) -> ScheduleId {
        let id = ScheduleId(self.next_id);
        self.next_id += 1;
        self.queue(kind).push(Schedule { id, processor, at: first, interval, cancelled: false });
        id
    }

    /// Makes no more calls for a schedule.
    pub(crate) fn cancel(&mut self, id: ScheduleId) {
        if let Some((firing, cancelled)) = &mut self.firing
            && *firing == id
        {
            *cancelled = true;
        }
        let queues = [&mut self.stream_time, &mut self.wall_clock];
        let mut schedules = queues.into_iter().flat_map(|queue| &mut queue.heap);
        if let Some(schedule) = schedules.find(|schedule| schedule.id == id) {
            schedule.cancelled = true;
        }
    }

    /// Whether a call may be due: cheap enough to be asked after every record.
    #[inline]
    pub(crate) fn may_be_due(&self, kind: PunctuationType, now: Timestamp) -> bool {
        let queue = match kind {
            PunctuationType::StreamTime => &self.stream_time,
            PunctuationType::WallClockTime => &self.wall_clock,
        };
        queue.heap.first().is_some_and(|schedule| schedule.at <= now)
    }

    /// Takes out the next schedule that is due; [`Punctuations::made`] follows its call.
    pub(crate) fn take_due(&mut self, kind: PunctuationType, now: Timestamp) -> Option<Schedule> {
        while self.may_be_due(kind, now) {
            let schedule = self.queue(kind).pop()?;
            if !schedule.cancelled {
                self.firing = Some((schedule.id, false));
                return Some(schedule);
            }
        }
        None
    }

    /// Puts a schedule back behind its call, unless it has been cancelled in it.
    pub(crate) fn made(&mut self, kind: PunctuationType, schedule: Schedule, now: Timestamp) {
        let cancelled = self.firing.take().is_some_and(|(_, cancelled)| cancelled);
        if !cancelled {
            self.queue(kind).push(schedule.moved_on(now));
        }
    }

    /// Forgets all schedules: their processors are closed.
    pub(crate) fn clear(&mut self) {
        self.stream_time.heap.clear();
        self.wall_clock.heap.clear();
    }

    fn queue(&mut self, kind: PunctuationType) -> &mut Queue {
        match kind {
            PunctuationType::StreamTime => &mut self.stream_time,
            PunctuationType::WallClockTime => &mut self.wall_clock,
        }
    }
}

/// A binary heap by time. The standard library's gives equal times out in another order than Java's
/// `PriorityQueue`, and the order shows in the output.
#[derive(Debug, Default)]
struct Queue {
    heap: Vec<Schedule>,
}

impl Queue {
    fn push(&mut self, schedule: Schedule) {
        self.heap.push(schedule);
        let mut child = self.heap.len() - 1;
        while child > 0 {
            let parent = (child - 1) / 2;
            if self.at(child) >= self.at(parent) {
                break;
            }
            self.heap.swap(child, parent);
            child = parent;
        }
    }

    fn pop(&mut self) -> Option<Schedule> {
        if self.heap.is_empty() {
            return None;
        }
        let first = self.heap.swap_remove(0);
        let mut parent = 0;
        while 2 * parent + 1 < self.heap.len() {
            let left = 2 * parent + 1;
            let child = if self.at(left + 1) < self.at(left) { left + 1 } else { left };
            if self.at(parent) <= self.at(child) {
                break;
            }
            self.heap.swap(parent, child);
            parent = child;
        }
        Some(first)
    }

    /// When a schedule is due; never, behind the last.
    fn at(&self, place: usize) -> Timestamp {
        self.heap.get(place).map_or(Timestamp::MAX, |schedule| schedule.at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use PunctuationType::{StreamTime, WallClockTime};

    /// The calls that are due at `now`.
    fn due(punctuations: &mut Punctuations, now: Timestamp) -> Vec<ScheduleId> {
        let mut calls = Vec::new();
        while let Some(schedule) = punctuations.take_due(StreamTime, now) {
            calls.push(schedule.id);
            punctuations.made(StreamTime, schedule, now);
        }
        calls
    }

    #[test]
    fn missed_times_are_made_up_by_one_call() {
        let mut punctuations = Punctuations::default();
        let id = punctuations.schedule(ProcessorId(0), StreamTime, 30, 100);
        assert_eq!(due(&mut punctuations, 29), []);
        assert_eq!(due(&mut punctuations, 30), [id]);
        assert_eq!(due(&mut punctuations, 129), []);
        assert_eq!(due(&mut punctuations, 777), [id]);
        assert_eq!(due(&mut punctuations, 829), []);
        assert_eq!(due(&mut punctuations, 830), [id]);
    }

    #[test]
    fn a_schedule_may_be_cancelled_in_its_own_call() {
        let mut punctuations = Punctuations::default();
        let id = punctuations.schedule(ProcessorId(0), StreamTime, 0, 10);
        let schedule = punctuations.take_due(StreamTime, 0).expect("it is due");
        punctuations.cancel(id);
        let next = punctuations.schedule(ProcessorId(0), StreamTime, 0, 10);
        punctuations.made(StreamTime, schedule, 0);
        assert_eq!(due(&mut punctuations, 100), [next]);
    }

    #[test]
    fn the_clocks_have_schedules_of_their_own() {
        let mut punctuations = Punctuations::default();
        punctuations.schedule(ProcessorId(0), WallClockTime, 0, 10);
        assert_eq!(due(&mut punctuations, 1000), []);
        assert!(punctuations.may_be_due(WallClockTime, 0));
        punctuations.clear();
        assert!(!punctuations.may_be_due(WallClockTime, 1000));
    }

    proptest! {
        /// Whatever the schedules: each is called exactly when a multiple of its interval lies between two
        /// times at which it was looked, and calls that come together come in order of time.
        #[test]
        fn calls_are_those_of_a_list(
            schedules in prop::collection::vec((0_i64..50, 1_i64..40), 1..6),
            steps in prop::collection::vec(1_i64..60, 1..30),
        ) {
            let mut punctuations = Punctuations::default();
            let ids: Vec<_> = schedules
                .iter()
                .map(|(first, interval)| punctuations.schedule(ProcessorId(0), StreamTime, *first, *interval))
                .collect();
            let mut now = 0;
            let mut last = -1;
            for step in steps {
                now += step;
                // The times a schedule stands for are first, first + interval, …
                let times = |at: i64, first: i64, interval: i64| (at - first).div_euclid(interval).max(-1);
                let mut expected: Vec<_> = schedules
                    .iter()
                    .zip(&ids)
                    .filter(|((first, interval), _)| {
                        times(now, *first, *interval) > times(last, *first, *interval)
                    })
                    .map(|(_, id)| *id)
                    .collect();
                let mut calls = due(&mut punctuations, now);
                calls.sort_by_key(|id| id.0);
                expected.sort_by_key(|id| id.0);
                prop_assert_eq!(calls, expected);
                last = now;
            }
        }
    }
}
