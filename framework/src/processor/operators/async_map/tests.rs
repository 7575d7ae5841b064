//! Time limits by a clock of the test's, and the orders against a list.

use std::cell::RefCell;
use std::future::pending;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kstream_test_support::wait_until;
use proptest::prelude::*;

use super::*;
use crate::broker::memory::MemoryBroker;
use crate::broker::{Broker, ProducerSettings};
use crate::config::StreamsConfig;
use crate::dsl::AsyncCalls;
use crate::ids::TaskId;
use crate::processor::api::ProcessorError;
use crate::processor::calls::CallRuntime;
use crate::processor::collector::RecordCollector;
use crate::processor::handler::Handlers;
use crate::processor::{Edge, Port};
use crate::time::ManualClock;

const SOON: Duration = Duration::from_mins(1);
const SECOND: Duration = Duration::from_secs(1);

fn context() -> TaskContext {
    let broker = MemoryBroker::new(Arc::new(ManualClock::default()));
    let settings =
        ProducerSettings { client_id: "test".to_owned(), track_acks: false, transactions: None };
    let producer = Rc::new(RefCell::new(broker.producer(&settings).unwrap()));
    let collector = RecordCollector::new(producer, None);
    let id = TaskId { subtopology: 0, partition: 0 };
    TaskContext::new(id, 0, collector, Handlers::of(&StreamsConfig::new("app")))
}

type Values = Rc<RefCell<Vec<i64>>>;

/// Fails as when a broker does not answer.
struct Unanswered;

impl Node<u8, i64> for Unanswered {
    fn process(&mut self, _: &mut TaskContext, _: Record<u8, i64>) -> Result<(), Error> {
        Err(Error::new(ErrorKind::Retriable, "no answer"))
    }
}

struct Collect(Values);

impl Node<u8, i64> for Collect {
    fn process(&mut self, _: &mut TaskContext, record: Record<u8, i64>) -> Result<(), Error> {
        self.0.borrow_mut().push(record.value);
        Ok(())
    }
}

/// An operator under test, and what has left it.
struct World {
    operator: AsyncMap<u8, i64, i64, u8, i64>,
    task: TaskContext,
    out: Values,
}

impl World {
    fn new<F>(
        options: &AsyncCalls<ProcessorError>,
        call: impl Fn(i64) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<i64, ProcessorError>> + Send + 'static,
    {
        let out = Values::default();
        let port: Port<u8, i64> = Rc::new(RefCell::new(Collect(Rc::clone(&out))));
        let next = Outlet::new(vec![Edge { port, name: "collect".into() }]);
        let runtime = CallRuntime::with_threads(None, Some(1)).start().unwrap();
        let limits = CallLimits {
            max_in_flight: options.max_in_flight,
            order: options.order,
            timeout: options.timeout,
            attempt_timeout: options.attempt_timeout,
            pauses: options.pauses(),
        };
        let begin = attempts(move |_, value| call(value), Arc::clone(&options.retry_if));
        let mapping = Mapping { begin, finish: |key, value| (key, value) };
        let operator = AsyncMap::new("ask".to_owned(), limits, mapping, runtime, next);
        Self { operator, task: context(), out }
    }

    fn pipe(&mut self, key: u8, value: i64) {
        self.operator.process(&mut self.task, Record::new(key, value, 0)).unwrap();
    }

    fn advance(&mut self, now: Duration) -> Result<usize, Error> {
        self.operator.advance(&mut self.task, now)
    }
}

/// A call whose attempts are counted; the first is never answered.
fn counted(asked: &Arc<AtomicUsize>) -> impl Fn(i64) -> Answer + use<> {
    let asked = Arc::clone(asked);
    move |value| {
        let attempt = asked.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move { if attempt == 0 { pending().await } else { Ok(value) } })
    }
}

type Answer = std::pin::Pin<Box<dyn Future<Output = Result<i64, ProcessorError>> + Send>>;

