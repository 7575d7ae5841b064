//! Producing and fetching.

use kstream::broker::{BrokerErrorKind, ConsumerRole, OutgoingRecord, StartOffset};
use kstream::{Headers, TopicPartition};

use super::{BrokerUnderTest, Case, TURN, assign, create_topic, send, values};

pub(super) const CASES: &[Case] = &[
    ("log-order", records_come_back_in_order_from_offset_0),
    ("log-null", null_is_not_empty),
    ("log-headers", headers_keep_their_order_their_nulls_and_repeated_names),
    ("log-header-shapes", headers_are_found_whatever_key_and_value_are),
    ("log-timestamps", timestamps_are_the_producers_or_else_the_brokers),
    ("log-start", earliest_latest_and_an_offset_are_where_reading_starts),
    ("log-range", an_offset_beyond_the_end_is_an_error),
    ("log-reassign", a_partition_may_be_assigned_again_elsewhere),
    ("log-seek", a_slot_may_be_read_from_elsewhere_on),
    ("log-slots", two_slots_are_read_in_turns),
    ("log-end-offset", a_consumer_knows_the_end_after_a_fetch),
    ("log-reached-end", a_restoring_consumer_knows_that_it_has_reached_the_end),
    ("log-many", fifty_thousand_records_pass_in_order),
    ("log-acks", acknowledged_offsets_are_told_when_asked_for),
    ("log-large", a_record_that_is_too_large_is_refused),
    ("log-undelivered", a_record_that_is_refused_late_can_be_reported),
    ("log-unknown", an_unknown_topic_or_partition_is_an_error),
];

fn records_come_back_in_order_from_offset_0(test: &BrokerUnderTest<'_>) {
    test.create_topic("log-order", 1);
    test.send_values("log-order", &["a", "b", "c"]);
    test.send_values("log-order", &["d"]);
    let fetched = test.fetch_all("log-order", 0, 4);
    assert_eq!(values(&fetched), ["a", "b", "c", "d"]);
    assert_eq!(fetched.iter().map(|record| record.offset).collect::<Vec<_>>(), [0, 1, 2, 3]);
}

fn a_restoring_consumer_knows_that_it_has_reached_the_end(test: &BrokerUnderTest<'_>) {
    let topic = "log-reached-end";
    test.create_topic(topic, 2);
    test.send_values(topic, &["a", "b", "c"]);
    let mut consumer = test.broker.consumer(ConsumerRole::Restore, "conformance").unwrap();
    let full = assign(&mut *consumer, topic, 0, StartOffset::At(1));
    let empty = assign(&mut *consumer, topic, 1, StartOffset::Earliest);
    assert_eq!(values(&test.fetch(&mut *consumer, full, 1)), ["b"]);
    assert_eq!(consumer.reached_end(full), None, "there is more");
    assert_eq!(values(&test.fetch(&mut *consumer, full, 1)), ["c"]);
    for (slot, end) in [(full, 3), (empty, 0)] {
        test.wait_until("the end", || {
            consumer.poll().unwrap();
            assert!(consumer.fetch(slot, 10).unwrap().is_none());
            consumer.wait(TURN);
            consumer.reached_end(slot) == Some(end)
        });
    }
    test.send_values(topic, &["d"]);
    let fetched = test.fetch(&mut *consumer, full, 1);
    assert_eq!(values(&fetched), ["d"], "an end is not the end of reading");
}

fn null_is_not_empty(test: &BrokerUnderTest<'_>) {
    test.create_topic("log-null", 1);
    let contents: [Option<&[u8]>; 3] = [None, Some(b""), Some(b"x")];
    let mut producer = test.producer(false);
    let topic = producer.topic("log-null").unwrap();
    let headers = &Headers::new();
    for key in contents {
        for value in contents {
            let timestamp = Some(0);
            let record = OutgoingRecord { partition: 0, key, value, timestamp, headers };
            producer.send(topic, record).unwrap();
        }
    }
    producer.flush(test.deadline).unwrap();
    let fetched = test.fetch_all("log-null", 0, 9);
    let got: Vec<_> = fetched.iter().map(|r| (r.key.as_deref(), r.value.as_deref())).collect();
    let sent: Vec<_> =
        contents.iter().flat_map(|key| contents.map(|value| (*key, value))).collect();
    assert_eq!(got, sent);
}

