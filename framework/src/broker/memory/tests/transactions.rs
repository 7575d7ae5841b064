//! Transactions where the memory broker promises more than the ports: cleaning, and waking who waits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::broker::memory::MemoryBroker;
use crate::broker::{
    Broker, BrokerErrorKind, CommittedOffset, Consumer, ConsumerRole, GroupEvent, GroupMember,
    GroupSettings, NewTopic, OutgoingRecord, Producer, ProducerSettings, Slot, StartOffset,
    TopicHandle, TransactionSettings,
};
use crate::ids::TopicPartition;
use crate::record::Headers;
use crate::time::ManualClock;

const TIMEOUT: Duration = Duration::from_secs(10);
/// A wait that nobody ends; a test that comes to its end has hung.
const LONG: Duration = Duration::from_mins(1);

struct Fixture {
    clock: Arc<ManualClock>,
    broker: MemoryBroker,
}

impl Fixture {
    fn new(configs: &[(&str, &str)]) -> Self {
        let clock = Arc::new(ManualClock::new(1_000_000));
        let broker = MemoryBroker::new(Arc::clone(&clock) as Arc<_>);
        let configs: BTreeMap<String, String> =
            configs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let topic = NewTopic { name: "t".into(), partitions: 1, replication_factor: 1, configs };
        broker.admin().unwrap().create_topics(&[topic]).unwrap().remove(0).unwrap();
        Self { clock, broker }
    }

    fn producer(&self, id: &str) -> Writer {
        let transactions =
            TransactionSettings { transactional_id: id.to_owned(), timeout: TIMEOUT };
        let mut producer = self
            .broker
            .producer(&ProducerSettings {
                client_id: id.to_owned(),
                track_acks: false,
                transactions: Some(transactions),
            })
            .unwrap();
        producer.init_transactions(Duration::ZERO).unwrap();
        let topic = producer.topic("t").unwrap();
        Writer { producer, topic }
    }

    fn plain(&self, key: &str, value: Option<&[u8]>) {
        self.broker.produce("t", record(key.as_bytes(), value, &Headers::new())).unwrap();
    }

    /// What a consumer sees, from the start of the log.
    fn seen(&self) -> Vec<(i64, String)> {
        let start = self.broker.admin().unwrap().beginning_offsets(&[partition()]).unwrap()[0];
        let records = self.broker.records("t", 0, start).unwrap().into_iter();
        records.map(|record| (record.offset, text(&record.key.unwrap()))).collect()
    }

    fn consumer(&self) -> (Box<dyn Consumer>, Slot) {
        let mut consumer = self.broker.consumer(ConsumerRole::Main, "c").unwrap();
        let slot = consumer.assign(&[(partition(), StartOffset::Earliest)]).unwrap()[0];
        (consumer, slot)
    }

    fn member(&self) -> Arc<dyn GroupMember> {
        let settings = GroupSettings {
            group_id: "g".to_owned(),
            client_id: "c".to_owned(),
            session_timeout: LONG,
            heartbeat_interval: LONG,
            max_poll_interval: LONG,
        };
        let member = self.broker.group_member(&settings).unwrap();
        member.subscribe(&["t".to_owned()]).unwrap();
        let event = member.poll(Duration::ZERO).unwrap();
        assert!(matches!(event, Some(GroupEvent::Assigned(_))), "{event:?}");
        member.acknowledge().unwrap();
        member
    }
}

struct Writer {
    producer: Box<dyn Producer>,
    topic: TopicHandle,
}

impl Writer {
    fn begin(&mut self) {
        self.producer.begin_transaction().unwrap();
    }

    fn send(&mut self, key: &str, value: Option<&[u8]>) {
        let sent = self.producer.send(self.topic, record(key.as_bytes(), value, &Headers::new()));
        sent.unwrap();
    }

    fn commit(&mut self) {
        self.producer.commit_transaction(Duration::ZERO).unwrap();
    }

    fn abort(&mut self) {
        self.producer.abort_transaction(Duration::ZERO).unwrap();
    }
}

fn record<'a>(key: &'a [u8], value: Option<&'a [u8]>, headers: &'a Headers) -> OutgoingRecord<'a> {
    OutgoingRecord { partition: 0, key: Some(key), value, timestamp: None, headers }
}

