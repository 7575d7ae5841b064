//! What the test driver of `kstream-test-utils` is made of: a real task on an in-process broker, driven
//! record by record. Not part of the public interface.

mod call_time;
mod creating_producer;
mod global;
mod pattern_topics;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use self::call_time::CallTime;
use self::creating_producer::CreatingProducer;
use self::pattern_topics::PatternTopics;
use crate::broker::memory::MemoryBroker;
use crate::broker::{
    Broker, BrokerErrorKind, Consumer, ConsumerRole, OutgoingRecord, ProducerSettings, Slot,
    StartOffset,
};
use crate::config::StreamsConfig;
use crate::error::{Error, ErrorKind};
use crate::ids::{TaskId, TopicPartition};
use crate::processor::calls::CallRuntime;
use crate::processor::collector::{RecordCollector, SharedProducer};
use crate::processor::context::TaskContext;
use crate::processor::handler::Handlers;
use crate::record::Timestamp;
use crate::runtime::commit::{Commit, InputOffsets};
use crate::runtime::task::{StreamTask, source_partitions};
use crate::serdes::{ArcSerde, SerdeError};
use crate::state::MemoryRows;
use crate::state::key_layout::{
    session_bounds, session_record_key, window_record_key, window_start,
};
use crate::state::rows::Rows;
use crate::state::versioned::VersionedRows;
use crate::time::{Clock, ManualClock};
use crate::topology::link::{LinkSettings, TaskScope};
use crate::topology::{NodeKind, StoreKind, Topology};
use global::{GlobalDriver, memory_stores};

/// How many records one fetch takes.
const FETCH_RECORDS: usize = 10_000;

/// One task that runs a whole topology, as Kafka Streams' `TopologyTestDriver` does: every topic has one
/// partition, and everything a record causes has happened when `pipe` returns.
pub struct TaskDriver {
    topology: Topology,
    config: StreamsConfig,
    broker: MemoryBroker,
    clock: Arc<ManualClock>,
    call_time: CallTime,
    producer: SharedProducer,
    consumer: Box<dyn Consumer>,
    slots: Vec<Slot>,
    task: StreamTask,
    global: Option<GlobalDriver>,
    patterns: PatternTopics,
}

/// A row of a store, its key as bytes.
#[derive(Debug)]
pub struct StoredRow<V> {
    /// The record key's bytes.
    pub key: Vec<u8>,
    /// The start of the window or session, in a store of these.
    pub window_start: Option<Timestamp>,
    /// The value.
    pub value: V,
    /// The row's timestamp.
    pub timestamp: Timestamp,
}

impl std::fmt::Debug for TaskDriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TaskDriver").field("topology", &self.topology).finish_non_exhaustive()
    }
}

impl TaskDriver {
    /// Makes the topics and the task.
    pub fn new(topology: Topology, config: StreamsConfig) -> Result<Self, Error> {
        let clock = Arc::new(ManualClock::default());
        let broker = MemoryBroker::new(Arc::<ManualClock>::clone(&clock));
        for topic in topics(&topology, &config) {
            broker.create_topic(&topic, 1)?;
        }
        let settings = ProducerSettings {
            client_id: "test-driver".to_owned(),
            track_acks: true,
            transactions: None,
        };
        let producer = CreatingProducer::new(broker.clone(), broker.producer(&settings)?);
        let producer: SharedProducer = Rc::new(RefCell::new(Box::new(producer)));
        let mut consumer = broker.consumer(ConsumerRole::Main, "test-driver")?;
        let mut link = LinkSettings::of(&config, TaskScope::Everything);
        // Calls that do not wait for anything end in the order in which they begin.
        link.call_runtime = CallRuntime::with_threads(config.async_runtime.clone(), Some(1));
        let driving = Driving { config: &config, producer: &producer };
        let stores = memory_stores(&topology)?;
        let global = GlobalDriver::start(&topology, &driving, &link, &stores, &mut *consumer)?;
        let id = TaskId { subtopology: 0, partition: 0 };
        let partitions = source_partitions(&topology, id, &link, &|_| 1);
        let context = driving.context(id);
        let mut task = StreamTask::new(&topology, context, &link, partitions, &mut |store| {
            if topology.is_global(store) {
                return stores.reader(store);
            }
            Ok(Box::new(MemoryRows::new()))
        })?;
        task.start()?;
        let slots = consumer.assign(&start_offsets(&task))?;
        let patterns = PatternTopics::default();
        Ok(Self {
            topology,
            config,
            broker,
            clock,
            call_time: CallTime::default(),
            producer,
            consumer,
            slots,
            task,
            global,
            patterns,
        })
    }

    /// The topology.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// The application id.
    pub fn application_id(&self) -> &str {
        &self.config.application_id
    }

    /// Sends a record to a topic and does everything it causes.
    pub fn pipe(&mut self, topic: &str, record: OutgoingRecord<'_>) -> Result<(), Error> {
        self.append(topic, record)?;
        self.complete()
    }

