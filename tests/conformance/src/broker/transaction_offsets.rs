//! Offsets in transactions: they count with the records or not at all, and only a member of the present
//! generation may send them.

use std::thread;
use std::time::Duration;

use kstream::TopicPartition;
use kstream::broker::{BrokerError, BrokerErrorKind, CommittedOffset, GroupEvent, GroupMetadata};

use super::group::{Owner, drive, drive_to, offset};
use super::transactions::{Reader, Writer};
use super::{BrokerUnderTest, Case, TURN};

pub(super) const CASES: &[Case] = &[
    ("txo-atomic", offsets_count_with_the_records_or_not_at_all),
    ("txo-only", a_transaction_may_have_offsets_only),
    ("txo-waits", members_wait_for_pending_offsets_and_others_do_not),
    ("txo-freed", fencing_a_producer_frees_its_pending_offsets),
    ("txo-order", the_offset_that_was_written_last_counts),
    ("txo-two", two_producers_of_one_member_may_be_in_transactions_at_once),
    ("txo-stale", a_member_of_an_older_generation_cannot_send_offsets),
    ("txo-expelled", an_expelled_member_cannot_send_offsets),
    ("txo-stranger", a_stranger_cannot_send_offsets),
    ("txo-topic", offsets_of_an_unknown_topic_end_the_transaction),
    ("txo-timeout", offsets_of_a_transaction_that_is_too_old_do_not_count),
    ("txo-rebalance", a_group_that_rebalances_takes_offsets_in_transactions),
];

impl Writer<'_> {
    fn send_offsets(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        member: &GroupMetadata,
    ) -> Result<(), BrokerError> {
        self.producer.send_offsets(offsets, member, self.test.deadline)
    }

    /// The kind of failure of sending an offset.
    fn refused(&mut self, partition: &TopicPartition, member: &GroupMetadata) -> BrokerErrorKind {
        let offsets = [(partition.clone(), offset(9, "refused"))];
        self.send_offsets(&offsets, member).unwrap_err().kind()
    }
}

impl Owner {
    fn metadata(&self) -> GroupMetadata {
        self.member.metadata().unwrap()
    }
}

fn committed(
    test: &BrokerUnderTest<'_>,
    owner: &Owner,
    partition: &TopicPartition,
) -> Option<CommittedOffset> {
    owner.member.committed(std::slice::from_ref(partition), test.deadline).unwrap().remove(0)
}

fn offsets_count_with_the_records_or_not_at_all(test: &BrokerUnderTest<'_>) {
    let topic = "txo-atomic";
    test.create_topic(topic, 1);
    let partition = TopicPartition::new(topic, 0);
    let mut owner = Owner::new(test, topic, &[topic]);
    drive_to(test, &mut [&mut owner], &["txo-atomic-0"]);
    let mut writer = Writer::new(test, topic, topic);
    writer.begin();
    writer.send(0, "a");
    writer.send_offsets(&[(partition.clone(), offset(1, "aborted"))], &owner.metadata()).unwrap();
    writer.abort().unwrap();
    assert_eq!(committed(test, &owner, &partition), None);
    writer.begin();
    writer.send(0, "b");
    let member = owner.metadata();
    writer.send_offsets(&[(partition.clone(), offset(2, "replaced"))], &member).unwrap();
    writer.send_offsets(&[(partition.clone(), offset(3, "time=9"))], &member).unwrap();
    writer.commit().unwrap();
    assert_eq!(committed(test, &owner, &partition), Some(offset(3, "time=9")));
    Reader::new(test, topic, 0).expect_all(&["b"], 4);
}

fn a_transaction_may_have_offsets_only(test: &BrokerUnderTest<'_>) {
    let topic = "txo-only";
    test.create_topic(topic, 1);
    let partition = TopicPartition::new(topic, 0);
    let mut owner = Owner::new(test, topic, &[topic]);
    drive_to(test, &mut [&mut owner], &["txo-only-0"]);
    let mut writer = Writer::new(test, topic, topic);
    for at in 1..4 {
        writer.begin();
        let offsets = [(partition.clone(), offset(at, ""))];
        writer.send_offsets(&offsets, &owner.metadata()).unwrap();
        writer.commit().unwrap();
        assert_eq!(committed(test, &owner, &partition), Some(offset(at, "")));
    }
    writer.begin();
    writer.send_offsets(&[], &owner.metadata()).unwrap();
    writer.commit().unwrap();
    assert_eq!(test.admin().end_offsets(&[partition]).unwrap(), [0], "no record, no marker");
}

