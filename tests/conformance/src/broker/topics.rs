//! Topics, their configs and their offsets.

use kstream::TopicPartition;
use kstream::broker::{Admin, BrokerErrorKind, NewTopic, StartOffset};

use super::{BrokerUnderTest, Case, assign, create_topic, send, values};

pub(super) const CASES: &[Case] = &[
    ("topics-counts", partition_counts_are_told_in_the_order_asked),
    ("topics-exists", an_existing_topic_is_not_created_again),
    ("topics-results", each_topic_has_its_own_result),
    ("topics-configs", configs_are_read_back_with_the_defaults),
    ("topics-refused", unknown_configs_and_bad_values_are_refused),
    ("topics-delete", a_deleted_topic_is_gone),
    ("topics-ids", a_topic_created_anew_has_another_id),
    ("topics-offsets", beginning_and_end_offsets_are_told_in_the_order_asked),
    ("topics-delete-records", deleted_records_are_gone_and_offsets_go_on),
];

fn partition_counts_are_told_in_the_order_asked(test: &BrokerUnderTest<'_>) {
    test.create_topic("topics-counts-three", 3);
    test.create_topic("topics-counts-one", 1);
    let asked = ["topics-counts-one", "topics-counts-none", "topics-counts-three"];
    assert_eq!(test.admin().partition_counts(&asked).unwrap(), [Some(1), None, Some(3)]);
}

fn an_existing_topic_is_not_created_again(test: &BrokerUnderTest<'_>) {
    test.create_topic("topics-exists", 2);
    let again = create_topic(&*test.admin(), "topics-exists", 5, &[]).unwrap_err();
    assert_eq!(again.kind(), BrokerErrorKind::TopicExists);
    assert_eq!(test.admin().partition_counts(&["topics-exists"]).unwrap(), [Some(2)]);
}

fn each_topic_has_its_own_result(test: &BrokerUnderTest<'_>) {
    test.create_topic("topics-results-old", 1);
    let topics = ["topics-results-old", "topics-results-new", "no such name"].map(|name| {
        let (name, configs) = (name.to_owned(), [].into());
        NewTopic { name, partitions: 1, replication_factor: 1, configs }
    });
    let admin = test.admin();
    let results = admin.create_topics(&topics).unwrap();
    let kinds: Vec<_> = results.into_iter().map(|result| result.err().map(|e| e.kind())).collect();
    assert_eq!(kinds, [Some(BrokerErrorKind::TopicExists), None, Some(BrokerErrorKind::Invalid)]);
    assert_eq!(admin.partition_counts(&["topics-results-new"]).unwrap(), [Some(1)]);
}

fn configs_are_read_back_with_the_defaults(test: &BrokerUnderTest<'_>) {
    let set = [
        ("cleanup.policy", "compact,delete"),
        ("retention.ms", "-1"),
        ("segment.bytes", "52428800"),
    ];
    let admin = test.admin();
    create_topic(&*admin, "topics-configs", 1, &set).unwrap();
    let configs = admin.topic_configs("topics-configs").unwrap();
    let defaults = [
        ("compression.type", "producer"),
        ("delete.retention.ms", "86400000"),
        ("max.message.bytes", "1048588"),
        ("message.timestamp.type", "CreateTime"),
        ("min.compaction.lag.ms", "0"),
        ("retention.bytes", "-1"),
        ("segment.ms", "604800000"),
    ];
    for (name, value) in set.iter().chain(&defaults) {
        assert_eq!(configs.get(*name).map(String::as_str), Some(*value), "{name}");
    }
}

fn unknown_configs_and_bad_values_are_refused(test: &BrokerUnderTest<'_>) {
    let admin = test.admin();
    for config in [("retention.fortnights", "1"), ("retention.ms", "soon"), ("segment.ms", "0")] {
        let refused = create_topic(&*admin, "topics-refused", 1, &[config]).unwrap_err();
        assert_eq!(refused.kind(), BrokerErrorKind::Invalid, "{config:?}");
    }
    let empty = create_topic(&*admin, "topics-refused", 0, &[]).unwrap_err();
    assert_eq!(empty.kind(), BrokerErrorKind::Invalid);
    assert_eq!(admin.partition_counts(&["topics-refused"]).unwrap(), [None]);
}

