//! Several instances share the work.

use kstream_test_support::wait_until;

use crate::app::{
    CHANGELOG, INPUT, OUTPUT, PARTITIONS, SOON, broker, config, counting, counting_by_value,
    counts_in, counts_of, length, produce, produce_keys, running, tasks, wait_until_committed,
};

const KEYS: usize = 200;

#[test]
fn two_instances_share_the_partitions_and_one_takes_over_when_the_other_stops() {
    let broker = broker();
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut first = running(counting(), config(here.path()), broker.clone());
    produce_keys(&broker, 0..KEYS);
    let mut second = running(counting(), config(there.path()), broker.clone());
    let shared = || tasks(&first).len() == 2 && tasks(&second).len() == 2;
    wait_until(SOON, "two tasks each", shared).unwrap();
    assert!(tasks(&first).is_disjoint(&tasks(&second)));

    produce_keys(&broker, 0..KEYS);
    wait_until_committed(&broker, INPUT);
    assert_eq!(counts_in(&broker, OUTPUT), counts_of(0..KEYS, 2));
    produce_keys(&broker, 0..KEYS);
    let restored_before = second.restored_records();
    first.close().unwrap();
    wait_until(SOON, "all tasks", || tasks(&second).len() == 4).unwrap();
    assert!(second.restored_records() > restored_before);
    assert!(second.restored_records() < length(&broker, CHANGELOG));

    produce_keys(&broker, 0..KEYS);
    wait_until_committed(&broker, INPUT);
    second.close().unwrap();
    assert_eq!(counts_in(&broker, OUTPUT), counts_of(0..KEYS, 4));
    assert_eq!(counts_in(&broker, CHANGELOG), counts_of(0..KEYS, 4));
}

#[test]
fn repartitioned_counts_are_exact_through_clean_rebalances() {
    const VALUES: usize = 50;
    const ROUNDS: i64 = 40;
    let broker = broker();
    let folders: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let start = |folder: usize| {
        let config = config(folders[folder].path()).num_stream_threads(2);
        running(counting_by_value(), config, broker.clone())
    };
    let round = |round: i64| {
        for value in 0..VALUES {
            produce(&broker, &format!("from-{round}-{value}"), &format!("key-{value}"));
        }
    };
    let mut first = start(0);
    (0..10).for_each(round);
    let mut second = start(1);
    (10..20).for_each(round);
    let mut third = start(2);
    (20..30).for_each(round);
    second.close().unwrap();
    (30..ROUNDS).for_each(round);
    first.close().unwrap();
    wait_until(SOON, "all tasks", || tasks(&third).len() == 2 * 4).unwrap();
    wait_until_committed(&broker, INPUT);
    wait_until_committed(&broker, "app-counts-repartition");
    third.close().unwrap();
    assert_eq!(counts_in(&broker, OUTPUT), counts_of(0..VALUES, ROUNDS));
    assert_eq!(counts_in(&broker, CHANGELOG), counts_of(0..VALUES, ROUNDS));
    assert_eq!(PARTITIONS, 4);
}
