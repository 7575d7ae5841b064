//! Consumers, producers and members where the memory broker promises more than the ports.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::broker::memory::MemoryBroker;
use crate::broker::{
    Broker, BrokerErrorKind, CommittedOffset, Consumer, ConsumerRole, GroupEvent, GroupMember,
    GroupSettings, NewTopic, OutgoingRecord, ProducerSettings, Slot, StartOffset,
};
use crate::ids::TopicPartition;
use crate::record::Headers;
use crate::time::ManualClock;

const SESSION: Duration = Duration::from_secs(10);
/// A wait that nobody ends; a test that comes to its end has hung.
const LONG: Duration = Duration::from_mins(1);

fn broker() -> (Arc<ManualClock>, MemoryBroker) {
    let clock = Arc::new(ManualClock::new(5_000));
    let broker = MemoryBroker::new(Arc::clone(&clock) as Arc<_>);
    broker.create_topic("t", 2).unwrap();
    (clock, broker)
}

fn produce(broker: &MemoryBroker, partition: i32, value: &[u8]) {
    let headers = &Headers::new();
    let value = Some(value);
    let record = OutgoingRecord { partition, key: None, value, timestamp: None, headers };
    broker.produce("t", record).unwrap();
}

fn consumer(broker: &MemoryBroker, start: StartOffset) -> Box<dyn Consumer> {
    let mut consumer = broker.consumer(ConsumerRole::Main, "c").unwrap();
    let partitions = [(TopicPartition::new("t", 0), start), (TopicPartition::new("t", 1), start)];
    consumer.assign(&partitions).unwrap();
    consumer
}

fn member(broker: &MemoryBroker) -> Arc<dyn GroupMember> {
    let settings = GroupSettings {
        group_id: "g".to_owned(),
        client_id: "c".to_owned(),
        session_timeout: SESSION,
        heartbeat_interval: SESSION / 3,
        max_poll_interval: SESSION * 10,
    };
    let member = broker.group_member(&settings).unwrap();
    member.subscribe(&["t".to_owned()]).unwrap();
    member
}

fn partition(number: i32) -> TopicPartition {
    TopicPartition::new("t", number)
}

fn join(member: &Arc<dyn GroupMember>) -> Vec<TopicPartition> {
    let Some(GroupEvent::Assigned(assigned)) = member.poll(LONG).unwrap() else {
        panic!("no assignment");
    };
    member.acknowledge().unwrap();
    assigned
}

#[test]
fn a_producer_wakes_the_consumer_though_the_clock_stands() {
    let (_clock, broker) = broker();
    let mut consumer = consumer(&broker, StartOffset::Latest);
    for round in 0..200 {
        let other = broker.clone();
        let producer = thread::spawn(move || produce(&other, round % 2, b"v"));
        let slots = [Slot(0), Slot(1)];
        let mut fetched = 0;
        while fetched == 0 {
            consumer.wait(LONG);
            for slot in slots {
                fetched += consumer.fetch(slot, 10).unwrap().map_or(0, |batch| batch.len());
            }
        }
        assert_eq!(fetched, 1, "round {round}");
        producer.join().unwrap();
    }
}

#[test]
fn a_consumer_is_told_that_its_topic_was_deleted() {
    let (_clock, broker) = broker();
    let mut consumer = consumer(&broker, StartOffset::Earliest);
    broker.admin().unwrap().delete_topics(&["t"]).unwrap().remove(0).unwrap();
    consumer.wait(LONG);
    let gone = consumer.fetch(Slot(0), 1).unwrap_err();
    assert_eq!(gone.kind(), BrokerErrorKind::UnknownTopicOrPartition);
}

#[test]
fn a_producer_finds_a_topic_that_was_created_again() {
    let (_clock, broker) = broker();
    let settings =
        ProducerSettings { client_id: "p".to_owned(), track_acks: true, transactions: None };
    let mut producer = broker.producer(&settings).unwrap();
    let topic = producer.topic("t").unwrap();
    assert_eq!(producer.topic("t").unwrap(), topic);
    broker.admin().unwrap().delete_topics(&["t"]).unwrap().remove(0).unwrap();
    let headers = &Headers::new();
    let record = OutgoingRecord { partition: 0, key: None, value: None, timestamp: None, headers };
    let gone = producer.send(topic, record).unwrap_err();
    assert_eq!(gone.kind(), BrokerErrorKind::UnknownTopicOrPartition);
    broker.create_topic("t", 1).unwrap();
    let topic = producer.topic("t").unwrap();
    producer.send(topic, record).unwrap();
    assert_eq!(producer.last_acked(topic, 0), Some(0));
}