#[test]
fn a_call_has_its_time_from_when_the_clock_is_read_behind_its_beginning() {
    let options = AsyncCalls::new().with_timeout(5 * SECOND);
    let mut world = World::new(&options, |_| pending());
    world.pipe(0, 1);
    for ms in [100_000, 103_000, 104_999] {
        assert_eq!(world.advance(Duration::from_millis(ms)).unwrap(), 0);
    }
    let error = world.advance(105 * SECOND).unwrap_err();
    assert!(error.to_string().starts_with("the call was not answered within 5s"), "{error}");
    assert_eq!(error.node(), Some("ask"));
    assert_eq!(world.operator.in_flight(), 0);
}

#[test]
fn an_attempt_is_cut_off_and_its_late_answer_does_not_count() {
    let asked = Arc::default();
    let options = AsyncCalls::new()
        .with_timeout(100 * SECOND)
        .with_attempt_timeout(SECOND)
        .with_retries(1)
        .with_pauses(2 * SECOND, 2 * SECOND);
    let mut world = World::new(&options, counted(&asked));
    world.pipe(0, 7);
    assert_eq!(world.advance(Duration::ZERO).unwrap(), 0);
    let is_asked = |times| wait_until(SOON, "attempt", || asked.load(Ordering::SeqCst) == times);
    is_asked(1).unwrap();
    assert_eq!(world.operator.waits_for(), WaitsFor { calls: true, until: Some(SECOND) });
    assert_eq!(world.advance(SECOND).unwrap(), 0);
    let WaitsFor { calls: false, until: Some(again) } = world.operator.waits_for() else {
        panic!("it pauses: {:?}", world.operator.waits_for());
    };
    assert!((3 * SECOND..=5 * SECOND).contains(&again), "{again:?}");
    let just_before = again.checked_sub(Duration::from_nanos(1)).unwrap();
    assert_eq!(world.advance(just_before).unwrap(), 0);
    assert_eq!(asked.load(Ordering::SeqCst), 1);

    let late = |world: &mut World| {
        let ended = Ended { slot: 0, attempt: 1, outcome: Outcome::Done(-1) };
        world.operator.sender.send(ended).unwrap();
    };
    late(&mut world);
    assert_eq!(world.advance(again).unwrap(), 0);
    late(&mut world);
    wait_until(SOON, "second answer", || world.advance(again).unwrap() == 1).unwrap();
    assert_eq!(*world.out.borrow(), [7]);
    is_asked(2).unwrap();
}

#[test]
fn a_result_that_cannot_be_sent_on_for_now_is_not_forgotten() {
    let mut world = World::new(&AsyncCalls::new(), |value| async move { Ok(value) });
    let port: Port<u8, i64> = Rc::new(RefCell::new(Unanswered));
    world.operator.next = Outlet::new(vec![Edge { port, name: "sink".into() }]);
    world.pipe(0, 1);
    let mut failed = None;
    wait_until(SOON, "the answer", || {
        failed = world.advance(Duration::ZERO).err();
        failed.is_some()
    })
    .unwrap();
    // A thread that just tried again would commit behind a record that has left without a result.
    assert_eq!(failed.unwrap().kind(), ErrorKind::TransactionAborted);
}

/// Counts the futures that are alive.
struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn ten_calls(alive: &Arc<AtomicUsize>) -> World {
    let count = Arc::clone(alive);
    let mut world = World::new(&AsyncCalls::new(), move |value| {
        let alive = Alive::new(&count);
        async move {
            pending::<()>().await;
            drop(alive);
            Ok(value)
        }
    });
    for value in 0..10 {
        world.pipe(0, value);
    }
    wait_until(SOON, "ten calls", || alive.load(Ordering::SeqCst) == 10).unwrap();
    world
}

#[test]
fn cancelled_calls_are_dropped_and_others_can_follow() {
    let alive = Arc::default();
    let mut world = ten_calls(&alive);
    world.operator.cancel();
    wait_until(SOON, "no call", || alive.load(Ordering::SeqCst) == 0).unwrap();
    assert_eq!(world.operator.in_flight(), 0);
    assert_eq!(world.operator.waits_for(), WaitsFor::default());
    // What the dropped ones say is not about the new one in their place.
    world.pipe(0, 11);
    wait_until(SOON, "a call", || alive.load(Ordering::SeqCst) == 1).unwrap();
    assert_eq!(world.advance(Duration::ZERO).unwrap(), 0);
    assert_eq!(world.operator.in_flight(), 1);
}