fn members_wait_for_pending_offsets_and_others_do_not(test: &BrokerUnderTest<'_>) {
    let topic = "txo-waits";
    test.create_topic(topic, 2);
    let partitions = [0, 1].map(|number| TopicPartition::new(topic, number));
    let mut owner = Owner::new(test, topic, &[topic]);
    drive_to(test, &mut [&mut owner], &["txo-waits-0 txo-waits-1"]);
    let both = partitions.clone().map(|partition| (partition, offset(1, "")));
    owner.member.commit(&both).unwrap();
    let mut writer = Writer::new(test, topic, topic);
    writer.begin();
    writer.send_offsets(&[(partitions[0].clone(), offset(2, ""))], &owner.metadata()).unwrap();
    let soon = Duration::from_millis(300);
    let waited = owner.member.committed(&partitions, soon).unwrap_err();
    assert_eq!(waited.kind(), BrokerErrorKind::Retriable);
    assert_eq!(committed(test, &owner, &partitions[1]), Some(offset(1, "")));
    let shown = test.admin().group_offsets(topic, &partitions).unwrap();
    assert_eq!(shown, [Some(offset(1, "")), Some(offset(1, ""))], "what counts so far");
    thread::scope(|scope| {
        let waiting = scope.spawn(|| committed(test, &owner, &partitions[0]));
        writer.commit().unwrap();
        assert_eq!(waiting.join().unwrap(), Some(offset(2, "")));
    });
}

fn fencing_a_producer_frees_its_pending_offsets(test: &BrokerUnderTest<'_>) {
    let topic = "txo-freed";
    test.create_topic(topic, 1);
    let partition = TopicPartition::new(topic, 0);
    let mut owner = Owner::new(test, topic, &[topic]);
    drive_to(test, &mut [&mut owner], &["txo-freed-0"]);
    let mut first = Writer::new(test, topic, topic);
    first.begin();
    first.send_offsets(&[(partition.clone(), offset(5, ""))], &owner.metadata()).unwrap();
    let mut second = Writer::new(test, topic, topic);
    assert_eq!(committed(test, &owner, &partition), None);
    first.expect_fenced();
    second.begin();
    second.send_offsets(&[(partition.clone(), offset(6, ""))], &owner.metadata()).unwrap();
    second.commit().unwrap();
    assert_eq!(committed(test, &owner, &partition), Some(offset(6, "")));
}

fn the_offset_that_was_written_last_counts(test: &BrokerUnderTest<'_>) {
    let topic = "txo-order";
    test.create_topic(topic, 1);
    let partition = TopicPartition::new(topic, 0);
    let mut owner = Owner::new(test, topic, &[topic]);
    drive_to(test, &mut [&mut owner], &["txo-order-0"]);
    let mut writer = Writer::new(test, topic, topic);
    writer.begin();
    writer.send_offsets(&[(partition.clone(), offset(1, "first"))], &owner.metadata()).unwrap();
    owner.member.commit(&[(partition.clone(), offset(2, "second"))]).unwrap();
    writer.commit().unwrap();
    assert_eq!(committed(test, &owner, &partition), Some(offset(2, "second")));
}

fn two_producers_of_one_member_may_be_in_transactions_at_once(test: &BrokerUnderTest<'_>) {
    let topic = "txo-two";
    test.create_topic(topic, 2);
    let partitions = [0, 1].map(|number| TopicPartition::new(topic, number));
    let mut owner = Owner::new(test, topic, &[topic]);
    drive_to(test, &mut [&mut owner], &["txo-two-0 txo-two-1"]);
    let mut writers = [0, 1].map(|number| Writer::new(test, &format!("txo-two-{number}"), topic));
    for (writer, partition) in writers.iter_mut().zip(&partitions) {
        writer.begin();
        writer.send(0, &partition.partition.to_string());
        writer.send_offsets(&[(partition.clone(), offset(1, ""))], &owner.metadata()).unwrap();
    }
    writers[1].commit().unwrap();
    assert_eq!(committed(test, &owner, &partitions[1]), Some(offset(1, "")));
    let mut reader = Reader::new(test, topic, 0);
    reader.expect(&[], 3);
    writers[0].commit().unwrap();
    assert_eq!(committed(test, &owner, &partitions[0]), Some(offset(1, "")));
    reader.expect_all(&["0", "1"], 4);
}

