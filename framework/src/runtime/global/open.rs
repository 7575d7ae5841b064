//! Global stores at start: on disk or in memory, and fit for their topics.

use std::collections::BTreeMap;

use super::GlobalStores;
use super::positions::Positions;
use crate::broker::Admin;
use crate::config::StreamsConfig;
use crate::error::Error;
use crate::record::Timestamp;
use crate::runtime::restore::lookup::{KnownTopics, LogFacts, LogRange};
use crate::runtime::restore::start_offset;
use crate::state::persistent::{StateEnv, TaskDb};
use crate::state::{MemoryRows, RowStore, StateDirectory, StateError};
use crate::topology::{StoreId, StoreType, Topology};

/// The rows that say how far the topics have been read.
const POSITIONS: &str = "@positions";

/// Opens the global stores of a process. Rows that cannot be brought up to date are deleted.
pub(crate) fn open_global_stores(
    topology: &Topology,
    config: &StreamsConfig,
    (directory, env): (&StateDirectory, &StateEnv),
    admin: &dyn Admin,
    now_ms: Timestamp,
) -> Result<GlobalStores, Error> {
    let open = || open_once(topology, &config.application_id, directory, env);
    let stores = match open() {
        Ok(stores) => {
            let Some(reason) = stores.unfit(admin, now_ms)? else { return Ok(stores) };
            reason
        }
        Err(StateError::Corrupted { reason, .. }) => reason,
        Err(error) => return Err(error.into()),
    };
    tracing::warn!(reason = stores, "global stores on disk are deleted and read anew");
    directory.delete_global()?;
    Ok(open()?)
}

fn open_once(
    topology: &Topology,
    application_id: &str,
    directory: &StateDirectory,
    env: &StateEnv,
) -> Result<GlobalStores, StateError> {
    let mut kept: BTreeMap<StoreId, &str> = BTreeMap::new();
    let mut topics = Vec::new();
    for subtopology in topology.subtopologies.iter().filter(|subtopology| subtopology.global) {
        let on_disk = |store: &StoreId| topology.store(*store).store_type == StoreType::Persistent;
        if subtopology.stores.iter().all(on_disk) {
            topics.extend(subtopology.sources.iter().map(|topic| topic.resolve(application_id)));
            let stores = subtopology.stores.iter();
            kept.extend(stores.map(|store| (*store, topology.store(*store).name.as_str())));
        }
    }
    let memory = |_| -> Result<Box<dyn RowStore>, StateError> { Ok(Box::new(MemoryRows::new())) };
    if kept.is_empty() {
        return GlobalStores::open(topology, Positions::default(), &mut { memory });
    }
    let names: Vec<&str> = kept.values().copied().chain([POSITIONS]).collect();
    let mut db = TaskDb::open(env, &directory.global_folder()?, &names)?;
    let positions = match db.take_rows(POSITIONS) {
        Some(rows) => Positions::open(Box::new(rows), topics)?,
        None => Positions::default(),
    };
    GlobalStores::open(topology, positions, &mut |store| match kept
        .get(&store)
        .and_then(|name| db.take_rows(name))
    {
        Some(rows) => Ok(Box::new(rows)),
        None => memory(store),
    })
}

impl GlobalStores {
    /// Why the rows are of no use: their topics cannot bring them up to date.
    fn unfit(&self, admin: &dyn Admin, now_ms: Timestamp) -> Result<Option<String>, Error> {
        let positions = self.saved_positions();
        let partitions: Vec<_> = positions.iter().map(|(partition, _)| partition.clone()).collect();
        if partitions.is_empty() {
            return Ok(None);
        }
        let ends = admin.end_offsets(&partitions)?;
        let beginnings = admin.beginning_offsets(&partitions)?;
        let known = KnownTopics::of(admin, partitions.iter())?;
        let all = positions.into_iter().zip(beginnings).zip(ends);
        for (((partition, position), beginning), end) in all {
            let mut facts = LogFacts {
                store: 0,
                position: Some(position),
                log: LogRange { beginning, end, wanted: end },
                topic_id: known.id(&partition.topic),
                tombstones_kept: None,
                partition,
            };
            facts.ask_for_tombstones(admin)?;
            if let Err(reason) = start_offset(&facts, now_ms) {
                return Ok(Some(format!("{}: {reason}", facts.partition)));
            }
        }
        Ok(None)
    }
}
