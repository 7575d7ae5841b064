//! Deletes what has been read from repartition topics, which would grow without end otherwise: only tasks
//! know what they are done with.
//!
//! Threads note what they have committed; the housekeeping deletes now and then, so that nobody else waits
//! for a broker. INVARIANT: nothing is deleted that is not committed, so no task ever reads it again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::broker::{Admin, BrokerErrorKind};
use crate::ids::TopicPartition;

/// What is committed of repartition topics and not deleted yet.
#[derive(Debug)]
pub(crate) struct Purge {
    topics: BTreeSet<String>,
    interval: Duration,
    /// Locked by a stream thread once per commit, and by the purging thread once per interval.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The next offset to read of each partition.
    committed: BTreeMap<TopicPartition, i64>,
    /// When to delete next.
    next: Duration,
    /// The topics whose records may not be deleted, and whose user knows.
    refused: BTreeSet<String>,
}

impl Purge {
    /// Deletes from these topics, for the first time one interval from now.
    pub(crate) fn new(
        topics: impl IntoIterator<Item = String>,
        interval: Duration,
        now: Duration,
    ) -> Self {
        let (committed, refused) = (BTreeMap::new(), BTreeSet::new());
        let state = Mutex::new(State { committed, next: now + interval, refused });
        Self { topics: topics.into_iter().collect(), interval, state }
    }

    /// How often is deleted.
    pub(crate) fn interval(&self) -> Duration {
        self.interval
    }

    /// Whether records of this topic are deleted.
    pub(crate) fn covers(&self, topic: &str) -> bool {
        self.topics.contains(topic)
    }

    /// Says that everything before this offset is committed for good; under exactly-once that is after the
    /// transaction's commit has returned. Other topics than repartition topics are left alone.
    pub(crate) fn note_committed(&self, partition: &TopicPartition, offset: i64) {
        if self.covers(&partition.topic) {
            raise(&mut self.state().committed, partition, offset);
        }
    }

    /// What to delete now, up to which offsets; nothing before the interval is over.
    pub(crate) fn due(&self, now: Duration) -> Vec<(TopicPartition, i64)> {
        let mut state = self.state();
        if now < state.next {
            return Vec::new();
        }
        state.next = now + self.interval;
        std::mem::take(&mut state.committed).into_iter().collect()
    }

    /// Deletes what is due. What fails is tried again an interval later; a missing right is told once.
    pub(crate) fn run(&self, admin: &dyn Admin, now: Duration) {
        let due = self.due(now);
        if due.is_empty() {
            return;
        }
        match admin.delete_records(&due) {
            Ok(results) => {
                for ((partition, offset), result) in due.iter().zip(results) {
                    match result {
                        Ok(()) => tracing::debug!(%partition, offset, "committed records deleted"),
                        Err(error) => self.failed(partition, *offset, error.kind(), &error),
                    }
                }
            }
            Err(error) => {
                for (partition, offset) in &due {
                    self.failed(partition, *offset, error.kind(), &error);
                }
            }
        }
    }

    fn failed(
        &self,
        partition: &TopicPartition,
        offset: i64,
        kind: BrokerErrorKind,
        error: &dyn std::error::Error,
    ) {
        let mut state = self.state();
        raise(&mut state.committed, partition, offset);
        if kind == BrokerErrorKind::Retriable {
            tracing::debug!(%partition, %error, "committed records are not deleted yet");
        } else if state.refused.insert(partition.topic.to_string()) {
            tracing::warn!(
                %partition, %error,
                "committed records cannot be deleted: the topic grows until they can"
            );
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Offsets only grow; answers may come in another order.
fn raise(committed: &mut BTreeMap<TopicPartition, i64>, partition: &TopicPartition, offset: i64) {
    match committed.get_mut(partition) {
        Some(known) => *known = offset.max(*known),
        None => drop(committed.insert(partition.clone(), offset)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::broker::memory::MemoryBroker;
    use crate::broker::{Broker, OutgoingRecord, ProducerSettings};
    use crate::record::Headers;
    use crate::time::ManualClock;

    const INTERVAL: Duration = Duration::from_secs(30);

    fn purge() -> Purge {
        Purge::new(["app-r-repartition".to_owned()], INTERVAL, Duration::ZERO)
    }

    fn repartition(number: i32) -> TopicPartition {
        TopicPartition::new("app-r-repartition", number)
    }

    #[test]
    fn the_highest_committed_offsets_are_due_once_per_interval() {
        let purge = purge();
        purge.note_committed(&repartition(0), 5);
        purge.note_committed(&repartition(0), 9);
        purge.note_committed(&repartition(0), 7);
        purge.note_committed(&repartition(1), 1);
        assert!(purge.due(INTERVAL.saturating_sub(Duration::from_millis(1))).is_empty());
        assert_eq!(purge.due(INTERVAL), [(repartition(0), 9), (repartition(1), 1)]);
        purge.note_committed(&repartition(1), 2);
        assert!(purge.due((INTERVAL * 2).saturating_sub(Duration::from_millis(1))).is_empty());
        assert_eq!(purge.due(INTERVAL * 2), [(repartition(1), 2)]);
        assert!(purge.due(INTERVAL * 3).is_empty(), "nothing has been committed since");
    }

    #[test]
    fn input_topics_are_never_touched() {
        let purge = purge();
        purge.note_committed(&TopicPartition::new("orders", 0), 5);
        assert!(purge.due(INTERVAL).is_empty());
    }

    /// A broker with ten records in partition 0 of two of the repartition topic.
    fn broker() -> MemoryBroker {
        let broker = MemoryBroker::new(Arc::new(ManualClock::new(0)));
        broker.create_topic("app-r-repartition", 2).unwrap();
        let settings = ProducerSettings {
            client_id: "test".to_owned(),
            track_acks: false,
            transactions: None,
        };
        let mut producer = broker.producer(&settings).unwrap();
        let topic = producer.topic("app-r-repartition").unwrap();
        let headers = &Headers::new();
        for _ in 0..10 {
            let (key, value, timestamp) = (None, None, None);
            let record = OutgoingRecord { partition: 0, key, value, timestamp, headers };
            producer.send(topic, record).unwrap();
        }
        broker
    }

    #[test]
    fn committed_records_are_deleted_and_the_others_stay() {
        let (broker, purge) = (broker(), purge());
        let admin = broker.admin().unwrap();
        purge.note_committed(&repartition(0), 4);
        purge.run(&*admin, INTERVAL);
        assert_eq!(admin.beginning_offsets(&[repartition(0)]).unwrap(), [4]);
        assert_eq!(admin.end_offsets(&[repartition(0)]).unwrap(), [10]);
    }

    #[test]
    fn what_could_not_be_deleted_is_due_again() {
        let (broker, purge) = (broker(), purge());
        let admin = broker.admin().unwrap();
        purge.note_committed(&repartition(0), 4);
        purge.note_committed(&repartition(7), 1); // does not exist
        purge.run(&*admin, INTERVAL);
        assert_eq!(purge.due(INTERVAL * 2), [(repartition(7), 1)]);
    }
}
