//! Restores of single tasks, turn by turn.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::lookup::{Answer, Question};
use super::pace::Others;
use super::*;
use crate::broker::memory::MemoryBroker;
use crate::broker::{Broker, ConsumerRole, OutgoingRecord, ProducerSettings};
use crate::config::StreamsConfig;
use crate::dsl::{KStream, Materialized, StreamsBuilder};
use crate::processor::collector::RecordCollector;
use crate::processor::context::TaskContext;
use crate::processor::handler::Handlers;
use crate::record::Headers;
use crate::state::MemoryRows;
use crate::time::ManualClock;
use crate::topology::link::{LinkSettings, TaskScope};

const CHANGELOG: &str = "app-rows-changelog";
const RECORDS: i64 = 20;

/// Restores the stores of a task whose inputs nobody has read.
pub(crate) fn restore_whole(broker: &MemoryBroker, task: &StreamTask) {
    let mut turns = Turns::begin(broker, task, 0, None);
    while !turns.restore.is_done() {
        turns.turn(task);
    }
}

/// A restore under way.
struct Turns {
    restore: TaskRestore,
    consumer: Box<dyn Consumer>,
    pace: Pace,
    limit: RateLimit,
    clock: ManualClock,
}

/// What the brokers say about a task whose inputs nobody has read, and which are read from there.
fn asked(broker: &MemoryBroker, task: &StreamTask, reset: StartOffset) -> Result<Answer, Error> {
    let admin = broker.admin().unwrap();
    let nothing = |inputs: &[TopicPartition]| Ok(vec![None; inputs.len()]);
    let resets = vec![reset; task.partitions().len()];
    Question::of(task, resets, |_| false).unwrap().ask(&*admin, &nothing)
}

impl Turns {
    fn begin(broker: &MemoryBroker, task: &StreamTask, now_ms: i64, limit: Option<u64>) -> Self {
        let answer = asked(broker, task, StartOffset::Earliest).unwrap();
        let mut consumer = broker.consumer(ConsumerRole::Restore, "test").unwrap();
        let listener = RestoreListener::default();
        let restore = TaskRestore::begin(task, &answer, &mut *consumer, now_ms, listener).unwrap();
        let (pace, clock) = (Pace::default(), ManualClock::new(0));
        Self { restore, consumer, pace, limit: RateLimit::new(limit), clock }
    }

    /// A turn of which the clock sees nothing.
    fn turn(&mut self, task: &StreamTask) {
        self.pace.begin(self.clock.monotonic(), Others::Absent);
        let Self { restore, consumer, pace, limit, clock } = self;
        let mut means = Means { consumer: &mut **consumer, pace, limit, clock };
        restore.advance(task, &mut means).unwrap();
    }
}

/// A task with one store, whose changelog has some records.
fn task() -> (MemoryBroker, StreamTask) {
    let broker = MemoryBroker::new(Arc::new(ManualClock::new(0)));
    broker.create_topic("in", 1).unwrap();
    broker.create_topic(CHANGELOG, 1).unwrap();
    for number in 0..RECORDS {
        let (key, headers) = (number.to_be_bytes(), &Headers::new());
        let (key, timestamp) = (Some(&key[..]), Some(1));
        let record = OutgoingRecord { partition: 0, key, value: Some(b"row"), timestamp, headers };
        broker.produce(CHANGELOG, record).unwrap();
    }
    let builder = StreamsBuilder::new();
    let records: KStream<String, String> = builder.stream("in");
    let rows = Materialized::named("rows");
    drop(records.group_by_key().reduce_with(|_, new| new, "latest", rows));
    let topology = builder.build().unwrap();
    let settings =
        ProducerSettings { client_id: "test".to_owned(), track_acks: true, transactions: None };
    let producer = Rc::new(RefCell::new(broker.producer(&settings).unwrap()));
    let config = StreamsConfig::new("app");
    let link = LinkSettings::of(&config, TaskScope::Subtopology);
    let id = TaskId { subtopology: 0, partition: 0 };
    let collector = RecordCollector::new(producer, None);
    let context = TaskContext::new(id, 0, collector, Handlers::of(&config));
    let inputs = vec![TopicPartition::new("in", 0)];
    let open = &mut |_| Ok(Box::new(MemoryRows::new()) as Box<dyn crate::state::RowStore>);
    let task = StreamTask::new(&topology, context, &link, inputs, open).unwrap();
    (broker, task)
}

