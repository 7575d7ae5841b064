//! Whatever producers do, are done to, or fail to do: a consumer has read at each moment what a naive model
//! says that a reader of committed records sees.

use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::broker::memory::MemoryBroker;
use crate::broker::{
    Broker, BrokerError, BrokerErrorKind, CommittedOffset, Consumer, ConsumerRole, GroupEvent,
    GroupMember, GroupSettings, OutgoingRecord, Producer, ProducerSettings, Slot, StartOffset,
    TransactionSettings,
};
use crate::ids::TopicPartition;
use crate::record::Headers;
use crate::time::ManualClock;

const PARTITIONS: usize = 2;
const IDS: usize = 3;
const TIMEOUT: Duration = Duration::from_secs(10);
const DAY: Duration = Duration::from_hours(24);

#[derive(Debug, Clone)]
enum Step {
    Plain {
        partition: usize,
    },
    /// A call of one of the producers that there have been, by its number modulo their count.
    Call {
        producer: usize,
        call: Call,
    },
    /// A new producer with this id.
    Renew {
        id: usize,
    },
    Pass {
        seconds: u64,
    },
}

#[derive(Debug, Clone, Copy)]
enum Call {
    Begin,
    Send { partition: usize },
    Offsets { partition: usize, offset: i64 },
    Commit,
    Abort,
}

fn step() -> impl Strategy<Value = Step> {
    let partition = 0..PARTITIONS;
    let call = prop_oneof![
        3 => Just(Call::Begin),
        8 => partition.clone().prop_map(|partition| Call::Send { partition }),
        2 => (partition.clone(), 0..100_i64)
            .prop_map(|(partition, offset)| Call::Offsets { partition, offset }),
        2 => Just(Call::Commit),
        2 => Just(Call::Abort),
    ];
    prop_oneof![
        2 => partition.prop_map(|partition| Step::Plain { partition }),
        // Most often the last ones: the others are fenced.
        12 => (prop_oneof![0..IDS, 0..20_usize], call)
            .prop_map(|(producer, call)| Step::Call { producer, call }),
        1 => (0..IDS).prop_map(|id| Step::Renew { id }),
        1 => (1..8_u64).prop_map(|seconds| Step::Pass { seconds }),
    ]
}

/// What a partition of the model holds: a record with its transaction, or a marker.
#[derive(Debug, Clone, Copy)]
enum Entry {
    Record { value: u32, transaction: Option<usize> },
    Marker,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Open,
    Committed,
    Aborted,
}

#[derive(Debug)]
struct Transaction {
    fate: Fate,
    /// When it first touched anything.
    started: Option<Duration>,
    touched: [bool; PARTITIONS],
    /// The offset and the number of its writing.
    offsets: [Option<(i64, u32)>; PARTITIONS],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Ready,
    Open(usize),
    Fenced,
}

/// The model: everything that ever happened, in plain vectors.
#[derive(Debug, Default)]
struct Model {
    now: Duration,
    written: u32,
    logs: [Vec<Entry>; PARTITIONS],
    transactions: Vec<Transaction>,
    producers: Vec<(usize, Life)>,
    committed: [Option<(i64, u32)>; PARTITIONS],
}

impl Model {
    fn visible(&self, partition: usize) -> Vec<(i64, u32)> {
        let mut seen = Vec::new();
        for (offset, entry) in (0..).zip(&self.logs[partition]) {
            let Entry::Record { value, transaction } = *entry else { continue };
            match transaction.map_or(Fate::Committed, |index| self.transactions[index].fate) {
                Fate::Open => break,
                Fate::Committed => seen.push((offset, value)),
                Fate::Aborted => {}
            }
        }
        seen
    }

    fn has_pending(&self, partition: usize) -> bool {
        let pending = |transaction: &Transaction| {
            transaction.fate == Fate::Open && transaction.offsets[partition].is_some()
        };
        self.transactions.iter().any(pending)
    }

    fn write(&mut self, partition: usize, transaction: Option<usize>) -> u32 {
        self.written += 1;
        self.logs[partition].push(Entry::Record { value: self.written, transaction });
        self.written
    }

    fn end(&mut self, index: usize, fate: Fate) {
        let transaction = &mut self.transactions[index];
        transaction.fate = fate;
        for partition in 0..PARTITIONS {
            if transaction.touched[partition] {
                self.logs[partition].push(Entry::Marker);
            }
            let offset = transaction.offsets[partition];
            let number = |offset: Option<(i64, u32)>| offset.map(|(_, number)| number);
            if fate == Fate::Committed && number(offset) > number(self.committed[partition]) {
                self.committed[partition] = offset;
            }
        }
    }

