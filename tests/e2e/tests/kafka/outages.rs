//! Three brokers that come and go: leaders move, one is missing, all are.

use std::time::{Duration, Instant};

use kstream_test_support::wait_until;

use crate::cluster::{Cluster, Counter, RECORDS, truth};

/// How long all brokers are away; `make outage` says a minute. Longer than the program's session timeout.
const OUTAGE_S: u64 = 20;
const OUTAGE_VARIABLE: &str = "KSTREAM_OUTAGE_S";

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

#[test]
fn a_full_outage_is_survived_by_everybody() {
    let mut cluster = Cluster::start_of_three("outage");
    let mut programs = [cluster.process("a"), cluster.process("b")];
    cluster.produce(0..RECORDS / 2);
    // In the middle of the work.
    cluster.wait_until_committed_beyond(RECORDS / 10);
    cluster.brokers().kill_all().unwrap();
    pass(outage(), &mut programs);
    cluster.brokers().restart_all().unwrap();
    cluster.produce(RECORDS / 2..RECORDS);
    cluster.wait_until_committed();
    programs.iter_mut().for_each(Counter::check_running);
    programs.into_iter().for_each(Counter::stop);
    check_nothing_is_lost(&cluster);
}