#[test]
fn a_consumer_overtaken_by_retention_does_not_jump() {
    let (_clock, broker) = broker();
    produce(&broker, 0, b"a");
    produce(&broker, 0, b"b");
    let mut consumer = consumer(&broker, StartOffset::Earliest);
    broker.delete_records(&partition(0), 1).unwrap();
    let overtaken = consumer.fetch(Slot(0), 1).unwrap_err();
    assert_eq!(overtaken.kind(), BrokerErrorKind::OffsetOutOfRange);
}

#[test]
fn assigning_a_partition_twice_is_refused_and_changes_nothing() {
    let (_clock, broker) = broker();
    let mut consumer = broker.consumer(ConsumerRole::Main, "c").unwrap();
    let twice = [(partition(0), StartOffset::Earliest), (partition(0), StartOffset::Latest)];
    assert_eq!(consumer.assign(&twice).unwrap_err().kind(), BrokerErrorKind::Invalid);
    consumer.assign(&twice[..1]).unwrap();
    assert_eq!(consumer.assign(&twice[..1]).unwrap_err().kind(), BrokerErrorKind::Invalid);
}

#[test]
fn log_append_time_is_the_brokers() {
    let (clock, broker) = broker();
    let configs = [("message.timestamp.type".to_owned(), "LogAppendTime".to_owned())].into();
    let topic = NewTopic { name: "l".into(), partitions: 1, replication_factor: 1, configs };
    broker.admin().unwrap().create_topics(&[topic]).unwrap().remove(0).unwrap();
    clock.advance(Duration::from_millis(34));
    let headers = &Headers::new();
    let timestamp = Some(77);
    let record = OutgoingRecord { partition: 0, key: None, value: None, timestamp, headers };
    broker.produce("l", record).unwrap();
    assert_eq!(broker.records("l", 0, 0).unwrap()[0].timestamp, 5_034);
}

#[test]
fn a_member_that_has_lost_everything_rejoins_after_its_answer() {
    let (clock, broker) = broker();
    let member = member(&broker);
    assert_eq!(join(&member), [partition(0), partition(1)]);
    let first_id = member.metadata().unwrap().member_id;
    clock.advance(SESSION);
    let offset = CommittedOffset { offset: 1, metadata: String::new() };
    let fenced = member.commit(&[(partition(0), offset)]).unwrap_err();
    assert_eq!(fenced.kind(), BrokerErrorKind::NotAMember);
    let lost = GroupEvent::Lost(vec![partition(0), partition(1)]);
    assert_eq!(member.poll(Duration::ZERO).unwrap(), Some(lost));
    assert_eq!(member.poll(Duration::ZERO).unwrap(), None, "it waits for the answer");
    member.acknowledge().unwrap();
    assert_eq!(join(&member), [partition(0), partition(1)]);
    assert_ne!(member.metadata().unwrap().member_id, first_id);
}

#[test]
fn a_waiting_member_sees_a_manual_clock_move() {
    let (clock, broker) = broker();
    let killed = member(&broker);
    join(&killed);
    drop(killed);
    let survivor = member(&broker);
    let waiting = thread::spawn(move || join(&survivor));
    clock.advance(SESSION);
    assert_eq!(waiting.join().unwrap(), [partition(0), partition(1)]);
}

#[test]
fn a_topic_created_later_is_dealt_out() {
    let (_clock, broker) = broker();
    let early = broker.clone();
    early.admin().unwrap().delete_topics(&["t"]).unwrap().remove(0).unwrap();
    let member = member(&broker);
    assert_eq!(join(&member), []);
    broker.create_topic("t", 1).unwrap();
    assert_eq!(join(&member), [partition(0)]);
}

#[test]
fn offsets_of_a_deleted_topic_are_forgotten() {
    let (_clock, broker) = broker();
    let member = member(&broker);
    join(&member);
    let offset = CommittedOffset { offset: 1, metadata: String::new() };
    member.commit(&[(partition(0), offset)]).unwrap();
    let admin = broker.admin().unwrap();
    admin.delete_topics(&["t"]).unwrap().remove(0).unwrap();
    assert_eq!(admin.group_offsets("g", &[partition(0)]).unwrap(), [None]);
}

#[test]
fn misuse_of_a_member_is_refused() {
    let (_clock, broker) = broker();
    let member = member(&broker);
    assert_eq!(member.acknowledge().unwrap_err().kind(), BrokerErrorKind::Invalid);
    join(&member);
    let late = member.subscribe(&["u".to_owned()]).unwrap_err();
    assert_eq!(late.kind(), BrokerErrorKind::Invalid);
}