    /// Sends a record to a topic, where it waits.
    pub fn append(&mut self, topic: &str, record: OutgoingRecord<'_>) -> Result<(), Error> {
        if !self.reads(topic) && !self.joins(topic)? {
            let message = format!("the topology does not read topic {topic}");
            return Err(Error::new(ErrorKind::Config, message));
        }
        match self.patterns.next_offset(topic) {
            Some(offset) => self.broker.produce_at(topic, offset, record)?,
            None => self.broker.produce(topic, record)?,
        };
        Ok(())
    }

    fn reads(&self, topic: &str) -> bool {
        let global = self.global.as_ref().map(|global| &global.task);
        let mut queues =
            std::iter::once(&self.task).chain(global).flat_map(|task| task.group.queues());
        queues.any(|queue| &*queue.partition.topic == topic)
    }

    /// Reads a further topic if a source's pattern matches its name; makes it if need be.
    fn joins(&mut self, topic: &str) -> Result<bool, Error> {
        let Some(node) = self.topology.add_matching_topic(topic) else { return Ok(false) };
        match self.broker.create_topic(topic, 1) {
            Err(error) if error.kind() != BrokerErrorKind::TopicExists => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
        let partition = TopicPartition::new(topic, 0);
        let slots = self.consumer.assign(&[(partition.clone(), StartOffset::Earliest)])?;
        self.slots.extend(slots);
        self.patterns.add(topic, node);
        self.task.add_partition(&self.topology, node, partition);
        Ok(true)
    }

    /// The topics there are and that no source reads, in order.
    pub fn output_topics(&self) -> Result<Vec<String>, Error> {
        let mut names = self.broker.admin()?.topic_names()?;
        names.retain(|name| !self.reads(name));
        Ok(names)
    }

    /// Processes all records that wait and everything they cause, calls of asynchronous operators among it. Commits
    /// after so many records, and at the end.
    pub fn process_waiting(&mut self, records_per_commit: usize) -> Result<(), Error> {
        self.task.context.wall_clock = self.clock.now_ms();
        let mut uncommitted = 0;
        loop {
            self.fill_global_stores()?;
            for (queue, slot) in self.slots.iter().enumerate() {
                if let Some(batch) = self.consumer.fetch(*slot, FETCH_RECORDS)? {
                    self.task.group.push(queue, batch);
                }
                self.task.group.set_lag(queue, Some(0));
            }
            let processed = self.task.process(records_per_commit - uncommitted)?;
            uncommitted += processed;
            let finished = self.task.advance_calls(self.call_time.now())?;
            if uncommitted < records_per_commit {
                if processed + finished > 0 {
                    continue;
                }
                if self.task.has_calls() {
                    self.call_time.wait(self.task.calls_wait_for());
                    continue;
                }
            }
            if !self.task.needs_commit() {
                return Ok(());
            }
            uncommitted = 0;
            self.commit()?;
        }
    }

    fn fill_global_stores(&mut self) -> Result<(), Error> {
        let Some(global) = &mut self.global else { return Ok(()) };
        let driving = Driving { config: &self.config, producer: &self.producer };
        global.process_waiting(&driving, &mut *self.consumer, self.clock.now_ms())
    }

    fn commit(&mut self) -> Result<(), Error> {
        while !self.task.ready_to_commit(self.call_time.now())? {
            self.call_time.wait(self.task.calls_wait_for());
        }
        let commit = Commit {
            producer: &self.producer,
            now_ms: self.clock.now_ms(),
            input_offsets: InputOffsets::AtLeastOnce(&mut |_| Ok(())),
            between: &mut |_| Ok(()),
            waiting: &|| (),
        };
        commit.run(std::iter::once(&mut self.task))
    }

    /// Moves the wall clock and does everything that causes.
    pub fn advance_wall_clock(&mut self, by: Duration) -> Result<(), Error> {
        self.clock.advance(by);
        self.call_time.advance(by);
        self.task.context.wall_clock = self.clock.now_ms();
        if self.task.punctuate_wall_clock()? {
            self.commit()?;
        }
        self.complete()
    }

    /// The wall clock.
    pub fn now_ms(&self) -> Timestamp {
        self.clock.now_ms()
    }

    /// How many records the task has dropped so far.
    pub fn dropped_records(&self) -> u64 {
        self.task.context.counters.dropped.iter().sum()
    }

    /// Shows the records of a topic from an offset on; the answer is the offset behind the last.
    /// Fails at a topic that the topology does not know.
    pub fn read(
        &self,
        topic: &str,
        from: i64,
        show: &mut dyn FnMut(&crate::broker::RawRecord<'_>),
    ) -> Result<i64, Error> {
        let mut consumer = self.broker.consumer(ConsumerRole::Main, "test-driver-output")?;
        let partition = TopicPartition::new(topic, 0);
        let slots = consumer.assign(&[(partition, StartOffset::At(from))])?;
        let mut next = from;
        for slot in slots {
            while let Some(batch) = consumer.fetch(slot, FETCH_RECORDS)? {
                for index in 0..batch.len() {
                    let record = batch.record(index);
                    next = record.offset + 1;
                    show(&record);
                }
            }
        }
        Ok(next)
    }

    /// The names of the changelog topics, with those of their stores.
    pub fn changelog_topics(&self) -> BTreeMap<String, String> {
        let id = &self.config.application_id;
        let changelogs = self.topology.stores.iter();
        changelogs
            .filter_map(|store| Some((store.name.clone(), store.changelog()?.resolve(id))))
            .collect()
    }

    /// The names of the repartition topics.
    pub fn repartition_topics(&self) -> Vec<String> {
        let id = &self.config.application_id;
        let topics = &self.topology.repartition_topics;
        let mut names: Vec<_> = topics.iter().map(|topic| topic.topic.resolve(id)).collect();
        names.sort();
        names.dedup();
        names
    }

    /// The rows of a store, in the order of their keys' bytes.
    pub fn rows<V: Clone + 'static>(&self, store: &str) -> Result<Vec<StoredRow<V>>, Error> {
        let plan = self.topology.stores.iter().find(|plan| plan.name == store);
        let global = self.global.iter().flat_map(|global| &global.task.stores);
        let live = self.task.stores.iter().chain(global).find(|live| live.name == store);
        let (Some(plan), Some(live)) = (plan, live) else {
            let names: Vec<_> =
                self.topology.stores.iter().map(|plan| plan.name.as_str()).collect();
            let message = format!("there is no store {store}; there are: {}", names.join(", "));
            return Err(Error::new(ErrorKind::Config, message));
        };
        let mut result = Vec::new();
        if let Some(rows) = live.built.rows.downcast_ref::<Rc<RefCell<VersionedRows<V>>>>() {
            rows.borrow_mut().scan_latest(&mut |key, found| {
                result.push(StoredRow {
                    key: key.to_vec(),
                    window_start: None,
                    value: found.value.clone(),
                    timestamp: found.from,
                });
                true
            })?;
            return Ok(result);
        }
        let Some(rows) = live.built.rows.downcast_ref::<Rc<RefCell<Rows<V>>>>() else {
            let wanted = std::any::type_name::<V>();
            let message = format!("store {store} does not hold values of type {wanted}");
            return Err(Error::new(ErrorKind::Config, message));
        };
        let kind = plan.kind;
        rows.borrow_mut().for_each_row(&mut |key, row| {
            let (record_key, window_start) = match kind {
                StoreKind::KeyValue | StoreKind::Versioned { .. } => (key, None),
                StoreKind::Window { .. } => (window_record_key(key), Some(window_start(key))),
                StoreKind::Session { .. } => (session_record_key(key), Some(session_bounds(key).0)),
            };
            result.push(StoredRow {
                key: record_key.to_vec(),
                window_start,
                value: row.value.clone(),
                timestamp: row.timestamp,
            });
        })?;
        Ok(result)
    }

    /// Reads a key back.
    pub fn read_key<K: 'static>(&self, serde: &ArcSerde<K>, key: &[u8]) -> Result<K, SerdeError> {
        serde.deserialize(key)
    }