    /// Ends the life of a producer.
    fn fence(&mut self, producer: usize) {
        if let Life::Open(index) = self.producers[producer].1 {
            self.end(index, Fate::Aborted);
        }
        self.producers[producer].1 = Life::Fenced;
    }

    fn renew(&mut self, id: usize) {
        for producer in 0..self.producers.len() {
            if self.producers[producer].0 == id {
                self.fence(producer);
            }
        }
        self.producers.push((id, Life::Ready));
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        for producer in 0..self.producers.len() {
            let Life::Open(index) = self.producers[producer].1 else { continue };
            let started = self.transactions[index].started;
            if started.is_some_and(|started| started + TIMEOUT <= self.now) {
                self.fence(producer);
            }
        }
    }

    /// Whether the call succeeds; if so, with the value of a record that it sends.
    fn call(&mut self, producer: usize, call: Call) -> Option<u32> {
        let life = self.producers[producer].1;
        match (life, call) {
            (Life::Ready, Call::Begin) => {
                self.producers[producer].1 = Life::Open(self.transactions.len());
                self.transactions.push(Transaction {
                    fate: Fate::Open,
                    started: None,
                    touched: [false; PARTITIONS],
                    offsets: [None; PARTITIONS],
                });
                Some(0)
            }
            (Life::Open(index), Call::Send { partition }) => {
                self.transactions[index].started.get_or_insert(self.now);
                self.transactions[index].touched[partition] = true;
                Some(self.write(partition, Some(index)))
            }
            (Life::Open(index), Call::Offsets { partition, offset }) => {
                self.transactions[index].started.get_or_insert(self.now);
                self.written += 1;
                self.transactions[index].offsets[partition] = Some((offset, self.written));
                Some(0)
            }
            (Life::Open(index), Call::Commit | Call::Abort) => {
                let commits = matches!(call, Call::Commit);
                self.end(index, if commits { Fate::Committed } else { Fate::Aborted });
                self.producers[producer].1 = Life::Ready;
                Some(0)
            }
            _ => None,
        }
    }
}

/// The broker, and all that has to do with it.
struct World {
    clock: Arc<ManualClock>,
    broker: MemoryBroker,
    producers: Vec<Box<dyn Producer>>,
    member: Arc<dyn GroupMember>,
    consumer: Box<dyn Consumer>,
    slots: Vec<Slot>,
    read: [Vec<(i64, u32)>; PARTITIONS],
}

fn partition(number: usize) -> TopicPartition {
    TopicPartition::new("t", i32::try_from(number).unwrap())
}

fn value_of(record: &crate::broker::RawRecord<'_>) -> (i64, u32) {
    (record.offset, u32::from_be_bytes(record.value.unwrap().try_into().unwrap()))
}

