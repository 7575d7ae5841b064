//! The stages as processes on a real Kafka, two instances each, some of them killed.

use std::sync::Arc;
use std::time::Duration;

use geo_aggregation::caught_up::is_caught_up;
use geo_aggregation::topics;
use kstream::broker::kafka::{KafkaBroker, KafkaSettings};
use kstream::broker::{Admin, Broker as _};
use kstream_test_support::{KafkaServer, Process, wait_until};

use crate::program::{PATIENCE, STOP, Workplace, count_independently, counted};

const LINES: u64 = 200_000;

/// Visits in the database at which the instances are killed: enough to be in the middle of the run,
/// and far from its end.
const KILL_AT: u64 = 1_000;

fn admin(kafka: &KafkaServer) -> Arc<dyn Admin> {
    let settings = KafkaSettings { connect_timeout: Duration::from_secs(30), ..Default::default() };
    let broker = KafkaBroker::new(kafka.bootstrap(), settings).unwrap();
    Arc::from(broker.admin().unwrap())
}

fn is_done(admin: &dyn Admin) -> bool {
    let read = |group: &str, topic: &str| {
        is_caught_up(admin, &format!("geo-aggregation-{group}"), &[topic.to_owned()])
            .unwrap_or(false)
    };
    read("preprocess", topics::RAW_PAGE_VIEWS)
        && read("aggregate", topics::PAGE_VIEWS)
        && read("aggregate", topics::REJECTED)
        && read("aggregate", "geo-aggregation-aggregate-rejected-by-source-repartition")
}

#[test]
fn totals_are_exact_though_instances_are_killed() {
    let kafka = KafkaServer::start().unwrap();
    let workplace = Workplace::new();
    let log = workplace.sample(LINES);
    let broker = kafka.bootstrap();
    let preprocess = |name: &str| workplace.start(name, &["preprocess", "--broker", broker]);
    let aggregate = |name: &str| {
        workplace.start(name, &["aggregate", "--broker", broker, "--interval", "200ms"])
    };
    let mut preprocess_1 = preprocess("preprocess-1");
    let preprocess_2 = preprocess("preprocess-2");
    let mut aggregate_1 = aggregate("aggregate-1");
    let aggregate_2 = aggregate("aggregate-2");
    let mut import =
        workplace.start("import", &["import", "--broker", broker, "--log", log.to_str().unwrap()]);

    let visits = || workplace.totals().visits.values().sum::<u64>();
    wait_until(PATIENCE, "some visits are counted", || visits() >= KILL_AT).unwrap();
    preprocess_1.kill().unwrap();
    aggregate_1.kill().unwrap();
    let seen = visits();
    assert!(seen < LINES / 2, "{seen} visits were counted before anything was killed");
    let restarted = [preprocess("preprocess-1"), aggregate("aggregate-1")];

    assert!(import.wait(PATIENCE).unwrap().success());
    let admin = admin(&kafka);
    wait_until(PATIENCE, "everything is counted", || is_done(&*admin)).unwrap();
    stop([preprocess_2, aggregate_2].into_iter().chain(restarted));
    assert_eq!(counted(&workplace.totals()), count_independently(&log));
}

#[test]
fn all_on_kafka_counts_exactly_and_goes_on_counting() {
    let kafka = KafkaServer::start().unwrap();
    let workplace = Workplace::new();
    let log = workplace.sample(20_000);
    let arguments =
        ["all", "--broker", kafka.bootstrap(), "--log", log.to_str().unwrap(), "--exit-when-done"];
    workplace.run_well(&arguments);
    let once = count_independently(&log);
    assert_eq!(counted(&workplace.totals()), once);
    // The same lines imported again are more visits: the table goes on from where it was.
    workplace.run_well(&arguments);
    let mut twice = once;
    twice.visits.values_mut().for_each(|visits| *visits *= 2);
    twice.rejected *= 2;
    assert_eq!(counted(&workplace.totals()), twice);
}

#[track_caller]
fn stop(processes: impl IntoIterator<Item = Process>) {
    for mut process in processes {
        let status = process.terminate(STOP).unwrap();
        let log = std::fs::read_to_string(process.log()).unwrap();
        assert!(status.success(), "{status}: {log}");
    }
}
