//! The folder of an application's state: who owns it, and which tasks have files in it.
//!
//! `<root>/<application id>/` holds a lock file, the process id, and one folder per task. What always
//! holds: one process at a time uses it, and a task's folder is either whole or on its way out under
//! another name.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use uuid::Uuid;

use super::StateError;
use crate::ids::TaskId;

#[cfg(test)]
mod tests;

const LOCK_FILE: &str = ".lock";
const PROCESS_ID_FILE: &str = "process-id";
const NEW_PROCESS_ID_FILE: &str = "process-id.new";
/// What the rows in the tasks' folders belong to.
const TOPOLOGY_FILE: &str = "topology.json";
const NEW_TOPOLOGY_FILE: &str = "topology.json.new";
/// The folder of the global stores.
const GLOBAL_FOLDER: &str = "global";
/// What a task's folder is called while its files are being deleted.
const DELETED_SUFFIX: &str = ".deleted";

/// An application's state folder, locked for this process until dropped.
#[derive(Debug)]
pub struct StateDirectory {
    path: PathBuf,
    process_id: Uuid,
    lock: File,
}

impl Drop for StateDirectory {
    fn drop(&mut self) {
        // Closing the file is not enough at once: a child process that is just being started may have
        // inherited it. Where unlocking fails, the close does it.
        drop(self.lock.unlock());
    }
}

impl StateDirectory {
    /// Opens `<root>/<application_id>/`, creating what is missing.
    ///
    /// # Errors
    /// `Locked` when another process uses the folder: give each process of a machine its own root.
    pub fn open(root: &Path, application_id: &str) -> Result<Self, StateError> {
        check_folder_name(application_id)?;
        let path = root.join(application_id);
        fs::create_dir_all(&path).map_err(failed(
            "create the state folder",
            &path,
            "choose one that this user may write to",
        ))?;
        sync_folder(root)?;
        let lock = lock(&path)?;
        let process_id = process_id(&path)?;
        let directory = Self { path, process_id, lock };
        directory.sweep()?;
        Ok(directory)
    }

    /// The application's folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names this process's state through restarts, so that its tasks can come back to it.
    pub fn process_id(&self) -> Uuid {
        self.process_id
    }

    /// The description of the topology that last used the folder, if any.
    pub fn topology(&self) -> Result<Option<String>, StateError> {
        let path = self.path.join(TOPOLOGY_FILE);
        match fs::read(&path) {
            Ok(bytes) => Ok(String::from_utf8(bytes).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &path, READABLE)(error)),
        }
    }

    /// Notes the topology that uses the folder; after a crash there is the old note or this one.
    pub fn save_topology(&self, text: &str) -> Result<(), StateError> {
        replace_file(&self.path, NEW_TOPOLOGY_FILE, TOPOLOGY_FILE, text)
    }

    /// The folder of `task`, created if missing.
    pub fn task_folder(&self, task: TaskId) -> Result<PathBuf, StateError> {
        let folder = self.folder_of(task);
        match fs::create_dir(&folder) {
            Ok(()) => sync_folder(&self.path)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed("create the task folder", &folder, WRITABLE)(error)),
        }
        Ok(folder)
    }

    /// The tasks that have a folder, in order.
    pub fn tasks(&self) -> Result<Vec<TaskId>, StateError> {
        let mut tasks = Vec::new();
        for name in names(&self.path)? {
            tasks.extend(parse_task(&name));
        }
        tasks.sort_unstable();
        Ok(tasks)
    }

    /// Deletes the state of `task`, which must be closed. It is gone for good once this returns, also
    /// after a crash; without a folder there is nothing to do.
    pub fn delete_task(&self, task: TaskId) -> Result<(), StateError> {
        let folder = self.folder_of(task);
        let doomed = self.path.join(format!("{task}{DELETED_SUFFIX}"));
        remove(&doomed)?; // left by a crash
        match fs::rename(&folder, &doomed) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed("delete the task folder", &folder, WRITABLE)(error)),
        }
        sync_folder(&self.path)?;
        remove(&doomed)
    }

    /// The folder of the global stores, created if missing.
    pub(crate) fn global_folder(&self) -> Result<PathBuf, StateError> {
        let folder = self.path.join(GLOBAL_FOLDER);
        fs::create_dir_all(&folder).map_err(failed("create the folder", &folder, WRITABLE))?;
        sync_folder(&self.path)?;
        Ok(folder)
    }

    /// Deletes the global stores, which must be closed.
    pub(crate) fn delete_global(&self) -> Result<(), StateError> {
        remove(&self.path.join(GLOBAL_FOLDER))
    }

    /// Deletes the folders of tasks whose files have not changed for `delay`, and says which. Tasks for
    /// which `in_use` answers true are left alone.
    pub fn delete_idle_tasks(
        &self,
        now_ms: i64,
        delay: Duration,
        in_use: impl Fn(TaskId) -> bool,
    ) -> Result<Vec<TaskId>, StateError> {
        let delay_ms = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
        let mut deleted = Vec::new();
        for task in self.tasks()? {
            if in_use(task) {
                continue;
            }
            let idle_ms = now_ms.saturating_sub(last_change_ms(&self.folder_of(task))?);
            if idle_ms >= delay_ms {
                self.delete_task(task)?;
                deleted.push(task);
            }
        }
        Ok(deleted)
    }

    fn folder_of(&self, task: TaskId) -> PathBuf {
        self.path.join(task.to_string())
    }

    /// Finishes deletions that a crash has cut short.
    fn sweep(&self) -> Result<(), StateError> {
        for name in names(&self.path)? {
            if name.strip_suffix(DELETED_SUFFIX).and_then(parse_task).is_some() {
                remove(&self.path.join(name))?;
            }
        }
        Ok(())
    }
}

