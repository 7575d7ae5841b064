//! The database of one task: opened with all its stores at once, closed with the last of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use rocksdb::{ColumnFamilyDescriptor, DB, DEFAULT_COLUMN_FAMILY_NAME};

use super::env::StateEnv;
use super::rows::PersistentRows;
use super::{error, options};
use crate::state::StateError;

#[cfg(test)]
mod tests;

/// The database's folder inside the task's.
const FOLDER: &str = "rocksdb";
/// The file without which a folder is no database.
const CURRENT: &str = "CURRENT";

/// The open database of a task.
///
/// It closes, and writes to disk what is in memory, when this and all rows taken from it are dropped.
#[derive(Debug)]
pub struct TaskDb {
    rows: BTreeMap<String, PersistentRows>,
}

impl TaskDb {
    /// Opens the database in `task_folder` with a column family for each of `stores`, and creates what
    /// is missing.
    ///
    /// Column families of other stores stay as they are: a user who takes a store out of the topology
    /// and then rolls back finds it again and replays only what it missed. Without new rows they cost
    /// disk only, until the task's folder is removed.
    ///
    /// # Errors
    /// `Corrupted` for damaged files, missing files and unknown formats: delete the task's folder and
    /// restore. `Locked` when the database is open already. `Io` for the rest.
    pub fn open(
        env: &StateEnv,
        task_folder: &Path,
        stores: &[impl AsRef<str>],
    ) -> Result<Self, StateError> {
        let path = task_folder.join(FOLDER);
        let database = options::database(env);
        let mut families = BTreeSet::from([DEFAULT_COLUMN_FAMILY_NAME.to_owned()]);
        families.extend(stores.iter().map(|store| store.as_ref().to_owned()));
        if is_database(&path)? {
            let found = DB::list_cf(&database, &path).map_err(|err| error::opening(&path, err))?;
            families.extend(found);
        }
        let families = families
            .into_iter()
            .map(|name| ColumnFamilyDescriptor::new(name, options::column_family(env)));
        let db = DB::open_cf_descriptors(&database, &path, families)
            .map_err(|err| error::opening(&path, err))?;
        let db = Arc::new(db);
        let rows = stores.iter().map(|store| {
            let store = store.as_ref().to_owned();
            Ok((store.clone(), PersistentRows::open(Arc::clone(&db), store)?))
        });
        Ok(Self { rows: rows.collect::<Result<_, StateError>>()? })
    }

    /// Hands out the rows of `store`; `None` when it was not among the stores opened, or is taken: a
    /// store has one writer.
    pub fn take_rows(&mut self, store: &str) -> Option<PersistentRows> {
        self.rows.remove(store)
    }
}

/// Whether there is a database. One that has lost its `CURRENT` file is damaged, where RocksDB would
/// start an empty one among the remains.
fn is_database(path: &Path) -> Result<bool, StateError> {
    let io = |source: std::io::Error| StateError::Io {
        action: format!("look into the state folder {}: it must be readable", path.display()),
        source: source.into(),
    };
    if !path.try_exists().map_err(io)? {
        return Ok(false);
    }
    if path.join(CURRENT).try_exists().map_err(io)? {
        return Ok(true);
    }
    for entry in fs::read_dir(path).map_err(io)? {
        if entry.map_err(io)?.path().extension().is_some_and(|extension| extension == "sst") {
            return Err(StateError::Corrupted {
                store: path.display().to_string(),
                reason: format!("there are files of rows, but no {CURRENT} file"),
            });
        }
    }
    Ok(false)
}
