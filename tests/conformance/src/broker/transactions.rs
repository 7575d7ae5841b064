//! Transactions: what of the records a reader gets to see, and who may write them.

use std::time::Duration;

use kstream::TopicPartition;
use kstream::broker::{
    BrokerError, BrokerErrorKind, Consumer, ConsumerRole, GroupMetadata, Producer,
    ProducerSettings, Slot, StartOffset, TopicHandle, TransactionSettings,
};

use kstream_test_support::wait_until;

use super::{BrokerUnderTest, Case, Fetched, TURN, assign, copy, create_topic, send, values};

pub(super) const CASES: &[Case] = &[
    ("txn-commit", a_record_is_read_once_it_is_committed),
    ("txn-abort", an_aborted_record_is_never_read_and_the_producer_goes_on),
    ("txn-behind", a_reader_waits_behind_an_open_transaction_in_its_partition_only),
    ("txn-mixed", transactions_and_plain_records_mix_in_a_partition),
    ("txn-end", the_end_is_reached_behind_markers_and_aborted_records),
    ("txn-partitions", a_transaction_ends_in_all_its_partitions),
    ("txn-fenced", a_second_producer_with_the_id_fences_the_first_and_frees_what_it_left_open),
    ("txn-successor", the_id_of_a_dead_producer_frees_its_transaction),
    ("txn-timeout", a_transaction_that_is_open_for_too_long_is_aborted_and_its_producer_fenced),
    ("txn-failed", a_record_that_fails_ends_its_transaction_and_not_the_producer),
    ("txn-misuse", calls_out_of_order_are_refused),
    ("txn-empty", a_transaction_may_be_empty),
    ("txn-unknown", an_unknown_topic_does_not_end_a_transaction),
    ("txn-acks", acknowledged_offsets_are_told_inside_a_transaction),
];

/// No transaction of a case that does not want it gets as old.
const TIMEOUT: Duration = Duration::from_mins(1);

/// A transactional producer and the topic that it writes to.
pub(super) struct Writer<'a> {
    pub(super) test: &'a BrokerUnderTest<'a>,
    pub(super) producer: Box<dyn Producer>,
    topic: TopicHandle,
}

impl<'a> Writer<'a> {
    /// A producer that may begin; the id is its own.
    pub(super) fn new(test: &'a BrokerUnderTest<'_>, id: &str, topic: &str) -> Self {
        Self::with_timeout(test, id, topic, TIMEOUT)
    }

    pub(super) fn with_timeout(
        test: &'a BrokerUnderTest<'_>,
        id: &str,
        topic: &str,
        timeout: Duration,
    ) -> Self {
        let mut producer = producer(test, id, timeout);
        again(test, "its initialisation", || producer.init_transactions(test.deadline)).unwrap();
        let topic = producer.topic(topic).unwrap();
        Self { test, producer, topic }
    }

    pub(super) fn begin(&mut self) {
        self.producer.begin_transaction().unwrap();
    }

    /// Sends a value to a partition and waits until it is in the log.
    pub(super) fn send(&mut self, partition: i32, value: &str) {
        self.try_send(partition, value.as_bytes()).unwrap();
    }

    fn try_send(&mut self, partition: i32, value: &[u8]) -> Result<(), BrokerError> {
        send(&mut *self.producer, self.topic, partition, value)?;
        self.producer.flush(self.test.deadline)
    }

    /// Does something, and does it again after an abort for as long as that is asked for.
    #[track_caller]
    fn retry(&mut self, mut work: impl FnMut(&mut Self) -> Result<(), BrokerError>) {
        const ATTEMPTS: usize = 3;
        let committed = (0..ATTEMPTS).any(|_| {
            let Err(error) = work(self) else { return true };
            assert_eq!(error.kind(), BrokerErrorKind::TransactionAborted, "{error}");
            self.abort().unwrap();
            false
        });
        assert!(committed, "aborted {ATTEMPTS} times");
    }

    pub(super) fn commit(&mut self) -> Result<(), BrokerError> {
        again(self.test, "the commit", || self.producer.commit_transaction(self.test.deadline))
    }

    pub(super) fn abort(&mut self) -> Result<(), BrokerError> {
        again(self.test, "the abort", || self.producer.abort_transaction(self.test.deadline))
    }

    /// A whole transaction.
    fn write(&mut self, partition: i32, values: &[&str]) {
        self.begin();
        for value in values {
            self.send(partition, value);
        }
        self.commit().unwrap();
    }

