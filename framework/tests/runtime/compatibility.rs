//! A topology that does not fit what the application has run before is refused, with a list.

use std::path::Path;

use kstream::broker::Broker;
use kstream::broker::memory::MemoryBroker;
use kstream::{
    ErrorKind, KStream, KafkaStreams, Materialized, Named, State, StreamsBuilder, StreamsConfig,
    TimeWindows, Topology,
};
use kstream_test_support::wait_until;

use crate::app::{
    APPLICATION, CHANGELOG, INPUT, OUTPUT, SOON, broker, config, counting, counts_in, counts_of,
    produce_keys, running, tasks, wait_until_committed,
};

/// Counts as [`counting`] does, behind operators that it does not have.
fn counting_behind_a_filter() -> Topology {
    let builder = StreamsBuilder::new();
    let records: KStream<String, String> = builder.stream(INPUT);
    let records = records.filter_with(|_, _| true, "new").peek(|_, _| ());
    let counts = Materialized::named("counts");
    records.group_by_key().count_with("another-name", counts).to_stream().to(OUTPUT);
    builder.build().unwrap()
}

/// Counts into a store of this name, or of a generated one.
fn counting_into(store: Option<&str>) -> Topology {
    let builder = StreamsBuilder::new();
    let records: KStream<String, String> = builder.stream(INPUT);
    let counts = store.map_or_else(Materialized::new, Materialized::named);
    records.group_by_key().count_with(Named::default(), counts).to_stream().to(OUTPUT);
    builder.build().unwrap()
}

/// Counts in windows, into the store that [`counting`] has.
fn counting_in_windows() -> Topology {
    let builder = StreamsBuilder::new();
    let records: KStream<String, String> = builder.stream(INPUT);
    let windows = TimeWindows::of_size_with_no_grace(std::time::Duration::from_secs(10));
    let counts = Materialized::named("counts");
    records.group_by_key().windowed_by(windows).count_with(Named::default(), counts);
    builder.build().unwrap()
}

/// [`counting`], and one more store.
fn counting_twice() -> Topology {
    let builder = StreamsBuilder::new();
    let records: KStream<String, String> = builder.stream(INPUT);
    let group = records.group_by_key();
    group.count_with("count", Materialized::named("counts")).to_stream().to(OUTPUT);
    group.count_with("again", Materialized::named("more"));
    builder.build().unwrap()
}

/// Runs a topology until it has counted these keys.
fn run(topology: Topology, config: StreamsConfig, broker: &MemoryBroker) {
    let mut streams = running(topology, config, broker.clone());
    produce_keys(broker, 0..40);
    wait_until_committed(broker, INPUT);
    streams.close().unwrap();
}

fn start(topology: Topology, config: StreamsConfig, broker: &MemoryBroker) -> KafkaStreams {
    let mut streams = KafkaStreams::new(topology, config, broker.clone()).unwrap();
    streams.start().unwrap();
    streams
}

#[track_caller]
fn refused(topology: Topology, folder: &Path, broker: &MemoryBroker, parts: &[&str]) {
    let mut streams = KafkaStreams::new(topology, config(folder), broker.clone()).unwrap();
    let error = streams.start().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(streams.state(), State::Error);
    let report = error.report();
    let usual = ["application app has", "another application id", "accept_topology_changes(true)"];
    for part in parts.iter().chain(&usual) {
        assert!(report.contains(part), "{part} is not in: {report}");
    }
}

#[test]
fn stateless_operators_come_and_go() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    run(counting(), config(folder.path()), &broker);
    run(counting_behind_a_filter(), config(folder.path()), &broker);
    run(counting(), config(folder.path()), &broker);
    assert_eq!(counts_in(&broker, OUTPUT), counts_of(0..40, 3));
}

#[test]
fn a_lost_store_is_refused_with_and_without_the_state_folder() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    run(counting_into(Some("counts")), config(folder.path()), &broker);
    let lost = "sub-topology 0 (it reads in and keeps counts) is gone";
    refused(counting_into(None), folder.path(), &broker, &[lost]);
    let empty = tempfile::tempdir().unwrap();
    refused(counting_into(None), empty.path(), &broker, &[lost]);
    let changelog = "app-KSTREAM-AGGREGATE-STATE-STORE-0000000001-changelog";
    let admin = broker.admin().unwrap();
    assert_eq!(admin.partition_counts(&[changelog]).unwrap(), [None], "nothing is created");
    // A refused start leaves everything as it was.
    run(counting_into(Some("counts")), config(folder.path()), &broker);
    assert_eq!(counts_in(&broker, OUTPUT), counts_of(0..40, 2));
}

