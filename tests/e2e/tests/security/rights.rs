//! Rights: the error of a missing one names it, and the list in `docs/operations.md` is enough.

use kstream_test_support::{Acl, AclOperation, AclResource};

use super::fixture::{Application, LOGIN, PASSWORD, connect, fixture, login};

/// Users that may do everything but what a case takes away: one per case, since it stays so.
pub(crate) const USERS: [&str; 6] =
    ["no-describe", "no-read", "no-write", "no-group", "no-create", "no-changelog"];
/// A user that may do nothing but what its case allows.
pub(crate) const ENOUGH: &str = "enough";

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
    let name = "no-describe-in";
    let report = without("no-describe", AclResource::Topic, name, AclOperation::Describe);
    assert!(report.contains("the principal lacks DESCRIBE on topic no-describe-in"), "{report}");
}

#[test]
fn a_topic_that_may_not_be_read_is_named() {
    let report = without("no-read", AclResource::Topic, "no-read-in", AclOperation::Read);
    assert!(report.contains("the principal lacks READ on topic no-read-in"), "{report}");
}

#[test]
fn a_topic_that_may_not_be_written_is_named() {
    let report = without("no-write", AclResource::Topic, "no-write-out", AclOperation::Write);
    assert!(report.contains("the principal lacks WRITE on topic no-write-out"), "{report}");
}

#[test]
fn a_changelog_that_may_not_be_written_is_named() {
    let name = "no-changelog-counts-changelog";
    let report = without("no-changelog", AclResource::Topic, name, AclOperation::Write);
    assert!(report.contains(&format!("the principal lacks WRITE on topic {name}")), "{report}");
}

#[test]
fn a_group_that_may_not_be_joined_is_named() {
    let report = without("no-group", AclResource::Group, "no-group", AclOperation::Read);
    assert!(report.contains("group no-group"), "{report}");
    assert!(report.contains("the principal lacks READ on this group"), "{report}");
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
    for topic in ["no-create-counts-changelog", "no-create-counts-repartition"] {
        assert!(
            report.contains(&format!("the principal lacks CREATE on topic {topic}")),
            "{report}"
        );
    }
}

/// The rights of `docs/operations.md` for at-least-once, and none besides.
#[test]
fn the_documented_rights_are_enough() {
    use AclOperation::{Create, Delete, DescribeConfigs, Read, Write};
    use AclResource::{Group, Topic};
    let application = Application::new(ENOUGH);
    let rights = [
        (Topic, "enough-in", Read),
        (Topic, "enough-out", Write),
        (Group, "enough", Read),
        (Topic, "enough-counts-*", Read),
        (Topic, "enough-counts-*", Write),
        (Topic, "enough-counts-*", Create),
        (Topic, "enough-counts-*", Delete),
        (Topic, "enough-counts-*", DescribeConfigs),
    ];
    let rules = rights.map(|(resource, name, operation)| Acl {
        principal: "User:enough",
        resource,
        name,
        operation,
        deny: false,
    });
    fixture().server.add_acls(&rules).unwrap();
    application.counts(connect(LOGIN, login("PLAIN", ENOUGH, PASSWORD)).unwrap());
}