    /// Goes on until it is told that it is fenced.
    pub(super) fn expect_fenced(&mut self) {
        let committed = self.commit().unwrap_err().kind();
        if committed == BrokerErrorKind::TransactionAborted {
            assert_eq!(self.abort().unwrap_err().kind(), BrokerErrorKind::Fenced);
        } else {
            assert_eq!(committed, BrokerErrorKind::Fenced);
        }
    }
}

fn producer(test: &BrokerUnderTest<'_>, id: &str, timeout: Duration) -> Box<dyn Producer> {
    let transactions = TransactionSettings { transactional_id: id.to_owned(), timeout };
    let settings = ProducerSettings {
        client_id: "conformance".to_owned(),
        track_acks: true,
        transactions: Some(transactions),
    };
    test.broker.producer(&settings).unwrap()
}

/// Makes a call again for as long as it asks for that.
#[track_caller]
fn again(
    test: &BrokerUnderTest<'_>,
    what: &str,
    mut call: impl FnMut() -> Result<(), BrokerError>,
) -> Result<(), BrokerError> {
    let mut result = Ok(());
    test.wait_until(what, || {
        result = call();
        !result.as_ref().is_err_and(BrokerError::is_retriable)
    });
    result
}

/// A reader of one partition from its start.
pub(super) struct Reader<'a> {
    test: &'a BrokerUnderTest<'a>,
    partition: TopicPartition,
    consumer: Box<dyn Consumer>,
    slot: Slot,
    read: Vec<Fetched>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(test: &'a BrokerUnderTest<'_>, topic: &str, partition: i32) -> Self {
        let mut consumer = test.broker.consumer(ConsumerRole::Restore, "conformance").unwrap();
        let slot = assign(&mut *consumer, topic, partition, StartOffset::Earliest);
        let partition = TopicPartition::new(topic, partition);
        Self { test, partition, consumer, slot, read: Vec::new() }
    }

    fn turn(&mut self) {
        self.consumer.poll().unwrap();
        while let Some(batch) = self.consumer.fetch(self.slot, 100).unwrap() {
            self.read.extend((0..batch.len()).map(|index| copy(&batch.record(index))));
        }
    }

    /// Reads until it has these values and no others, of all that it was given since its start, and knows
    /// that the log ends at `end`.
    #[track_caller]
    pub(super) fn expect(&mut self, expected: &[&str], end: i64) {
        self.read_until(&format!("{expected:?}, then the end {end}"), |reader| {
            values(&reader.read) == expected && reader.consumer.end_offset(reader.slot) == Some(end)
        });
    }

    /// The same, and has come to the end.
    #[track_caller]
    pub(super) fn expect_all(&mut self, expected: &[&str], end: i64) {
        self.expect(expected, end);
        self.read_until(&format!("the end {end} to be reached"), |reader| {
            reader.consumer.reached_end(reader.slot) == Some(end)
        });
        assert_eq!(values(&self.read), expected);
    }

    #[track_caller]
    fn read_until(&mut self, what: &str, is_done: impl Fn(&Self) -> bool) {
        let waited = wait_until(self.test.deadline, what, || {
            self.turn();
            let done = is_done(self);
            if !done {
                self.consumer.wait(TURN);
            }
            done
        });
        assert!(
            waited.is_ok(),
            "{waited:?}: read {:?}, end {:?} of {:?}, reached {:?}",
            self.read,
            self.consumer.end_offset(self.slot),
            self.test.admin().end_offsets(std::slice::from_ref(&self.partition)),
            self.consumer.reached_end(self.slot)
        );
    }

    fn offsets(&self) -> Vec<i64> {
        self.read.iter().map(|record| record.offset).collect()
    }
}

/// Waits until the log of a partition ends there: the broker writes markers after it has answered.
#[track_caller]
fn expect_end(test: &BrokerUnderTest<'_>, topic: &str, partition: i32, end: i64) {
    let partition = [TopicPartition::new(topic, partition)];
    let admin = test.admin();
    test.wait_until(&format!("the end {end} of {topic}"), || {
        admin.end_offsets(&partition).unwrap() == [end]
    });
}

