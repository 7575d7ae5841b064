//! Processors in a whole instance: wall-clock calls without records, commits on request, closing.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use kstream::broker::{OutgoingRecord, partition_for_key};
use kstream::state::KeyValueStore;
use kstream::{
    Headers, KStream, ProcessingGuarantee, Processor, ProcessorContext, ProcessorError,
    PunctuationType, Record, ScheduleId, StoreSource, Stores, StreamsBuilder, Timestamp, Topology,
    TopologyBuilder,
};
use kstream_test_support::wait_until;

use crate::app::{
    INPUT, OUTPUT, PARTITIONS, SOON, broker, config, counts_in, counts_of, length, produce_keys,
    running, wait_until_committed,
};
use crate::faults::FaultyBroker;

/// Counts records by key, and forwards the counts when the clock says so.
struct Counting {
    store: Option<KeyValueStore<String, i64>>,
    commits: bool,
    open: Arc<AtomicI64>,
}

type Context<'a> = ProcessorContext<'a, String, i64>;

impl Processor<String, String, String, i64> for Counting {
    fn init(&mut self, context: &mut Context<'_>) -> Result<(), ProcessorError> {
        self.open.fetch_add(1, Ordering::SeqCst);
        self.store = Some(context.store("counts")?);
        context.schedule(Duration::from_millis(20), PunctuationType::WallClockTime)?;
        Ok(())
    }

    fn process(
        &mut self,
        context: &mut Context<'_>,
        record: Record<String, String>,
    ) -> Result<(), ProcessorError> {
        let store = self.store.as_ref().unwrap();
        let count = store.get(&record.key)?.unwrap_or(0);
        store.put(&record.key, count + 1)?;
        if self.commits {
            context.commit();
        }
        Ok(())
    }

    fn punctuate(
        &mut self,
        context: &mut Context<'_>,
        _: ScheduleId,
        timestamp: Timestamp,
    ) -> Result<(), ProcessorError> {
        for (key, count) in self.store.as_ref().unwrap().all()? {
            context.forward(Record::new(key, count, timestamp))?;
        }
        Ok(())
    }

    fn close(&mut self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
    }
}

fn counting(commits: bool, open: &Arc<AtomicI64>) -> Topology {
    let builder = StreamsBuilder::new();
    let store = Stores::persistent_key_value_store("counts");
    builder.add_state_store(Stores::key_value_store_builder::<String, i64>(store));
    let open = Arc::clone(open);
    let records: KStream<String, String> = builder.stream(INPUT);
    records
        .process_with(
            move || Counting { store: None, commits, open: Arc::clone(&open) },
            "count",
            &["counts"],
        )
        .to(OUTPUT);
    builder.build().unwrap()
}

#[test]
fn stores_are_restored_before_init_and_the_clock_needs_no_records() {
    let (broker, open) = (broker(), Arc::default());
    produce_keys(&broker, 0..40);
    for _ in 0..2 {
        // Without the first folder the second instance has to restore everything.
        let folder = tempfile::tempdir().unwrap();
        let before = length(&broker, OUTPUT);
        let mut streams = running(counting(false, &open), config(folder.path()), broker.clone());
        wait_until_committed(&broker, INPUT);
        wait_until(SOON, "calls by the clock", || length(&broker, OUTPUT) >= before + 80).unwrap();
        streams.close().unwrap();
        assert_eq!(counts_in(&broker, OUTPUT), counts_of(0..40, 1));
    }
    assert_eq!(open.load(Ordering::SeqCst), 0, "every processor is closed");
}

