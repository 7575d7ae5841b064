//! Processors of the user's own: forwarding, stores, errors.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use kstream::state::{KeyValueStore, TimestampedKeyValueStore};
use kstream::{
    AnyStoreBuilder, FixedKeyProcessor, FixedKeyProcessorContext, FixedKeyRecord, KStream, Named,
    Processor, ProcessorContext, ProcessorError, ProcessorSupplier, Record, StoreBuilder, Stores,
    StreamsBuilder,
};
use kstream_test_utils::TopologyTestDriver;

use crate::harness::Harness;

pub(crate) type Context<'a> = ProcessorContext<'a, String, String>;
pub(crate) type Text = Record<String, String>;

/// Does what a function says with each record.
pub(crate) struct With(pub(crate) fn(&mut Context<'_>, Text) -> Result<(), ProcessorError>);

impl Processor<String, String, String, String> for With {
    fn process(&mut self, context: &mut Context<'_>, record: Text) -> Result<(), ProcessorError> {
        (self.0)(context, record)
    }
}

pub(crate) type Totals = KeyValueStore<String, i64>;

pub(crate) fn totals(name: &str) -> StoreBuilder<Totals> {
    Stores::key_value_store_builder(Stores::in_memory_key_value_store(name))
}

/// Adds values up by key in a store, and forwards the totals; brings the store along if it is to.
pub(crate) struct Total {
    pub(crate) brings: bool,
}

impl ProcessorSupplier<String, String, String, String> for Total {
    type Processor = Totalling;

    fn get(&self) -> Totalling {
        Totalling { store: None }
    }

    fn stores(&self) -> Vec<AnyStoreBuilder> {
        if self.brings { vec![totals("totals").into()] } else { Vec::new() }
    }
}

pub(crate) struct Totalling {
    store: Option<Totals>,
}

impl Processor<String, String, String, String> for Totalling {
    fn init(&mut self, context: &mut Context<'_>) -> Result<(), ProcessorError> {
        self.store = Some(context.store("totals")?);
        Ok(())
    }

    fn process(&mut self, context: &mut Context<'_>, record: Text) -> Result<(), ProcessorError> {
        let store = self.store.as_ref().unwrap();
        let total = store.get(&record.key)?.unwrap_or(0) + record.value.parse::<i64>()?;
        store.put(&record.key, total)?;
        context.forward(record.with_value(total.to_string()))?;
        Ok(())
    }
}

pub(crate) fn source(builder: &StreamsBuilder) -> KStream<String, String> {
    builder.stream("in")
}

#[track_caller]
fn build_error(build: impl FnOnce(&StreamsBuilder)) -> String {
    let builder = StreamsBuilder::new();
    build(&builder);
    builder.build().unwrap_err().to_string()
}

/// Why a driver cannot be started.
#[track_caller]
pub(crate) fn start_error(build: impl FnOnce(&StreamsBuilder)) -> String {
    let builder = StreamsBuilder::new();
    build(&builder);
    let error = TopologyTestDriver::new(builder.build().unwrap()).unwrap_err();
    chain(&error)
}

/// An error with everything that led to it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[test]
fn a_processor_forwards_any_number_of_records() {
    let test = Harness::new(|builder| {
        let repeat = |context: &mut Context<'_>, record: Text| {
            for number in 0..record.value.parse::<i64>()? {
                let mut copy = record.clone().with_value(format!("#{number}"));
                copy.timestamp += number;
                context.forward(copy)?;
            }
            Ok(())
        };
        source(builder).process(move || With(repeat)).to("out");
    });
    test.pipe("a", "2", 10);
    test.pipe("b", "0", 20);
    test.pipe("c", "1", 30);
    assert_eq!(test.out(), ["a=#0@10", "a=#1@11", "c=#0@30"]);
}

#[test]
fn a_child_that_does_not_exist_is_an_error_with_the_names_of_those_that_do() {
    let test = Harness::new(|builder| {
        let astray = |context: &mut Context<'_>, record: Text| {
            context.forward_to("nobody", record)?;
            Ok(())
        };
        let stream = source(builder).process_with(move || With(astray), "astray", &[]);
        stream.peek_with(|_, _| (), "first").to("out");
        stream.for_each_with(|_, _| (), "second");
    });
    let error = chain(&test.try_pipe("in", "a", "1", 0).unwrap_err());
    assert!(error.contains("no child nobody"), "{error}");
    assert!(error.contains("first, second"), "{error}");
    assert!(error.contains("node astray"), "{error}");
}

