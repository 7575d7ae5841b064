//! Retention, compaction and truncation, by the clock.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::broker::memory::MemoryBroker;
use crate::broker::{Broker, BrokerErrorKind, ConsumerRole, NewTopic, OutgoingRecord, StartOffset};
use crate::ids::TopicPartition;
use crate::record::Headers;
use crate::time::ManualClock;

/// Three of them fill a segment.
static LARGE: [u8; 400 << 10] = [b'x'; 400 << 10];

struct Fixture {
    clock: Arc<ManualClock>,
    broker: MemoryBroker,
}

impl Fixture {
    fn new(configs: &[(&str, &str)]) -> Self {
        let clock = Arc::new(ManualClock::new(1_000_000));
        let broker = MemoryBroker::new(Arc::clone(&clock) as Arc<_>);
        let configs: BTreeMap<String, String> =
            configs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let topic = NewTopic { name: "t".into(), partitions: 1, replication_factor: 1, configs };
        broker.admin().unwrap().create_topics(&[topic]).unwrap().remove(0).unwrap();
        Self { clock, broker }
    }

    fn produce(&self, key: &[u8], value: Option<&[u8]>) -> i64 {
        let headers = &Headers::new();
        let record =
            OutgoingRecord { partition: 0, key: Some(key), value, timestamp: None, headers };
        self.broker.produce("t", record).unwrap()
    }

    fn offsets(&self) -> Vec<i64> {
        let [start, _] = self.range();
        let records = self.broker.records("t", 0, start).unwrap();
        records.iter().map(|record| record.offset).collect()
    }

    fn range(&self) -> [i64; 2] {
        let (admin, partition) = (self.broker.admin().unwrap(), [TopicPartition::new("t", 0)]);
        [admin.beginning_offsets(&partition).unwrap()[0], admin.end_offsets(&partition).unwrap()[0]]
    }

    fn advance_ms(&self, ms: u64) {
        self.clock.advance(Duration::from_millis(ms));
    }
}

#[test]
fn segments_whose_records_are_all_old_are_deleted() {
    let fixture = Fixture::new(&[("retention.ms", "1000")]);
    for _ in 0..4 {
        fixture.produce(b"k", Some(&LARGE));
    }
    fixture.advance_ms(600);
    fixture.produce(b"k", Some(&LARGE));
    fixture.advance_ms(401);
    fixture.broker.run_retention();
    // The second segment holds records 3 and 4, of which 4 is young.
    assert_eq!(fixture.range(), [3, 5]);
    fixture.advance_ms(600);
    fixture.broker.run_retention();
    assert_eq!(fixture.range(), [5, 5]);
    assert_eq!(fixture.produce(b"k", None), 5, "offsets go on");
    let gone = fixture.broker.records("t", 0, 4).unwrap_err();
    assert_eq!(gone.kind(), BrokerErrorKind::OffsetOutOfRange);
}

#[test]
fn the_oldest_segments_beyond_the_size_are_deleted() {
    let fixture = Fixture::new(&[("retention.bytes", "1000000"), ("retention.ms", "-1")]);
    for _ in 0..7 {
        fixture.produce(b"k", Some(&LARGE));
    }
    fixture.broker.run_retention();
    // Records 3 to 5 and the active 6 are 1.6 MB; without 3 to 5 there would be 0.4 MB.
    assert_eq!(fixture.range(), [3, 7]);
}

#[test]
fn compaction_keeps_the_last_record_of_each_key_and_the_gaps() {
    let fixture = Fixture::new(&[("cleanup.policy", "compact")]);
    for key in [b"a", b"b", b"a", b"c", b"b"] {
        fixture.produce(key, Some(b"v"));
    }
    fixture.broker.run_retention();
    assert_eq!(fixture.offsets(), [2, 3, 4]);
    assert_eq!(fixture.range(), [0, 5]);
    assert_eq!(fixture.broker.records("t", 0, 1).unwrap()[0].offset, 2, "the next there is");
    fixture.produce(b"b", Some(b"v"));
    fixture.broker.run_retention();
    assert_eq!(fixture.offsets(), [2, 3, 5]);
}

#[test]
fn tombstones_stay_for_their_time_and_the_newest_record_for_ever() {
    let configs = [("cleanup.policy", "compact"), ("delete.retention.ms", "1000")];
    let fixture = Fixture::new(&configs);
    fixture.produce(b"a", Some(b"v"));
    fixture.produce(b"a", None);
    fixture.produce(b"b", None);
    fixture.broker.run_retention();
    assert_eq!(fixture.offsets(), [1, 2]);
    fixture.advance_ms(999);
    fixture.broker.run_retention();
    assert_eq!(fixture.offsets(), [1, 2]);
    fixture.advance_ms(1);
    fixture.broker.run_retention();
    assert_eq!(fixture.offsets(), [2], "a reader below the end must get there");
    fixture.produce(b"c", Some(b"v"));
    fixture.broker.run_retention();
    assert_eq!(fixture.offsets(), [3]);
}

