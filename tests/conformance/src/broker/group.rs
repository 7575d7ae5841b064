//! Consumer groups: who gets what, and who may commit.

use std::sync::Arc;
use std::time::Duration;

use kstream::TopicPartition;
use kstream::broker::{BrokerErrorKind, CommittedOffset, GroupEvent, GroupMember, GroupSettings};

use super::{BrokerUnderTest, Case, TURN};

pub(super) const CASES: &[Case] = &[
    ("group-alone", one_member_gets_everything),
    ("group-split", a_second_member_takes_its_ranges_of_co_partitioned_topics),
    ("group-spare", a_member_beyond_the_partitions_gets_none),
    ("group-leave", who_leaves_gives_its_partitions_back),
    ("group-killed", who_is_killed_loses_its_partitions_after_the_session_timeout),
    ("group-committed", committed_offsets_are_read_back_with_their_metadata),
    ("group-revoked", a_member_commits_before_it_gives_up),
    ("group-fenced", a_member_that_was_replaced_cannot_commit),
];

/// A member with its owner, who answers every event at once.
pub(super) struct Owner {
    pub(super) member: Arc<dyn GroupMember>,
    pub(super) owned: Option<Vec<TopicPartition>>,
    events: Vec<GroupEvent>,
}

impl Owner {
    pub(super) fn new(test: &BrokerUnderTest<'_>, group: &str, topics: &[&str]) -> Self {
        Self::with_max_poll_interval(test, group, topics, test.session_timeout * 10)
    }

    pub(super) fn with_max_poll_interval(
        test: &BrokerUnderTest<'_>,
        group: &str,
        topics: &[&str],
        max_poll_interval: Duration,
    ) -> Self {
        let settings = GroupSettings {
            group_id: group.to_owned(),
            client_id: "conformance".to_owned(),
            session_timeout: test.session_timeout,
            heartbeat_interval: test.session_timeout / 10,
            max_poll_interval,
        };
        let member = test.broker.group_member(&settings).unwrap();
        let topics: Vec<String> = topics.iter().map(ToString::to_string).collect();
        member.subscribe(&topics).unwrap();
        Self { member, owned: None, events: Vec::new() }
    }

    /// Polls once and answers.
    pub(super) fn turn(&mut self) {
        let Some(event) = self.member.poll(TURN).unwrap() else { return };
        match &event {
            GroupEvent::Assigned(partitions) => self.owned = Some(partitions.clone()),
            GroupEvent::Revoked(_) | GroupEvent::Lost(_) => self.owned = None,
        }
        self.member.acknowledge().unwrap();
        self.events.push(event);
    }

    /// The partitions it has, sorted, as text.
    fn owns(&self) -> Option<String> {
        let mut names: Vec<_> = self.owned.as_ref()?.iter().map(ToString::to_string).collect();
        names.sort();
        Some(names.join(" "))
    }

    fn commit(&self, partition: &TopicPartition, offset: &CommittedOffset) -> BrokerErrorKind {
        let committed = self.member.commit(&[(partition.clone(), offset.clone())]);
        committed.unwrap_err().kind()
    }
}

/// Polls all owners in turns, while time passes, until `settled` says so.
#[track_caller]
pub(super) fn drive(
    test: &BrokerUnderTest<'_>,
    owners: &mut [&mut Owner],
    what: &str,
    settled: impl Fn(&[&mut Owner]) -> bool,
) {
    // Shorter than a session, so that whoever is polled stays.
    let step = test.session_timeout / 10;
    test.wait_until(what, || {
        for owner in owners.iter_mut() {
            owner.turn();
        }
        (test.pass_time)(step);
        settled(owners)
    });
}

/// Drives until these are the owners' partitions.
#[track_caller]
pub(super) fn drive_to(test: &BrokerUnderTest<'_>, owners: &mut [&mut Owner], expected: &[&str]) {
    drive(test, owners, &format!("the partitions {expected:?}"), |owners| {
        owners.iter().zip(expected).all(|(owner, names)| owner.owns().as_deref() == Some(*names))
    });
}