fn a_record_is_read_once_it_is_committed(test: &BrokerUnderTest<'_>) {
    let topic = "txn-commit";
    test.create_topic(topic, 1);
    let mut writer = Writer::new(test, topic, topic);
    writer.begin();
    writer.send(0, "a");
    writer.send(0, "b");
    let mut reader = Reader::new(test, topic, 0);
    reader.expect(&[], 2);
    expect_end(test, topic, 0, 2);
    writer.commit().unwrap();
    // The marker has offset 2.
    reader.expect_all(&["a", "b"], 3);
    expect_end(test, topic, 0, 3);
    writer.write(0, &["c"]);
    reader.expect_all(&["a", "b", "c"], 5);
    assert_eq!(reader.offsets(), [0, 1, 3]);
}

fn an_aborted_record_is_never_read_and_the_producer_goes_on(test: &BrokerUnderTest<'_>) {
    let topic = "txn-abort";
    test.create_topic(topic, 1);
    let mut writer = Writer::new(test, topic, topic);
    let mut reader = Reader::new(test, topic, 0);
    writer.begin();
    writer.send(0, "a");
    writer.send(0, "b");
    writer.abort().unwrap();
    reader.expect_all(&[], 3);
    writer.begin();
    // Not in the log yet, and never will be.
    let queued = send(&mut *writer.producer, writer.topic, 0, b"queued");
    assert!(queued.is_ok());
    writer.abort().unwrap();
    writer.write(0, &["c"]);
    test.wait_until("the committed record", || {
        reader.turn();
        !reader.read.is_empty()
    });
    assert_eq!(values(&reader.read), ["c"]);
    assert_eq!(values(&test.fetch_all(topic, 0, 1)), ["c"], "and nothing for a later reader");
}

fn a_reader_waits_behind_an_open_transaction_in_its_partition_only(test: &BrokerUnderTest<'_>) {
    let topic = "txn-behind";
    test.create_topic(topic, 2);
    let mut writer = Writer::new(test, topic, topic);
    test.send_values(topic, &["before"]);
    writer.begin();
    writer.send(0, "a");
    test.send_values(topic, &["behind"]);
    let mut other = Writer::new(test, "txn-behind-other", topic);
    other.write(1, &["elsewhere"]);
    let mut reader = Reader::new(test, topic, 0);
    reader.expect(&["before"], 3);
    Reader::new(test, topic, 1).expect_all(&["elsewhere"], 2);
    assert_eq!(values(&reader.read), ["before"]);
    writer.commit().unwrap();
    reader.expect_all(&["before", "a", "behind"], 4);
}

fn transactions_and_plain_records_mix_in_a_partition(test: &BrokerUnderTest<'_>) {
    let topic = "txn-mixed";
    test.create_topic(topic, 1);
    let mut first = Writer::new(test, "txn-mixed-first", topic);
    let mut second = Writer::new(test, "txn-mixed-second", topic);
    first.begin();
    second.begin();
    first.send(0, "first 0");
    second.send(0, "second 1");
    test.send_values(topic, &["plain 2"]);
    first.send(0, "first 3");
    second.send(0, "second 4");
    let mut reader = Reader::new(test, topic, 0);
    second.commit().unwrap();
    reader.expect(&[], 6);
    test.send_values(topic, &["plain 6"]);
    first.abort().unwrap();
    reader.expect_all(&["second 1", "plain 2", "second 4", "plain 6"], 8);
    assert_eq!(reader.offsets(), [1, 2, 4, 6]);
    second.begin();
    second.send(0, "second 8");
    first.write(0, &["first 9"]);
    reader.expect(&["second 1", "plain 2", "second 4", "plain 6"], 11);
    second.commit().unwrap();
    reader.expect_all(&["second 1", "plain 2", "second 4", "plain 6", "second 8", "first 9"], 12);
}

fn the_end_is_reached_behind_markers_and_aborted_records(test: &BrokerUnderTest<'_>) {
    let topic = "txn-end";
    test.create_topic(topic, 1);
    let mut writer = Writer::new(test, topic, topic);
    writer.write(0, &["a"]);
    writer.begin();
    for value in ["b", "c", "d"] {
        writer.send(0, value);
    }
    writer.abort().unwrap();
    expect_end(test, topic, 0, 6);
    // From the record, from its marker, among the aborted ones, at their marker, and at the end.
    for (start, count) in [(0, 1), (1, 0), (3, 0), (5, 0), (6, 0)] {
        for role in [ConsumerRole::Main, ConsumerRole::Restore] {
            let mut consumer = test.broker.consumer(role, "conformance").unwrap();
            let slot = assign(&mut *consumer, topic, 0, StartOffset::At(start));
            let mut read = 0;
            test.wait_until(&format!("the end from {start}"), || {
                consumer.poll().unwrap();
                while let Some(batch) = consumer.fetch(slot, 100).unwrap() {
                    read += batch.len();
                }
                consumer.wait(TURN);
                consumer.reached_end(slot) == Some(6)
            });
            assert_eq!(read, count, "from {start}");
        }
    }
}

