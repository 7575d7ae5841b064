//! Buffers: their order, their sizes, and their changelogs to the byte.

use std::rc::Rc;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;

use super::hash_set_order::HashSetOrder;
use super::{BufferKind, Origin, TimeOrderedBuffer, read_grace_key, write_grace_key};
use crate::broker::{RawRecord, RecordBatch};
use crate::record::{Headers, Timestamp};
use crate::state::StorePosition;
use crate::state::rows::ManagedStore;

fn origin(timestamp: Timestamp, offset: i64) -> Origin {
    Origin { timestamp, offset, topic: "in".into(), partition: 0, headers: Headers::new() }
}

/// A changelog record.
#[derive(Debug, Clone, PartialEq)]
struct Logged {
    key: Vec<u8>,
    value: Option<Vec<u8>>,
    headers: Headers,
}

/// Commits; what went to the changelog.
fn commit(buffer: &mut TimeOrderedBuffer) -> Vec<Logged> {
    let mut log = Vec::new();
    buffer
        .prepare_commit(&mut |record| {
            assert_eq!(record.timestamp, None);
            log.push(Logged {
                key: record.key.to_vec(),
                value: record.value.map(<[u8]>::to_vec),
                headers: record.headers.clone(),
            });
            Ok(())
        })
        .unwrap();
    buffer.finish_commit(None, 0).unwrap();
    log
}

#[derive(Debug)]
struct Batch(Vec<Logged>);

impl RecordBatch for Batch {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn record(&self, index: usize) -> RawRecord<'_> {
        let Logged { key, value, headers } = &self.0[index];
        RawRecord {
            offset: 0,
            timestamp: 0,
            key: Some(key),
            value: value.as_deref(),
            headers: headers.clone(),
        }
    }
}