#[test]
fn an_operator_that_is_dropped_drops_its_calls() {
    let alive = Arc::default();
    let world = ten_calls(&alive);
    // Others need the runtime still.
    let runtime = world.operator.runtime.clone();
    drop(world);
    wait_until(SOON, "no call", || alive.load(Ordering::SeqCst) == 0).unwrap();
    drop(runtime);
}

/// What happens to a window.
#[derive(Debug, Clone)]
enum Step {
    Arrive(u8),
    /// One of the calls under way ends: this one of them, by place.
    End(usize),
    /// What may leave leaves.
    Leave,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0_u8..4).prop_map(Step::Arrive),
        3 => (0_usize..100).prop_map(Step::End),
        1 => Just(Step::Leave),
    ];
    prop::collection::vec(step, 1..120)
}

/// A record in the list that a window is compared with.
#[derive(Debug, Clone, PartialEq)]
struct Model {
    key: u8,
    has_ended: bool,
    has_left: bool,
}

/// Whether the record at this place of the list may leave.
fn may_leave(order: CallOrder, list: &[Model], place: usize) -> bool {
    let record = &list[place];
    let mut before = list[..place].iter().filter(|other| !other.has_left);
    let is_free = match order {
        CallOrder::Unordered => true,
        CallOrder::Input => before.next().is_none(),
        CallOrder::PerKey | CallOrder::OneAtATimePerKey => {
            before.all(|other| other.key != record.key)
        }
    };
    record.has_ended && !record.has_left && is_free
}

fn check(order: CallOrder, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let task = context();
    let mut window: Window<u8, usize, ()> = Window::new(order);
    let mut list: Vec<Model> = Vec::new();
    // Slots of the calls under way.
    let mut begun: Vec<usize> = Vec::new();
    for step in steps {
        match step {
            Step::Arrive(key) => {
                let record = Record::new(key, list.len(), 0);
                list.push(Model { key, has_ended: false, has_left: false });
                window.push(Call::new(record, task.origin()));
            }
            Step::End(which) if !begun.is_empty() => {
                let slot = begun.remove(which % begun.len());
                let call = window.get_mut(slot).unwrap();
                call.state = CallState::Ended(Ok(()));
                list[call.record.value].has_ended = true;
                window.ended(slot);
            }
            Step::End(_) => {}
            Step::Leave => {
                while let Some(call) = window.pop_ready() {
                    let place = call.record.value;
                    prop_assert!(may_leave(order, &list, place), "{place} of {list:?}");
                    list[place].has_left = true;
                }
                let left = (0..list.len()).find(|place| may_leave(order, &list, *place));
                prop_assert_eq!(left, None, "may leave and does not: {:?}", list);
            }
        }
        while let Some(slot) = window.next_to_begin() {
            begun.push(slot);
        }
        if order == CallOrder::OneAtATimePerKey {
            let mut keys: Vec<u8> =
                begun.iter().map(|slot| window.get_mut(*slot).unwrap().record.key).collect();
            let under_way = keys.len();
            keys.sort_unstable();
            keys.dedup();
            prop_assert_eq!(keys.len(), under_way, "two calls of one key");
        }
        let in_flight = list.iter().filter(|record| !record.has_left).count();
        prop_assert_eq!(window.in_flight(), in_flight);
    }
    // Everything comes to an end.
    while window.in_flight() > 0 {
        while let Some(slot) = window.next_to_begin() {
            begun.push(slot);
        }
        for slot in begun.drain(..) {
            window.get_mut(slot).unwrap().state = CallState::Ended(Ok(()));
            window.ended(slot);
        }
        prop_assert!(window.pop_ready().is_some(), "nothing is left to wait for");
    }
    Ok(())
}

proptest! {
    #[test]
    fn records_leave_when_the_order_allows_it_and_not_before(steps in steps()) {
        for order in [
            CallOrder::Unordered,
            CallOrder::Input,
            CallOrder::PerKey,
            CallOrder::OneAtATimePerKey,
        ] {
            check(order, steps.clone())?;
        }
    }
}