const WRITABLE: &str = "the state folder must be writable";
const READABLE: &str = "the state folder must be readable";

/// Application ids name topics too, and obey the same rule.
fn check_folder_name(application_id: &str) -> Result<(), StateError> {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !matches!(application_id, "" | "." | "..") && application_id.chars().all(is_legal) {
        return Ok(());
    }
    Err(StateError::Io {
        action: format!("use application id {application_id:?} as the name of a folder"),
        source: "use only ASCII letters, digits, '.', '_' and '-'".into(),
    })
}

fn lock(folder: &Path) -> Result<File, StateError> {
    let path = folder.join(LOCK_FILE);
    let open = File::options().create(true).truncate(false).write(true).open(&path);
    let file = open.map_err(failed("open the lock file", &path, WRITABLE))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(StateError::Locked { path: folder.display().to_string() })
        }
        Err(TryLockError::Error(error)) => Err(failed(
            "lock",
            &path,
            "the state folder must be on a file system that knows file locks",
        )(error)),
    }
}

/// Reads the id this folder was given, or gives it one. An unreadable id is replaced: it only costs
/// the tasks' preference for this process.
fn process_id(folder: &Path) -> Result<Uuid, StateError> {
    let path = folder.join(PROCESS_ID_FILE);
    match fs::read_to_string(&path) {
        Ok(text) => match Uuid::parse_str(text.trim()) {
            Ok(id) => return Ok(id),
            Err(error) => tracing::warn!(path = %path.display(), %error, "replacing process id"),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed("read", &path, READABLE)(error)),
    }
    let id = Uuid::new_v4();
    replace_file(folder, NEW_PROCESS_ID_FILE, PROCESS_ID_FILE, &format!("{id}\n"))?;
    Ok(id)
}

/// Writes a file as a whole: after a crash it is the old one or the new one.
fn replace_file(folder: &Path, new: &str, name: &str, text: &str) -> Result<(), StateError> {
    let (new, path) = (folder.join(new), folder.join(name));
    fs::write(&new, text)
        .and_then(|()| File::open(&new)?.sync_all())
        .and_then(|()| fs::rename(&new, &path))
        .map_err(failed("write", &path, WRITABLE))?;
    sync_folder(folder)
}

fn parse_task(name: &str) -> Option<TaskId> {
    let (subtopology, partition) = name.split_once('_')?;
    let task =
        TaskId { subtopology: subtopology.parse().ok()?, partition: partition.parse().ok()? };
    (task.to_string() == name).then_some(task) // "+1_02" is not ours
}

/// The names in a folder; those that are no text are not ours.
fn names(folder: &Path) -> Result<Vec<String>, StateError> {
    fs::read_dir(folder)
        .and_then(|entries| {
            entries.map(|entry| Ok(entry?.file_name().into_string().ok())).collect()
        })
        .map(|names: Vec<Option<String>>| names.into_iter().flatten().collect())
        .map_err(failed("list", folder, READABLE))
}

/// When something in `path` was last written or renamed.
fn last_change_ms(path: &Path) -> Result<i64, StateError> {
    fn newest(path: &Path) -> io::Result<SystemTime> {
        let metadata = fs::symlink_metadata(path)?;
        let mut changed = metadata.modified()?;
        if metadata.is_dir() {
            for entry in fs::read_dir(path)? {
                changed = changed.max(newest(&entry?.path())?);
            }
        }
        Ok(changed)
    }
    let changed = newest(path).map_err(failed("read the age of", path, READABLE))?;
    let since = changed.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn remove(folder: &Path) -> Result<(), StateError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failed("delete", folder, WRITABLE)(error))
        }
        _ => Ok(()),
    }
}

/// Makes the creation, renaming and deletion of entries durable.
fn sync_folder(folder: &Path) -> Result<(), StateError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed(
        "sync",
        folder,
        "the disk may be failing",
    ))
}

fn failed(action: &str, path: &Path, advice: &str) -> impl FnOnce(io::Error) -> StateError {
    let action = format!("{action} {}: {advice}", path.display());
    move |source| StateError::Io { action, source: source.into() }
}
