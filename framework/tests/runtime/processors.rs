//! Processors in a whole instance: wall-clock calls without records, commits on request, closing.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use kstream::state::KeyValueStore;
use kstream::{
    KStream, Processor, ProcessorContext, ProcessorError, PunctuationType, Record, ScheduleId,
    Stores, StreamsBuilder, Timestamp, Topology,
};
use kstream_test_support::wait_until;

use crate::app::{
    INPUT, OUTPUT, SOON, broker, config, counts_in, counts_of, length, produce_keys, running,
    wait_until_committed,
};

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
fn a_processor_can_ask_for_a_commit() {
    let (broker, folder) = (broker(), tempfile::tempdir().unwrap());
    let config = config(folder.path()).commit_interval(Duration::from_hours(1));
    let mut streams = running(counting(true, &Arc::default()), config, broker.clone());
    produce_keys(&broker, 0..40);
    wait_until_committed(&broker, INPUT);
    streams.close().unwrap();
}