fn a_member_of_an_older_generation_cannot_send_offsets(test: &BrokerUnderTest<'_>) {
    let topic = "txo-stale";
    test.create_topic(topic, 1);
    let partition = TopicPartition::new(topic, 0);
    let mut owner = Owner::new(test, topic, &[topic]);
    drive_to(test, &mut [&mut owner], &["txo-stale-0"]);
    let stale = owner.metadata();
    let mut other = Owner::new(test, topic, &[topic]);
    drive(test, &mut [&mut owner, &mut other], "the next generation", |owners| {
        owners.iter().all(|owner| owner.owned.is_some())
    });
    let fresh = owner.metadata();
    assert!(fresh.generation > stale.generation && fresh.member_id == stale.member_id);
    let mut writer = Writer::new(test, topic, topic);
    writer.begin();
    writer.send(0, "a");
    assert_eq!(writer.refused(&partition, &stale), BrokerErrorKind::TransactionAborted);
    assert_eq!(writer.refused(&partition, &fresh), BrokerErrorKind::TransactionAborted);
    let failed = writer.commit().unwrap_err();
    assert_eq!(failed.kind(), BrokerErrorKind::TransactionAborted);
    writer.abort().unwrap();
    writer.begin();
    writer.send_offsets(&[(partition.clone(), offset(4, ""))], &fresh).unwrap();
    writer.commit().unwrap();
    assert_eq!(committed(test, &owner, &partition), Some(offset(4, "")));
}

fn an_expelled_member_cannot_send_offsets(test: &BrokerUnderTest<'_>) {
    let topic = "txo-expelled";
    test.create_topic(topic, 1);
    let partition = TopicPartition::new(topic, 0);
    let patience = test.session_timeout;
    let mut stuck = Owner::with_max_poll_interval(test, topic, &[topic], patience);
    drive_to(test, &mut [&mut stuck], &["txo-expelled-0"]);
    let expelled = stuck.metadata();
    let mut writer = Writer::new(test, topic, topic);
    writer.begin();
    writer.send(0, "a");
    // It is not polled any more, as if it were stuck in a record.
    let mut successor = Owner::with_max_poll_interval(test, topic, &[topic], patience);
    drive_to(test, &mut [&mut successor], &["txo-expelled-0"]);
    assert_eq!(writer.refused(&partition, &expelled), BrokerErrorKind::TransactionAborted);
    writer.abort().unwrap();
    assert_eq!(committed(test, &successor, &partition), None);
    assert_ne!(stuck.member.metadata(), Some(successor.metadata()));
}

fn a_stranger_cannot_send_offsets(test: &BrokerUnderTest<'_>) {
    let topic = "txo-stranger";
    test.create_topic(topic, 1);
    let partition = TopicPartition::new(topic, 0);
    let identity = |group: &str, generation, id: &str| GroupMetadata {
        group_id: group.to_owned(),
        generation,
        member_id: id.to_owned(),
    };
    let mut owner = Owner::new(test, topic, &[topic]);
    assert_eq!(owner.member.metadata(), None, "nobody before the first assignment");
    drive_to(test, &mut [&mut owner], &["txo-stranger-0"]);
    let generation = owner.metadata().generation;
    let mut writer = Writer::new(test, topic, topic);
    // The broker itself would take these, from anyone.
    writer.begin();
    for nobody in [identity(topic, -1, ""), identity(topic, -1, "x"), identity(topic, 1, "")] {
        assert_eq!(writer.refused(&partition, &nobody), BrokerErrorKind::Invalid, "{nobody:?}");
    }
    writer.commit().unwrap();
    for stranger in [identity(topic, generation, "x"), identity("txo-stranger-none", 1, "x")] {
        writer.begin();
        let kind = writer.refused(&partition, &stranger);
        assert_eq!(kind, BrokerErrorKind::TransactionAborted, "{stranger:?}");
        writer.abort().unwrap();
    }
    assert_eq!(committed(test, &owner, &partition), None);
    owner.member.leave().unwrap();
    assert_eq!(owner.member.metadata(), None, "nobody once it has left");
}