#[test]
fn an_error_names_the_node_that_failed_and_the_record() {
    let test = Harness::new(|builder| {
        let pass = |context: &mut Context<'_>, record: Text| Ok(context.forward(record)?);
        let fail = |_: &mut Context<'_>, record: Text| Err(format!("no {}", record.value).into());
        let stream = source(builder).process_with(move || With(pass), "passes", &[]);
        stream.process_with(move || With(fail), "fails", &[]);
    });
    let error = chain(&test.try_pipe("in", "a", "bananas", 0).unwrap_err());
    assert!(error.contains("no bananas"), "{error}");
    assert!(error.contains("node fails"), "{error}");
    assert!(error.contains("in-0 at offset 0"), "{error}");
}

#[test]
fn only_a_key_that_may_have_changed_is_repartitioned() {
    struct Same;
    impl FixedKeyProcessor<String, String, String> for Same {
        fn process(
            &mut self,
            context: &mut FixedKeyProcessorContext<'_, String, String>,
            record: FixedKeyRecord<String, String>,
        ) -> Result<(), ProcessorError> {
            let value = format!("{}{}", record.key(), record.value);
            context.forward(record.with_value(value))?;
            Ok(())
        }
    }
    let builder = StreamsBuilder::new();
    source(&builder).process_values(|| Same).group_by_key().count();
    assert_eq!(builder.build().unwrap().subtopologies().len(), 1);

    let builder = StreamsBuilder::new();
    let pass = |context: &mut Context<'_>, record: Text| Ok(context.forward(record)?);
    source(&builder).process(move || With(pass)).group_by_key().count();
    assert_eq!(builder.build().unwrap().subtopologies().len(), 2);
}

#[test]
fn a_store_is_connected_by_its_name_and_shared() {
    let test = Harness::new(|builder| {
        builder.add_state_store(totals("totals"));
        let more: KStream<String, String> = builder.stream("more");
        let total = || Total { brings: false };
        source(builder).process_with(total(), Named::default(), &["totals"]).to("out");
        more.process_with(total(), Named::default(), &["totals"]).to("out");
    });
    test.pipe("a", "1", 0);
    test.pipe_to("more", "a", "10", 5);
    test.pipe("b", "2", 7);
    assert_eq!(test.out(), ["a=1@0", "a=11@5", "b=2@7"]);
}

#[test]
fn suppliers_bring_stores_along_and_share_them() {
    let test = Harness::new(|builder| {
        source(builder).process(Total { brings: true }).to("out");
        let more: KStream<String, String> = builder.stream("more");
        more.process(Total { brings: true }).to("out");
    });
    test.pipe("a", "1", 0);
    test.pipe_to("more", "a", "10", 5);
    assert_eq!(test.out(), ["a=1@0", "a=11@5"]);
}

#[test]
fn a_store_that_is_not_there_is_a_mistake() {
    let report = build_error(|builder| {
        source(builder).process_with(Total { brings: false }, Named::default(), &["totals"]);
    });
    assert!(report.contains("store totals: there is no store of this name"), "{report}");
    let report = build_error(|builder| {
        builder.add_state_store(totals("totals"));
        source(builder).process(Total { brings: true });
    });
    assert!(report.contains("store totals: another store has this name"), "{report}");
}

