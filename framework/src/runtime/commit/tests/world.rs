//! What a crash takes and what it leaves.
//!
//! The task is real, its rows are on disk, and only the producer is a test's: it keeps what was sent until a
//! flush, so that a crash can lose any part of it. A crash copies the state folder as it is, because
//! closing a database would write what a crash loses.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::broker::memory::MemoryBroker;
use crate::broker::{
    Broker, BrokerError, CommittedOffset, Consumer, ConsumerRole, GroupMember, GroupMetadata,
    GroupSettings, OutgoingRecord, Producer, ProducerSettings, StartOffset, TopicHandle,
    TransactionSettings,
};
use crate::config::StreamsConfig;
use crate::dsl::{KStream, Materialized, StreamsBuilder};
use crate::error::{Error, ErrorKind};
use crate::ids::{TaskId, TopicPartition};
use crate::processor::collector::{RecordCollector, SharedProducer};
use crate::processor::context::TaskContext;
use crate::processor::handler::Handlers;
use crate::record::Headers;
use crate::runtime::commit::{Commit, CommitStep, InputOffsets, Offsets};
use crate::runtime::restore::tests::restore_whole;
use crate::runtime::task::{StreamTask, source_partitions};
use crate::state::persistent::{StateEnv, TaskDb};
use crate::state::rows::Rows;
use crate::time::ManualClock;
use crate::time::windows::TimeWindows;
use crate::topology::Topology;
use crate::topology::link::{LinkSettings, TaskScope};

pub(super) const INPUT: &str = "in";
pub(super) const OUTPUT: &str = "out";
/// Stores, with their changelogs.
pub(super) const STORES: [(&str, &str); 2] =
    [("counts", "app-counts-changelog"), ("windows", "app-windows-changelog")];
pub(super) const APPLICATION: &str = "app";
pub(super) const TASK: TaskId = TaskId { subtopology: 0, partition: 0 };

pub(super) const RECORDS: usize = 40;
pub(super) const KEYS: usize = 7;
/// Processed and committed before the commit that fails.
pub(super) const COMMITTED: usize = 10;
/// Processed when the commit fails.
pub(super) const PROCESSED: usize = 25;
pub(super) const WINDOW: Duration = Duration::from_secs(10);
/// Long enough that no window expires: rows and changelogs can be compared whole.
pub(super) const GRACE: Duration = Duration::from_mins(1);

/// Rows of a store by changelog key.
pub(super) type State = BTreeMap<Vec<u8>, i64>;

/// What a producer keeps until it is flushed.
pub(super) type Unsent = Arc<Mutex<Vec<Sent>>>;

#[derive(Debug)]
pub(super) struct Sent {
    pub(super) topic: TopicHandle,
    partition: i32,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    timestamp: Option<i64>,
    headers: Headers,
}

/// A producer that sends when it is flushed.
#[derive(Debug)]
pub(super) struct LazyProducer {
    pub(super) inner: Box<dyn Producer>,
    pub(super) unsent: Unsent,
    /// How many records a flush sends: a crash cuts the rest off.
    pub(super) limit: Limit,
}

pub(super) type Limit = Arc<AtomicUsize>;

/// Sends the first `count` records kept.
pub(super) fn deliver(inner: &mut dyn Producer, unsent: &Unsent, count: usize) {
    for sent in unsent.lock().unwrap().drain(..).take(count) {
        let record = OutgoingRecord {
            partition: sent.partition,
            key: sent.key.as_deref(),
            value: sent.value.as_deref(),
            timestamp: sent.timestamp,
            headers: &sent.headers,
        };
        inner.send(sent.topic, record).unwrap();
    }
}

impl Producer for LazyProducer {
    fn topic(&mut self, name: &str) -> Result<TopicHandle, BrokerError> {
        self.inner.topic(name)
    }

    fn partition_count(&self, topic: TopicHandle) -> i32 {
        self.inner.partition_count(topic)
    }

    fn send(&mut self, topic: TopicHandle, record: OutgoingRecord<'_>) -> Result<(), BrokerError> {
        self.unsent.lock().unwrap().push(Sent {
            topic,
            partition: record.partition,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            timestamp: record.timestamp,
            headers: record.headers.clone(),
        });
        Ok(())
    }

