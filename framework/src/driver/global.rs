//! The global stores of a test driver: their task takes what is sent to their topics at once.

use super::{Driving, FETCH_RECORDS, start_offsets};
use crate::broker::{Consumer, Slot};
use crate::error::Error;
use crate::record::Timestamp;
use crate::runtime::commit::{Commit, InputOffsets};
use crate::runtime::global::{GlobalStores, Positions, global_partitions, global_task_id};
use crate::runtime::task::StreamTask;
use crate::state::MemoryRows;
use crate::topology::Topology;
use crate::topology::link::{LinkSettings, TaskScope};

/// Global stores in memory.
pub(super) fn memory_stores(topology: &Topology) -> Result<GlobalStores, Error> {
    let positions = Positions::default();
    Ok(GlobalStores::open(topology, positions, &mut |_| Ok(Box::new(MemoryRows::new())))?)
}

/// The task that fills the global stores, and where it reads.
pub(super) struct GlobalDriver {
    pub(super) task: StreamTask,
    slots: Vec<Slot>,
}

impl GlobalDriver {
    /// Starts the task; `None` if the topology has no global store.
    pub(super) fn start(
        topology: &Topology,
        driving: &Driving<'_>,
        link: &LinkSettings,
        stores: &GlobalStores,
        consumer: &mut dyn Consumer,
    ) -> Result<Option<Self>, Error> {
        let Some(id) = global_task_id(topology) else { return Ok(None) };
        let link = LinkSettings { scope: TaskScope::Global, ..link.clone() };
        let partitions = global_partitions(topology, &link.application_id, &|_| 1);
        let context = driving.context(id);
        let mut task = StreamTask::new(topology, context, &link, partitions, &mut |store| {
            stores.writer(store)
        })?;
        task.start()?;
        let slots = consumer.assign(&start_offsets(&task))?;
        Ok(Some(Self { task, slots }))
    }

    /// Processes everything that waits, and makes it visible.
    pub(super) fn process_waiting(
        &mut self,
        driving: &Driving<'_>,
        consumer: &mut dyn Consumer,
        now_ms: Timestamp,
    ) -> Result<(), Error> {
        self.task.context.wall_clock = now_ms;
        for (queue, slot) in self.slots.iter().enumerate() {
            if let Some(batch) = consumer.fetch(*slot, FETCH_RECORDS)? {
                self.task.group.push(queue, batch);
            }
        }
        while self.task.process(FETCH_RECORDS)? > 0 {}
        self.task.punctuate_wall_clock()?;
        let commit = Commit {
            producer: driving.producer,
            now_ms,
            input_offsets: InputOffsets::AtLeastOnce(&mut |_| Ok(())),
            between: &mut |_| Ok(()),
            waiting: &|| (),
        };
        commit.run(std::iter::once(&mut self.task))
    }
}
