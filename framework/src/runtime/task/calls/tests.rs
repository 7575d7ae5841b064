//! A real task with calls that end when the test says so, on the in-process broker.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use kstream_test_support::wait_until;
use tokio::sync::Semaphore;

use crate::broker::memory::MemoryBroker;
use crate::broker::{Broker, ConsumerRole, OutgoingRecord, ProducerSettings, StartOffset};
use crate::config::StreamsConfig;
use crate::dsl::{AsyncCalls, KStream, Materialized, StreamsBuilder};
use crate::error::ErrorKind;
use crate::ids::{TaskId, TopicPartition};
use crate::processor::collector::{RecordCollector, SharedProducer};
use crate::processor::context::TaskContext;
use crate::processor::handler::Handlers;
use crate::record::Headers;
use crate::runtime::task::{StreamTask, source_partitions};
use crate::state::MemoryRows;
use crate::time::ManualClock;
use crate::topology::link::{LinkSettings, TaskScope};

const SOON: Duration = Duration::from_mins(1);
const RECORDS: usize = 10;
const ID: TaskId = TaskId { subtopology: 0, partition: 0 };

/// A task with records to process, and what lets its calls end.
struct World {
    broker: MemoryBroker,
    task: StreamTask,
    answers: Arc<Semaphore>,
}

/// Counts records, asks about each count, and counts the answers.
fn world(calls: AsyncCalls<std::io::Error>) -> World {
    let answers = Arc::new(Semaphore::new(0));
    let builder = StreamsBuilder::new();
    let records: KStream<String, String> = builder.stream("in");
    let counts = records.group_by_key().count_with("count", Materialized::named("counts"));
    let call = {
        let answers = Arc::clone(&answers);
        move |_, count: Option<i64>| {
            let answers = Arc::clone(&answers);
            async move {
                answers.acquire().await.unwrap().forget();
                Ok(count.unwrap())
            }
        }
    };
    counts.to_stream().map_values_async_with(call, calls).to("out");
    let topology = builder.build().unwrap();

    let broker = MemoryBroker::new(Arc::new(ManualClock::default()));
    for topic in ["in", "out", "app-counts-changelog"] {
        broker.create_topic(topic, 1).unwrap();
    }
    for record in 0..RECORDS {
        let key = format!("key-{}", record % 3);
        let record = OutgoingRecord {
            partition: 0,
            key: Some(key.as_bytes()),
            value: Some(b"value"),
            timestamp: Some(0),
            headers: &Headers::new(),
        };
        broker.produce("in", record).unwrap();
    }
    let settings =
        ProducerSettings { client_id: "test".to_owned(), track_acks: true, transactions: None };
    let producer: SharedProducer = Rc::new(RefCell::new(broker.producer(&settings).unwrap()));
    let config = StreamsConfig::new("app").statestore_cache_max_bytes(0);
    let link = LinkSettings::of(&config, TaskScope::Subtopology);
    let collector = RecordCollector::new(producer, None);
    let context = TaskContext::new(ID, 0, collector, Handlers::of(&config));
    let partitions = source_partitions(&topology, ID, &link, &|_| 1);
    let mut task = StreamTask::new(&topology, context, &link, partitions, &mut |_| {
        Ok(Box::new(MemoryRows::new()))
    })
    .unwrap();
    let mut consumer = broker.consumer(ConsumerRole::Main, "test").unwrap();
    let start = (TopicPartition::new("in", 0), StartOffset::Earliest);
    let slots = consumer.assign(&[start]).unwrap();
    while let Some(batch) = consumer.fetch(slots[0], RECORDS).unwrap() {
        task.group.push(0, batch);
    }
    World { broker, task, answers }
}

impl World {
    /// The values of the output, by how often they came.
    fn out(&self) -> BTreeMap<i64, usize> {
        let mut values = BTreeMap::new();
        for record in self.broker.records("out", 0, 0).unwrap() {
            let value = i64::from_be_bytes(record.value.unwrap().try_into().unwrap());
            *values.entry(value).or_default() += 1;
        }
        values
    }

    fn consumed(&self) -> Option<i64> {
        self.task.consumed_offsets().next().map(|(_, committed)| committed.offset)
    }
}

#[test]
fn a_task_with_calls_in_flight_waits_for_them_and_takes_nothing_new() {
    let mut world = world(AsyncCalls::new());
    let now = Duration::ZERO;
    assert_eq!(world.task.process(4).unwrap(), 4);
    world.answers.add_permits(3);
    let mut left = 0;
    wait_until(SOON, "three results", || {
        left += world.task.advance_calls(now).unwrap();
        left == 3
    })
    .unwrap();
    // Most of what was taken is finished and out; the offset behind it is not to be committed.
    assert!(!world.task.ready_to_commit(now).unwrap());
    let error = world.task.send_changelogs().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fatal, "{error}");
    assert_eq!(world.task.process(RECORDS).unwrap(), 0);

    world.answers.add_permits(1);
    wait_until(SOON, "the last result", || world.task.ready_to_commit(now).unwrap()).unwrap();
    assert_eq!(world.consumed(), Some(4));
    assert_eq!(world.out(), BTreeMap::from([(1, 3), (2, 1)]));
    // It waits for the commit, with others of its thread perhaps.
    assert_eq!(world.task.process(RECORDS).unwrap(), 0);
    world.task.send_changelogs().unwrap();
    world.task.committed();
    assert_eq!(world.task.process(RECORDS).unwrap(), RECORDS - 4);
}

#[test]
fn a_full_task_takes_records_again_when_some_have_left() {
    let mut world = world(AsyncCalls::new().with_max_in_flight(3));
    let now = Duration::ZERO;
    assert_eq!(world.task.process(RECORDS).unwrap(), 3);
    assert_eq!(world.task.process(RECORDS).unwrap(), 0);
    world.answers.add_permits(2);
    let mut left = 0;
    wait_until(SOON, "two results", || {
        left += world.task.advance_calls(now).unwrap();
        left == 2
    })
    .unwrap();
    assert_eq!(world.task.process(RECORDS).unwrap(), 2);
}

#[test]
fn a_commit_waits_no_longer_than_calls_may_take() {
    let mut world = world(AsyncCalls::new().with_timeout(Duration::from_secs(5)));
    assert_eq!(world.task.process(RECORDS).unwrap(), RECORDS);
    for second in 0..5 {
        assert!(!world.task.ready_to_commit(Duration::from_secs(second)).unwrap());
    }
    let error = world.task.ready_to_commit(Duration::from_secs(5)).unwrap_err();
    assert!(error.to_string().contains("not answered within 5s"), "{error}");
    assert_eq!(error.position().unwrap().1, 0);
}

#[test]
fn cancelled_calls_leave_a_task_that_can_go_on() {
    let mut world = world(AsyncCalls::new());
    let now = Duration::ZERO;
    assert_eq!(world.task.process(4).unwrap(), 4);
    assert!(!world.task.ready_to_commit(now).unwrap());
    world.task.cancel_calls();
    assert!(!world.task.has_calls());
    assert_eq!(world.task.process(1).unwrap(), 1);
    world.answers.add_permits(1);
    wait_until(SOON, "one result", || world.task.advance_calls(now).unwrap() == 1).unwrap();
    assert_eq!(world.out(), BTreeMap::from([(2, 1)]));
}