#[test]
fn an_input_that_does_not_exist_is_told_before_it_is_read() {
    let (broker, task) = task();
    broker.admin().unwrap().delete_topics(&["in"]).unwrap();
    let error = asked(&broker, &task, StartOffset::Earliest).unwrap_err();
    assert!(error.report().contains("in-0 does not exist"), "{error}");
}

#[test]
fn a_topic_that_a_broker_does_not_know_yet_is_asked_about_again() {
    let (broker, task) = task();
    broker.admin().unwrap().delete_topics(&["in"]).unwrap();
    let admin = broker.admin().unwrap();
    let nothing = |inputs: &[TopicPartition]| Ok(vec![None; inputs.len()]);
    let question = Question::of(&task, vec![StartOffset::Earliest], |_| false).unwrap();
    let answer = question.ask_again(&*admin, &nothing, || broker.create_topic("in", 1).unwrap());
    assert_eq!(answer.unwrap().starts, [StartOffset::Earliest]);
}

#[test]
fn a_task_that_begins_at_the_end_reads_what_comes_while_it_is_restored() {
    let (broker, task) = task();
    let headers = &Headers::new();
    let record =
        OutgoingRecord { partition: 0, key: None, value: Some(b"row"), timestamp: None, headers };
    broker.produce("in", record).unwrap();
    let answer = asked(&broker, &task, StartOffset::Latest).unwrap();
    broker.produce("in", record).unwrap();
    assert_eq!(answer.starts, [StartOffset::At(1)]);
}

fn position(task: &StreamTask) -> StorePosition {
    task.stores[0].built.managed.borrow().position().unwrap().unwrap()
}

#[test]
fn rows_that_are_still_behind_keep_the_time_at_which_they_were_not() {
    for (found, expected) in [(None, 9000), (Some(500), 500)] {
        let (broker, task) = task();
        let next_offset = if found.is_some() { 5 } else { 0 };
        if let Some(written_at_ms) = found {
            let position = StorePosition { next_offset, written_at_ms, topic_id: None };
            task.stores[0].built.managed.borrow_mut().restore(&NoRecords, position).unwrap();
        }
        // A byte per second: what is allowed once is one record.
        let mut turns = Turns::begin(&broker, &task, 9000, Some(1));
        turns.turn(&task);
        assert_eq!(turns.restore.records(), 0, "nothing is saved up at the start");
        turns.clock.advance(Duration::from_secs(1));
        turns.turn(&task);
        assert_eq!(turns.restore.records(), 1);
        let described = broker.admin().unwrap().describe_topics(&[CHANGELOG]).unwrap();
        let behind = StorePosition {
            next_offset: next_offset + 1,
            written_at_ms: expected,
            topic_id: described[0].unwrap().id,
        };
        assert_eq!(position(&task), behind);

        turns.clock.advance(Duration::from_hours(1));
        turns.limit = RateLimit::new(None);
        turns.turn(&task);
        assert!(turns.restore.is_done());
        // All that it had at the beginning of the restore, not at its end.
        let done = StorePosition { next_offset: RECORDS, written_at_ms: 9000, ..behind };
        assert_eq!(position(&task), done);
    }
}

#[test]
fn progress_tells_what_is_left_how_fast_it_goes_and_how_long_it_takes() {
    let (broker, task) = task();
    let mut turns = Turns::begin(&broker, &task, 0, Some(1));
    let second = |number| Duration::from_secs(number);
    let mut seen = Vec::new();
    turns.restore.observe(second(0), |_, _, records| seen.push(records));
    turns.clock.advance(second(1));
    turns.turn(&task);
    turns.restore.observe(second(2), |_, _, records| seen.push(records));
    let progress = turns.restore.observe(second(4), |_, _, records| seen.push(records));
    assert_eq!(seen, [0, 1, 0], "each record is shown once");
    let [progress] = &progress[..] else { panic!("{progress:?}") };
    assert_eq!((progress.task.as_str(), progress.store.as_str()), ("0_0", "rows"));
    assert_eq!((progress.restored_records, progress.remaining_records), (1, 19));
    // Half a record per second at first, then nothing for two seconds: 0.5 × e^(−2 / 5) = 0.335.
    assert_eq!(progress.eta_seconds, Some(57));
}
