//! Internal topics as they are wanted, made and found.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;
use crate::broker::memory::MemoryBroker;
use crate::broker::{
    Broker, BrokerError, BrokerErrorKind, CommittedOffset, GroupMemberInfo, NewTopic,
    TopicDescription,
};
use crate::dsl::{KStream, Materialized, StreamsBuilder};
use crate::ids::TopicPartition;
use crate::runtime::housekeeping::TopicWatch;
use crate::time::ManualClock;
use crate::time::windows::TimeWindows;

const COUNTS: &str = "app-counts-changelog";
const WINDOWS: &str = "app-windows-changelog";
const REPARTITION: &str = "app-counts-repartition";
const COORDINATION: &str = "app-coordination";
const HOUR: Duration = Duration::from_hours(1);

/// Counts by value, plainly and by hours, with a config of its own for one changelog.
fn topology() -> Topology {
    let builder = StreamsBuilder::new();
    let records: KStream<String, String> = builder.stream("in");
    let grouped = records.group_by(|_, value: &String| value.clone());
    let own = [("segment.bytes", "1500000")];
    grouped.count_with("count", Materialized::named("counts").with_logging_enabled(own));
    grouped
        .windowed_by(TimeWindows::of_size_with_no_grace(HOUR))
        .count_with("window", Materialized::named("windows"));
    builder.build().unwrap()
}

fn broker(partitions: i32) -> MemoryBroker {
    let broker = MemoryBroker::new(Arc::new(ManualClock::new(0)));
    broker.create_topic("in", partitions).unwrap();
    broker
}

fn config() -> StreamsConfig {
    StreamsConfig::new("app")
}

fn make(admin: &dyn Admin, name: &str, partitions: i32, configs: &[(&str, &str)]) {
    let configs =
        configs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let topic = NewTopic { name: name.to_owned(), partitions, replication_factor: -1, configs };
    admin.create_topics(&[topic]).unwrap().remove(0).unwrap();
}

fn problems(admin: &dyn Admin, config: &StreamsConfig) -> String {
    prepare(&topology(), config, admin).unwrap_err().report()
}

#[test]
fn topics_get_our_configs_then_the_users_then_the_stores() {
    let admin = broker(3).admin().unwrap();
    let config = config()
        .topic_config("segment.bytes", "2000000")
        .topic_config("retention.ms", "77")
        .topic_config("min.insync.replicas", "2");
    prepare(&topology(), &config, &*admin).unwrap();
    let of = |topic: &str, name: &str| admin.topic_configs(topic).unwrap()[name].clone();
    assert_eq!(admin.partition_counts(&[COUNTS, WINDOWS, REPARTITION]).unwrap(), [Some(3); 3]);
    assert_eq!(of(COUNTS, "segment.bytes"), "1500000");
    assert_eq!(of(WINDOWS, "segment.bytes"), "2000000");
    assert_eq!(of(COUNTS, "min.insync.replicas"), "2");
    assert_eq!(of(COUNTS, "cleanup.policy"), "compact");
    assert_eq!(of(REPARTITION, "retention.ms"), "77");
    // The window's own, and a day.
    let day = 24 * HOUR.as_millis();
    assert_eq!(of(WINDOWS, "retention.ms"), (HOUR.as_millis() + day).to_string());
    assert_eq!(of(WINDOWS, "cleanup.policy"), "compact,delete");
    // What the members agree in is as safe, and as we need it.
    assert_eq!(admin.partition_counts(&[COORDINATION]).unwrap(), [Some(1)]);
    assert_eq!(of(COORDINATION, "min.insync.replicas"), "2");
    assert_eq!(of(COORDINATION, "segment.bytes"), "4194304");
    assert_eq!(of(COORDINATION, "cleanup.policy"), "compact");
    // A second start finds everything as it should be.
    prepare(&topology(), &config, &*admin).unwrap();
}