    fn poll(&mut self) -> Result<(), BrokerError> {
        Ok(())
    }

    fn flush(&mut self, _timeout: Duration) -> Result<(), BrokerError> {
        deliver(&mut *self.inner, &self.unsent, self.limit.load(Ordering::SeqCst));
        Ok(())
    }

    fn last_acked(&self, topic: TopicHandle, partition: i32) -> Option<i64> {
        self.inner.last_acked(topic, partition)
    }

    fn init_transactions(&mut self, timeout: Duration) -> Result<(), BrokerError> {
        self.inner.init_transactions(timeout)
    }

    fn begin_transaction(&mut self) -> Result<(), BrokerError> {
        self.inner.begin_transaction()
    }

    fn send_offsets(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        member: &GroupMetadata,
        timeout: Duration,
    ) -> Result<(), BrokerError> {
        self.inner.send_offsets(offsets, member, timeout)
    }

    fn commit_transaction(&mut self, timeout: Duration) -> Result<(), BrokerError> {
        self.inner.commit_transaction(timeout)
    }
}

/// What outlives a crash: the broker, the group's offset, the disk.
pub(super) struct World {
    pub(super) broker: MemoryBroker,
    pub(super) topology: Topology,
    pub(super) env: StateEnv,
    pub(super) committed: Option<i64>,
    /// Exactly once: the member that offsets are committed for.
    member: Option<Arc<dyn GroupMember>>,
    pub(super) disk: tempfile::TempDir,
    pub(super) instances: usize,
}

/// What a crash takes.
pub(super) struct Instance {
    pub(super) folder: PathBuf,
    pub(super) unsent: Unsent,
    limit: Limit,
    pub(super) producer: SharedProducer,
    pub(super) consumer: Box<dyn Consumer>,
    pub(super) task: StreamTask,
}

fn topology() -> Topology {
    let builder = StreamsBuilder::new();
    let records: KStream<String, String> = builder.stream(INPUT);
    let [(counts, _), (windows, _)] = STORES;
    let grouped = records.group_by_key();
    grouped.count_with("count", Materialized::named(counts)).to_stream().to(OUTPUT);
    grouped
        .windowed_by(TimeWindows::of_size_and_grace(WINDOW, GRACE))
        .count_with("count-windows", Materialized::named(windows));
    builder.build().unwrap()
}

pub(super) fn key_of(record: usize) -> String {
    format!("key-{}", record % KEYS)
}

impl World {
    pub(super) fn new() -> Self {
        let broker = MemoryBroker::new(Arc::new(ManualClock::default()));
        for topic in [INPUT, OUTPUT].into_iter().chain(STORES.map(|(_, changelog)| changelog)) {
            broker.create_topic(topic, 1).unwrap();
        }
        for record in 0..RECORDS {
            let key = key_of(record);
            let record = OutgoingRecord {
                partition: 0,
                key: Some(key.as_bytes()),
                value: Some(b"value"),
                timestamp: Some(i64::try_from(record).unwrap() * 700),
                headers: &Headers::new(),
            };
            broker.produce(INPUT, record).unwrap();
        }
        Self {
            broker,
            topology: topology(),
            env: StateEnv::new(8 << 20),
            committed: None,
            member: None,
            disk: tempfile::tempdir().unwrap(),
            instances: 0,
        }
    }

    /// The same with exactly once.
    pub(super) fn exactly_once() -> Self {
        let mut world = Self::new();
        let settings = GroupSettings {
            group_id: APPLICATION.to_owned(),
            client_id: "test".to_owned(),
            session_timeout: Duration::from_mins(1),
            heartbeat_interval: Duration::from_secs(1),
            max_poll_interval: Duration::from_mins(1),
        };
        let member = world.broker.group_member(&settings).unwrap();
        member.subscribe(&[INPUT.to_owned()]).unwrap();
        while member.poll(Duration::ZERO).unwrap().is_none() {}
        member.acknowledge().unwrap();
        world.member = Some(member);
        world
    }