pub(super) fn offset(offset: i64, metadata: &str) -> CommittedOffset {
    CommittedOffset { offset, metadata: metadata.to_owned() }
}

fn one_member_gets_everything(test: &BrokerUnderTest<'_>) {
    test.create_topic("group-alone", 3);
    let mut owner = Owner::new(test, "group-alone", &["group-alone"]);
    assert_eq!(owner.member.metadata(), None);
    drive_to(test, &mut [&mut owner], &["group-alone-0 group-alone-1 group-alone-2"]);
    assert_eq!(owner.events.len(), 1);
    assert!(owner.member.metadata().is_some());
}

fn a_second_member_takes_its_ranges_of_co_partitioned_topics(test: &BrokerUnderTest<'_>) {
    let topics = ["gs-a", "gs-b"];
    for topic in topics {
        test.create_topic(topic, 3);
    }
    let mut first = Owner::new(test, "group-split", &topics);
    let all = "gs-a-0 gs-a-1 gs-a-2 gs-b-0 gs-b-1 gs-b-2";
    drive_to(test, &mut [&mut first], &[all]);
    let mut second = Owner::new(test, "group-split", &topics);
    drive(test, &mut [&mut first, &mut second], "a split", |owners| {
        owners.iter().all(|owner| owner.owned.as_ref().is_some_and(|owned| owned.len() < 6))
    });
    // The order of the members is that of their ids.
    let mut sorted = [&first, &second];
    sorted.sort_by_key(|owner| owner.member.metadata().map(|metadata| metadata.member_id));
    let owned = sorted.map(|owner| owner.owns().unwrap());
    assert_eq!(owned, ["gs-a-0 gs-a-1 gs-b-0 gs-b-1", "gs-a-2 gs-b-2"]);
    let revoked: Vec<_> = first
        .events
        .iter()
        .map(|event| matches!(event, GroupEvent::Revoked(all) if all.len() == 6))
        .collect();
    assert_eq!(revoked, [false, true, false], "{:?}", first.events);
}

fn a_member_beyond_the_partitions_gets_none(test: &BrokerUnderTest<'_>) {
    test.create_topic("group-spare", 1);
    let mut first = Owner::new(test, "group-spare", &["group-spare"]);
    let mut second = Owner::new(test, "group-spare", &["group-spare"]);
    drive(test, &mut [&mut first, &mut second], "one owner", |owners| {
        let mut owned: Vec<_> = owners.iter().filter_map(|owner| owner.owns()).collect();
        owned.sort();
        owned == ["", "group-spare-0"]
    });
}

fn who_leaves_gives_its_partitions_back(test: &BrokerUnderTest<'_>) {
    test.create_topic("group-leave", 2);
    let mut first = Owner::new(test, "group-leave", &["group-leave"]);
    drive_to(test, &mut [&mut first], &["group-leave-0 group-leave-1"]);
    let mut second = Owner::new(test, "group-leave", &["group-leave"]);
    drive(test, &mut [&mut first, &mut second], "a split", |owners| {
        owners.iter().all(|owner| owner.owned.as_ref().is_some_and(|owned| owned.len() == 1))
    });
    second.member.leave().unwrap();
    drive_to(test, &mut [&mut first], &["group-leave-0 group-leave-1"]);
    let partition = TopicPartition::new("group-leave", 0);
    assert_eq!(second.commit(&partition, &offset(1, "")), BrokerErrorKind::NotAMember);
}

fn who_is_killed_loses_its_partitions_after_the_session_timeout(test: &BrokerUnderTest<'_>) {
    test.create_topic("group-killed", 2);
    let mut killed = Owner::new(test, "group-killed", &["group-killed"]);
    drive_to(test, &mut [&mut killed], &["group-killed-0 group-killed-1"]);
    let mut survivor = Owner::new(test, "group-killed", &["group-killed"]);
    drive(test, &mut [&mut killed, &mut survivor], "a split", |owners| {
        owners.iter().all(|owner| owner.owned.as_ref().is_some_and(|owned| owned.len() == 1))
    });
    drop(killed);
    drive_to(test, &mut [&mut survivor], &["group-killed-0 group-killed-1"]);
}

