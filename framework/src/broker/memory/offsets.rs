//! The offsets of one group: those that count, and those of open transactions.

use std::collections::BTreeMap;
use std::time::Duration;

use super::isolation::Outcome;
use crate::broker::CommittedOffset;
use crate::ids::TopicPartition;

#[derive(Debug, Default)]
pub(super) struct Offsets {
    by_partition: BTreeMap<TopicPartition, PartitionOffsets>,
    /// How many commits there have been, pending ones included.
    written: u64,
}

#[derive(Debug, Default)]
struct PartitionOffsets {
    committed: Option<Written>,
    /// At most one per producer.
    pending: Vec<Pending>,
}

#[derive(Debug)]
struct Written {
    offset: CommittedOffset,
    /// The number of the commit.
    number: u64,
}

#[derive(Debug)]
struct Pending {
    producer: u64,
    /// When its transaction is aborted for its age.
    deadline: Duration,
    written: Written,
}

impl Offsets {
    fn write(&mut self, offset: &CommittedOffset) -> Written {
        self.written += 1;
        Written { offset: offset.clone(), number: self.written }
    }

    pub(super) fn commit(&mut self, offsets: &[(TopicPartition, CommittedOffset)]) {
        for (partition, offset) in offsets {
            let written = self.write(offset);
            self.by_partition.entry(partition.clone()).or_default().committed = Some(written);
        }
    }

    pub(super) fn add_pending(
        &mut self,
        producer: u64,
        deadline: Duration,
        offsets: &[(TopicPartition, CommittedOffset)],
    ) {
        for (partition, offset) in offsets {
            let written = self.write(offset);
            let known = self.by_partition.entry(partition.clone()).or_default();
            known.pending.retain(|pending| pending.producer != producer);
            known.pending.push(Pending { producer, deadline, written });
        }
    }

    /// Whether the producer had pending offsets.
    pub(super) fn end_transaction(&mut self, producer: u64, outcome: Outcome) -> bool {
        let mut any = false;
        for known in self.by_partition.values_mut() {
            let Some(at) = known.pending.iter().position(|pending| pending.producer == producer)
            else {
                continue;
            };
            any = true;
            let Pending { written, .. } = known.pending.swap_remove(at);
            // KAFKA: the offset that was written last counts, not the one whose transaction ends last.
            let is_newer =
                known.committed.as_ref().is_none_or(|committed| committed.number < written.number);
            if outcome == Outcome::Committed && is_newer {
                known.committed = Some(written);
            }
        }
        any
    }

    pub(super) fn committed(&self, partition: &TopicPartition) -> Option<CommittedOffset> {
        let committed = self.by_partition.get(partition)?.committed.as_ref()?;
        Some(committed.offset.clone())
    }

    pub(super) fn pending_until(&self, partition: &TopicPartition) -> Option<Duration> {
        self.by_partition.get(partition)?.pending.iter().map(|pending| pending.deadline).min()
    }

    pub(super) fn forget_topic(&mut self, topic: &str) {
        self.by_partition.retain(|partition, _| &*partition.topic != topic);
    }
}
