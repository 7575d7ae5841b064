//! What only files can show: reopening, damage, locks.

use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::state::persistent::fixture::{
    OTHER_STORE, STORE, all, next_offset, open, open_rows, put,
};
use crate::state::{RowStore, StorePosition};

/// A closed database with one flushed row.
fn written() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut rows = open_rows(folder.path());
    put(&mut rows, b"a", b"1", 1);
    rows.flush().unwrap();
    folder
}

fn database(folder: &TempDir) -> PathBuf {
    folder.path().join("rocksdb")
}

fn file_starting_with(folder: &Path, prefix: &str) -> PathBuf {
    let mut files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.find(|path| path.file_name().unwrap().to_str().unwrap().starts_with(prefix)).unwrap()
}

#[track_caller]
fn assert_corrupted(folder: &TempDir) {
    match open(folder.path(), &[STORE]) {
        Err(StateError::Corrupted { store, .. }) => {
            assert!(store.contains(folder.path().to_str().unwrap()), "{store}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn rows_and_position_survive_a_clean_close_without_flush() {
    let folder = tempfile::tempdir().unwrap();
    put(&mut open_rows(folder.path()), b"a", b"1", 7);
    let rows = open_rows(folder.path());
    assert_eq!(all(&rows), BTreeMap::from([(b"a".to_vec(), b"1".to_vec())]));
    let position = StorePosition { next_offset: 7, written_at_ms: 5, topic_id: None };
    assert_eq!(rows.position().unwrap(), Some(position));
}

#[test]
fn store_taken_out_of_the_topology_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut db = open(folder.path(), &[STORE, OTHER_STORE]).unwrap();
    put(&mut db.take_rows(OTHER_STORE).unwrap(), b"a", b"1", 3);
    assert!(db.take_rows(OTHER_STORE).is_none(), "a store has one writer");
    drop(db);
    let mut db = open(folder.path(), &[STORE]).unwrap();
    assert!(db.take_rows(OTHER_STORE).is_none());
    drop(db);
    let mut db = open(folder.path(), &[OTHER_STORE]).unwrap();
    assert_eq!(next_offset(&db.take_rows(OTHER_STORE).unwrap()), Some(3));
}

#[test]
fn open_database_is_locked() {
    let folder = tempfile::tempdir().unwrap();
    let _rows = open_rows(folder.path());
    let second = open(folder.path(), &[STORE]);
    assert!(matches!(second, Err(StateError::Locked { .. })), "{second:?}");
}

#[test]
fn damaged_current_file_is_corruption() {
    for damage in [&b""[..], b"MANIFEST-99", b"MANIFEST-000099\n", b"\0\xff\0\n"] {
        let folder = written();
        fs::write(database(&folder).join("CURRENT"), damage).unwrap();
        assert_corrupted(&folder);
    }
    let folder = written();
    fs::remove_file(database(&folder).join("CURRENT")).unwrap();
    assert_corrupted(&folder);
}

#[test]
fn damaged_manifest_is_corruption() {
    let folder = written();
    fs::remove_file(file_starting_with(&database(&folder), "MANIFEST")).unwrap();
    assert_corrupted(&folder);

    let folder = written();
    fs::write(file_starting_with(&database(&folder), "MANIFEST"), b"").unwrap();
    assert_corrupted(&folder);

    let folder = written();
    let manifest = file_starting_with(&database(&folder), "MANIFEST");
    let mut bytes = fs::read(&manifest).unwrap();
    for byte in &mut bytes {
        *byte ^= 0x55;
    }
    fs::write(&manifest, bytes).unwrap();
    assert_corrupted(&folder);
}

#[test]
fn missing_or_damaged_file_of_rows_is_corruption() {
    let rows_file = |folder: &TempDir| {
        let mut files = fs::read_dir(database(folder)).unwrap().map(|entry| entry.unwrap().path());
        files.find(|path| path.extension().is_some_and(|extension| extension == "sst")).unwrap()
    };
    let folder = written();
    fs::remove_file(rows_file(&folder)).unwrap();
    assert_corrupted(&folder);

    let folder = written();
    let path = rows_file(&folder);
    let mut bytes = fs::read(&path).unwrap();
    bytes.iter_mut().take(30).for_each(|byte| *byte ^= 0x55);
    fs::write(&path, bytes).unwrap();
    assert_corrupted(&folder);
}

#[test]
fn unwritable_place_is_an_io_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, b"").unwrap();
    match open(&file, &[STORE]) {
        Err(StateError::Io { action, .. }) => assert!(action.contains(file.to_str().unwrap())),
        other => panic!("{other:?}"),
    }
}

#[test]
fn many_small_stores_take_little_memory() {
    let env = StateEnv::default();
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..20).map(|number| format!("store-{number}")).collect();
    let mut db = TaskDb::open(&env, folder.path(), &names).unwrap();
    let mut stores: Vec<_> = names.iter().map(|name| db.take_rows(name).unwrap()).collect();
    for rows in &mut stores {
        put(rows, b"key", &[7; 100], 1);
    }
    let bytes = env.memtable_bytes();
    assert!(bytes > 0 && bytes <= 20 * (300 << 10), "{bytes}");
    assert!(env.block_cache_bytes() >= bytes / 2, "unflushed rows are charged to the cache");
}