fn headers_keep_their_order_their_nulls_and_repeated_names(test: &BrokerUnderTest<'_>) {
    test.create_topic("log-headers", 1);
    let mut many = Headers::new();
    many.add("b", Some(b"1"));
    many.add("a", None);
    many.add("b", Some(b""));
    let sent = [many, Headers::new()];
    let mut producer = test.producer(false);
    let topic = producer.topic("log-headers").unwrap();
    for headers in &sent {
        let (value, timestamp) = (Some(b"v".as_slice()), Some(0));
        let record = OutgoingRecord { partition: 0, key: None, value, timestamp, headers };
        producer.send(topic, record).unwrap();
    }
    producer.flush(test.deadline).unwrap();
    let fetched = test.fetch_all("log-headers", 0, 2);
    assert_eq!(fetched.into_iter().map(|record| record.headers).collect::<Vec<_>>(), sent);
}

fn headers_are_found_whatever_key_and_value_are(test: &BrokerUnderTest<'_>) {
    test.create_topic("log-header-shapes", 1);
    let long = [b'x'; 300];
    let contents: [Option<&[u8]>; 4] = [None, Some(b""), Some(b"x"), Some(&long)];
    let mut some = Headers::new();
    some.add("name", Some(b"value"));
    let headers = [Headers::new(), some];
    let mut producer = test.producer(false);
    let topic = producer.topic("log-header-shapes").unwrap();
    let mut sent = Vec::new();
    for (key, value) in contents.iter().flat_map(|key| contents.map(|value| (*key, value))) {
        for headers in &headers {
            let timestamp = Some(1);
            let record = OutgoingRecord { partition: 0, key, value, timestamp, headers };
            producer.send(topic, record).unwrap();
            sent.push((key.map(<[u8]>::to_vec), value.map(<[u8]>::to_vec), headers.clone()));
        }
    }
    producer.flush(test.deadline).unwrap();
    let fetched = test.fetch_all("log-header-shapes", 0, sent.len());
    let got: Vec<_> = fetched.into_iter().map(|r| (r.key, r.value, r.headers)).collect();
    assert_eq!(got, sent);
}

fn timestamps_are_the_producers_or_else_the_brokers(test: &BrokerUnderTest<'_>) {
    const MINUTE_MS: i64 = 60_000;
    test.create_topic("log-timestamps", 1);
    let before = (test.now_ms)();
    let mut producer = test.producer(false);
    let topic = producer.topic("log-timestamps").unwrap();
    // From 1: librdkafka cannot send the start of the epoch.
    for timestamp in [Some(1), Some(1_234_567_890_123), None] {
        let (value, headers) = (Some(b"v".as_slice()), &Headers::new());
        let record = OutgoingRecord { partition: 0, key: None, value, timestamp, headers };
        producer.send(topic, record).unwrap();
    }
    producer.flush(test.deadline).unwrap();
    let fetched = test.fetch_all("log-timestamps", 0, 3);
    assert_eq!((fetched[0].timestamp, fetched[1].timestamp), (1, 1_234_567_890_123));
    let now = before..before + MINUTE_MS;
    assert!(now.contains(&fetched[2].timestamp), "{} in {now:?}", fetched[2].timestamp);
}

fn earliest_latest_and_an_offset_are_where_reading_starts(test: &BrokerUnderTest<'_>) {
    test.create_topic("log-start", 1);
    test.send_values("log-start", &["a", "b", "c"]);
    for (start, first) in [(StartOffset::Earliest, 0), (StartOffset::At(1), 1)] {
        let mut consumer = test.consumer();
        let slot = assign(&mut *consumer, "log-start", 0, start);
        let fetched = test.fetch(&mut *consumer, slot, 3 - first);
        assert_eq!(values(&fetched), ["a", "b", "c"][first..], "{start:?}");
    }
    let mut consumer = test.consumer();
    let latest = assign(&mut *consumer, "log-start", 0, StartOffset::Latest);
    let mut at_end = test.consumer();
    let end = assign(&mut *at_end, "log-start", 0, StartOffset::At(3));
    // `Latest` is where the log ends when the broker is asked, which may be after the assignment.
    test.wait_until("the end to be known", || {
        assert!(consumer.fetch(latest, 1).unwrap().is_none());
        consumer.wait(TURN);
        consumer.end_offset(latest) == Some(3)
    });
    test.send_values("log-start", &["d"]);
    assert_eq!(values(&test.fetch(&mut *consumer, latest, 1)), ["d"]);
    assert_eq!(values(&test.fetch(&mut *at_end, end, 1)), ["d"]);
}

