//! The broker fixture against the real broker.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::process::Command;
use std::time::Duration;

use kstream_test_support::{KafkaCluster, KafkaServer, LocalKafka, wait_until};

const SOON: Duration = Duration::from_mins(1);

/// Kafka's own tool, so that the fixture is not judged by code of ours.
fn topics(bootstrap: &str, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_kafka-local"))
        .args(["tool", "org.apache.kafka.tools.TopicCommand", "--bootstrap-server", bootstrap])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn topic_survives_crash_and_restart_on_the_same_address() {
    let mut kafka = KafkaServer::start().unwrap();
    let bootstrap = kafka.bootstrap().to_owned();
    topics(&bootstrap, &["--create", "--topic", "visits", "--partitions", "4"]);
    let first = kafka.id().unwrap();
    kafka.kill().unwrap();
    assert_eq!(kafka.id(), None);
    kafka.restart().unwrap();
    assert_ne!(kafka.id().unwrap(), first);
    assert_eq!(kafka.bootstrap(), bootstrap);
    assert!(topics(&bootstrap, &["--list"]).contains("visits"));
}

#[test]
fn dropped_server_leaves_no_process_and_no_folder() {
    let kafka = KafkaServer::start().unwrap();
    let pid = kafka.id().unwrap();
    let log = kafka.log().to_owned();
    assert!(log.exists());
    drop(kafka);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    assert!(!log.exists());
}

/// Ends a local broker also when its test fails.
struct Cleaned(LocalKafka);

impl Drop for Cleaned {
    fn drop(&mut self) {
        drop(self.0.clean());
    }
}

#[test]
fn local_broker_keeps_its_data_until_it_is_cleaned() {
    let port = kstream_test_support::free_port().unwrap();
    let kafka = Cleaned(LocalKafka::on_port(port));
    let address = kafka.0.start().unwrap();
    assert_eq!(address, format!("127.0.0.1:{port}"));
    topics(&address, &["--create", "--topic", "kept"]);
    kafka.0.kill().unwrap();
    let program = env!("CARGO_BIN_EXE_kafka-local");
    let again =
        Command::new(program).args(["--port", &port.to_string(), "restart"]).output().unwrap();
    assert_eq!(String::from_utf8(again.stdout).unwrap().trim(), address);
    assert!(topics(&address, &["--list"]).contains("kept"));
    kafka.0.clean().unwrap();
    wait_until(SOON, "closed port", || std::net::TcpStream::connect(&address).is_err()).unwrap();
}

#[test]
fn cluster_serves_without_one_broker_and_is_complete_when_it_is_back() {
    let mut cluster = KafkaCluster::start(3).unwrap();
    let bootstrap = cluster.bootstrap().to_owned();
    assert_eq!(bootstrap.split(',').count(), cluster.size());
    topics(&bootstrap, &["--create", "--topic", "visits", "--partitions", "4"]);
    let described = topics(&bootstrap, &["--describe", "--topic", "visits"]);
    assert!(described.contains("ReplicationFactor: 3"), "{described}");
    assert!(described.contains("min.insync.replicas=2"), "{described}");
    cluster.broker(0).kill().unwrap();
    cluster.broker(1).suspend().unwrap();
    cluster.broker(1).resume().unwrap();
    topics(&bootstrap, &["--create", "--topic", "without-one", "--replication-factor", "2"]);
    cluster.broker(0).restart().unwrap();
    cluster.wait_until_complete().unwrap();
    cluster.kill_all().unwrap();
    cluster.restart_all().unwrap();
    cluster.wait_until_complete().unwrap();
    assert!(topics(&bootstrap, &["--list"]).contains("without-one"));
}