    fn complete(&mut self) -> Result<(), Error> {
        self.process_waiting(1)
    }
}

/// What the tasks of a driver share.
struct Driving<'a> {
    config: &'a StreamsConfig,
    producer: &'a SharedProducer,
}

impl Driving<'_> {
    fn context(&self, id: TaskId) -> TaskContext {
        let dead_letter_topic = self.config.dead_letter_topic.clone();
        let collector = RecordCollector::new(Rc::clone(self.producer), dead_letter_topic);
        TaskContext::new(id, 0, collector, Handlers::of(self.config))
    }
}

/// Every source partition of a task from its beginning.
fn start_offsets(task: &StreamTask) -> Vec<(TopicPartition, StartOffset)> {
    let queues = task.group.queues().iter();
    queues.map(|queue| (queue.partition.clone(), StartOffset::Earliest)).collect()
}

/// Every topic that the topology reads or writes.
fn topics(topology: &Topology, config: &StreamsConfig) -> Vec<String> {
    let id = &config.application_id;
    let mut topics: Vec<String> = config.dead_letter_topic.iter().cloned().collect();
    for node in &topology.nodes {
        match &node.kind {
            NodeKind::Source { topics: sources, .. } => {
                topics.extend(sources.iter().map(|topic| topic.resolve(id)));
            }
            NodeKind::Sink { topic } => topics.push(topic.resolve(id)),
            NodeKind::Processor | NodeKind::RoutingSink { .. } => {}
        }
    }
    topics.extend(topology.stores.iter().filter_map(|store| Some(store.changelog()?.resolve(id))));
    topics.sort();
    topics.dedup();
    topics
}
