//! A process killed in mid-write leaves a prefix of its batches, and the position says which.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::PersistentRows;
use super::fixture::{OTHER_STORE, STORE, all, next_offset, open};
use crate::state::{RowStore, StorePosition};

const CHILD_FOLDER: &str = "KSTREAM_TEST_KILLED_CHILD";

const SIGKILL: i32 = 9;
const KEYS: u64 = 200;

const BATCH_ROWS: u64 = 40;

/// Every so many batches the child waits for a flush, so that each round leaves something behind.
const FLUSH_EVERY: u64 = 70;

fn key_of(number: u64) -> [u8; 8] {
    (number % KEYS).to_be_bytes()
}

/// What batch `number` does: overwrites rows far apart, deletes one row, now and then a range.
fn change(number: u64, put: &mut dyn FnMut(&[u8], &[u8]), delete: &mut dyn FnMut(&[u8], &[u8])) {
    if number.is_multiple_of(13) {
        delete(&key_of(10), &key_of(60));
    }
    for row in 0..BATCH_ROWS {
        let mut value = vec![row.to_le_bytes()[0]; 6000];
        value.extend(number.to_be_bytes());
        put(&key_of(number * 31 + row * 7), &value);
    }
    let gone = number * 17 % (KEYS - 1);
    delete(&key_of(gone), &key_of(gone + 1));
}

fn rows_after(batches: u64) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let model = RefCell::new(BTreeMap::new());
    for number in 0..batches {
        change(
            number,
            &mut |key, value| drop(model.borrow_mut().insert(key.to_vec(), value.to_vec())),
            &mut |from, to| model.borrow_mut().retain(|key, _| key[..] < *from || key[..] >= *to),
        );
    }
    model.into_inner()
}

/// How many batches the store holds, by its position.
fn batches_in(rows: &PersistentRows) -> u64 {
    u64::try_from(next_offset(rows).unwrap_or(0)).unwrap()
}

/// The child: goes on where the position says, and never comes back.
fn write_for_ever(folder: &Path) -> ! {
    let mut db = open(folder, &[STORE, OTHER_STORE]).unwrap();
    let mut stores = [db.take_rows(STORE).unwrap(), db.take_rows(OTHER_STORE).unwrap()];
    let mut number = stores.iter().map(batches_in).min().unwrap();
    loop {
        for rows in &mut stores {
            if batches_in(rows) > number {
                continue; // this store kept more than the other
            }
            let batch = RefCell::new(rows.batch());
            change(
                number,
                &mut |key, value| batch.borrow_mut().put(key, value),
                &mut |from, to| batch.borrow_mut().delete_range(from, to),
            );
            let offset = i64::try_from(number).unwrap();
            let position =
                StorePosition { next_offset: offset + 1, written_at_ms: 0, topic_id: None };
            batch.into_inner().commit(Some(position)).unwrap();
            // A flush in the background each 48 batches; others come by themselves, as buffers fill.
            rows.maintain(offset * 2_500).unwrap();
        }
        number += 1;
        let mut flushed = 0;
        if number.is_multiple_of(FLUSH_EVERY) {
            for rows in &mut stores {
                rows.flush().unwrap();
            }
            flushed = number;
        }
        writeln!(std::io::stdout(), "written {number} flushed {flushed}").unwrap();
    }
}

/// Starts this test's binary again, on this test alone, and kills it once it has written some batches.
/// Answers how many batches were flushed for certain.
fn run_and_kill(test: &str, folder: &Path, batches: usize) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(CHILD_FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let flushed: Vec<u64> = lines
        .filter_map(|line| line.rsplit_once("flushed ")?.1.parse().ok())
        .take(batches)
        .collect();
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(SIGKILL), "it did not end by itself");
    assert_eq!(flushed.len(), batches);
    flushed.into_iter().max().unwrap_or(0)
}

#[test]
fn killed_process_leaves_a_prefix_of_batches() {
    if let Some(folder) = std::env::var_os(CHILD_FOLDER) {
        write_for_ever(Path::new(&folder));
    }
    let test = "state::persistent::kill_tests::killed_process_leaves_a_prefix_of_batches";
    let folder = tempfile::tempdir().unwrap();
    let mut flushed = 0;
    for batches in [3, 45, 101, 160, 83, 120] {
        flushed = flushed.max(run_and_kill(test, folder.path(), batches));
        let mut db = open(folder.path(), &[STORE, OTHER_STORE]).unwrap();
        for store in [STORE, OTHER_STORE] {
            let rows = db.take_rows(store).unwrap();
            let batches = batches_in(&rows);
            assert!(batches >= flushed, "{store}: {flushed} were flushed, {batches} found");
            assert!(
                all(&rows) == rows_after(batches),
                "{store}: not the rows of {batches} batches"
            );
        }
    }
    assert!(flushed > 100);
}