fn partition() -> TopicPartition {
    TopicPartition::new("t", 0)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn seen(expected: &[(i64, &str)]) -> Vec<(i64, String)> {
    expected.iter().map(|(offset, key)| (*offset, (*key).to_owned())).collect()
}

const V: Option<&[u8]> = Some(b"v");

#[test]
fn compaction_passes_over_aborted_records_and_drops_them() {
    let fixture = Fixture::new(&[("cleanup.policy", "compact")]);
    let mut writer = fixture.producer("p");
    fixture.plain("a", V);
    fixture.plain("b", V);
    writer.begin();
    writer.send("a", None);
    writer.send("b", V);
    writer.abort();
    writer.begin();
    writer.send("b", V);
    writer.send("c", V);
    writer.commit();
    assert_eq!(fixture.seen(), seen(&[(0, "a"), (1, "b"), (5, "b"), (6, "c")]));
    fixture.broker.run_retention();
    assert_eq!(fixture.seen(), seen(&[(0, "a"), (5, "b"), (6, "c")]));
    let end = fixture.broker.admin().unwrap().end_offsets(&[partition()]).unwrap();
    assert_eq!(end, [8]);
}

#[test]
fn compaction_stops_before_an_open_transaction() {
    for commits in [false, true] {
        let fixture = Fixture::new(&[("cleanup.policy", "compact")]);
        let mut writer = fixture.producer("p");
        fixture.plain("a", V);
        // A segment of its own.
        fixture.broker.run_retention();
        writer.begin();
        writer.send("a", V);
        fixture.plain("b", V);
        fixture.plain("b", V);
        fixture.broker.run_retention();
        assert_eq!(fixture.seen(), seen(&[(0, "a")]), "what is undecided replaces nothing");
        if commits {
            writer.commit();
            assert_eq!(fixture.seen(), seen(&[(0, "a"), (1, "a"), (2, "b"), (3, "b")]));
        } else {
            writer.abort();
            assert_eq!(fixture.seen(), seen(&[(0, "a"), (2, "b"), (3, "b")]));
        }
        fixture.broker.run_retention();
        let a = i64::from(commits);
        assert_eq!(fixture.seen(), seen(&[(a, "a"), (3, "b")]));
    }
}

#[test]
fn retention_stops_before_an_open_transaction() {
    let configs = [("retention.ms", "1000"), ("retention.bytes", "1")];
    let fixture = Fixture::new(&configs);
    let mut writer = fixture.producer("p");
    fixture.plain("old", V);
    fixture.broker.run_retention();
    writer.begin();
    writer.send("open", V);
    fixture.plain("behind", V);
    fixture.clock.advance(Duration::from_secs(5));
    fixture.broker.run_retention();
    writer.commit();
    let seen_after: Vec<_> = fixture.seen().into_iter().map(|(_, key)| key).collect();
    assert!(seen_after.ends_with(&["open".to_owned(), "behind".to_owned()]), "{seen_after:?}");
    fixture.broker.run_retention();
    assert_eq!(fixture.seen(), []);
    let admin = fixture.broker.admin().unwrap();
    let start = admin.beginning_offsets(&[partition()]).unwrap();
    assert_eq!(start, admin.end_offsets(&[partition()]).unwrap());
    fixture.plain("next", V);
    assert_eq!(fixture.seen(), seen(&[(4, "next")]));
}

#[test]
fn retention_by_size_stops_before_an_open_transaction() {
    /// Three of them fill a segment.
    static LARGE: [u8; 400 << 10] = [b'x'; 400 << 10];
    let fixture = Fixture::new(&[("retention.bytes", "1")]);
    let mut writer = fixture.producer("p");
    for _ in 0..3 {
        fixture.plain("before", Some(&LARGE));
    }
    writer.begin();
    for _ in 0..4 {
        writer.send("open", Some(&LARGE));
    }
    fixture.broker.run_retention();
    writer.commit();
    let keys: Vec<_> = fixture.seen().into_iter().map(|(_, key)| key).collect();
    assert_eq!(keys, ["open"; 4], "and what was before has gone");
    fixture.broker.run_retention();
    assert_eq!(fixture.seen(), seen(&[(6, "open")]));
}

#[test]
fn records_of_an_open_transaction_may_be_deleted() {
    let fixture = Fixture::new(&[]);
    let (mut consumer, slot) = fixture.consumer();
    let mut writer = fixture.producer("p");
    writer.begin();
    for key in ["a", "b", "c"] {
        writer.send(key, V);
    }
    assert!(consumer.fetch(slot, 10).unwrap().is_none());
    fixture.broker.delete_records(&partition(), 2).unwrap();
    let out_of_range = consumer.fetch(slot, 10).unwrap_err();
    assert_eq!(out_of_range.kind(), BrokerErrorKind::OffsetOutOfRange);
    assert_eq!(fixture.seen(), []);
    writer.send("d", V);
    writer.commit();
    assert_eq!(fixture.seen(), seen(&[(2, "c"), (3, "d")]));
}

#[test]
fn a_segment_that_is_shared_ends_where_the_undecided_begins() {
    static LARGE: [u8; 40 << 10] = [b'x'; 40 << 10];
    let fixture = Fixture::new(&[]);
    let (mut consumer, slot) = fixture.consumer();
    let mut writer = fixture.producer("p");
    // Above the size up to which a fetch copies.
    fixture.plain("a", Some(&LARGE));
    writer.begin();
    writer.send("b", V);
    fixture.plain("c", V);
    let batch = consumer.fetch(slot, 10).unwrap().unwrap();
    assert_eq!((batch.len(), batch.record(0).offset), (1, 0));
    assert!(consumer.fetch(slot, 10).unwrap().is_none());
    writer.abort();
    let batch = consumer.fetch(slot, 10).unwrap().unwrap();
    assert_eq!((batch.len(), batch.record(0).offset), (1, 2));
}

#[test]
fn a_topic_may_be_deleted_under_a_transaction() {
    let fixture = Fixture::new(&[]);
    let mut writer = fixture.producer("p");
    writer.begin();
    writer.send("a", V);
    fixture.broker.admin().unwrap().delete_topics(&["t"]).unwrap().remove(0).unwrap();
    writer.commit();
    fixture.broker.create_topic("t", 1).unwrap();
    writer.begin();
    writer.topic = writer.producer.topic("t").unwrap();
    writer.send("b", V);
    writer.commit();
    assert_eq!(fixture.seen(), seen(&[(0, "b")]));
}

#[test]
fn a_consumer_that_waits_is_woken_by_the_commit() {
    let fixture = Fixture::new(&[]);
    let (mut consumer, slot) = fixture.consumer();
    let mut writer = fixture.producer("p");
    writer.begin();
    writer.send("a", V);
    assert!(consumer.fetch(slot, 10).unwrap().is_none());
    thread::scope(|scope| {
        let reading = scope.spawn(|| {
            loop {
                consumer.wait(LONG);
                if let Some(batch) = consumer.fetch(slot, 10).unwrap() {
                    return batch.len();
                }
            }
        });
        writer.commit();
        assert_eq!(reading.join().unwrap(), 1);
    });
}

#[test]
fn whoever_waits_for_a_dead_producer_ends_its_transaction_when_time_is_up() {
    let fixture = Fixture::new(&[]);
    let member = fixture.member();
    let mut dead = fixture.producer("p");
    dead.begin();
    dead.send("a", V);
    let offsets = [(partition(), CommittedOffset { offset: 1, metadata: String::new() })];
    let identity = member.metadata().unwrap();
    dead.producer.send_offsets(&offsets, &identity, Duration::ZERO).unwrap();
    drop(dead);
    fixture.plain("b", V);
    let (mut consumer, slot) = fixture.consumer();
    thread::scope(|scope| {
        let offsets = scope.spawn(|| member.committed(&[partition()], LONG).unwrap());
        let reading = scope.spawn(|| {
            loop {
                if let Some(batch) = consumer.fetch(slot, 10).unwrap() {
                    return text(batch.record(0).key.unwrap());
                }
                consumer.wait(LONG);
            }
        });
        fixture.clock.advance(TIMEOUT);
        assert_eq!(offsets.join().unwrap(), [None]);
        assert_eq!(reading.join().unwrap(), "b");
    });
}

#[test]
fn an_open_transaction_ends_in_time_to_the_millisecond() {
    let fixture = Fixture::new(&[]);
    let mut writer = fixture.producer("p");
    writer.begin();
    // Its time begins with what it sends first.
    fixture.clock.advance(TIMEOUT * 2);
    writer.send("a", V);
    fixture.clock.advance(TIMEOUT.saturating_sub(Duration::from_millis(1)));
    writer.send("b", V);
    assert_eq!(fixture.seen(), []);
    fixture.clock.advance(Duration::from_millis(1));
    let late = writer.producer.commit_transaction(Duration::ZERO).unwrap_err();
    assert_eq!(late.kind(), BrokerErrorKind::Fenced);
    fixture.plain("c", V);
    assert_eq!(fixture.seen(), seen(&[(3, "c")]));
    for result in [
        writer.producer.poll(),
        writer.producer.flush(Duration::ZERO),
        writer.producer.begin_transaction(),
        writer.producer.abort_transaction(Duration::ZERO),
    ] {
        assert_eq!(result.unwrap_err().kind(), BrokerErrorKind::Fenced);
    }
}