fn an_offset_beyond_the_end_is_an_error(test: &BrokerUnderTest<'_>) {
    test.create_topic("log-range", 1);
    test.send_values("log-range", &["a"]);
    let mut consumer = test.consumer();
    let slot = assign(&mut *consumer, "log-range", 0, StartOffset::At(2));
    assert_eq!(test.fetch_error(&mut *consumer, slot), BrokerErrorKind::OffsetOutOfRange);
}

fn a_partition_may_be_assigned_again_elsewhere(test: &BrokerUnderTest<'_>) {
    test.create_topic("log-reassign", 2);
    test.send_values("log-reassign", &["a", "b", "c"]);
    let mut consumer = test.consumer();
    let kept = assign(&mut *consumer, "log-reassign", 1, StartOffset::Earliest);
    let slot = assign(&mut *consumer, "log-reassign", 0, StartOffset::Earliest);
    assert_eq!(values(&test.fetch(&mut *consumer, slot, 1)), ["a"]);
    consumer.unassign(&[slot]).unwrap();
    let again = assign(&mut *consumer, "log-reassign", 0, StartOffset::At(2));
    assert_eq!(values(&test.fetch(&mut *consumer, again, 1)), ["c"]);
    consumer.unassign(&[again]).unwrap();
    let back = assign(&mut *consumer, "log-reassign", 0, StartOffset::Earliest);
    assert_eq!(values(&test.fetch(&mut *consumer, back, 3)), ["a", "b", "c"]);
    assert!(consumer.fetch(kept, 1).unwrap().is_none(), "the other partition is empty");
}

fn a_slot_may_be_read_from_elsewhere_on(test: &BrokerUnderTest<'_>) {
    test.create_topic("log-seek", 2);
    test.send_values("log-seek", &["a", "b", "c"]);
    let mut consumer = test.consumer();
    let other = assign(&mut *consumer, "log-seek", 1, StartOffset::Earliest);
    let slot = assign(&mut *consumer, "log-seek", 0, StartOffset::At(100));
    assert_eq!(test.fetch_error(&mut *consumer, slot), BrokerErrorKind::OffsetOutOfRange);
    for (start, found) in [
        (StartOffset::Earliest, &["a", "b", "c"][..]),
        (StartOffset::At(2), &["c"]),
        (StartOffset::At(1), &["b", "c"]),
    ] {
        consumer.seek(slot, start).unwrap();
        assert_eq!(values(&test.fetch(&mut *consumer, slot, found.len())), found);
    }
    assert!(consumer.fetch(other, 1).unwrap().is_none(), "the other partition is empty");
    consumer.unassign(&[slot]).unwrap();
    let error = consumer.seek(slot, StartOffset::Earliest).unwrap_err();
    assert_eq!(error.kind(), BrokerErrorKind::Invalid);
}

fn two_slots_are_read_in_turns(test: &BrokerUnderTest<'_>) {
    test.create_topic("log-slots", 2);
    let mut producer = test.producer(false);
    let topic = producer.topic("log-slots").unwrap();
    assert_eq!(producer.partition_count(topic), 2);
    for (partition, value) in [(0, "a0"), (1, "b0"), (0, "a1"), (1, "b1")] {
        send(&mut *producer, topic, partition, value.as_bytes()).unwrap();
    }
    producer.flush(test.deadline).unwrap();
    let mut consumer = test.consumer();
    let partitions = [0, 1]
        .map(|partition| (TopicPartition::new("log-slots", partition), StartOffset::Earliest));
    let slots = consumer.assign(&partitions).unwrap();
    assert_ne!(slots[0], slots[1]);
    for round in 0..2 {
        for (slot, name) in slots.iter().zip(["a", "b"]) {
            let fetched = test.fetch(&mut *consumer, *slot, 1);
            assert_eq!(values(&fetched), [format!("{name}{round}")]);
            assert_eq!(fetched[0].offset, round);
        }
    }
}

fn a_consumer_knows_the_end_after_a_fetch(test: &BrokerUnderTest<'_>) {
    test.create_topic("log-end-offset", 1);
    test.send_values("log-end-offset", &["a", "b", "c"]);
    let mut consumer = test.consumer();
    let slot = assign(&mut *consumer, "log-end-offset", 0, StartOffset::Earliest);
    assert_eq!(consumer.end_offset(slot), None);
    test.fetch(&mut *consumer, slot, 1);
    assert_eq!(consumer.end_offset(slot), Some(3));
}

