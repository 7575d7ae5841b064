//! Global stores: kept whole by every process, filled by one task of their own, read by all others.
//!
//! Tasks begin when the stores are complete; from then on they see each update once the global task has
//! committed it.

mod open;
mod positions;
mod progress;
pub(crate) mod thread;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, ErrorKind};
use crate::ids::{TaskId, TopicPartition};
use crate::state::shared_rows::SharedRows;
use crate::state::{RowStore, StateError, StorePosition};
use crate::topology::{StoreId, Topology};
pub(crate) use open::open_global_stores;
pub(crate) use positions::Positions;

/// The global stores of a process.
#[derive(Debug, Default)]
pub(crate) struct GlobalStores {
    rows: BTreeMap<StoreId, SharedRows>,
    /// Where the global thread begins; it takes them.
    positions: Mutex<Positions>,
    complete: AtomicBool,
}

impl GlobalStores {
    /// Opens every global store of the topology.
    pub(crate) fn open(
        topology: &Topology,
        positions: Positions,
        open: &mut dyn FnMut(StoreId) -> Result<Box<dyn RowStore>, StateError>,
    ) -> Result<Self, StateError> {
        let stores = (0..topology.stores.len()).map(StoreId);
        let rows = stores
            .filter(|store| topology.is_global(*store))
            .map(|store| Ok((store, SharedRows::new(open(store)?))))
            .collect::<Result<BTreeMap<_, _>, StateError>>()?;
        let complete = AtomicBool::new(rows.is_empty());
        Ok(Self { rows, positions: Mutex::new(positions), complete })
    }

    /// Whether there is any.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether the stores hold what their topics held when the process started.
    pub(crate) fn are_complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }

    /// The rows of a store for a task that reads them.
    pub(crate) fn reader(&self, store: StoreId) -> Result<Box<dyn RowStore>, Error> {
        self.find(store).map(|rows| -> Box<dyn RowStore> { Box::new(rows.reader()) })
    }

    /// The rows of a store for the task that fills them.
    pub(crate) fn writer(&self, store: StoreId) -> Result<Box<dyn RowStore>, Error> {
        self.find(store).map(|rows| -> Box<dyn RowStore> { Box::new(rows.writer()) })
    }

    /// How far the topics have been read, for the thread that goes on from there.
    fn take_positions(&self) -> Positions {
        std::mem::take(&mut *self.positions.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn saved_positions(&self) -> Vec<(TopicPartition, StorePosition)> {
        let positions = self.positions.lock().unwrap_or_else(PoisonError::into_inner);
        positions.iter().map(|(partition, next)| (partition.clone(), next)).collect()
    }

    fn find(&self, store: StoreId) -> Result<&SharedRows, Error> {
        let missing = || Error::new(ErrorKind::Fatal, "a global store was not opened");
        self.rows.get(&store).ok_or_else(missing)
    }

    /// Tasks may begin.
    fn set_complete(&self) {
        self.complete.store(true, Ordering::Release);
    }
}

/// The id of the task that fills the global stores; Kafka Streams' is `-1_-1`.
pub(crate) fn global_task_id(topology: &Topology) -> Option<TaskId> {
    let global = topology.subtopologies.iter().find(|subtopology| subtopology.global)?;
    Some(TaskId { subtopology: global.id, partition: -1 })
}

/// All partitions of the topics that fill global stores.
pub(crate) fn global_partitions(
    topology: &Topology,
    application_id: &str,
    partition_count: &dyn Fn(&str) -> i32,
) -> Vec<TopicPartition> {
    let global = topology.subtopologies.iter().filter(|subtopology| subtopology.global);
    let topics = global.flat_map(|subtopology| &subtopology.sources);
    topics
        .flat_map(|topic| {
            let topic = topic.resolve(application_id);
            let partitions = 0..partition_count(&topic);
            partitions.map(move |partition| TopicPartition::new(topic.as_str(), partition))
        })
        .collect()
}
