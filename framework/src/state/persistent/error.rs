//! From RocksDB's errors to the reaction they ask for.

use std::path::Path;

use rocksdb::ErrorKind;

use crate::state::StateError;

/// RocksDB says which file of a database is missing only in words.
const MISSING_FILE: &str = "No such file or directory";
/// The words for bytes that are not there, or that the device cannot read any more.
const LOST_BYTES: [&str; 2] = [MISSING_FILE, "Input/output error"];
/// The words for a database that is open already, elsewhere or here.
const LOCK_HELD: [&str; 2] = ["While lock file", "lock hold by current process"];

/// Opening `path` failed. What RocksDB finds wrong in existing files means a damaged database; only
/// what the machine refuses (rights, space, hardware) is an error of reading or writing.
pub(super) fn opening(path: &Path, error: rocksdb::Error) -> StateError {
    let message: &str = error.as_ref();
    if LOCK_HELD.iter().any(|words| message.contains(words)) {
        return StateError::Locked { path: path.display().to_string() };
    }
    if is_damage(&error) || message.contains(MISSING_FILE) {
        return StateError::Corrupted {
            store: path.display().to_string(),
            reason: error.into_string(),
        };
    }
    StateError::Io {
        action: format!(
            "open the database {}: the folder must be readable, writable and have space left",
            path.display()
        ),
        source: error.into(),
    }
}

/// Doing `action` on an open `store` failed. What the files lack, or the device does not give back, the
/// changelog has; a device that is full, or rights that are missing, would meet new files as well.
pub(super) fn using(store: &str, path: &Path, action: &str, error: rocksdb::Error) -> StateError {
    let store = format!("{store} in {}", path.display());
    let message: &str = error.as_ref();
    if is_damage(&error) || LOST_BYTES.iter().any(|words| message.contains(words)) {
        return StateError::Corrupted { store, reason: error.into_string() };
    }
    StateError::Io { action: format!("{action} store {store}"), source: error.into() }
}

fn is_damage(error: &rocksdb::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Corruption | ErrorKind::NotSupported | ErrorKind::InvalidArgument
    )
}