#[test]
fn existing_topics_that_do_not_fit_are_told_together_and_left_alone() {
    let admin = broker(3).admin().unwrap();
    let log_append = [("cleanup.policy", "compact"), ("message.timestamp.type", "LogAppendTime")];
    make(&*admin, COUNTS, 2, &log_append);
    let short = [("cleanup.policy", "compact,delete"), ("retention.ms", "1000")];
    make(&*admin, WINDOWS, 3, &short);
    let by_size = [("cleanup.policy", "delete"), ("retention.ms", "-1"), ("retention.bytes", "9")];
    make(&*admin, REPARTITION, 3, &by_size);
    make(&*admin, COORDINATION, 2, &[("cleanup.policy", "delete")]);
    let report = problems(&*admin, &config());
    for part in [
        "topic app-counts-changelog has 2 partitions, but 3 are needed, because sub-topology 1 reads",
        "topic app-counts-changelog has message.timestamp.type=LogAppendTime, but needs CreateTime",
        "topic app-windows-changelog has retention.ms=1000, but needs 90000000",
        "topic app-counts-repartition has retention.bytes=9, but needs -1",
        "topic app-coordination has 2 partitions, but 1 are needed, because the members",
        "topic app-coordination has cleanup.policy=delete, but needs compact",
        "--entity-name app-windows-changelog --add-config retention.ms=[90000000]",
    ] {
        assert!(report.contains(part), "{part} is not in: {report}");
    }
    assert_eq!(report.matches("\n  topic ").count(), 6, "{report}");
    assert_eq!(admin.topic_configs(WINDOWS).unwrap()["retention.ms"], "1000");
}

#[test]
fn an_existing_topic_may_keep_more_than_is_needed() {
    let admin = broker(1).admin().unwrap();
    make(&*admin, WINDOWS, 1, &[("cleanup.policy", "compact")]);
    make(&*admin, COUNTS, 1, &[("cleanup.policy", "compact"), ("retention.ms", "5")]);
    prepare(&topology(), &config(), &*admin).unwrap();
}

#[test]
fn fewer_copies_than_a_write_needs_are_refused_before_anything_is_made() {
    let admin = broker(1).admin().unwrap();
    let config = config().replication_factor(1).topic_config("min.insync.replicas", "2");
    let report = problems(&*admin, &config);
    assert!(report.contains("1 copies, but min.insync.replicas=2"), "{report}");
    assert_eq!(admin.partition_counts(&[COUNTS]).unwrap(), [None]);
}

#[test]
fn what_is_wrong_with_existing_topics_is_told_beside_what_is_missing() {
    let admin = broker(1).admin().unwrap();
    admin.delete_topics(&["in"]).unwrap();
    make(&*admin, COUNTS, 7, &[("cleanup.policy", "delete")]);
    let report = problems(&*admin, &config());
    assert!(report.contains("topic in does not exist"), "{report}");
    assert!(report.contains("app-counts-changelog has cleanup.policy=delete"), "{report}");
    // How many it needs depends on what is missing.
    assert!(!report.contains("7 partitions"), "{report}");
    assert_eq!(admin.partition_counts(&[WINDOWS]).unwrap(), [None], "nothing is made");
}

#[test]
fn a_config_that_the_broker_refuses_names_each_topic() {
    let admin = broker(1).admin().unwrap();
    let report = problems(&*admin, &config().topic_config("segment.ms", "soon"));
    for topic in [COUNTS, WINDOWS, REPARTITION, COORDINATION] {
        assert!(report.contains(&format!("topic {topic} cannot be created")), "{report}");
    }
}

#[test]
fn repartition_topics_are_known_by_their_full_names() {
    let plan = prepare(&topology(), &config(), &*broker(2).admin().unwrap()).unwrap();
    assert_eq!(plan.repartition_topics(), [REPARTITION, "app-windows-repartition"]);
}

