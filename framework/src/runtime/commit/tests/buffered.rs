//! Rows that wait in a buffer, and a crash while they go.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::world::{LazyProducer, Limit, Unsent, deliver};
use crate::broker::memory::MemoryBroker;
use crate::broker::{Broker, ConsumerRole, OutgoingRecord, ProducerSettings, StartOffset};
use crate::config::StreamsConfig;
use crate::dsl::{BufferConfig, KTable, StreamsBuilder, Suppressed};
use crate::error::{Error, ErrorKind};
use crate::ids::{TaskId, TopicPartition};
use crate::processor::collector::{RecordCollector, SharedProducer};
use crate::processor::context::TaskContext;
use crate::processor::handler::Handlers;
use crate::record::Headers;
use crate::runtime::commit::{Commit, CommitStep, InputOffsets};
use crate::runtime::restore::tests::restore_whole;
use crate::runtime::task::{StreamTask, source_partitions};
use crate::state::MemoryRows;
use crate::time::ManualClock;
use crate::topology::Topology;
use crate::topology::link::{LinkSettings, TaskScope};

const OUTPUT: &str = "out";
const CHANGELOGS: [&str; 2] =
    ["app-hold-store-changelog", "app-in-STATE-STORE-0000000000-changelog"];
const TASK: TaskId = TaskId { subtopology: 0, partition: 0 };

/// Each a row of its own, a second after the one before.
const ROWS: usize = 12;
const WAITING: usize = 3;
const COMMITTED: usize = 4;
const PROCESSED: usize = 8;

fn topology() -> Topology {
    let builder = StreamsBuilder::new();
    let rows: KTable<String, String> = builder.table("in");
    let limit = Duration::from_secs(WAITING as u64);
    let suppressed = Suppressed::until_time_limit(limit, BufferConfig::unbounded());
    rows.suppress(suppressed.with_name("hold")).to_stream().to(OUTPUT);
    builder.build().unwrap()
}

fn broker() -> MemoryBroker {
    let broker = MemoryBroker::new(Arc::new(ManualClock::default()));
    for topic in ["in", OUTPUT].into_iter().chain(CHANGELOGS) {
        broker.create_topic(topic, 1).unwrap();
    }
    for row in 0..ROWS {
        let key = format!("{row:02}");
        let record = OutgoingRecord {
            partition: 0,
            key: Some(key.as_bytes()),
            value: Some(b"value"),
            timestamp: Some(i64::try_from(row).unwrap() * 1000),
            headers: &Headers::new(),
        };
        broker.produce("in", record).unwrap();
    }
    broker
}

/// What a crash takes.
struct Life {
    unsent: Unsent,
    producer: SharedProducer,
    task: StreamTask,
}

impl Life {
    /// A task that has restored its stores and reads on from `offset`.
    fn begin(broker: &MemoryBroker, topology: &Topology, offset: usize) -> Self {
        let settings =
            ProducerSettings { client_id: "test".to_owned(), track_acks: true, transactions: None };
        let unsent = Unsent::default();
        let inner = broker.producer(&settings).unwrap();
        let limit = Limit::new(usize::MAX.into());
        let lazy = LazyProducer { inner, unsent: Arc::clone(&unsent), limit };
        let producer: SharedProducer = Rc::new(RefCell::new(Box::new(lazy)));
        let config = StreamsConfig::new("app").statestore_cache_max_bytes(0);
        let link = LinkSettings::of(&config, TaskScope::Subtopology);
        let collector = RecordCollector::new(Rc::clone(&producer), None);
        let context = TaskContext::new(TASK, 0, collector, Handlers::of(&config));
        let partitions = source_partitions(topology, TASK, &link, &|_| 1);
        let mut task = StreamTask::new(topology, context, &link, partitions, &mut |_| {
            Ok(Box::new(MemoryRows::new()))
        })
        .unwrap();
        restore_whole(broker, &task);
        let mut consumer = broker.consumer(ConsumerRole::Main, "test").unwrap();
        let start = StartOffset::At(i64::try_from(offset).unwrap());
        let slots = consumer.assign(&[(TopicPartition::new("in", 0), start)]).unwrap();
        while let Some(batch) = consumer.fetch(slots[0], ROWS).unwrap() {
            task.group.push(0, batch);
        }
        Self { unsent, producer, task }
    }

