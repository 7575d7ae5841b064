//! Processes that count, on a real Kafka: killed, stopped, and left alone by their broker.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]
#![expect(clippy::indexing_slicing, reason = "the same")]
#![expect(clippy::panic, reason = "the same")]

mod cluster;
mod outages;
mod recreated;
mod retention;

use cluster::{Cluster, RECORDS, truth};

#[test]
fn a_killed_process_comes_back_replays_the_tail_and_nothing_is_lost() {
    let mut cluster = Cluster::start("killed");
    let mut a = cluster.process("a");
    let b = cluster.process("b");
    cluster.produce(0..RECORDS / 2);
    cluster.wait_until_committed();
    // A clean stop writes its rows to disk, and with no input nobody adds to them.
    a.stop();
    a = cluster.process("a");
    assert_eq!(a.restored_records(), 0);
    let c = cluster.process("c");
    let killed_at = RECORDS / 2 + RECORDS / 4;
    cluster.produce(RECORDS / 2..killed_at);
    cluster.wait_until_committed_beyond(RECORDS / 2 + RECORDS / 10);
    a.kill();
    cluster.produce(killed_at..RECORDS);
    a = cluster.process("a");
    let restored = a.restored_records();
    cluster.wait_until_committed();
    let logged = cluster.changelog_records();
    assert!(restored < logged, "{restored} restored of {logged}");
    a.stop();
    b.stop();
    c.stop();
    let truth = truth(0..RECORDS);
    let counts = cluster.counts();
    assert_eq!(counts.len(), truth.len());
    for (key, count) in &truth {
        assert!(counts[key] >= *count, "{key}: {} of {count}", counts[key]);
    }
    for (key, count) in cluster.counts_of_windows() {
        assert!(count >= truth[&key], "{key}: {count} in windows of {}", truth[&key]);
    }
}

#[test]
fn clean_stops_and_starts_in_mid_run_count_exactly() {
    let mut cluster = Cluster::start("stopped");
    let a = cluster.process("a");
    cluster.produce(0..RECORDS / 4);
    let b = cluster.process("b");
    cluster.produce(RECORDS / 4..RECORDS / 2);
    cluster.wait_until_committed_beyond(RECORDS / 4);
    a.stop();
    cluster.produce(RECORDS / 2..RECORDS * 3 / 4);
    let a = cluster.process("a");
    cluster.wait_until_committed_beyond(RECORDS / 2);
    b.stop();
    cluster.produce(RECORDS * 3 / 4..RECORDS);
    cluster.wait_until_committed();
    a.stop();
    assert_eq!(cluster.counts(), truth(0..RECORDS));
    assert_eq!(cluster.counts_of_windows(), truth(0..RECORDS));
    cluster.check_internal_topics();
}

#[test]
fn a_restart_of_the_broker_is_survived() {
    let mut cluster = Cluster::start("restarted");
    let mut a = cluster.process("a");
    cluster.produce(0..RECORDS / 2);
    cluster.wait_until_committed_beyond(RECORDS / 10);
    cluster.restart_broker();
    a.check_running();
    cluster.produce(RECORDS / 2..RECORDS);
    cluster.wait_until_committed();
    a.check_running();
    a.stop();
    let (truth, counts) = (truth(0..RECORDS), cluster.counts());
    assert_eq!(counts.len(), truth.len());
    assert!(truth.iter().all(|(key, count)| counts[key] >= *count), "{counts:?}");
}

#[test]
fn an_input_that_grows_ends_its_readers_with_what_to_do() {
    let mut cluster = Cluster::start("grown");
    let programs = [cluster.process("a"), cluster.process("b")];
    cluster.produce(0..RECORDS / 8);
    cluster.wait_until_committed();
    cluster.grow_input();
    for program in programs {
        let (code, log) = program.wait_for_end();
        assert_eq!(code, Some(78), "{log}");
        assert!(log.contains("topic e2e-in had 4 partitions and has 5 now"), "{log}");
        assert!(log.contains("Stop all instances and start them again"), "{log}");
    }
    // A start does not mend it: the counts of keys that have moved would begin anew.
    let (code, log) = cluster.process("a").wait_for_end();
    assert_eq!(code, Some(78), "{log}");
    assert!(
        log.contains("topic grown-counts-repartition has 4 partitions, but 5 are needed"),
        "{log}"
    );
}

#[test]
fn a_log_that_takes_nothing_any_more_ends_nobody() {
    let mut cluster = Cluster::start("unheard");
    let mut process = cluster.process_without_log("a");
    cluster.produce(0..RECORDS / 8);
    cluster.wait_until_committed();
    // Its clients and its threads have much to say about this.
    cluster.restart_broker();
    cluster.produce(RECORDS / 8..RECORDS / 4);
    cluster.wait_until_committed();
    process.check_running();
    process.stop();
    assert_eq!(cluster.counts(), truth(0..RECORDS / 4));
}
