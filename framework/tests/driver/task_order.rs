//! The order in which a task takes records from its partitions, against a naive model on random input.

use std::collections::VecDeque;

use kstream::broker::OutgoingRecord;
use kstream::{
    BuiltInTimestampExtractor, Consumed, Headers, MaxTaskIdle, StreamsBuilder, Timestamp,
    TimestampExtractor,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::harness::{Harness, config};

const TOPICS: [&str; 3] = ["a", "b", "c"];

/// How the sources of a run find timestamps.
#[derive(Debug, Clone, Copy)]
enum Extractor {
    /// What the broker says; without a timestamp the partition's.
    PartitionTime,
    /// What the broker says; without a timestamp the record is dropped.
    Skip,
    /// The value.
    Value,
}

/// For each topic the broker's timestamp and the number that is the value of each record.
type Inputs = Vec<Vec<(Timestamp, Timestamp)>>;

fn inputs() -> impl Strategy<Value = Inputs> {
    let time = || prop_oneof![1 => Just(-1), 6 => 0..40_i64];
    // The first record of a topic gives its partition a time.
    let topic = (0..40_i64, vec((time(), time()), 0..12))
        .prop_map(|(first, rest)| [vec![(first, first)], rest].concat());
    vec(topic, TOPICS.len())
}

fn extractor() -> impl Strategy<Value = Extractor> {
    prop_oneof![Just(Extractor::PartitionTime), Just(Extractor::Skip), Just(Extractor::Value)]
}

fn build(extractor: Extractor) -> impl FnOnce(&StreamsBuilder) {
    move |builder| {
        let extractor: TimestampExtractor<String, String> = match extractor {
            Extractor::PartitionTime => {
                BuiltInTimestampExtractor::UsePartitionTimeOnInvalidTimestamp.into()
            }
            Extractor::Skip => BuiltInTimestampExtractor::LogAndSkipOnInvalidTimestamp.into(),
            Extractor::Value => TimestampExtractor::record(|_: &String, value: &String, _| {
                value.split('/').next_back().unwrap().parse().unwrap()
            }),
        };
        let consumed = Consumed::new().with_timestamp_extractor(extractor);
        builder.stream_with(TOPICS, consumed).to("out");
    }
}

/// Takes, again and again, the record with the smallest timestamp among the heads; the first topic's at
/// equal ones. A head gets its timestamp when the record before it has gone.
fn expected(inputs: &Inputs, extractor: Extractor) -> Vec<String> {
    let mut queues: Vec<VecDeque<(usize, Timestamp, Timestamp)>> = inputs
        .iter()
        .map(|topic| {
            topic.iter().enumerate().map(|(place, (broker, value))| (place, *broker, *value))
        })
        .map(Iterator::collect)
        .collect();
    let mut partition_times = vec![-1; queues.len()];
    let mut out = Vec::new();
    loop {
        let mut heads = Vec::new();
        for (index, queue) in queues.iter_mut().enumerate() {
            while let Some((_, broker, value)) = queue.front().copied() {
                let time = match extractor {
                    Extractor::PartitionTime if broker < 0 => partition_times[index],
                    Extractor::PartitionTime | Extractor::Skip => broker,
                    Extractor::Value => value,
                };
                if time >= 0 {
                    heads.push((time, index));
                    break;
                }
                queue.pop_front();
            }
        }
        let Some((time, index)) = heads.into_iter().min() else { return out };
        let (place, ..) = queues[index].pop_front().unwrap();
        partition_times[index] = partition_times[index].max(time);
        out.push(format!("{}{place}@{time}", TOPICS[index]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn records_come_by_extracted_timestamp(inputs in inputs(), extractor in extractor()) {
        let test = Harness::with_config(config().max_task_idle(MaxTaskIdle::Disabled), build(extractor));
        let task = test.driver.task();
        for (topic, records) in TOPICS.into_iter().zip(&inputs) {
            for (place, (broker, value)) in records.iter().enumerate() {
                let value = format!("{topic}{place}/{value}");
                let record = OutgoingRecord {
                    partition: 0,
                    key: Some(b"k"),
                    value: Some(value.as_bytes()),
                    timestamp: Some(*broker),
                    headers: &Headers::new(),
                };
                task.borrow_mut().append(topic, record).unwrap();
            }
        }
        task.borrow_mut().process_waiting(1000).unwrap();
        let got: Vec<String> = test
            .records::<String>("out")
            .into_iter()
            .map(|record| {
                let value = record.value.unwrap();
                format!("{}@{}", value.split('/').next().unwrap(), record.timestamp)
            })
            .collect();
        prop_assert_eq!(got, expected(&inputs, extractor));
    }
}
