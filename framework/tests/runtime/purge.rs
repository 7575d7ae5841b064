//! What has been read of repartition topics is deleted, and nothing else.

use std::time::Duration;

use kstream_test_support::wait_until;

use crate::app::{
    GUARANTEES, INPUT, OUTPUT, PARTITIONS, SOON, beginning, broker, committed, config,
    counting_by_value, counts_in, counts_of, produce, running, wait_until_committed,
};

const TOPIC: &str = "app-counts-repartition";
const KEYS: usize = 40;

#[test]
fn committed_records_of_repartition_topics_are_deleted() {
    for guarantee in GUARANTEES {
        let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
        let config = config(folder.path())
            .processing_guarantee(guarantee)
            .repartition_purge_interval(Duration::from_millis(50));
        let mut streams = running(counting_by_value(), config, broker.clone());
        for times in 1..=3 {
            for key in 0..KEYS {
                produce(&broker, &format!("from-{key}"), &format!("key-{key}"));
            }
            let is_through = || counts_in(&broker, OUTPUT) == counts_of(0..KEYS, times);
            wait_until(SOON, "all counts", is_through).unwrap();
            wait_until(SOON, "deletion", || {
                (0..PARTITIONS).all(|partition| {
                    let committed = committed(&broker, TOPIC, partition);
                    committed.is_some_and(|offset| beginning(&broker, TOPIC, partition) == offset)
                })
            })
            .unwrap();
        }
        streams.close().unwrap();
        wait_until_committed(&broker, INPUT);
        assert!((0..PARTITIONS).all(|partition| beginning(&broker, INPUT, partition) == 0));
    }
}