fn a_transaction_ends_in_all_its_partitions(test: &BrokerUnderTest<'_>) {
    let (topic, other) = ("txn-partitions", "txn-partitions-other");
    test.create_topic(topic, 2);
    test.create_topic(other, 1);
    let mut writer = Writer::new(test, topic, topic);
    let handle = writer.producer.topic(other).unwrap();
    for end in [Writer::abort, Writer::commit] {
        writer.begin();
        writer.send(0, "a");
        writer.send(1, "b");
        send(&mut *writer.producer, handle, 0, b"c").unwrap();
        writer.producer.flush(test.deadline).unwrap();
        end(&mut writer).unwrap();
    }
    Reader::new(test, topic, 0).expect_all(&["a"], 4);
    Reader::new(test, topic, 1).expect_all(&["b"], 4);
    Reader::new(test, other, 0).expect_all(&["c"], 4);
}

fn a_second_producer_with_the_id_fences_the_first_and_frees_what_it_left_open(
    test: &BrokerUnderTest<'_>,
) {
    let topic = "txn-fenced";
    test.create_topic(topic, 1);
    let mut first = Writer::new(test, topic, topic);
    first.write(0, &["committed"]);
    first.begin();
    first.send(0, "open");
    test.send_values(topic, &["behind"]);
    let mut reader = Reader::new(test, topic, 0);
    reader.expect(&["committed"], 4);
    let mut second = Writer::new(test, topic, topic);
    reader.expect_all(&["committed", "behind"], 5);
    first.expect_fenced();
    let begun = first.producer.begin_transaction().unwrap_err().kind();
    assert!(matches!(begun, BrokerErrorKind::Fenced | BrokerErrorKind::Invalid), "{begun:?}");
    second.write(0, &["next"]);
    reader.expect_all(&["committed", "behind", "next"], 7);
}

fn the_id_of_a_dead_producer_frees_its_transaction(test: &BrokerUnderTest<'_>) {
    let topic = "txn-successor";
    test.create_topic(topic, 1);
    let mut dead = Writer::new(test, topic, topic);
    dead.begin();
    dead.send(0, "open");
    drop(dead);
    test.send_values(topic, &["behind"]);
    let mut reader = Reader::new(test, topic, 0);
    reader.expect(&[], 2);
    Writer::new(test, topic, topic).write(0, &["next"]);
    reader.expect_all(&["behind", "next"], 5);
}

fn a_transaction_that_is_open_for_too_long_is_aborted_and_its_producer_fenced(
    test: &BrokerUnderTest<'_>,
) {
    const SHORT: Duration = Duration::from_secs(8);
    let topic = "txn-timeout";
    test.create_topic(topic, 1);
    let mut writer = Writer::with_timeout(test, topic, topic, SHORT);
    writer.begin();
    writer.send(0, "open");
    test.send_values(topic, &["behind"]);
    let mut reader = Reader::new(test, topic, 0);
    reader.expect(&[], 2);
    (test.pass_time)(SHORT);
    reader.expect_all(&["behind"], 3);
    writer.expect_fenced();
    Writer::new(test, topic, topic).write(0, &["next"]);
    reader.expect_all(&["behind", "next"], 5);
}

fn a_record_that_fails_ends_its_transaction_and_not_the_producer(test: &BrokerUnderTest<'_>) {
    let topic = "txn-failed";
    create_topic(&*test.admin(), topic, 1, &[("max.message.bytes", "1000")]).unwrap();
    let mut writer = Writer::new(test, topic, topic);
    for _ in 0..2 {
        // KAFKA: librdkafka leaves a gap in the numbers of its records, for which the next transaction ends
        // as well, once.
        writer.retry(|writer| {
            writer.begin();
            writer.try_send(0, b"small")
        });
        let refused = send(&mut *writer.producer, writer.topic, 0, &[b'x'; 10_000]);
        if let Err(refused) = refused {
            assert_eq!(refused.kind(), BrokerErrorKind::RecordTooLarge);
        } else {
            let failed = writer.producer.flush(test.deadline).unwrap_err();
            assert_eq!(failed.kind(), BrokerErrorKind::TransactionAborted);
            let further = send(&mut *writer.producer, writer.topic, 0, b"further").unwrap_err();
            assert_eq!(further.kind(), BrokerErrorKind::TransactionAborted);
            let committed = writer.commit().unwrap_err();
            assert_eq!(committed.kind(), BrokerErrorKind::TransactionAborted);
        }
        writer.abort().unwrap();
    }
    writer.retry(|writer| {
        writer.begin();
        writer.try_send(0, b"next")?;
        writer.commit()
    });
    assert_eq!(values(&test.fetch_all(topic, 0, 1)), ["next"]);
}

