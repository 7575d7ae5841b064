//! The consumer: a position per assigned partition, and a sleep that producers end.

use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use super::partition::{Partition, Signal};
use crate::broker::{BrokerError, BrokerErrorKind, Consumer, RecordBatch, Slot, StartOffset};
use crate::ids::TopicPartition;

#[derive(Debug)]
pub(super) struct MemoryConsumer {
    shared: Arc<Shared>,
    signal: Arc<Signal>,
    /// By slot; `None` may be used again.
    slots: Vec<Option<Assigned>>,
}

#[derive(Debug)]
struct Assigned {
    partition: Arc<Partition>,
    /// The next offset to fetch from.
    position: i64,
    /// The log's end at the last fetch.
    end: Option<i64>,
    /// Where readers had to stop when it last got there.
    reached_end: Option<i64>,
}

/// How often a consumer that sleeps looks whether an open transaction is too old: a manual clock wakes
/// nobody.
const CLOCK_CHECK: Duration = Duration::from_millis(20);

impl MemoryConsumer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, signal: Arc::default(), slots: Vec::new() }
    }

    /// Looks the partition up and its start; nothing is changed yet.
    fn resolve(&self, name: &TopicPartition, start: StartOffset) -> Result<Assigned, BrokerError> {
        let partition = self.shared.topics.partition(name)?;
        let position = match start {
            StartOffset::At(offset) => offset,
            StartOffset::Earliest => partition.start_offset(),
            StartOffset::Latest => partition.end_offset(),
        };
        Ok(Assigned { partition, position, end: None, reached_end: None })
    }

    fn has(&self, name: &TopicPartition) -> bool {
        self.slots.iter().flatten().any(|assigned| assigned.partition.name() == name)
    }

    fn place(&mut self, assigned: Assigned) -> Slot {
        assigned.partition.add_reader(&self.signal);
        if let Some(free) = self.slots.iter().position(Option::is_none)
            && let Some(slot) = self.slots.get_mut(free)
        {
            *slot = Some(assigned);
            return Slot(free);
        }
        self.slots.push(Some(assigned));
        Slot(self.slots.len() - 1)
    }
}

impl Consumer for MemoryConsumer {
    fn assign(
        &mut self,
        partitions: &[(TopicPartition, StartOffset)],
    ) -> Result<Vec<Slot>, BrokerError> {
        for (index, (name, _)) in partitions.iter().enumerate() {
            let twice = partitions.iter().skip(index + 1).any(|(other, _)| other == name);
            if twice || self.has(name) {
                return Err(BrokerError::new(
                    BrokerErrorKind::Invalid,
                    format!("partition {name} is assigned already"),
                ));
            }
        }
        let resolve = |(name, start): &(TopicPartition, StartOffset)| self.resolve(name, *start);
        let resolved = partitions.iter().map(resolve).collect::<Result<Vec<_>, _>>()?;
        Ok(resolved.into_iter().map(|assigned| self.place(assigned)).collect())
    }

    fn seek(&mut self, slot: Slot, start: StartOffset) -> Result<(), BrokerError> {
        let assigned = self.slots.get(slot.0).and_then(Option::as_ref);
        let name = assigned.ok_or_else(|| unassigned(slot))?.partition.name().clone();
        let resolved = self.resolve(&name, start)?;
        self.unassign(&[slot])?;
        resolved.partition.add_reader(&self.signal);
        if let Some(place) = self.slots.get_mut(slot.0) {
            *place = Some(resolved);
        }
        Ok(())
    }

    fn unassign(&mut self, slots: &[Slot]) -> Result<(), BrokerError> {
        for slot in slots {
            let assigned = self.slots.get_mut(slot.0).and_then(Option::take);
            let assigned = assigned.ok_or_else(|| unassigned(*slot))?;
            assigned.partition.remove_reader(&self.signal);
        }
        Ok(())
    }

    fn fetch(
        &mut self,
        slot: Slot,
        max_records: usize,
    ) -> Result<Option<Box<dyn RecordBatch>>, BrokerError> {
        let assigned = self.slots.get_mut(slot.0).and_then(Option::as_mut);
        let assigned = assigned.ok_or_else(|| unassigned(slot))?;
        self.shared.expire_transactions(&assigned.partition);
        let fetched = assigned.partition.read(assigned.position, max_records)?;
        assigned.end = Some(fetched.end);
        assigned.position = fetched.position;
        if fetched.position == fetched.stable_end {
            assigned.reached_end = Some(fetched.position);
        }
        Ok(fetched.batch.map(|batch| Box::new(batch) as Box<dyn RecordBatch>))
    }

    fn wait(&mut self, timeout: Duration) {
        let mut assigned = self.slots.iter().flatten();
        let is_held_back = assigned.any(|one| one.partition.transaction_deadline().is_some());
        let timeout = if is_held_back { timeout.min(CLOCK_CHECK) } else { timeout };
        let at_end = |assigned: &Assigned| assigned.partition.is_at_end(assigned.position);
        self.signal.wait(timeout, || !self.slots.iter().flatten().all(at_end));
    }

    fn poll(&mut self) -> Result<(), BrokerError> {
        Ok(())
    }

    fn end_offset(&self, slot: Slot) -> Option<i64> {
        self.slots.get(slot.0)?.as_ref()?.end
    }

    fn reached_end(&self, slot: Slot) -> Option<i64> {
        self.slots.get(slot.0)?.as_ref()?.reached_end
    }
}

impl Drop for MemoryConsumer {
    fn drop(&mut self) {
        for assigned in self.slots.iter().flatten() {
            assigned.partition.remove_reader(&self.signal);
        }
    }
}

fn unassigned(slot: Slot) -> BrokerError {
    BrokerError::new(BrokerErrorKind::Invalid, format!("slot {} is not assigned", slot.0))
}