    /// Starts an instance on a folder of its own, which begins as a copy of `found`.
    pub(super) fn open(&mut self, found: Option<&Path>) -> Instance {
        self.instances += 1;
        let folder = self.disk.path().join(format!("instance-{}", self.instances));
        match found {
            Some(found) => copy(found, &folder),
            None => std::fs::create_dir(&folder).unwrap(),
        }
        let transactions = self.member.is_some().then(|| TransactionSettings {
            transactional_id: "test".to_owned(),
            timeout: Duration::from_mins(1),
        });
        let settings =
            ProducerSettings { client_id: "test".to_owned(), track_acks: true, transactions };
        let unsent = Unsent::default();
        let limit = Arc::new(AtomicUsize::new(usize::MAX));
        let mut inner = self.broker.producer(&settings).unwrap();
        if self.member.is_some() {
            inner.init_transactions(Duration::ZERO).unwrap();
            inner.begin_transaction().unwrap();
        }
        let lazy = LazyProducer { inner, unsent: Arc::clone(&unsent), limit: Arc::clone(&limit) };
        let producer: SharedProducer = Rc::new(RefCell::new(Box::new(lazy)));
        let config = StreamsConfig::new(APPLICATION).statestore_row_cache_max_bytes(1 << 20);
        let link = LinkSettings::of(&config, TaskScope::Subtopology);
        let collector = RecordCollector::new(Rc::clone(&producer), None);
        let context = TaskContext::new(TASK, 0, collector, Handlers::of(&config));
        let partitions = source_partitions(&self.topology, TASK, &link, &|_| 1);
        let names = STORES.map(|(store, _)| store);
        let mut db = TaskDb::open(&self.env, &folder, &names).unwrap();
        let task = StreamTask::new(&self.topology, context, &link, partitions, &mut |store| {
            Ok(Box::new(db.take_rows(&self.topology.store(store).name).unwrap()))
        });
        let consumer = self.broker.consumer(ConsumerRole::Main, "test").unwrap();
        Instance { folder, unsent, limit, producer, consumer, task: task.unwrap() }
    }

    /// Opens what a crash has left; checks it, restores it, and reads on where the group stands.
    pub(super) fn recover(&mut self, found: &Path) -> Instance {
        let mut instance = self.open(Some(found));
        self.note_committed();
        for (store, changelog) in STORES {
            let partition = TopicPartition::new(changelog, 0);
            let end = self.broker.admin().unwrap().end_offsets(&[partition]).unwrap()[0];
            let position = instance.position(store);
            assert!(position <= end, "{store} stands at {position}, acknowledged is {end}");
            assert_eq!(instance.state(store), self.logged(changelog, position), "{store}");
        }
        self.restore(&instance.task);
        for (store, changelog) in STORES {
            assert_eq!(instance.state(store), self.logged(changelog, i64::MAX), "{store}");
        }
        let start = self.committed.map_or(StartOffset::Earliest, StartOffset::At);
        instance.read_from(start);
        instance
    }

    fn restore(&self, task: &StreamTask) {
        restore_whole(&self.broker, task);
    }

    /// What the changelog says below an offset.
    pub(super) fn logged(&self, changelog: &str, below: i64) -> State {
        let records = self.broker.records(changelog, 0, 0).unwrap().into_iter();
        let records = records.filter(|record| record.offset < below);
        let value = |value: Option<Vec<u8>>| i64::from_be_bytes(value.unwrap().try_into().unwrap());
        records.map(|record| (record.key.unwrap(), value(record.value))).collect()
    }

    /// The last count that went downstream for each key.
    pub(super) fn outputs(&self) -> State {
        self.logged(OUTPUT, i64::MAX)
    }

    pub(super) fn commit(
        &mut self,
        instance: &mut Instance,
        between: &mut dyn FnMut(CommitStep) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let committed = &mut self.committed;
        let mut as_member = |offsets: Offsets| {
            *committed = offsets.first().map(|(_, committed)| committed.offset);
            Ok(())
        };
        let member = self.member.clone();
        let mut in_transaction = || Ok(member.as_ref().unwrap().metadata().unwrap());
        let commit = Commit {
            producer: &instance.producer,
            now_ms: 0,
            input_offsets: match &self.member {
                None => InputOffsets::AtLeastOnce(&mut as_member),
                Some(_) => InputOffsets::ExactlyOnce(&mut in_transaction),
            },
            between,
            waiting: &|| (),
        };
        commit.run(std::iter::once(&mut instance.task))?;
        if self.member.is_some() {
            instance.producer.borrow_mut().begin_transaction().unwrap();
        }
        self.note_committed();
        Ok(())
    }