#[test]
fn young_records_wait_for_the_compaction_lag() {
    let configs = [("cleanup.policy", "compact"), ("min.compaction.lag.ms", "1000")];
    let fixture = Fixture::new(&configs);
    fixture.produce(b"a", Some(b"v"));
    fixture.produce(b"a", Some(b"v"));
    fixture.broker.run_retention();
    assert_eq!(fixture.offsets(), [0, 1]);
    fixture.advance_ms(1000);
    fixture.broker.run_retention();
    assert_eq!(fixture.offsets(), [1]);
}

#[test]
fn deleting_records_moves_the_start_and_only_forward() {
    let fixture = Fixture::new(&[]);
    for _ in 0..5 {
        fixture.produce(b"k", Some(b"v"));
    }
    let partition = TopicPartition::new("t", 0);
    fixture.broker.delete_records(&partition, 3).unwrap();
    fixture.broker.delete_records(&partition, 1).unwrap();
    fixture.broker.run_retention();
    assert_eq!(fixture.offsets(), [3, 4]);
    let beyond = fixture.broker.delete_records(&partition, 6).unwrap_err();
    assert_eq!(beyond.kind(), BrokerErrorKind::OffsetOutOfRange);
    fixture.broker.delete_records(&partition, 5).unwrap();
    assert_eq!(fixture.range(), [5, 5]);
}

/// Producing, fetching and compacting at once: the reader sees offsets grow and comes to the end.
#[test]
fn a_reader_gets_through_a_log_that_is_compacted_under_it() {
    const COUNT: i64 = 30_000;
    let fixture = &Fixture::new(&[("cleanup.policy", "compact"), ("delete.retention.ms", "0")]);
    let mut consumer = fixture.broker.consumer(ConsumerRole::Main, "c").unwrap();
    let partition = TopicPartition::new("t", 0);
    let slot = consumer.assign(&[(partition, StartOffset::Earliest)]).unwrap()[0];
    thread::scope(|scope| {
        let producer = scope.spawn(|| {
            for number in 0..COUNT {
                let value: Option<&[u8]> = if number % 3 == 0 { None } else { Some(&[b'v'; 50]) };
                fixture.produce(&[u8::try_from(number % 100).unwrap()], value);
            }
        });
        let cleaner = scope.spawn(move || {
            while !producer.is_finished() {
                fixture.broker.run_retention();
            }
        });
        let mut last = -1;
        while last < COUNT - 1 {
            consumer.wait(Duration::from_mins(1));
            while let Some(batch) = consumer.fetch(slot, 100).unwrap() {
                for index in 0..batch.len() {
                    let offset = batch.record(index).offset;
                    assert!(offset > last, "{offset} after {last}");
                    last = offset;
                }
            }
        }
        cleaner.join().unwrap();
    });
}

proptest! {
    /// Whenever it runs, compaction leaves the last value of every key and no older one that it has
    /// seen, in order.
    #[test]
    fn compaction_never_changes_the_table(writes in vec((0..6_u8, any::<bool>(), 0..12_u8), 1..80)) {
        let fixture = Fixture::new(&[("cleanup.policy", "compact"), ("delete.retention.ms", "50")]);
        let mut table: HashMap<u8, (bool, i64)> = HashMap::new();
        for (key, has_value, then) in writes {
            let value: Option<&[u8]> = if has_value { Some(b"v") } else { None };
            let offset = fixture.produce(&[key], value);
            table.insert(key, (has_value, offset));
            fixture.advance_ms(10);
            match then {
                0 => fixture.broker.run_retention(),
                1 => {
                    // Seals a tail that is large enough, as a fetch does.
                    fixture.offsets();
                }
                _ => {}
            }
        }
        fixture.broker.run_retention();
        let offsets = fixture.offsets();
        prop_assert!(offsets.is_sorted());
        let mut live: Vec<i64> = table.values().filter(|(has, _)| *has).map(|(_, at)| *at).collect();
        live.sort_unstable();
        prop_assert!(live.iter().all(|offset| offsets.contains(offset)));
        let last: Vec<i64> = table.values().map(|(_, at)| *at).collect();
        prop_assert!(offsets.iter().all(|offset| last.contains(offset)), "an older value is left");
    }
}
