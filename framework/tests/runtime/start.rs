//! Mistakes are reported together, before any record is read.

use std::collections::BTreeMap;
use std::time::Duration;

use kstream::broker::{Broker, NewTopic};
use kstream::{
    ErrorKind, JoinWindows, KStream, KafkaStreams, State, StreamsBuilder, StreamsConfig,
};

use crate::app::{CHANGELOG, broker, config, counting, running};

#[test]
fn missing_topics_and_partition_counts_are_reported_together() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    broker.create_topic("three", 3).unwrap();
    broker.create_topic("five", 5).unwrap();
    let builder = StreamsBuilder::new();
    let three: KStream<String, String> = builder.stream("three");
    let five: KStream<String, String> = builder.stream("five");
    let hour = Duration::from_hours(1);
    three
        .join(
            &five,
            |left, right| format!("{left}{right}"),
            JoinWindows::of_time_difference_with_no_grace(hour),
        )
        .to("no-such-output");
    let absent: KStream<String, String> = builder.stream("no-such-input");
    absent.group_by_key().count();
    let config = config(folder.path()).dead_letter_topic("no-such-letters");
    let mut streams = KafkaStreams::new(builder.build().unwrap(), config, broker.clone()).unwrap();
    let error = streams.start().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let report = error.report();
    for part in [
        "topic no-such-input does not exist",
        "topic no-such-letters does not exist",
        "topic no-such-output does not exist",
        "five has 5, three has 3",
        "joined topics need the same number of partitions",
    ] {
        assert!(report.contains(part), "{part} is not in: {report}");
    }
    assert_eq!(streams.state(), State::Error);
    let admin = broker.admin().unwrap();
    let changelog = "app-KSTREAM-AGGREGATE-STATE-STORE-0000000003-changelog";
    assert_eq!(admin.partition_counts(&[changelog]).unwrap(), [None], "nothing is created");
}

#[test]
fn internal_topics_that_do_not_fit_are_refused() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let topic = NewTopic {
        name: CHANGELOG.to_owned(),
        partitions: 2,
        replication_factor: -1,
        configs: BTreeMap::from([("cleanup.policy".to_owned(), "delete".to_owned())]),
    };
    broker.admin().unwrap().create_topics(&[topic]).unwrap()[0].as_ref().unwrap();
    let mut streams = KafkaStreams::new(counting(), config(folder.path()), broker).unwrap();
    let report = streams.start().unwrap_err().report();
    assert!(report.contains("has 2 partitions, but 4 are needed"), "{report}");
    assert!(report.contains("cleanup.policy=delete, but needs compact"), "{report}");
}

#[test]
fn internal_topics_are_created_with_their_configs() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let mut streams =
        running(crate::app::counting_by_value(), config(folder.path()), broker.clone());
    let admin = broker.admin().unwrap();
    let topics = [CHANGELOG, "app-counts-repartition"];
    assert_eq!(admin.partition_counts(&topics).unwrap(), [Some(4), Some(4)]);
    for (topic, policy) in topics.into_iter().zip(["compact", "delete"]) {
        let configs = admin.topic_configs(topic).unwrap();
        assert_eq!(configs["cleanup.policy"], policy, "{topic}");
        assert_eq!(configs["message.timestamp.type"], "CreateTime", "{topic}");
    }
    streams.close().unwrap();
}

#[test]
fn a_state_folder_in_use_is_refused() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let mut first = running(counting(), config(folder.path()), broker.clone());
    let mut second = KafkaStreams::new(counting(), config(folder.path()), broker.clone()).unwrap();
    let error = second.start().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.report().contains("in use"), "{}", error.report());
    first.close().unwrap();
    drop(first);
    drop(second);
    running(counting(), config(folder.path()), broker).close().unwrap();
}

#[test]
fn wrong_settings_are_reported_together() {
    let config = StreamsConfig::new("no spaces")
        .num_stream_threads(0)
        .heartbeat_interval(Duration::from_secs(9))
        .max_poll_interval(Duration::from_secs(1))
        .replication_factor(0);
    let error = KafkaStreams::new(counting(), config, broker()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    for setting in [
        "application_id",
        "num_stream_threads",
        "heartbeat_interval",
        "max_poll_interval",
        "replication_factor",
    ] {
        assert!(error.report().contains(setting), "{setting}: {}", error.report());
    }
}

#[test]
fn an_instance_is_started_once_and_closed_as_often_as_wanted() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let mut streams = KafkaStreams::new(counting(), config(folder.path()), broker).unwrap();
    assert_eq!(streams.state(), State::Created);
    streams.start().unwrap();
    streams.start().unwrap();
    streams.close().unwrap();
    assert_eq!(streams.state(), State::NotRunning);
    streams.close().unwrap();
    streams.start().unwrap();
    assert_eq!(streams.state(), State::NotRunning);
}
