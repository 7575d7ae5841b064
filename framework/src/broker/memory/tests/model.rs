//! Any interleaving of appends, fetches and truncations gives what a plain vector gives.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::broker::RecordBatch;
use crate::broker::memory::StoredRecord;
use crate::broker::memory::log::PartitionLog;
use crate::broker::memory::segment::NewRecord;
use crate::record::Headers;

/// Small, so that a few records fill a segment.
const SEGMENT_BYTES: usize = 500;
/// Above the size up to which a fetch copies instead of sealing.
const LARGE_BYTES: usize = 40 << 10;

#[derive(Debug, Clone)]
enum Step {
    Append {
        key: Option<Vec<u8>>,
        value: Option<Vec<u8>>,
        headers: Vec<Option<Vec<u8>>>,
    },
    AppendLarge,
    /// From so many per mille of the log, and a little beyond both of its ends.
    Fetch {
        from: i64,
        max_records: usize,
    },
    TruncateBefore {
        to: i64,
    },
}

fn bytes(len: usize) -> impl Strategy<Value = Option<Vec<u8>>> {
    proptest::option::of(vec(any::<u8>(), 0..len))
}

fn step() -> impl Strategy<Value = Step> {
    let append = (bytes(8), bytes(120), vec(bytes(4), 0..3))
        .prop_map(|(key, value, headers)| Step::Append { key, value, headers });
    prop_oneof![
        8 => append,
        1 => Just(Step::AppendLarge),
        6 => (-50..1050_i64, 0..9_usize)
            .prop_map(|(from, max_records)| Step::Fetch { from, max_records }),
        1 => (-50..1050_i64).prop_map(|to| Step::TruncateBefore { to }),
    ]
}

/// The naive log: all records ever, and the first that counts.
#[derive(Debug, Default)]
struct Model {
    records: Vec<StoredRecord>,
    start: usize,
}

impl Model {
    fn offset_at(&self, per_mille: i64) -> i64 {
        let (start, end) = (i64::try_from(self.start).unwrap(), self.end());
        start + (end - start + 1) * per_mille / 1000
    }

    fn end(&self) -> i64 {
        i64::try_from(self.records.len()).unwrap()
    }

    fn has(&self, offset: i64) -> bool {
        (i64::try_from(self.start).unwrap()..=self.end()).contains(&offset)
    }
}

fn append(log: &mut PartitionLog, model: &mut Model, step: &Step) {
    let mut headers = Headers::new();
    let (key, value) = match step {
        Step::Append { key, value, headers: values } => {
            for value in values {
                headers.add("h", value.as_deref());
            }
            (key.clone(), value.clone())
        }
        Step::AppendLarge | Step::Fetch { .. } | Step::TruncateBefore { .. } => {
            (None, Some(vec![b'x'; LARGE_BYTES]))
        }
    };
    let timestamp = model.end() * 10;
    let record =
        NewRecord { timestamp, key: key.as_deref(), value: value.as_deref(), headers: &headers };
    assert_eq!(log.append(record), model.end());
    model.records.push(StoredRecord { offset: model.end(), timestamp, key, value, headers });
}

fn fetch(log: &mut PartitionLog, model: &Model, from: i64, max_records: usize) {
    let read = log.read(from, max_records).map(|read| read.batch);
    let Ok(batch) = read else {
        assert!(!model.has(from), "refused {from}, which the log has");
        return;
    };
    assert!(model.has(from), "took {from}, which the log does not have");
    let expected = model.records.get(usize::try_from(from).unwrap()..).unwrap();
    let Some(batch) = batch else {
        assert!(expected.is_empty() || max_records == 0, "nothing fetched from {from}");
        return;
    };
    assert!((1..=max_records).contains(&batch.len()));
    let got: Vec<StoredRecord> = (0..batch.len()).map(|at| batch.record(at).into()).collect();
    assert_eq!(got, expected[..batch.len()]);
    assert_eq!(batch.next_offset(), got.last().unwrap().offset + 1);
}

proptest! {
    #[test]
    fn the_log_equals_a_vector(steps in vec(step(), 1..120)) {
        let mut log = PartitionLog::new(SEGMENT_BYTES);
        let mut model = Model::default();
        for step in &steps {
            match step {
                Step::Append { .. } | Step::AppendLarge => append(&mut log, &mut model, step),
                Step::Fetch { from, max_records } => {
                    fetch(&mut log, &model, model.offset_at(*from), *max_records);
                }
                Step::TruncateBefore { to } => {
                    let offset = model.offset_at(*to);
                    let fits = (0..=model.end()).contains(&offset);
                    assert_eq!(log.truncate_before(offset).is_ok(), fits);
                    if fits {
                        model.start = model.start.max(usize::try_from(offset).unwrap());
                    }
                }
            }
            assert_eq!(log.start_offset(), i64::try_from(model.start).unwrap());
            assert_eq!(log.end_offset(), model.end());
        }
        let mut position = log.start_offset();
        while let Some(batch) = log.read(position, usize::MAX).unwrap().batch {
            fetch(&mut log, &model, position, usize::MAX);
            position = batch.next_offset();
        }
        assert_eq!(position, model.end());
    }
}