fn fifty_thousand_records_pass_in_order(test: &BrokerUnderTest<'_>) {
    const COUNT: usize = 50_000;
    test.create_topic("log-many", 1);
    let mut producer = test.producer(true);
    let topic = producer.topic("log-many").unwrap();
    let padding = "x".repeat(200);
    for number in 0..COUNT {
        send(&mut *producer, topic, 0, format!("{number} {padding}").as_bytes()).unwrap();
    }
    producer.flush(test.deadline).unwrap();
    let last = i64::try_from(COUNT).unwrap() - 1;
    assert_eq!(producer.last_acked(topic, 0), Some(last));
    for (number, record) in test.fetch_all("log-many", 0, COUNT).iter().enumerate() {
        let text = str::from_utf8(record.value.as_deref().unwrap()).unwrap();
        assert_eq!(text.split(' ').next().unwrap(), number.to_string());
        assert_eq!(record.offset, i64::try_from(number).unwrap());
    }
}

fn acknowledged_offsets_are_told_when_asked_for(test: &BrokerUnderTest<'_>) {
    test.create_topic("log-acks", 3);
    let mut tracking = test.producer(true);
    let topic = tracking.topic("log-acks").unwrap();
    assert_eq!(tracking.last_acked(topic, 1), None);
    for _ in 0..5 {
        send(&mut *tracking, topic, 1, b"v").unwrap();
    }
    send(&mut *tracking, topic, 2, b"v").unwrap();
    tracking.flush(test.deadline).unwrap();
    let acked = [0, 1, 2].map(|partition| tracking.last_acked(topic, partition));
    assert_eq!(acked, [None, Some(4), Some(0)]);
    let mut other = test.producer(false);
    let topic = other.topic("log-acks").unwrap();
    send(&mut *other, topic, 1, b"v").unwrap();
    other.flush(test.deadline).unwrap();
    assert_eq!(other.last_acked(topic, 1), None);
}

fn a_record_that_is_too_large_is_refused(test: &BrokerUnderTest<'_>) {
    test.create_topic("log-large", 1);
    let mut producer = test.producer(false);
    let topic = producer.topic("log-large").unwrap();
    let sent = send(&mut *producer, topic, 0, &vec![b'x'; 2 << 20]);
    let refused = sent.and_then(|()| producer.flush(test.deadline)).unwrap_err();
    assert_eq!(refused.kind(), BrokerErrorKind::RecordTooLarge);
}

fn a_record_that_is_refused_late_can_be_reported(test: &BrokerUnderTest<'_>) {
    let topic = "log-undelivered";
    create_topic(&*test.admin(), topic, 1, &[("max.message.bytes", "1000")]).unwrap();
    let mut producer = test.producer(false);
    producer.report_undelivered();
    let handle = producer.topic(topic).unwrap();
    let large = vec![b'x'; 10_000];
    if let Err(refused) = send(&mut *producer, handle, 0, &large) {
        assert_eq!(refused.kind(), BrokerErrorKind::RecordTooLarge);
    } else {
        producer.flush(test.deadline).unwrap();
        let undelivered = producer.take_undelivered();
        assert_eq!(undelivered.len(), 1, "{undelivered:?}");
        let record = &undelivered[0];
        assert_eq!(record.partition, TopicPartition::new(topic, 0));
        assert_eq!((&record.key, record.value.as_deref()), (&None, Some(&*large)));
        assert_eq!(record.error.kind(), BrokerErrorKind::RecordTooLarge);
    }
    send(&mut *producer, handle, 0, b"small").unwrap();
    producer.flush(test.deadline).unwrap();
    assert!(producer.take_undelivered().is_empty());
    assert_eq!(values(&test.fetch_all(topic, 0, 1)), ["small"], "the others go on");
}

fn an_unknown_topic_or_partition_is_an_error(test: &BrokerUnderTest<'_>) {
    const UNKNOWN: BrokerErrorKind = BrokerErrorKind::UnknownTopicOrPartition;
    let mut producer = test.producer(false);
    assert_eq!(producer.topic("log-unknown").unwrap_err().kind(), UNKNOWN);
    let admin = test.admin();
    assert_eq!(admin.topic_configs("log-unknown").unwrap_err().kind(), UNKNOWN);
    let missing = [TopicPartition::new("log-unknown", 0)];
    assert_eq!(admin.end_offsets(&missing).unwrap_err().kind(), UNKNOWN);
    assert_eq!(admin.beginning_offsets(&missing).unwrap_err().kind(), UNKNOWN);
}