/// Everything in a buffer, in order.
fn rows(buffer: &mut TimeOrderedBuffer) -> Vec<(Timestamp, Vec<u8>, super::Buffered)> {
    let mut rows = Vec::new();
    while let Some((place, row)) = buffer.first() {
        rows.push((place.time, place.key.to_vec(), row.clone()));
        buffer.remove_first();
    }
    rows
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// Records that Kafka Streams 4.3 has written for these updates.
#[test]
fn changelog_records_are_those_of_kafka_streams() {
    let mut buffer = TimeOrderedBuffer::new(BufferKind::Suppression, true);
    let count = |count: i64| Some(count.to_be_bytes());
    let put = |buffer: &mut TimeOrderedBuffer, key: &str, old: Option<[u8; 8]>, new, origin| {
        let new: Option<[u8; 8]> = new;
        let (old, new) = (old.as_ref().map(|old| &old[..]), new.as_ref().map(|new| &new[..]));
        buffer.put(14, key.as_bytes(), old, new, origin);
        commit(buffer)
    };
    let mut with_header = origin(14, 0);
    with_header.headers.add("h", Some(b"7"));
    let log = put(&mut buffer, "c", count(0), count(1), with_header);
    assert_eq!(
        hex(log[0].value.as_deref().unwrap()),
        "000000000000000e000000000000000000000002696e000000000000000100000001680000000137\
         000000080000000000000000fffffffe000000080000000000000001000000000000000e"
    );
    assert_eq!(log[0].headers.last("v"), Some(Some(&[3][..])));
    // The place in time is that of the first update; the prior value too.
    let log = put(&mut buffer, "c", count(1), count(2), origin(45, 4));
    assert_eq!(
        hex(log[0].value.as_deref().unwrap()),
        "000000000000002d000000000000000400000002696e0000000000000000000000080000000000000000\
         000000080000000000000001000000080000000000000002000000000000000e"
    );
    buffer.remove_first();
    assert!(buffer.gave_out());
    let log = commit(&mut buffer);
    assert_eq!(log, [Logged { key: b"c".to_vec(), value: None, headers: Headers::new() }]);
    assert!(!buffer.gave_out());
}

#[test]
fn an_old_value_that_is_the_prior_one_is_written_and_counted_once() {
    let mut buffer = TimeOrderedBuffer::new(BufferKind::Suppression, true);
    buffer.put(0, b"k", Some(b"old"), Some(b"new!"), origin(0, 0));
    // Time, key, prior and new value; then timestamp, offset, topic and partition.
    assert_eq!(buffer.bytes(), 8 + 1 + 3 + 4 + 8 + 8 + 2 + 4);
    let value = commit(&mut buffer).remove(0).value.unwrap();
    assert!(hex(&value).contains(&format!("00000003{}fffffffe", hex(b"old"))));
    buffer.put(0, b"k", Some(b"new!"), None, origin(0, 1));
    assert_eq!(buffer.bytes(), 8 + 1 + 3 + 4 + 8 + 8 + 2 + 4);
    assert_eq!(buffer.prior_value(b"k"), Some(Some(&b"old"[..])));
    assert_eq!(buffer.prior_value(b"x"), None);
    let mut heavy = origin(0, 2);
    heavy.headers.add("häder", Some(b"12"));
    heavy.topic = Arc::from("𝄞");
    buffer.put(0, b"k", None, None, heavy);
    assert_eq!(buffer.bytes(), 8 + 1 + 3 + 8 + 8 + 2 + 4 + 5 + 2);
}

#[test]
fn a_buffer_without_changelog_notes_nothing() {
    let mut buffer = TimeOrderedBuffer::new(BufferKind::Suppression, false);
    buffer.put(0, b"k", None, Some(b"v"), origin(0, 0));
    buffer.remove_first();
    assert!(!buffer.gave_out());
    assert_eq!(commit(&mut buffer), []);
}

#[test]
fn a_grace_buffer_logs_every_row_and_deletion_in_order_without_headers() {
    let mut buffer = TimeOrderedBuffer::new(BufferKind::Grace, true);
    let mut key = Vec::new();
    for value in [b"1", b"2"] {
        let sequence = buffer.next_sequence();
        write_grace_key(5, b"k", sequence, &mut key);
        buffer.put(5, &key, None, Some(value), origin(5, 0));
    }
    buffer.remove_first();
    let log = commit(&mut buffer);
    let keys: Vec<_> = log.iter().map(|logged| read_grace_key(&logged.key).unwrap()).collect();
    assert_eq!(keys, [(5, &b"k"[..], 1), (5, b"k", 2), (5, b"k", 1)]);
    assert_eq!(hex(&log[0].key), "0000000000000000056b00000001");
    assert!(log.iter().all(|logged| logged.headers.is_empty()));
    let value = hex(log[0].value.as_deref().unwrap());
    assert_eq!(
        value,
        "0000000000000005000000000000000000000002696e0000000000000000ffffffffffffffff0000000131\
         0000000000000000"
    );
    assert_eq!(log[2].value, None);
    // What comes back goes on counting where the other one stopped.
    let mut restored = TimeOrderedBuffer::new(BufferKind::Grace, true);
    let position = StorePosition { next_offset: 3, written_at_ms: 0, topic_id: None };
    restored.restore(&Batch(log), position).unwrap();
    assert_eq!(restored.next_sequence(), 3);
    assert_eq!(rows(&mut restored), rows(&mut buffer));
}

#[test]
fn changelog_records_of_an_unknown_layout_are_refused() {
    let mut buffer = TimeOrderedBuffer::new(BufferKind::Suppression, true);
    buffer.put(0, b"k", None, Some(b"v"), origin(0, 0));
    let good = commit(&mut buffer).remove(0);
    let position = StorePosition { next_offset: 1, written_at_ms: 0, topic_id: None };
    let refused = |logged: Logged| {
        let mut buffer = TimeOrderedBuffer::new(BufferKind::Suppression, true);
        buffer.restore(&Batch(vec![logged]), position).is_err()
    };
    assert!(!refused(good.clone()));
    assert!(refused(Logged { headers: Headers::new(), ..good.clone() }));
    let mut other = Headers::new();
    other.add("v", Some(&[1]));
    assert!(refused(Logged { headers: other, ..good.clone() }));
    for length in 0..good.value.as_ref().unwrap().len() {
        let value = good.value.as_ref().map(|value| value[..length].to_vec());
        assert!(refused(Logged { value, ..good.clone() }), "{length} bytes");
    }
}

/// Keys of a recorded run in the order of Kafka Streams' changelog.
#[test]
fn keys_are_logged_in_the_order_of_a_java_hash_set() {
    let sorted = |order: &mut HashSetOrder, keys: &[&str]| {
        let mut keys: Vec<Rc<[u8]>> = keys.iter().map(|key| key.as_bytes().into()).collect();
        order.sort(&mut keys);
        keys.iter().map(|key| String::from_utf8(key.to_vec()).unwrap()).collect::<Vec<_>>()
    };
    // `Arrays.hashCode` of one byte is 31 + byte: "a" is in bucket 0 of 16, "q" too.
    assert_eq!(sorted(&mut HashSetOrder::new(), &["c", "q", "b", "a"]), ["q", "a", "b", "c"]);
    // The thirteenth key doubles the table, which stays that large.
    let mut order = HashSetOrder::new();
    sorted(&mut order, &["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m"]);
    assert_eq!(sorted(&mut order, &["c", "q", "b", "a"]), ["a", "b", "c", "q"]);
}

/// A step of a random run.
#[derive(Debug, Clone)]
enum Step {
    Put { key: u8, time: Timestamp, old: Option<Vec<u8>>, new: Option<Vec<u8>> },
    RemoveFirst,
    Commit,
}

fn step() -> impl Strategy<Value = Step> {
    let value = || proptest::option::of(vec(any::<u8>(), 0..3));
    prop_oneof![
        4 => (0..6_u8, 0..20_i64, value(), value())
            .prop_map(|(key, time, old, new)| Step::Put { key, time, old, new }),
        2 => Just(Step::RemoveFirst),
        1 => Just(Step::Commit),
    ]
}

/// Time, key, prior and present value.
type Row = (Timestamp, u8, Option<Vec<u8>>, Option<Vec<u8>>);

proptest! {
    #[test]
    fn rows_come_out_in_order_and_come_back_from_the_changelog(steps in vec(step(), 0..60)) {
        let mut buffer = TimeOrderedBuffer::new(BufferKind::Suppression, true);
        let mut model: Vec<Row> = Vec::new();
        let mut log = Vec::new();
        for step in steps {
            match step {
                Step::Put { key, time, old, new } => {
                    buffer.put(time, &[key], old.as_deref(), new.as_deref(), origin(time, 7));
                    match model.iter_mut().find(|row| row.1 == key) {
                        Some(row) => row.3 = new,
                        None => model.push((time, key, old, new)),
                    }
                    model.sort();
                }
                Step::RemoveFirst => {
                    buffer.remove_first();
                    if !model.is_empty() {
                        model.remove(0);
                    }
                }
                Step::Commit => log.extend(commit(&mut buffer)),
            }
        }
        log.extend(commit(&mut buffer));
        let mut restored = TimeOrderedBuffer::new(BufferKind::Suppression, true);
        let position = StorePosition { next_offset: 9, written_at_ms: 0, topic_id: None };
        if !log.is_empty() {
            restored.restore(&Batch(log), position).unwrap();
            prop_assert_eq!(restored.position().unwrap(), Some(position));
        }
        prop_assert_eq!(restored.bytes(), buffer.bytes());
        let shown = rows(&mut buffer);
        prop_assert_eq!(&rows(&mut restored), &shown);
        let shown: Vec<_> = shown
            .into_iter()
            .map(|(time, key, row)| {
                let owned = |value: Option<&[u8]>| value.map(<[u8]>::to_vec);
                (time, key[0], owned(row.prior.get()), owned(row.new.get()))
            })
            .collect();
        prop_assert_eq!(shown, model);
        prop_assert_eq!(buffer.bytes(), 0);
    }
}
