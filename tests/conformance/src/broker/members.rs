//! Who a group counts, as somebody outside sees it.

use std::sync::Arc;

use kstream::broker::{BrokerErrorKind, GroupEvent, GroupMember, GroupSettings};

use super::{BrokerUnderTest, Case, TURN};

pub(super) const CASES: &[Case] = &[
    ("members-none", a_group_that_does_not_exist_has_no_members),
    ("members-joined", members_are_listed_from_their_joining_to_their_leaving),
    ("members-gone", a_member_that_is_gone_is_no_longer_listed_in_the_end),
];

fn member(test: &BrokerUnderTest<'_>, group: &str, client_id: &str) -> Arc<dyn GroupMember> {
    let settings = GroupSettings {
        group_id: group.to_owned(),
        client_id: client_id.to_owned(),
        session_timeout: test.session_timeout,
        heartbeat_interval: test.session_timeout / 10,
        max_poll_interval: test.session_timeout * 10,
    };
    let member = test.broker.group_member(&settings).unwrap();
    member.subscribe(&[group.to_owned()]).unwrap();
    member
}

/// Polls the members in turns, answering at once, until these are the group's client ids.
#[track_caller]
fn drive_to(
    test: &BrokerUnderTest<'_>,
    members: &[&Arc<dyn GroupMember>],
    group: &str,
    expected: &[&str],
) {
    test.wait_until(&format!("the members {expected:?}"), || {
        for member in members {
            if member.poll(TURN).unwrap().is_some() {
                member.acknowledge().unwrap();
            }
        }
        (test.pass_time)(test.session_timeout / 10);
        let mut found: Vec<_> = list(test, group).into_iter().map(|(_, client)| client).collect();
        found.sort();
        found == expected
    });
}

fn list(test: &BrokerUnderTest<'_>, group: &str) -> Vec<(String, String)> {
    let mut members = Vec::new();
    test.wait_until("the coordinator of the group to be ready", || {
        match test.admin().group_members(group) {
            Ok(found) => members = found,
            Err(error) if error.kind() == BrokerErrorKind::Retriable => return false,
            Err(error) => panic!("{error}"),
        }
        true
    });
    members.into_iter().map(|member| (member.member_id, member.client_id)).collect()
}

fn a_group_that_does_not_exist_has_no_members(test: &BrokerUnderTest<'_>) {
    assert_eq!(list(test, "members-none"), []);
}

fn members_are_listed_from_their_joining_to_their_leaving(test: &BrokerUnderTest<'_>) {
    const GROUP: &str = "members-joined";
    test.create_topic(GROUP, 1);
    let first = member(test, GROUP, "one");
    drive_to(test, &[&first], GROUP, &["one"]);
    let second = member(test, GROUP, "two");
    drive_to(test, &[&first, &second], GROUP, &["one", "two"]);
    // Both have to have their ids.
    test.wait_until("an assignment of both", || {
        for member in [&first, &second] {
            if matches!(
                member.poll(TURN).unwrap(),
                Some(GroupEvent::Assigned(_) | GroupEvent::Revoked(_))
            ) {
                member.acknowledge().unwrap();
            }
        }
        first.metadata().is_some() && second.metadata().is_some()
    });
    let ids: Vec<String> = list(test, GROUP).into_iter().map(|(id, _)| id).collect();
    assert!(ids.is_sorted(), "{ids:?}");
    for member in [&first, &second] {
        assert!(ids.contains(&member.metadata().unwrap().member_id), "{ids:?}");
    }
    second.leave().unwrap();
    drive_to(test, &[&first], GROUP, &["one"]);
    first.leave().unwrap();
    drive_to(test, &[], GROUP, &[]);
}

fn a_member_that_is_gone_is_no_longer_listed_in_the_end(test: &BrokerUnderTest<'_>) {
    const GROUP: &str = "members-gone";
    test.create_topic(GROUP, 1);
    let killed = member(test, GROUP, "killed");
    drive_to(test, &[&killed], GROUP, &["killed"]);
    let survivor = member(test, GROUP, "survivor");
    drive_to(test, &[&killed, &survivor], GROUP, &["killed", "survivor"]);
    drop(killed);
    drive_to(test, &[&survivor], GROUP, &["survivor"]);
}
