//! Brokers that come and go: of three, leaders move, one is missing, all are; a single one stands still.

use std::time::{Duration, Instant};

use kstream::broker::kafka::{KafkaBroker, KafkaSettings};
use kstream::broker::{Broker, BrokerError, BrokerErrorKind, OutgoingRecord, ProducerSettings};
use kstream::{Headers, TopicPartition};
use kstream_test_support::{KafkaServer, wait_until};

use crate::cluster::{Cluster, Counter, RECORDS, truth};
use crate::recreated::create;

/// How long all brokers are away; `make outage` says a minute. Longer than the program's session timeout.
const OUTAGE_S: u64 = 20;
const OUTAGE_VARIABLE: &str = "KSTREAM_OUTAGE_S";
/// How long anything may take.
const SOON: Duration = Duration::from_mins(1);

fn outage() -> Duration {
    let given = std::env::var(OUTAGE_VARIABLE).ok();
    Duration::from_secs(given.map_or(OUTAGE_S, |text| text.parse().unwrap()))
}

/// Nobody has lost a record; one that was killed or expelled before its commit may have counted some twice.
#[track_caller]
fn check_nothing_is_lost(cluster: &Cluster) {
    let (truth, counts) = (truth(0..RECORDS), cluster.counts());
    assert_eq!(counts.len(), truth.len());
    for (key, count) in &truth {
        assert!(counts[key] >= *count, "{key}: {} of {count}", counts[key]);
    }
    for (key, count) in cluster.counts_of_windows() {
        assert!(count >= truth[&key], "{key}: {count} in windows of {}", truth[&key]);
    }
}

/// Lets so much time pass, in which none of the programs may end.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "brokers let real time pass")]
fn pass(time: Duration, programs: &mut [Counter]) {
    let start = Instant::now();
    wait_until(time * 2 + Duration::from_secs(1), "the time", || {
        programs.iter_mut().for_each(Counter::check_running);
        start.elapsed() >= time
    })
    .unwrap();
}

#[test]
fn leaders_that_move_and_single_brokers_that_are_missing_cost_nothing() {
    let mut cluster = Cluster::start_of_three("moved");
    let mut programs = [cluster.process("a"), cluster.process("b")];
    cluster.produce(0..RECORDS / 4);
    cluster.wait_until_committed_beyond(RECORDS / 10);
    // Each broker leads some partitions and some coordinators: all of them move, and more than once.
    cluster.brokers().broker(0).kill().unwrap();
    cluster.check_answers();
    cluster.produce(RECORDS / 4..RECORDS / 2);
    cluster.wait_until_committed_beyond(RECORDS / 4 + RECORDS / 10);
    cluster.brokers().broker(0).restart().unwrap();
    cluster.brokers().wait_until_complete().unwrap();
    cluster.brokers().broker(1).restart().unwrap();
    cluster.produce(RECORDS / 2..RECORDS * 3 / 4);
    cluster.brokers().wait_until_complete().unwrap();
    cluster.brokers().broker(2).kill().unwrap();
    cluster.check_answers();
    cluster.brokers().broker(2).restart().unwrap();
    cluster.brokers().wait_until_complete().unwrap();
    cluster.brokers().broker(2).suspend().unwrap();
    cluster.produce(RECORDS * 3 / 4..RECORDS);
    cluster.wait_until_committed();
    cluster.brokers().broker(2).resume().unwrap();
    cluster.brokers().wait_until_complete().unwrap();
    programs.iter_mut().for_each(Counter::check_running);
    programs.into_iter().for_each(Counter::stop);
    check_nothing_is_lost(&cluster);
}

/// Takes all brokers away in the middle of the work, for a while.
fn full_outage(mut cluster: Cluster) -> (Cluster, [Counter; 2]) {
    let mut programs = [cluster.process("a"), cluster.process("b")];
    cluster.produce(0..RECORDS / 2);
    cluster.wait_until_committed_beyond(RECORDS / 10);
    cluster.brokers().kill_all().unwrap();
    pass(outage(), &mut programs);
    cluster.brokers().restart_all().unwrap();
    cluster.brokers().wait_until_complete().unwrap();
    cluster.produce(RECORDS / 2..RECORDS);
    (cluster, programs)
}

#[test]
fn a_full_outage_is_survived_by_everybody() {
    let (cluster, mut programs) = full_outage(Cluster::start_of_three("outage"));
    cluster.wait_until_committed();
    programs.iter_mut().for_each(Counter::check_running);
    programs.into_iter().for_each(Counter::stop);
    check_nothing_is_lost(&cluster);
}

#[test]
fn a_full_outage_changes_nothing_exactly_once() {
    let cluster = Cluster::start_of_three("outage-once").exactly_once();
    let (cluster, mut programs) = full_outage(cluster);
    cluster.wait_until_exact(&truth(0..RECORDS));
    programs.iter_mut().for_each(Counter::check_running);
    programs.into_iter().for_each(Counter::stop);
    cluster.wait_until_exact(&truth(0..RECORDS));
}

#[test]
fn a_record_with_a_lifetime_is_given_up_by_it_and_others_wait_on() {
    let mut server = KafkaServer::start().unwrap();
    let broker = KafkaBroker::new(server.bootstrap(), KafkaSettings::default()).unwrap();
    for topic in ["rows", "results"] {
        create(&broker, topic, "delete");
    }
    let settings =
        ProducerSettings { client_id: "test".to_owned(), track_acks: true, transactions: None };
    let mut producer = broker.producer(&settings).unwrap();
    let rows = producer.topic_with_lifetime("rows", Duration::from_secs(2)).unwrap();
    let results = producer.topic("results").unwrap();
    let headers = Headers::new();
    let record = OutgoingRecord {
        partition: 0,
        key: Some(b"key"),
        value: Some(b"value"),
        timestamp: None,
        headers: &headers,
    };
    for topic in [rows, results] {
        producer.send(topic, record).unwrap();
    }
    producer.flush(SOON).unwrap();
    assert_eq!(producer.last_acked(rows, 0), Some(0));

    server.suspend().unwrap();
    for topic in [rows, results] {
        producer.send(topic, record).unwrap();
    }
    wait_until(SOON, "the end of a lifetime", || {
        producer.poll().unwrap();
        producer.send(rows, record).is_err_and(|error| is_expiry(&error))
    })
    .unwrap();
    server.resume().unwrap();
    wait_until(SOON, "acknowledgement of what was sent since", || {
        producer.flush(SOON).map_err(|error| assert!(is_expiry(&error), "{error}")).is_ok()
    })
    .unwrap();
    producer.send(rows, record).unwrap();
    producer.flush(SOON).unwrap();
    let partitions = ["rows", "results"].map(|topic| TopicPartition::new(topic, 0));
    let ends = broker.admin().unwrap().end_offsets(&partitions).unwrap();
    let [of_rows, of_results] = ends[..] else { panic!("an end each") };
    assert_eq!(producer.last_acked(rows, 0), Some(of_rows - 1));
    // KAFKA: the client goes on with another epoch, so the broker may take what was under way twice.
    assert!(of_results >= 2, "{of_results}");
    assert_eq!(producer.last_acked(results, 0), Some(of_results - 1));
}

fn is_expiry(error: &BrokerError) -> bool {
    error.kind() == BrokerErrorKind::Expired
}