fn calls_out_of_order_are_refused(test: &BrokerUnderTest<'_>) {
    const INVALID: BrokerErrorKind = BrokerErrorKind::Invalid;
    let topic = "txn-misuse";
    test.create_topic(topic, 1);
    let member = || GroupMetadata {
        group_id: topic.to_owned(),
        generation: 1,
        member_id: "nobody".to_owned(),
    };
    let refused = |producer: &mut dyn Producer, calls: &[&str]| {
        for call in calls {
            let result = match *call {
                "init" => producer.init_transactions(test.deadline),
                "begin" => producer.begin_transaction(),
                "offsets" => producer.send_offsets(&[], &member(), test.deadline),
                "commit" => producer.commit_transaction(test.deadline),
                "abort" => producer.abort_transaction(test.deadline),
                _ => {
                    let handle = producer.topic(topic).unwrap();
                    send(producer, handle, 0, b"outside")
                }
            };
            assert_eq!(result.unwrap_err().kind(), INVALID, "{call}");
        }
    };
    let mut plain = test.producer(false);
    refused(&mut *plain, &["init", "begin", "offsets", "commit", "abort"]);
    let mut new = producer(test, topic, TIMEOUT);
    refused(&mut *new, &["begin", "offsets", "commit", "abort", "send"]);
    let mut writer = Writer::new(test, topic, topic);
    refused(&mut *writer.producer, &["init", "offsets", "commit", "abort", "send"]);
    writer.begin();
    refused(&mut *writer.producer, &["init", "begin"]);
    writer.send(0, "a");
    writer.commit().unwrap();
    refused(&mut *writer.producer, &["offsets", "commit", "abort", "send"]);
    Reader::new(test, topic, 0).expect_all(&["a"], 2);
}

fn a_transaction_may_be_empty(test: &BrokerUnderTest<'_>) {
    let topic = "txn-empty";
    test.create_topic(topic, 1);
    let mut writer = Writer::new(test, topic, topic);
    writer.begin();
    writer.commit().unwrap();
    writer.begin();
    writer.abort().unwrap();
    writer.write(0, &["a"]);
    writer.begin();
    writer.commit().unwrap();
    Reader::new(test, topic, 0).expect_all(&["a"], 2);
}

fn an_unknown_topic_does_not_end_a_transaction(test: &BrokerUnderTest<'_>) {
    let topic = "txn-unknown";
    test.create_topic(topic, 1);
    let mut writer = Writer::new(test, topic, topic);
    writer.begin();
    writer.send(0, "a");
    let unknown = writer.producer.topic("txn-unknown-none").unwrap_err();
    assert_eq!(unknown.kind(), BrokerErrorKind::UnknownTopicOrPartition);
    let unknown = send(&mut *writer.producer, writer.topic, 7, b"x").unwrap_err();
    assert_eq!(unknown.kind(), BrokerErrorKind::UnknownTopicOrPartition);
    writer.commit().unwrap();
    Reader::new(test, topic, 0).expect_all(&["a"], 2);
}

fn acknowledged_offsets_are_told_inside_a_transaction(test: &BrokerUnderTest<'_>) {
    let topic = "txn-acks";
    test.create_topic(topic, 1);
    let mut writer = Writer::new(test, topic, topic);
    writer.begin();
    writer.send(0, "a");
    writer.send(0, "b");
    assert_eq!(writer.producer.last_acked(writer.topic, 0), Some(1));
    writer.abort().unwrap();
    assert_eq!(writer.producer.last_acked(writer.topic, 0), Some(1), "what was aborted counts too");
    writer.write(0, &["c"]);
    assert_eq!(writer.producer.last_acked(writer.topic, 0), Some(3));
}