    /// Exactly once: what the group has.
    fn note_committed(&mut self) {
        let Some(member) = &self.member else { return };
        let partition = TopicPartition::new(INPUT, 0);
        let offsets = member.committed(&[partition], Duration::ZERO).unwrap();
        self.committed = offsets[0].as_ref().map(|committed| committed.offset);
    }

    /// An instance with one commit done, one begun, and stopped by an error of this kind at this step.
    pub(super) fn stopped_at(&mut self, step: CommitStep, kind: ErrorKind) -> Instance {
        let mut instance = self.open(None);
        instance.read_from(StartOffset::Earliest);
        instance.process(COMMITTED);
        self.commit(&mut instance, &mut |_| Ok(())).unwrap();
        instance.flush(&[true, true]);
        instance.process(PROCESSED - COMMITTED);
        let stop = &mut |reached| {
            if reached == step { Err(Error::new(kind, "stopped by the test")) } else { Ok(()) }
        };
        self.commit(&mut instance, stop).unwrap_err();
        instance
    }

    /// Processes and commits the rest of the input.
    pub(super) fn finish(&mut self, instance: &mut Instance) {
        let next = usize::try_from(self.committed.unwrap()).unwrap();
        instance.process(RECORDS - next);
        self.commit(instance, &mut |_| Ok(())).unwrap();
        assert_eq!(self.committed, Some(i64::try_from(RECORDS).unwrap()));
    }
}

impl Instance {
    fn read_from(&mut self, start: StartOffset) {
        let partition = TopicPartition::new(INPUT, 0);
        let slots = self.consumer.assign(&[(partition, start)]).unwrap();
        while let Some(batch) = self.consumer.fetch(slots[0], RECORDS).unwrap() {
            self.task.group.push(0, batch);
        }
    }

    pub(super) fn process(&mut self, records: usize) {
        assert_eq!(self.task.process(records).unwrap(), records);
    }

    pub(super) fn state(&self, store: &str) -> State {
        let store = self.task.stores.iter().find(|found| found.name == store).unwrap();
        let rows = store.built.rows.downcast_ref::<Rc<RefCell<Rows<i64>>>>().unwrap();
        let mut state = State::new();
        let show = &mut |key: &[u8], row: &crate::state::rows::Stamped<i64>| {
            state.insert(key.to_vec(), row.value);
        };
        rows.borrow_mut().for_each_row(show).unwrap();
        state
    }

    fn position(&self, store: &str) -> i64 {
        let store = self.task.stores.iter().find(|found| found.name == store).unwrap();
        store.built.managed.borrow().position().unwrap().map_or(0, |found| found.next_offset)
    }

    /// Writes those stores to disk.
    fn flush(&self, which: &[bool]) {
        for (store, _) in self.task.stores.iter().zip(which).filter(|(_, flush)| **flush) {
            store.built.managed.borrow_mut().flush().unwrap();
        }
    }

    /// Dies. The broker gets the first `delivered` records that were under way; the answer is what is
    /// left on disk.
    pub(super) fn crash(self, world: &World, delivered: usize, on_disk: &[bool]) -> PathBuf {
        self.flush(on_disk);
        let left = self.folder.with_extension("left");
        copy(&self.folder, &left);
        if world.member.is_some() {
            // Into its own transaction.
            self.limit.store(delivered, Ordering::SeqCst);
            self.producer.borrow_mut().flush(Duration::ZERO).unwrap();
            return left;
        }
        let settings = ProducerSettings {
            client_id: "test".to_owned(),
            track_acks: false,
            transactions: None,
        };
        let mut inner = world.broker.producer(&settings).unwrap();
        // Handles are numbers in the order of look-ups.
        for (_, changelog) in [("", OUTPUT)].into_iter().chain(STORES) {
            inner.topic(changelog).unwrap();
        }
        deliver(&mut *inner, &self.unsent, delivered);
        left
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
