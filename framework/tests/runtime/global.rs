//! Global tables in a whole instance: complete before tasks begin, followed from then on, kept on disk.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use kstream::broker::memory::MemoryBroker;
use kstream::broker::{Broker, OutgoingRecord};
use kstream::{
    Consumed, ErrorKind, Headers, KStream, KafkaStreams, Materialized, Processor, ProcessorContext,
    ProcessorError, Record, State, Stores, StreamsBuilder, Topology,
};
use kstream_test_support::wait_until;

use crate::app::{self, INPUT, OUTPUT, PARTITIONS, SOON, config, produce, running};
use crate::restoring::Notes;

const NAMES: &str = "names";
/// Not as many as the input has: a global table has no part in co-partitioning.
const NAME_PARTITIONS: i32 = 3;

/// Joins the input with a global table by value.
fn naming() -> Topology {
    let builder = StreamsBuilder::new();
    let names = builder.global_table_with::<String, String>(
        NAMES,
        Consumed::new(),
        Materialized::named("names"),
    );
    let codes: KStream<String, String> = builder.stream(INPUT);
    codes
        .left_join_global(
            &names,
            |_, code| code.clone(),
            |_, name| name.map_or("none", String::as_str).to_owned(),
        )
        .to(OUTPUT);
    builder.build().unwrap()
}

fn broker() -> MemoryBroker {
    let broker = app::broker();
    broker.create_topic(NAMES, NAME_PARTITIONS).unwrap();
    broker
}

fn name(broker: &MemoryBroker, number: usize, name: Option<&str>) {
    let headers = &Headers::new();
    let partition = i32::try_from(number).unwrap() % NAME_PARTITIONS;
    let (key, value) = (format!("code-{number}"), name.map(str::as_bytes));
    let key = Some(key.as_bytes());
    let record = OutgoingRecord { partition, key, value, timestamp: Some(1), headers };
    broker.produce(NAMES, record).unwrap();
}

/// The last result of each key.
fn results(broker: &MemoryBroker) -> BTreeMap<String, String> {
    let mut results = BTreeMap::new();
    for partition in 0..PARTITIONS {
        for record in broker.records(OUTPUT, partition, 0).unwrap() {
            let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.unwrap()).unwrap();
            results.insert(text(record.key), text(record.value));
        }
    }
    results
}

#[track_caller]
fn wait_for_results(broker: &MemoryBroker, expected: &BTreeMap<String, String>) {
    wait_until(SOON, "results", || results(broker).len() >= expected.len()).unwrap();
    assert_eq!(results(broker), *expected);
}

#[test]
fn tasks_begin_when_the_table_is_complete_and_see_its_updates() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let mut expected = BTreeMap::new();
    for number in 0..5000 {
        name(&broker, number, Some(&format!("name-{number}")));
    }
    for number in (0..5000).step_by(100) {
        produce(&broker, &format!("key-{number}"), &format!("code-{number}"));
        expected.insert(format!("key-{number}"), format!("name-{number}"));
    }
    let mut streams = running(naming(), config(folder.path()), broker.clone());
    wait_for_results(&broker, &expected);

    name(&broker, 0, None);
    name(&broker, 100, Some("another"));
    let renamed = || {
        produce(&broker, "probe-0", "code-0");
        produce(&broker, "probe-100", "code-100");
        let results = results(&broker);
        let is = |probe: &str, name: &str| results.get(probe).is_some_and(|found| found == name);
        is("probe-0", "none") && is("probe-100", "another")
    };
    wait_until(SOON, "the table's updates", renamed).unwrap();
    streams.close().unwrap();
}

