//! Locks between processes, names, and deletions, on a real folder.

use std::process::{Command, Stdio};

use tempfile::{TempDir, tempdir};

use super::*;

const APP: &str = "my-app";

fn task(subtopology: u32, partition: i32) -> TaskId {
    TaskId { subtopology, partition }
}

fn opened() -> (TempDir, StateDirectory) {
    let root = tempdir().unwrap();
    let directory = StateDirectory::open(root.path(), APP).unwrap();
    (root, directory)
}

#[test]
fn folder_and_process_id_stay_through_restarts() {
    let root = tempdir().unwrap();
    let below = root.path().join("does/not/exist/yet");
    let directory = StateDirectory::open(&below, APP).unwrap();
    let id = directory.process_id();
    assert_eq!(directory.path(), below.join(APP));
    drop(directory);
    assert_eq!(StateDirectory::open(&below, APP).unwrap().process_id(), id);

    fs::write(below.join(APP).join(PROCESS_ID_FILE), "no uuid").unwrap();
    let replaced = StateDirectory::open(&below, APP).unwrap().process_id();
    assert_ne!(replaced, id);
    assert_eq!(StateDirectory::open(&below, APP).unwrap().process_id(), replaced);
}

#[test]
fn two_applications_share_a_root() {
    let (root, _directory) = opened();
    StateDirectory::open(root.path(), "other-app").unwrap();
}

#[test]
fn application_id_that_is_no_name_is_refused() {
    let root = tempdir().unwrap();
    for id in ["", ".", "..", "a/b", "../x", "a b", "é"] {
        let error = StateDirectory::open(root.path(), id).unwrap_err();
        assert!(matches!(&error, StateError::Io { .. }), "{id:?}: {error}");
        assert!(error.to_string().contains(&format!("{id:?}")));
    }
}

#[test]
fn unusable_root_is_named() {
    let root = tempdir().unwrap();
    let file = root.path().join("file");
    fs::write(&file, "").unwrap();
    let error = StateDirectory::open(&file, APP).unwrap_err().to_string();
    assert!(error.contains(file.to_str().unwrap()) && error.contains("choose"), "{error}");
}

const CHILD_ROOT: &str = "KSTREAM_TEST_LOCK_CHILD";
const LOCKED_EXIT_CODE: i32 = 42;

#[test]
fn second_process_cannot_open_the_folder() {
    if let Some(root) = std::env::var_os(CHILD_ROOT) {
        let result = StateDirectory::open(Path::new(&root), APP);
        let code = match result {
            Ok(_) => 0,
            Err(StateError::Locked { path }) if path.ends_with(APP) => LOCKED_EXIT_CODE,
            Err(_) => 1,
        };
        std::process::exit(code);
    }
    let open_in_child = |root: &Path| {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "state::directory::tests::second_process_cannot_open_the_folder"])
            .env(CHILD_ROOT, root)
            .stdout(Stdio::null())
            .status()
            .unwrap()
            .code()
    };
    let (root, directory) = opened();
    assert_eq!(open_in_child(root.path()), Some(LOCKED_EXIT_CODE));
    drop(directory);
    assert_eq!(open_in_child(root.path()), Some(0), "a free folder opens");
}

#[test]
fn task_folders_are_created_listed_and_deleted() {
    let (_root, directory) = opened();
    for id in [task(1, 0), task(0, 10), task(0, 2)] {
        let folder = directory.task_folder(id).unwrap();
        assert_eq!(folder, directory.task_folder(id).unwrap(), "a second time is fine");
        fs::write(folder.join("file"), "rows").unwrap();
    }
    for other in ["01_2", "1_+2", "global", "1_2_3", "x_1"] {
        fs::create_dir(directory.path().join(other)).unwrap();
    }
    assert_eq!(directory.tasks().unwrap(), [task(0, 2), task(0, 10), task(1, 0)]);

    directory.delete_task(task(0, 10)).unwrap();
    directory.delete_task(task(0, 10)).unwrap();
    assert_eq!(directory.tasks().unwrap(), [task(0, 2), task(1, 0)]);
    assert!(!directory.path().join("0_10.deleted").exists());
}

#[test]
fn deletion_cut_short_is_finished_at_the_next_start() {
    let (root, directory) = opened();
    let folder = directory.task_folder(task(0, 1)).unwrap();
    let doomed = directory.path().join("0_1.deleted");
    fs::rename(folder, &doomed).unwrap();
    fs::write(doomed.join("file"), "rows").unwrap();
    drop(directory);
    let directory = StateDirectory::open(root.path(), APP).unwrap();
    assert!(!doomed.exists());
    assert_eq!(directory.tasks().unwrap(), []);
}

#[test]
fn idle_tasks_are_deleted_after_the_delay_unless_in_use() {
    let (_root, directory) = opened();
    let mut changed_ms = 0;
    for id in [task(0, 0), task(0, 1)] {
        let inner = directory.task_folder(id).unwrap().join("rocksdb");
        fs::create_dir(&inner).unwrap();
        fs::write(inner.join("file"), "rows").unwrap();
        changed_ms = last_change_ms(&directory.folder_of(id)).unwrap();
    }
    let delay = Duration::from_mins(10);
    let in_use = |id| id == task(0, 0);
    let at = |now_ms| directory.delete_idle_tasks(now_ms, delay, in_use).unwrap();
    assert_eq!(at(0), [], "a clock behind the files deletes nothing");
    assert_eq!(at(changed_ms + 599_000), []);
    assert_eq!(at(changed_ms + 600_000), [task(0, 1)]);
    assert_eq!(directory.tasks().unwrap(), [task(0, 0)]);
}

#[test]
fn age_of_a_task_is_that_of_its_newest_file() {
    let (_root, directory) = opened();
    let folder = directory.task_folder(task(0, 0)).unwrap();
    let file = folder.join("file");
    fs::write(&file, "rows").unwrap();
    let later = UNIX_EPOCH + Duration::from_hours(1_000_000);
    File::options().write(true).open(&file).unwrap().set_modified(later).unwrap();
    assert_eq!(last_change_ms(&folder).unwrap(), 3_600_000_000_000);
}
