//! Restores of single tasks, turn by turn.

use std::time::Duration;

use super::lookup::Question;
use super::pace::Others;
use super::*;
use crate::broker::memory::MemoryBroker;
use crate::broker::{Broker, ConsumerRole};
use crate::time::ManualClock;

/// Restores the stores of a task whose inputs nobody has read.
pub(crate) fn restore_whole(broker: &MemoryBroker, task: &StreamTask) {
    let admin = broker.admin().unwrap();
    let mut consumer = broker.consumer(ConsumerRole::Restore, "test").unwrap();
    let nothing = |inputs: &[TopicPartition]| Ok(vec![None; inputs.len()]);
    let answer = Question::of(task).unwrap().ask(&*admin, &nothing).unwrap();
    let listener = RestoreListener::default();
    let mut restore = TaskRestore::begin(task, &answer, &mut *consumer, 0, listener).unwrap();
    let (mut pace, clock) = (Pace::default(), ManualClock::new(0));
    while !restore.is_done() {
        pace.begin(Duration::ZERO, Others::Absent);
        let limit = &RateLimit::new(None);
        let consumer = &mut *consumer;
        restore
            .advance(task, &mut Means { consumer, pace: &mut pace, limit, clock: &clock })
            .unwrap();
    }
}