#[test]
fn later_changes_of_topics_are_told_with_what_to_do() {
    let broker = broker(2);
    let admin = broker.admin().unwrap();
    make(&*admin, "all", 2, &[]);
    let builder = StreamsBuilder::new();
    let records: KStream<String, String> = builder.stream("in");
    records.for_each(|_, _| ());
    drop(builder.global_table::<String, String>("all"));
    let plan = prepare(&builder.build().unwrap(), &config(), &*admin).unwrap();
    let mut watch = TopicWatch::new(Arc::new(plan), Duration::ZERO);
    let mut news = |minutes| watch.news(&*admin, Duration::from_mins(minutes));
    assert_eq!(news(1), [""; 0]);
    for topic in ["in", "all"] {
        admin.delete_topics(&[topic]).unwrap().remove(0).unwrap();
        make(&*admin, topic, 5, &[]);
    }
    assert_eq!(news(1), [""; 0], "it is not time yet");
    // What becomes of the input is a matter of the group.
    let grown = news(2);
    assert_eq!(grown.len(), 1, "{grown:?}");
    assert!(grown[0].contains("topic all has 5 partitions now, and had 2"), "{grown:?}");
    assert_eq!(news(3), [""; 0], "it was told before");
    admin.delete_topics(&["in"]).unwrap().remove(0).unwrap();
    let gone = news(4);
    assert_eq!(gone.len(), 1, "{gone:?}");
    assert!(gone[0].contains("topic in is gone"), "{gone:?}");
}

/// Another instance is quicker: topics are not there at the first look, and then they are.
#[derive(Debug)]
struct Quicker {
    admin: Box<dyn Admin>,
    looks: AtomicUsize,
    /// How often its configs are not known yet.
    late: AtomicUsize,
}

impl Admin for Quicker {
    fn describe_topics(
        &self,
        topics: &[&str],
    ) -> Result<Vec<Option<TopicDescription>>, BrokerError> {
        // The first look is for the user's topics; the next ones come too early.
        if (1..4).contains(&self.looks.fetch_add(1, Ordering::SeqCst)) {
            return Ok(vec![None; topics.len()]);
        }
        self.admin.describe_topics(topics)
    }
    fn create_topics(
        &self,
        topics: &[NewTopic],
    ) -> Result<Vec<Result<(), BrokerError>>, BrokerError> {
        self.admin.create_topics(topics)?;
        self.admin.create_topics(topics)
    }
    fn topic_names(&self) -> Result<Vec<String>, BrokerError> {
        self.admin.topic_names()
    }
    fn topic_configs(&self, topic: &str) -> Result<BTreeMap<String, String>, BrokerError> {
        let one_less = |late: usize| late.checked_sub(1);
        if self.late.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok() {
            let kind = BrokerErrorKind::UnknownTopicOrPartition;
            return Err(BrokerError::new(kind, "not yet"));
        }
        self.admin.topic_configs(topic)
    }
    fn delete_topics(&self, topics: &[&str]) -> Result<Vec<Result<(), BrokerError>>, BrokerError> {
        self.admin.delete_topics(topics)
    }
    fn end_offsets(&self, partitions: &[TopicPartition]) -> Result<Vec<i64>, BrokerError> {
        self.admin.end_offsets(partitions)
    }
    fn beginning_offsets(&self, partitions: &[TopicPartition]) -> Result<Vec<i64>, BrokerError> {
        self.admin.beginning_offsets(partitions)
    }
    fn group_offsets(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<Vec<Option<CommittedOffset>>, BrokerError> {
        self.admin.group_offsets(group, partitions)
    }
    fn group_members(&self, group: &str) -> Result<Vec<GroupMemberInfo>, BrokerError> {
        self.admin.group_members(group)
    }
    fn delete_records(
        &self,
        before: &[(TopicPartition, i64)],
    ) -> Result<Vec<Result<(), BrokerError>>, BrokerError> {
        self.admin.delete_records(before)
    }
}

#[test]
fn topics_that_another_instance_makes_at_the_same_moment_are_fine() {
    let (admin, late) = (broker(2).admin().unwrap(), AtomicUsize::new(2));
    let admin = Quicker { admin, looks: AtomicUsize::new(0), late };
    prepare(&topology(), &config(), &admin).unwrap();
    assert!(admin.looks.load(Ordering::SeqCst) > 3, "it looked again until they were there");
}