fn committed_offsets_are_read_back_with_their_metadata(test: &BrokerUnderTest<'_>) {
    test.create_topic("group-committed", 3);
    let mut owner = Owner::new(test, "group-committed", &["group-committed"]);
    let partitions = [2, 0, 1].map(|number| TopicPartition::new("group-committed", number));
    let all = "group-committed-0 group-committed-1 group-committed-2";
    drive_to(test, &mut [&mut owner], &[all]);
    let first = [(partitions[0].clone(), offset(1, "old")), (partitions[1].clone(), offset(7, ""))];
    owner.member.commit(&first).unwrap();
    owner.member.commit(&[(partitions[0].clone(), offset(5, "time=123"))]).unwrap();
    let expected = [Some(offset(5, "time=123")), Some(offset(7, "")), None];
    assert_eq!(owner.member.committed(&partitions, test.deadline).unwrap(), expected);
    assert_eq!(test.admin().group_offsets("group-committed", &partitions).unwrap(), expected);
    let nobody = test.admin().group_offsets("group-committed-none", &partitions).unwrap();
    assert_eq!(nobody, [None, None, None]);
}

fn a_member_commits_before_it_gives_up(test: &BrokerUnderTest<'_>) {
    test.create_topic("group-revoked", 1);
    let mut first = Owner::new(test, "group-revoked", &["group-revoked"]);
    drive_to(test, &mut [&mut first], &["group-revoked-0"]);
    let mut second = Owner::new(test, "group-revoked", &["group-revoked"]);
    let mut asked = None;
    test.wait_until("the question to give up", || {
        second.turn();
        asked = first.member.poll(TURN).unwrap();
        asked.is_some()
    });
    let partition = TopicPartition::new("group-revoked", 0);
    assert_eq!(asked, Some(GroupEvent::Revoked(vec![partition.clone()])));
    second.turn();
    assert_eq!(second.owned, None, "nobody gets the partition before the answer");
    first.member.commit(&[(partition.clone(), offset(3, "last"))]).unwrap();
    first.member.acknowledge().unwrap();
    drive(test, &mut [&mut first, &mut second], "one owner", |owners| {
        owners.iter().all(|owner| owner.owned.is_some())
    });
    let committed = second.member.committed(&[partition], test.deadline).unwrap();
    assert_eq!(committed, [Some(offset(3, "last"))]);
}

fn a_member_that_was_replaced_cannot_commit(test: &BrokerUnderTest<'_>) {
    test.create_topic("group-fenced", 1);
    let partition = TopicPartition::new("group-fenced", 0);
    let (group, topics, patience) = ("group-fenced", ["group-fenced"], test.session_timeout);
    let mut stuck = Owner::with_max_poll_interval(test, group, &topics, patience);
    assert_eq!(stuck.commit(&partition, &offset(1, "")), BrokerErrorKind::NotAMember);
    drive_to(test, &mut [&mut stuck], &["group-fenced-0"]);
    stuck.member.commit(&[(partition.clone(), offset(1, "in time"))]).unwrap();
    // It is not polled any more, as if it were stuck in a record.
    let mut successor = Owner::with_max_poll_interval(test, group, &topics, patience);
    drive_to(test, &mut [&mut successor], &["group-fenced-0"]);
    assert_eq!(stuck.commit(&partition, &offset(2, "late")), BrokerErrorKind::NotAMember);
    successor.member.commit(&[(partition.clone(), offset(3, "next"))]).unwrap();
    let committed = successor.member.committed(&[partition], test.deadline).unwrap();
    assert_eq!(committed, [Some(offset(3, "next"))]);
    // Once it polls again it is told, and joins anew. KAFKA: the question to give up, asked before
    // the member was expelled, may still be the first that it hears.
    drive(test, &mut [&mut stuck, &mut successor], "the loss to be told", |owners| {
        let told = |owner: &&mut Owner| {
            matches!(owner.events.get(1), Some(GroupEvent::Lost(_) | GroupEvent::Revoked(_)))
        };
        owners.iter().all(|owner| owner.owned.is_some()) && owners.first().is_some_and(told)
    });
}