impl World {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new(5_000));
        let broker = MemoryBroker::new(Arc::clone(&clock) as Arc<_>);
        broker.create_topic("t", i32::try_from(PARTITIONS).unwrap()).unwrap();
        let mut consumer = broker.consumer(ConsumerRole::Main, "c").unwrap();
        let all: Vec<_> =
            (0..PARTITIONS).map(|number| (partition(number), StartOffset::Earliest)).collect();
        let slots = consumer.assign(&all).unwrap();
        let settings = GroupSettings {
            group_id: "g".to_owned(),
            client_id: "c".to_owned(),
            session_timeout: DAY,
            heartbeat_interval: DAY,
            max_poll_interval: DAY,
        };
        let member = broker.group_member(&settings).unwrap();
        member.subscribe(&["t".to_owned()]).unwrap();
        let event = member.poll(Duration::ZERO).unwrap();
        assert!(matches!(event, Some(GroupEvent::Assigned(_))), "{event:?}");
        member.acknowledge().unwrap();
        let (producers, read) = (Vec::new(), Default::default());
        Self { clock, broker, producers, member, consumer, slots, read }
    }

    fn renew(&mut self, id: usize) {
        let transactions =
            TransactionSettings { transactional_id: format!("id-{id}"), timeout: TIMEOUT };
        let mut producer = self
            .broker
            .producer(&ProducerSettings {
                client_id: "p".to_owned(),
                track_acks: true,
                transactions: Some(transactions),
            })
            .unwrap();
        producer.init_transactions(Duration::ZERO).unwrap();
        self.producers.push(producer);
    }

    fn call(&mut self, producer: usize, call: Call, value: u32) -> Result<(), BrokerError> {
        let producer = &mut *self.producers[producer];
        match call {
            Call::Begin => producer.begin_transaction(),
            Call::Commit => producer.commit_transaction(Duration::ZERO),
            Call::Abort => producer.abort_transaction(Duration::ZERO),
            Call::Send { partition } => {
                let topic = producer.topic("t").unwrap();
                let partition = i32::try_from(partition).unwrap();
                let (bytes, headers) = (value.to_be_bytes(), &Headers::new());
                let value = Some(bytes.as_slice());
                let record =
                    OutgoingRecord { partition, key: None, value, timestamp: None, headers };
                producer.send(topic, record)
            }
            Call::Offsets { partition: number, offset } => {
                let offset = CommittedOffset { offset, metadata: String::new() };
                let member = self.member.metadata().unwrap();
                producer.send_offsets(&[(partition(number), offset)], &member, Duration::ZERO)
            }
        }
    }

    fn plain(&self, partition: usize, value: u32) {
        let partition = i32::try_from(partition).unwrap();
        let (bytes, headers) = (value.to_be_bytes(), &Headers::new());
        let value = Some(bytes.as_slice());
        let record = OutgoingRecord { partition, key: None, value, timestamp: None, headers };
        self.broker.produce("t", record).unwrap();
    }

    fn fetch(&mut self, at_most: usize) {
        for (slot, read) in self.slots.iter().zip(&mut self.read) {
            while let Some(batch) = self.consumer.fetch(*slot, at_most).unwrap() {
                read.extend((0..batch.len()).map(|index| value_of(&batch.record(index))));
            }
        }
    }

    fn check(&self, model: &Model) {
        for number in 0..PARTITIONS {
            let name = [partition(number)];
            assert_eq!(self.read[number], model.visible(number), "partition {number}");
            let end = i64::try_from(model.logs[number].len()).unwrap();
            assert_eq!(self.broker.admin().unwrap().end_offsets(&name).unwrap(), [end]);
            assert_eq!(self.consumer.end_offset(self.slots[number]), Some(end));
            let committed = self.member.committed(&name, Duration::ZERO);
            if model.has_pending(number) {
                assert_eq!(committed.unwrap_err().kind(), BrokerErrorKind::Retriable);
            } else {
                let offset = committed.unwrap().remove(0).map(|committed| committed.offset);
                assert_eq!(offset, model.committed[number].map(|(offset, _)| offset));
            }
        }
    }
}

proptest! {
    #[test]
    fn a_consumer_reads_what_is_committed(steps in vec(step(), 1..120), at_most in 1..6_usize) {
        let (mut world, mut model) = (World::new(), Model::default());
        for id in 0..IDS {
            world.renew(id);
            model.renew(id);
        }
        for step in steps {
            match step {
                Step::Plain { partition } => {
                    let value = model.write(partition, None);
                    world.plain(partition, value);
                }
                Step::Call { producer, call } => {
                    let count = world.producers.len();
                    // From the newest backwards.
                    let producer = count - 1 - producer % count;
                    let expected = model.call(producer, call);
                    let result = world.call(producer, call, expected.unwrap_or_default());
                    prop_assert_eq!(result.is_ok(), expected.is_some(), "{:?}: {:?}", call, result);
                    let (_, life) = model.producers[producer];
                    if life == Life::Fenced {
                        // It may not know yet, and refuse what it could not do anyway.
                        let kind = result.unwrap_err().kind();
                        let told = [BrokerErrorKind::Fenced, BrokerErrorKind::Invalid];
                        prop_assert!(told.contains(&kind), "{:?}", kind);
                    }
                }
                Step::Renew { id } => {
                    world.renew(id);
                    model.renew(id);
                }
                Step::Pass { seconds } => {
                    world.clock.advance(Duration::from_secs(seconds));
                    model.pass(seconds);
                }
            }
            world.fetch(at_most);
            world.check(&model);
        }
        for number in 0..PARTITIONS {
            let records = world.broker.records("t", i32::try_from(number).unwrap(), 0).unwrap();
            let offsets: Vec<_> = records.iter().map(|record| record.offset).collect();
            let visible: Vec<_> = model.visible(number).into_iter().map(|(at, _)| at).collect();
            prop_assert_eq!(offsets, visible);
        }
    }
}
