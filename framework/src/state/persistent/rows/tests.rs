//! What the row store does beyond the model: hidden rows, dropped files, flushes.

use std::collections::BTreeMap;

use super::*;
use crate::state::persistent::fixture::{STORE, all, open, open_rows, put};

#[test]
fn position_row_is_neither_shown_nor_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut rows = open_rows(folder.path());
    let position = Some(StorePosition { next_offset: 1, written_at_ms: 1, topic_id: None });
    rows.batch().commit(position).unwrap();
    assert!(all(&rows).is_empty());
    assert_eq!(rows.approximate_rows(), 0);
    let mut unexpected = |_: &[u8]| panic!("the position row is no user's row");
    for key in [&[][..], &[0], &[0, 0]] {
        assert!(!rows.get(key, &mut unexpected).unwrap());
    }

    let mut batch = rows.batch();
    batch.delete_range(&[], &[0xff; 4]);
    batch.delete(&[]);
    batch.delete(&layout::POSITION_KEY);
    batch.commit(None).unwrap();
    assert_eq!(rows.position().unwrap(), position);
    drop(rows);
    assert_eq!(open_rows(folder.path()).position().unwrap(), position);
}

#[test]
fn deleted_range_spares_its_end_where_whole_files_are_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let mut rows = open_rows(folder.path());
    let mut batch = rows.batch();
    for key in [[5u8, 0], [5, 9], [6, 0]] {
        batch.put(&key, b"x");
    }
    batch.commit(None).unwrap(); // without a position row, which would keep the file
    rows.flush().unwrap();
    // Move the file below level 0, from where it can be dropped whole.
    rows.db.compact_range_cf(rows.family(), None::<&[u8]>, None::<&[u8]>);
    let mut batch = rows.batch();
    batch.put(&[5, 1], b"y");
    batch.delete_range(&[5], &[6, 0]);
    batch.put(&[5, 2], b"z");
    batch.commit(None).unwrap();
    let expected = [(vec![5, 2], b"z".to_vec()), (vec![6, 0], b"x".to_vec())];
    assert_eq!(all(&rows), BTreeMap::from(expected));
}

#[test]
fn deleting_a_range_drops_files_that_lie_inside() {
    let folder = tempfile::tempdir().unwrap();
    let mut rows = open_rows(folder.path());
    for key in 1..=9u8 {
        let mut batch = rows.batch();
        batch.put(&[key], &[key; 1000]);
        batch.commit(None).unwrap();
    }
    rows.flush().unwrap();
    rows.db.compact_range_cf(rows.family(), None::<&[u8]>, None::<&[u8]>);
    assert_eq!(rows_files(&rows), 1);
    let mut batch = rows.batch();
    batch.delete_range(&[1], &[10]);
    batch.commit(None).unwrap();
    assert_eq!(rows_files(&rows), 0);
}

fn rows_files(rows: &PersistentRows) -> usize {
    rows.db.live_files().unwrap().len()
}

#[test]
fn maintain_flushes_by_number_and_by_age() {
    let folder = tempfile::tempdir().unwrap();
    let mut rows = open_rows(folder.path());
    put(&mut rows, b"a", b"1", 1);
    rows.maintain(1_000).unwrap();
    rows.maintain(120_999).unwrap();
    assert!(rows.progress.unflushed_rows > 0, "two minutes are not over");
    rows.maintain(121_000).unwrap();
    assert_eq!(rows.progress.unflushed_rows, 0);

    let mut batch = rows.batch();
    for key in 0..50_000u32 {
        batch.put(&key.to_be_bytes(), b"");
    }
    batch.commit(None).unwrap();
    rows.maintain(121_001).unwrap();
    assert_eq!(rows.progress.unflushed_rows, 0);
    // A second flush waits for those that run in the background.
    rows.flush().unwrap();
    assert_eq!(rows.property(properties::NUM_ENTRIES_ACTIVE_MEM_TABLE), 0);
    assert!(rows_files(&rows) >= 1);
    assert!(rows.approximate_bytes() > 0);
    assert_eq!(rows.approximate_rows(), 50_001);
}

#[test]
fn position_row_of_an_unknown_format_is_corruption() {
    let folder = tempfile::tempdir().unwrap();
    let rows = open_rows(folder.path());
    rows.db.put_cf(rows.family(), layout::POSITION_KEY, [9u8; 17]).unwrap();
    drop(rows);
    match open(folder.path(), &[STORE]) {
        Err(StateError::Corrupted { reason, .. }) => assert!(reason.contains("version is 9")),
        other => panic!("{other:?}"),
    }
}