fn a_deleted_topic_is_gone(test: &BrokerUnderTest<'_>) {
    test.create_topic("topics-delete", 1);
    test.send_values("topics-delete", &["a"]);
    let admin = test.admin();
    let results = admin.delete_topics(&["topics-delete", "topics-delete-none"]).unwrap();
    let kinds: Vec<_> = results.into_iter().map(|result| result.err().map(|e| e.kind())).collect();
    assert_eq!(kinds, [None, Some(BrokerErrorKind::UnknownTopicOrPartition)]);
    test.wait_until("the topic to go", || {
        admin.partition_counts(&["topics-delete"]).unwrap() == [None]
    });
    test.wait_until("the name to be free", || {
        create_topic(&*admin, "topics-delete", 1, &[]).is_ok()
    });
    let partition = [TopicPartition::new("topics-delete", 0)];
    test.wait_until("the new topic to be empty", || {
        admin.end_offsets(&partition).is_ok_and(|ends| ends == [0])
    });
}

fn a_topic_created_anew_has_another_id(test: &BrokerUnderTest<'_>) {
    test.create_topic("topics-ids", 1);
    test.create_topic("topics-ids-other", 1);
    let admin = test.admin();
    let asked = ["topics-ids-other", "topics-ids-none", "topics-ids", "topics-ids"];
    let described = admin.describe_topics(&asked).unwrap();
    let [Some(other), None, Some(first), Some(again)] = described[..] else {
        panic!("{described:?}");
    };
    assert!(first.id.is_some());
    assert_eq!(first, again);
    assert_ne!(first.id, other.id);
    assert_eq!((first.partitions, first.replication_factor), (1, 1));
    assert_eq!(admin.describe_topics(&asked).unwrap(), described, "an id stays");
    admin.delete_topics(&["topics-ids"]).unwrap().pop().unwrap().unwrap();
    test.wait_until("the name to be free", || create_topic(&*admin, "topics-ids", 1, &[]).is_ok());
    let anew = admin.describe_topics(&["topics-ids"]).unwrap()[0].unwrap();
    assert_ne!(anew.id, first.id);
    assert!(admin.describe_topics(&[]).unwrap().is_empty());
}

fn beginning_and_end_offsets_are_told_in_the_order_asked(test: &BrokerUnderTest<'_>) {
    test.create_topic("topics-offsets", 3);
    let mut producer = test.producer(false);
    let topic = producer.topic("topics-offsets").unwrap();
    for partition in [0, 2, 2] {
        send(&mut *producer, topic, partition, b"v").unwrap();
    }
    producer.flush(test.deadline).unwrap();
    let partitions = [2, 0, 1].map(|number| TopicPartition::new("topics-offsets", number));
    let admin = test.admin();
    assert_eq!(admin.end_offsets(&partitions).unwrap(), [2, 1, 0]);
    assert_eq!(admin.beginning_offsets(&partitions).unwrap(), [0, 0, 0]);
    assert!(admin.end_offsets(&[]).unwrap().is_empty());
}

fn deleted_records_are_gone_and_offsets_go_on(test: &BrokerUnderTest<'_>) {
    let topic = "topics-delete-records";
    test.create_topic(topic, 2);
    test.send_values(topic, &["a", "b", "c"]);
    let admin = test.admin();
    let partition = |number| TopicPartition::new(topic, number);
    let before = [
        (partition(1), 1),                                 // beyond the end of an empty log
        (partition(0), 2),                                 // all but the last record
        (partition(7), 0),                                 // no such partition
        (TopicPartition::new("topics-delete-none", 0), 0), // no such topic
    ];
    let results = admin.delete_records(&before).unwrap();
    let kinds: Vec<_> = results.into_iter().map(|result| result.err().map(|e| e.kind())).collect();
    let unknown = Some(BrokerErrorKind::UnknownTopicOrPartition);
    assert_eq!(kinds, [Some(BrokerErrorKind::OffsetOutOfRange), None, unknown, unknown]);
    let ends = |admin: &dyn Admin| {
        let of = [partition(0)];
        (admin.beginning_offsets(&of).unwrap()[0], admin.end_offsets(&of).unwrap()[0])
    };
    assert_eq!(ends(&*admin), (2, 3));
    let mut consumer = test.consumer();
    let slot = assign(&mut *consumer, topic, 0, StartOffset::Earliest);
    assert_eq!(values(&test.fetch(&mut *consumer, slot, 1)), ["c"]);
    // What is gone already can be deleted again.
    assert!(admin.delete_records(&[(partition(0), 1)]).unwrap()[0].is_ok());
    assert!(admin.delete_records(&[(partition(0), 3)]).unwrap()[0].is_ok());
    assert_eq!(ends(&*admin), (3, 3));
    test.send_values(topic, &["d"]);
    assert_eq!(ends(&*admin), (3, 4));
    assert!(admin.delete_records(&[]).unwrap().is_empty());
}