#[test]
fn a_store_that_is_not_connected_says_how_to_connect_it() {
    let error = start_error(|builder| {
        builder.add_state_store(totals("totals"));
        builder.add_state_store(totals("other"));
        let total = Total { brings: false };
        source(builder).process_with(total, "total", &["other"]).to("out");
    });
    for part in ["store totals is not connected", "connected are: other", "node total"] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn a_handle_has_to_be_of_the_stores_type() {
    let error = start_error(|builder| {
        let store = Stores::persistent_key_value_store("totals");
        builder.add_state_store(Stores::key_value_store_builder::<String, String>(store));
        let total = Total { brings: false };
        source(builder).process_with(total, Named::default(), &["totals"]).to("out");
    });
    assert!(error.contains("store totals is not a"), "{error}");
    assert!(error.contains("KeyValueStore<alloc::string::String, i64>"), "{error}");
}

#[test]
fn a_store_without_processors_is_left_out() {
    let test = Harness::new(|builder| {
        builder.add_state_store(totals("totals"));
        source(builder).to("out");
    });
    let task = test.driver.task();
    assert_eq!(task.borrow().changelog_topics().len(), 0);
}

#[test]
fn a_tables_store_is_read_by_name() {
    struct Lookup(Option<TimestampedKeyValueStore<String, i64>>);
    impl Processor<String, String, String, String> for Lookup {
        fn init(&mut self, context: &mut Context<'_>) -> Result<(), ProcessorError> {
            self.0 = Some(context.store("counts")?);
            Ok(())
        }
        fn process(
            &mut self,
            context: &mut Context<'_>,
            record: Text,
        ) -> Result<(), ProcessorError> {
            let found = self.0.as_ref().unwrap().get(&record.value)?;
            let found = found.map_or_else(
                || "none".to_owned(),
                |found| format!("{} at {}", found.value, found.timestamp),
            );
            context.forward(record.with_value(found))?;
            Ok(())
        }
    }
    let test = Harness::new(|builder| {
        let counted: KStream<String, String> = builder.stream("counted");
        counted.group_by_key().count_with(Named::default(), kstream::Materialized::named("counts"));
        source(builder).process_with(|| Lookup(None), Named::default(), &["counts"]).to("out");
    });
    test.pipe_to("counted", "a", "x", 3);
    test.pipe_to("counted", "a", "y", 2);
    test.pipe("k", "a", 5);
    test.pipe("k", "b", 6);
    assert_eq!(test.out(), ["k=2 at 3@5", "k=none@6"]);
}

#[test]
fn a_write_has_the_time_of_the_record_at_hand_also_behind_a_forward() {
    /// Forwards a record of another time, then writes.
    struct ForwardFirst(Option<Totals>);
    impl Processor<String, String, String, String> for ForwardFirst {
        fn init(&mut self, context: &mut Context<'_>) -> Result<(), ProcessorError> {
            self.0 = Some(context.store("totals")?);
            Ok(())
        }
        fn process(
            &mut self,
            context: &mut Context<'_>,
            record: Text,
        ) -> Result<(), ProcessorError> {
            let later = Record { timestamp: record.timestamp + 100, ..record.clone() };
            context.forward(later)?;
            let store = self.0.as_ref().unwrap();
            let total = store.get(&record.key)?.unwrap_or(0);
            store.put(&record.key, total + 1)?;
            Ok(())
        }
    }
    let test = Harness::new(|builder| {
        builder.add_state_store(totals("totals"));
        let stores = ["totals"];
        let stream = source(builder).process_with(|| ForwardFirst(None), Named::default(), &stores);
        let numbers = stream.map_values(|_| "5".to_owned());
        numbers.process_with(Total { brings: false }, Named::default(), &stores).to("out");
    });
    test.pipe("a", "x", 7);
    assert_eq!(test.out(), ["a=5@107"]);
    let mut times = Vec::new();
    let task = test.driver.task();
    let changelog = task.borrow().changelog_topics()["totals"].clone();
    task.borrow().read(&changelog, 0, &mut |record| times.push(record.timestamp)).unwrap();
    // One record per commit: the last write's, which is the first processor's.
    assert_eq!(times, [7]);
}

#[test]
fn each_task_has_a_processor_of_its_own() {
    /// Not `Send`: it never leaves its thread.
    struct Local(Rc<Cell<u32>>);
    impl Processor<String, String, String, String> for Local {
        fn process(
            &mut self,
            context: &mut Context<'_>,
            record: Text,
        ) -> Result<(), ProcessorError> {
            self.0.set(self.0.get() + 1);
            context.forward(record.with_value(self.0.get().to_string()))?;
            Ok(())
        }
    }
    let made = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&made);
    let builder = StreamsBuilder::new();
    source(&builder)
        .process(move || {
            counter.fetch_add(1, Ordering::SeqCst);
            Local(Rc::default())
        })
        .to("out");
    let topology = builder.build().unwrap();
    assert_eq!(made.load(Ordering::SeqCst), 0);
    let driver = TopologyTestDriver::new(topology).unwrap();
    assert_eq!(made.load(Ordering::SeqCst), 1);
    let input = driver.input_topic::<String, String>("in");
    input.pipe("a".to_owned(), String::new()).unwrap();
    input.pipe("a".to_owned(), String::new()).unwrap();
    let values = driver.output_topic::<String, String>("out").read_values().unwrap();
    assert_eq!(values, ["1", "2"]);
}