#[test]
fn a_store_of_another_kind_is_refused() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    run(counting(), config(folder.path()), &broker);
    let conflict = "store counts: key-value store before, window store now";
    refused(counting_in_windows(), folder.path(), &broker, &[conflict]);
}

#[test]
fn another_application_id_is_another_application() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    run(counting(), config(folder.path()), &broker);
    let other = StreamsConfig::new("other").state_dir(folder.path());
    let mut streams = running(counting_into(Some("other")), other, broker);
    streams.close().unwrap();
}

#[test]
fn before_anything_is_processed_everything_may_change() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    for topology in [counting(), counting_into(None), counting_into(Some("mine")), counting()] {
        let mut streams = running(topology, config(folder.path()), broker.clone());
        streams.close().unwrap();
    }
}

#[test]
fn an_accepted_change_is_accepted_for_good() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    run(counting_into(Some("before")), config(folder.path()), &broker);
    let accepting = config(folder.path()).accept_topology_changes(true);
    let mut streams = running(counting_into(Some("after")), accepting, broker.clone());
    // Nothing more is processed: the offsets of idle partitions are noted anew as well.
    let noted = || {
        let partitions: Vec<_> =
            (0..4).map(|partition| kstream::TopicPartition::new(INPUT, partition)).collect();
        let offsets = broker.admin().unwrap().group_offsets(APPLICATION, &partitions).unwrap();
        offsets.iter().flatten().all(|offset| offset.metadata.contains("after"))
    };
    wait_until(SOON, "the new note", noted).unwrap();
    streams.close().unwrap();

    let empty = tempfile::tempdir().unwrap();
    for folder in [folder.path(), empty.path()] {
        let mut streams = running(counting_into(Some("after")), config(folder), broker.clone());
        streams.close().unwrap();
    }
    refused(counting_into(Some("before")), folder.path(), &broker, &["keeps after) is gone"]);
}

#[test]
fn rows_that_lie_differently_on_disk_are_restored() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    run(counting(), config(folder.path()), &broker);
    let note = folder.path().join(APPLICATION).join("topology.json");
    let text = std::fs::read_to_string(&note).unwrap();
    // As if the rows had been written by another topology, which the cluster no longer knows.
    std::fs::write(&note, text.replace("\"key-value\"", "\"window\"")).unwrap();
    let mut streams = running(counting(), config(folder.path()), broker);
    assert_eq!(streams.restored_records(), 40);
    streams.close().unwrap();
    assert_eq!(std::fs::read_to_string(&note).unwrap(), text);
}

#[test]
fn instances_are_replaced_one_by_one_by_a_topology_with_more() {
    let broker = broker();
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut first = running(counting(), config(old.path()), broker.clone());
    produce_keys(&broker, 0..40);
    wait_until_committed(&broker, INPUT);
    let mut second = start(counting_twice(), config(new.path()), &broker);
    let both = || tasks(&first).len() == 2 && tasks(&second).len() == 2;
    wait_until(SOON, "two tasks each", both).unwrap();
    produce_keys(&broker, 0..40);
    wait_until_committed(&broker, INPUT);
    // The old one takes back what the new one had, once more.
    second.close().unwrap();
    wait_until(SOON, "four tasks", || tasks(&first).len() == 4).unwrap();
    produce_keys(&broker, 0..40);
    wait_until_committed(&broker, INPUT);
    first.close().unwrap();
    assert_eq!(counts_in(&broker, CHANGELOG), counts_of(0..40, 3));
}

#[test]
fn an_instance_that_does_not_fit_those_that_run_is_refused_and_they_go_on() {
    let broker = broker();
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut first = running(counting(), config(old.path()), broker.clone());
    produce_keys(&broker, 0..40);
    wait_until_committed(&broker, INPUT);
    let accepting = config(new.path()).accept_topology_changes(true);
    let mut second = KafkaStreams::new(counting_by_sum(), accepting, broker.clone()).unwrap();
    let report = second.start().unwrap_err().report();
    let change = "store counts: values written as i64 before, as utf-8 now";
    assert!(report.contains(change), "{report}");
    assert!(report.contains("stop all instances of the old version first"), "{report}");
    produce_keys(&broker, 0..40);
    wait_until_committed(&broker, INPUT);
    assert_eq!(first.state(), State::Running);
    first.close().unwrap();
}

/// Keeps texts in the store where [`counting`] keeps numbers.
fn counting_by_sum() -> Topology {
    let builder = StreamsBuilder::new();
    let records: KStream<String, String> = builder.stream(INPUT);
    let latest = Materialized::named("counts").with_store_type(kstream::StoreType::InMemory);
    records.group_by_key().aggregate_with(
        String::new,
        |_, value, _| value,
        Named::default(),
        latest,
    );
    builder.build().unwrap()
}