#[test]
fn the_group_can_refuse_what_only_the_clock_has_done() {
    let (broker, folder) = (FaultyBroker::new(broker()), tempfile::tempdir().unwrap());
    let config = config(folder.path()).processing_guarantee(ProcessingGuarantee::ExactlyOnceV2);
    let open = Arc::default();
    produce_keys(&broker.inner, 0..40);
    let mut streams = running(counting(false, &open), config.clone(), broker.clone());
    wait_until_committed(&broker.inner, INPUT);
    streams.close().unwrap();
    // No record comes in this life, and every transaction has offsets all the same.
    broker.faults.refused_transactions.store(2, Ordering::SeqCst);
    let mut streams = running(counting(false, &open), config, broker.clone());
    let are_refused = || broker.faults.refused_transactions.load(Ordering::SeqCst) == 0;
    wait_until(SOON, "two transactions that are refused", are_refused).unwrap();
    let before = length(&broker.inner, OUTPUT);
    let goes_on = || length(&broker.inner, OUTPUT) >= before + 80;
    wait_until(SOON, "calls by the clock", goes_on).unwrap();
    streams.close().unwrap();
    assert_eq!(counts_in(&broker.inner, OUTPUT), counts_of(0..40, 1));
}

#[test]
fn a_processor_can_ask_for_a_commit() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let config = config(folder.path()).commit_interval(Duration::from_hours(1));
    let mut streams = running(counting(true, &Arc::default()), config, broker.clone());
    produce_keys(&broker, 0..40);
    wait_until_committed(&broker, INPUT);
    streams.close().unwrap();
}

/// Takes over what it gets.
struct Keep(Option<KeyValueStore<String, String>>);

impl Processor<String, String, Infallible, Infallible> for Keep {
    fn init(
        &mut self,
        context: &mut ProcessorContext<'_, Infallible, Infallible>,
    ) -> Result<(), ProcessorError> {
        self.0 = Some(context.store("kept")?);
        Ok(())
    }

    fn process(
        &mut self,
        _: &mut ProcessorContext<'_, Infallible, Infallible>,
        record: Record<String, String>,
    ) -> Result<(), ProcessorError> {
        self.0.as_ref().unwrap().put(&record.key, record.value)?;
        Ok(())
    }
}

/// Forwards whether the key is kept: 1 or 0.
struct IsKept(Option<KeyValueStore<String, String>>);

impl Processor<String, String, String, i64> for IsKept {
    fn init(&mut self, context: &mut Context<'_>) -> Result<(), ProcessorError> {
        self.0 = Some(context.store("kept")?);
        Ok(())
    }

    fn process(
        &mut self,
        context: &mut Context<'_>,
        record: Record<String, String>,
    ) -> Result<(), ProcessorError> {
        let found = self.0.as_ref().unwrap().get(&record.key)?;
        context.forward(record.with_value(i64::from(found.is_some())))?;
        Ok(())
    }
}

fn keeping() -> Topology {
    let builder = TopologyBuilder::new();
    let store = Stores::in_memory_key_value_store("kept");
    let store = Stores::key_value_store_builder::<String, String>(store);
    let feed = StoreSource::new("feed", INPUT);
    builder.add_read_only_state_store(store, feed, "keep", || Keep(None));
    let probes = builder.add_source::<String, String>("probes", "probes");
    let is_kept = builder.add_processor("is-kept", || IsKept(None), &[&probes]);
    builder.connect_processor_and_state_stores("is-kept", &["kept"]);
    builder.add_sink("sink", OUTPUT, &[&is_kept]);
    builder.build().unwrap()
}

#[test]
fn a_read_only_store_is_restored_from_its_topic() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    broker.create_topic("probes", PARTITIONS).unwrap();
    produce_keys(&broker, 0..20);
    let mut streams = running(keeping(), config(folder.path()), broker.clone());
    wait_until_committed(&broker, INPUT);
    streams.close().unwrap();

    let mut streams = running(keeping(), config(folder.path()), broker.clone());
    for number in 0..25 {
        let key = format!("key-{number}");
        let partition = partition_for_key(key.as_bytes(), PARTITIONS);
        let headers = &Headers::new();
        let (key, value) = (Some(key.as_bytes()), Some(&b"?"[..]));
        let record = OutgoingRecord { partition, key, value, timestamp: Some(1), headers };
        broker.produce("probes", record).unwrap();
    }
    wait_until(SOON, "answers", || length(&broker, OUTPUT) == 25).unwrap();
    assert_eq!(streams.restored_records(), 20);
    streams.close().unwrap();
    let mut expected = counts_of(0..20, 1);
    expected.extend(counts_of(20..25, 0));
    assert_eq!(counts_in(&broker, OUTPUT), expected);
}
