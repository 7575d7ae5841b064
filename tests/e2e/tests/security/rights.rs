//! Rights: the error of a missing one names it, and the list in `docs/operations.md` is enough.

use kstream::ProcessingGuarantee;
use kstream_test_support::{Acl, AclOperation, AclResource};

use super::fixture::{Application, LOGIN, PASSWORD, connect, fixture, login};

/// Users that may do everything but what a case takes away: one per case, since it stays so.
pub(crate) const USERS: [&str; 9] = [
    "no-describe",
    "no-read",
    "no-write",
    "no-group",
    "no-create",
    "no-changelog",
    "no-transactions",
    "no-configs",
    "no-coordination",
];
/// Users that may do nothing but what their case allows.
pub(crate) const ENOUGH: [&str; 2] = ["enough", "enough-once"];

/// What the application of this user fails with, when this right of it is taken away.
#[track_caller]
fn without(user: &str, resource: AclResource, name: &str, operation: AclOperation) -> String {
    let principal = format!("User:{user}");
    let application = Application::new(user);
    let rule = Acl { principal: &principal, resource, name, operation, deny: true };
    fixture().server.add_acls(&[rule]).unwrap();
    let broker = connect(LOGIN, login("PLAIN", user, PASSWORD)).unwrap();
    application.fails(broker).report()
}

#[test]
fn a_topic_that_may_not_be_looked_at_is_named() {
    let name = "in-no-describe";
    let report = without("no-describe", AclResource::Topic, name, AclOperation::Describe);
    assert!(report.contains("the principal lacks DESCRIBE on topic in-no-describe"), "{report}");
}

#[test]
fn a_topic_that_may_not_be_read_is_named() {
    let report = without("no-read", AclResource::Topic, "in-no-read", AclOperation::Read);
    assert!(report.contains("the principal lacks READ on topic in-no-read"), "{report}");
}

#[test]
fn a_topic_that_may_not_be_written_is_named() {
    let report = without("no-write", AclResource::Topic, "out-no-write", AclOperation::Write);
    assert!(report.contains("the principal lacks WRITE on topic out-no-write"), "{report}");
}

#[test]
fn a_changelog_that_may_not_be_written_is_named() {
    let name = "no-changelog-counts-changelog";
    let report = without("no-changelog", AclResource::Topic, name, AclOperation::Write);
    assert!(report.contains(&format!("the principal lacks WRITE on topic {name}")), "{report}");
}

#[test]
fn a_coordination_topic_that_may_not_be_written_is_named() {
    let name = "no-coordination-coordination";
    let report = without("no-coordination", AclResource::Topic, name, AclOperation::Write);
    assert!(report.contains(&format!("the principal lacks WRITE on topic {name}")), "{report}");
}

#[test]
fn internal_topics_whose_configs_may_not_be_read_are_named_together() {
    let names = "no-configs-*";
    let report = without("no-configs", AclResource::Topic, names, AclOperation::DescribeConfigs);
    for topic in ["coordination", "counts-changelog", "counts-repartition"] {
        let lacks = format!("the principal lacks DESCRIBE_CONFIGS on topic no-configs-{topic}");
        assert!(report.contains(&lacks), "{report}");
    }
}

#[test]
fn a_group_that_may_not_be_joined_is_named() {
    let report = without("no-group", AclResource::Group, "no-group", AclOperation::Read);
    assert!(report.contains("group no-group"), "{report}");
    assert!(report.contains("the principal lacks READ on this group"), "{report}");
}

#[test]
fn a_transactional_id_that_may_not_be_used_is_named() {
    let (user, names) = ("no-transactions", "no-transactions-*");
    let report = without(user, AclResource::TransactionalId, names, AclOperation::Write);
    assert!(report.contains("the principal lacks WRITE on this transactional id"), "{report}");
    assert!(report.contains("no-transactions-"), "{report}");
}

#[test]
fn internal_topics_that_may_not_be_created_are_named_together() {
    let user = "no-create";
    let create = AclOperation::Create;
    let cluster = Acl {
        principal: "User:no-create",
        resource: AclResource::Cluster,
        name: "kafka-cluster",
        operation: create,
        deny: true,
    };
    fixture().server.add_acls(&[cluster]).unwrap();
    let report = without(user, AclResource::Topic, "no-create-*", create);
    for topic in
        ["no-create-coordination", "no-create-counts-changelog", "no-create-counts-repartition"]
    {
        assert!(
            report.contains(&format!("the principal lacks CREATE on topic {topic}")),
            "{report}"
        );
    }
}

/// The rights of `docs/operations.md`, and none besides.
#[test]
fn the_documented_rights_are_enough() {
    use AclOperation::{Create, Delete, Describe, DescribeConfigs, Read, Write};
    use AclResource::{Group, Topic, TransactionalId};
    for (user, guarantee) in ENOUGH
        .into_iter()
        .zip([ProcessingGuarantee::AtLeastOnce, ProcessingGuarantee::ExactlyOnceV2])
    {
        let application = Application::new(user).with_guarantee(guarantee);
        let rights = [
            (Topic, &*format!("in-{user}"), Read),
            (Topic, &*format!("out-{user}"), Write),
            (Topic, &*format!("{user}-*"), Read),
            (Topic, &*format!("{user}-*"), Write),
            (Topic, &*format!("{user}-*"), DescribeConfigs),
            (Topic, &*format!("{user}-*"), Create),
            (Topic, &*format!("{user}-*"), Delete),
            (Group, user, Read),
            (TransactionalId, &*format!("{user}-*"), Write),
            (TransactionalId, &*format!("{user}-*"), Describe),
        ];
        let principal = format!("User:{user}");
        let rules = rights.map(|(resource, name, operation)| {
            let principal = &*principal;
            Acl { principal, resource, name, operation, deny: false }
        });
        fixture().server.add_acls(&rules).unwrap();
        application.counts(connect(LOGIN, login("PLAIN", user, PASSWORD)).unwrap());
    }
}