    fn process(&mut self, records: usize) {
        assert_eq!(self.task.process(records).unwrap(), records);
    }

    fn commit(&mut self, stop_at: Option<CommitStep>) -> Result<(), Error> {
        let commit = Commit {
            producer: &self.producer,
            now_ms: 0,
            input_offsets: InputOffsets::AtLeastOnce(&mut |_| Ok(())),
            between: &mut |step| match stop_at {
                Some(stop) if stop == step => Err(Error::new(ErrorKind::Fatal, "stopped")),
                _ => Ok(()),
            },
            waiting: &|| (),
        };
        commit.run(std::iter::once(&mut self.task))
    }

    /// Dies when the broker has got what was under way to these topics, and nothing else.
    fn crash(self, broker: &MemoryBroker, delivered: &[&str]) {
        let handles: Vec<_> = delivered
            .iter()
            .map(|topic| self.producer.borrow_mut().topic(topic).unwrap())
            .collect();
        self.unsent.lock().unwrap().retain(|sent| handles.contains(&sent.topic));
        let settings = ProducerSettings {
            client_id: "test".to_owned(),
            track_acks: false,
            transactions: None,
        };
        let mut inner = broker.producer(&settings).unwrap();
        // Handles are numbers in the order of look-ups.
        for handle in 0..=CHANGELOGS.len() {
            let topics = [OUTPUT].into_iter().chain(CHANGELOGS);
            let mut topics =
                topics.filter(|topic| self.producer.borrow_mut().topic(topic).unwrap().0 == handle);
            inner.topic(topics.next().unwrap()).unwrap();
        }
        deliver(&mut *inner, &self.unsent, usize::MAX);
    }
}

fn given_out(broker: &MemoryBroker) -> BTreeSet<String> {
    let records = broker.records(OUTPUT, 0, 0).unwrap().into_iter();
    records.map(|record| String::from_utf8(record.key.unwrap()).unwrap()).collect()
}

/// Whatever part of a commit the broker has got: every row that was due comes out.
#[test]
fn a_crash_loses_no_row_that_was_given_out() {
    let due: BTreeSet<String> = (0..ROWS - WAITING).map(|row| format!("{row:02}")).collect();
    let [buffer, table] = CHANGELOGS;
    let parts: [&[&str]; 6] =
        [&[], &[OUTPUT], &[buffer], &[table], &[buffer, table], &[OUTPUT, buffer, table]];
    for step in [CommitStep::CachesFlushed, CommitStep::ChangelogsSent, CommitStep::Acknowledged] {
        for part in parts {
            let (broker, topology) = (broker(), topology());
            let mut life = Life::begin(&broker, &topology, 0);
            life.process(COMMITTED);
            life.commit(None).unwrap();
            life.process(PROCESSED - COMMITTED);
            life.commit(Some(step)).unwrap_err();
            life.crash(&broker, part);
            let mut life = Life::begin(&broker, &topology, COMMITTED);
            life.process(ROWS - COMMITTED);
            life.commit(None).unwrap();
            assert_eq!(given_out(&broker), due, "{step:?} with {part:?}");
        }
    }
}

/// Rows that wait when a task stops are there when it goes on.
#[test]
fn what_waits_comes_back_from_the_changelog() {
    let (broker, topology) = (broker(), topology());
    let mut life = Life::begin(&broker, &topology, 0);
    life.process(PROCESSED);
    life.commit(None).unwrap();
    assert_eq!(given_out(&broker).len(), PROCESSED - WAITING);
    life.crash(&broker, &[]);
    let mut life = Life::begin(&broker, &topology, PROCESSED);
    life.process(1);
    life.commit(None).unwrap();
    assert_eq!(given_out(&broker).len(), PROCESSED - WAITING + 1);
}