#[test]
fn a_table_on_disk_is_brought_up_to_date_at_the_next_start() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    for number in 0..30 {
        name(&broker, number, Some("old"));
    }
    let mut streams = running(naming(), config(folder.path()), broker.clone());
    streams.close().unwrap();

    name(&broker, 1, None);
    name(&broker, 2, Some("new"));
    produce(&broker, "a", "code-1");
    produce(&broker, "b", "code-2");
    produce(&broker, "c", "code-3");
    let mut streams = running(naming(), config(folder.path()), broker.clone());
    let expected = [("a", "none"), ("b", "new"), ("c", "old")];
    wait_for_results(
        &broker,
        &expected.map(|(key, name)| (key.to_owned(), name.to_owned())).into(),
    );
    streams.close().unwrap();
}

#[test]
fn a_global_topic_created_anew_is_read_from_its_beginning() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    for number in 0..30 {
        name(&broker, number, Some("old"));
    }
    let mut streams = running(naming(), config(folder.path()), broker.clone());
    streams.close().unwrap();

    let deleted = broker.admin().unwrap().delete_topics(&[NAMES]).unwrap().pop().unwrap();
    deleted.unwrap();
    broker.create_topic(NAMES, NAME_PARTITIONS).unwrap();
    // Longer than the one before: no offset tells them apart.
    for number in 20..80 {
        name(&broker, number, Some("new"));
    }
    produce(&broker, "a", "code-1");
    produce(&broker, "b", "code-20");
    let notes = Notes::default();
    let mut streams = KafkaStreams::new(naming(), config(folder.path()), broker.clone()).unwrap();
    streams.set_global_state_restore_listener(notes.clone()).unwrap();
    streams.start().unwrap();
    let expected = [("a", "none"), ("b", "new")];
    wait_for_results(
        &broker,
        &expected.map(|(key, name)| (key.to_owned(), name.to_owned())).into(),
    );
    let (mut told, mut expected) = (notes.told(), Vec::new());
    for partition in 0..NAME_PARTITIONS {
        expected.push(format!("end names-{partition} names 20"));
        expected.push(format!("start names-{partition} names 0..20"));
    }
    told.sort();
    expected.sort();
    assert_eq!(told, expected);
    assert!(streams.restore_progress().is_empty());
    streams.close().unwrap();
}

/// Counts the records it sees; fails at the value `bad`.
struct Counting(Arc<AtomicI64>);

impl Processor<String, String, Infallible, Infallible> for Counting {
    fn process(
        &mut self,
        _: &mut ProcessorContext<'_, Infallible, Infallible>,
        record: Record<String, String>,
    ) -> Result<(), ProcessorError> {
        if record.value == "bad" {
            return Err("this name is bad".into());
        }
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

fn counting(seen: &Arc<AtomicI64>) -> Topology {
    let builder = StreamsBuilder::new();
    let store = Stores::persistent_key_value_store("seen");
    let store = Stores::key_value_store_builder::<String, String>(store);
    let seen = Arc::clone(seen);
    let consumed = Consumed::<String, String>::new();
    builder.add_global_store(store, NAMES, consumed, move || Counting(Arc::clone(&seen)));
    builder.stream::<String, String>(INPUT).to(OUTPUT);
    builder.build().unwrap()
}

#[test]
fn what_a_global_stores_processor_has_seen_is_not_read_again_after_a_clean_stop() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let seen = Arc::new(AtomicI64::new(0));
    for (times, expected) in [(10, 10), (5, 15)] {
        for number in 0..times {
            name(&broker, number, Some("name"));
        }
        let mut streams = running(counting(&seen), config(folder.path()), broker.clone());
        // A task runs: the store is complete.
        assert_eq!(seen.load(Ordering::SeqCst), expected);
        streams.close().unwrap();
    }
}

#[test]
fn an_error_of_a_global_stores_processor_stops_the_instance() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let mut streams = running(counting(&Arc::default()), config(folder.path()), broker.clone());
    name(&broker, 0, Some("bad"));
    app::wait_for(&streams, State::Error);
    let error = streams.close().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadRecord);
    assert!(error.report().contains("this name is bad"), "{}", error.report());
}