fn offsets_of_an_unknown_topic_end_the_transaction(test: &BrokerUnderTest<'_>) {
    let topic = "txo-topic";
    test.create_topic(topic, 1);
    let mut owner = Owner::new(test, topic, &[topic]);
    drive_to(test, &mut [&mut owner], &["txo-topic-0"]);
    let mut writer = Writer::new(test, topic, topic);
    writer.begin();
    writer.send(0, "a");
    // KAFKA: asked again for the whole timeout, because the topic may be new.
    let offsets = [(TopicPartition::new("txo-topic-none", 0), offset(1, ""))];
    let soon = Duration::from_secs(2);
    let refused = writer.producer.send_offsets(&offsets, &owner.metadata(), soon).unwrap_err();
    assert_eq!(refused.kind(), BrokerErrorKind::TransactionAborted);
    writer.abort().unwrap();
    writer.begin();
    writer.send(0, "b");
    writer.commit().unwrap();
    Reader::new(test, topic, 0).expect_all(&["b"], 4);
}

fn offsets_of_a_transaction_that_is_too_old_do_not_count(test: &BrokerUnderTest<'_>) {
    const SHORT: Duration = Duration::from_secs(8);
    let topic = "txo-timeout";
    test.create_topic(topic, 1);
    let partition = TopicPartition::new(topic, 0);
    let mut owner = Owner::new(test, topic, &[topic]);
    drive_to(test, &mut [&mut owner], &["txo-timeout-0"]);
    let mut writer = Writer::with_timeout(test, topic, topic, SHORT);
    writer.begin();
    writer.send_offsets(&[(partition.clone(), offset(1, ""))], &owner.metadata()).unwrap();
    (test.pass_time)(SHORT);
    assert_eq!(committed(test, &owner, &partition), None);
    writer.expect_fenced();
}

fn a_group_that_rebalances_takes_offsets_in_transactions(test: &BrokerUnderTest<'_>) {
    let topic = "txo-rebalance";
    test.create_topic(topic, 3);
    let mut owners: Vec<_> = (0..2).map(|_| Owner::new(test, topic, &[topic])).collect();
    let partition = TopicPartition::new(topic, 0);
    let [first, second] = &mut owners[..] else { unreachable!() };
    drive(test, &mut [first, second], "a split", |owners| {
        owners.iter().all(|owner| owner.owned.as_ref().is_some_and(|owned| owned.len() < 3))
    });
    let before = first.metadata();
    let mut third = Owner::new(test, topic, &[topic]);
    test.wait_until("the question to give up", || {
        third.turn();
        matches!(first.member.poll(TURN).unwrap(), Some(GroupEvent::Revoked(_)))
    });
    first.member.acknowledge().unwrap();
    // The group waits for the second member: the first counts, and may not say what is committed.
    let offsets = [(partition.clone(), offset(1, ""))];
    let plain = first.member.commit(&offsets).unwrap_err();
    assert_eq!(plain.kind(), BrokerErrorKind::Rebalancing);
    assert_eq!(first.member.metadata(), Some(before.clone()));
    assert_eq!(third.member.metadata(), None, "it has not been part of a generation");
    let mut writer = Writer::new(test, topic, topic);
    writer.begin();
    writer.send_offsets(&offsets, &before).unwrap();
    writer.commit().unwrap();
    first.owned = None;
    drive(test, &mut [first, second, &mut third], "the next generation", |owners| {
        owners.iter().all(|owner| owner.owned.as_ref().is_some_and(|owned| owned.len() == 1))
    });
    let after = first.metadata();
    assert!(after.generation > before.generation && after.member_id == before.member_id);
    assert_eq!(committed(test, first, &partition), Some(offset(1, "")));
    first.member.commit(&[(partition.clone(), offset(2, ""))]).unwrap();
    assert_eq!(committed(test, second, &partition), Some(offset(2, "")));
}
