//! `map_async` and `map_values_async`: order, room, time limits, retries, failures.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::fmt;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kstream::{
    AsyncCalls, CallOrder, ErrorContext, FailedRecord, FixedKeyProcessor, FixedKeyProcessorContext,
    FixedKeyRecord, HandlerResponse, KStream, LogAndContinue, Materialized, ProcessingHandler,
    Processor, ProcessorContext, ProcessorError, PunctuationType, Record, ScheduleId,
    StreamsBuilder, StreamsConfig, Timestamp, UserPanic,
};
use tokio::sync::{Barrier, watch};

use crate::harness::{Harness, Text, config, topology_error};

const LETTERS: &str = "letters";

/// Longer than anybody would wait.
const HOUR: Duration = Duration::from_hours(1);
/// For calls that are never answered; passes for real.
const SHORT: Duration = Duration::from_millis(5);

/// What a call fails with.
#[derive(Debug, PartialEq, Eq)]
struct Refused(&'static str);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl StdError for Refused {}

type Calls = AsyncCalls<Refused>;

/// Records of the topic `in`, all in one commit.
#[track_caller]
fn pipe_together(test: &Harness, records: &[(&str, &str)]) {
    let text = |text: &str| -> Text { Some(text.to_owned()) };
    let records: Vec<_> =
        (0..).zip(records).map(|(at, (key, value))| (text(key), text(value), at)).collect();
    test.pipe_together(&records);
}

fn resuming() -> StreamsConfig {
    config().processing_handler(LogAndContinue).dead_letter_topic(LETTERS)
}

/// What has been answered so far, for calls that wait for others.
#[derive(Debug, Clone)]
struct Answers(Arc<watch::Sender<Vec<String>>>);

impl Answers {
    fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Vec::new())))
    }

    async fn of(&self, value: &str) {
        let mut answers = self.0.subscribe();
        let is_there = |answers: &Vec<String>| answers.iter().any(|answer| answer == value);
        answers.wait_for(is_there).await.unwrap();
    }

    fn add(&self, value: &str) {
        self.0.send_modify(|answers| answers.push(value.to_owned()));
    }
}

/// Two records of one key around one of another. The calls are answered from the last to the first.
fn answered_backwards(order: CallOrder) -> Vec<String> {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let answers = Answers::new();
        let call = move |_, value: String| {
            let answers = answers.clone();
            async move {
                match value.as_str() {
                    "first" => answers.of("second").await,
                    "second" => answers.of("third").await,
                    _ => {}
                }
                answers.add(&value);
                Ok(value)
            }
        };
        stream.map_values_async_with(call, Calls::new().with_order(order)).to("out");
    });
    pipe_together(&test, &[("a", "first"), ("b", "second"), ("a", "third")]);
    test.out()
}

#[test]
fn results_leave_in_the_order_that_is_asked_for() {
    let (first, second, third) = ("a=first@0", "b=second@1", "a=third@2");
    assert_eq!(answered_backwards(CallOrder::Unordered), [third, second, first]);
    assert_eq!(answered_backwards(CallOrder::PerKey), [second, first, third]);
    assert_eq!(answered_backwards(CallOrder::Input), [first, second, third]);
}

#[test]
fn calls_of_one_key_can_be_made_one_at_a_time() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let (under_way, both) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Barrier::new(2)));
        let call = move |key: String, value: String| {
            let (under_way, both) = (Arc::clone(&under_way), Arc::clone(&both));
            async move {
                assert!(!under_way.lock().unwrap().contains(&key), "two calls of {key}");
                under_way.lock().unwrap().push(key.clone());
                // One of each key, or nobody gets past here.
                both.wait().await;
                under_way.lock().unwrap().retain(|other| *other != key);
                Ok(value)
            }
        };
        let calls = Calls::new().with_order(CallOrder::OneAtATimePerKey);
        stream.map_values_async_with(call, calls).to("out");
    });
    pipe_together(&test, &[("a", "1"), ("a", "2"), ("a", "3"), ("b", "4"), ("b", "5"), ("b", "6")]);
    let of = |key: &str| -> Vec<String> {
        test.out().into_iter().filter(|line| line.starts_with(key)).collect()
    };
    assert_eq!(of("a"), ["a=1@0", "a=2@1", "a=3@2"]);
    assert_eq!(of("b"), ["b=4@3", "b=5@4", "b=6@5"]);
}

/// Calls that are answered in groups, and the most that were under way.
fn in_groups(size: usize, most: &Arc<AtomicUsize>) -> impl Fn(i64) -> BoxedCall + use<> {
    let (group, now, most) =
        (Arc::new(Barrier::new(size)), Arc::new(AtomicUsize::new(0)), Arc::clone(most));
    move |value| {
        let (group, now, most) = (Arc::clone(&group), Arc::clone(&now), Arc::clone(&most));
        Box::pin(async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            group.wait().await;
            now.fetch_sub(1, Ordering::SeqCst);
            Ok(value)
        })
    }
}

type BoxedCall = std::pin::Pin<Box<dyn Future<Output = Result<i64, Refused>> + Send>>;

#[test]
fn a_task_takes_as_many_records_as_may_be_in_flight() {
    let most = Arc::default();
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let call = in_groups(3, &most);
        stream
            .map_values_async_with(
                move |_, text: String| call(text.parse().unwrap()),
                Calls::new().with_max_in_flight(3),
            )
            .to("out");
    });
    let values: Vec<String> = (0..12).map(|n| n.to_string()).collect();
    let records: Vec<_> = values.iter().map(|value| ("k", value.as_str())).collect();
    pipe_together(&test, &records);
    let expected: Vec<_> = (0..12).map(|n| format!("k={n}@{n}")).collect();
    assert_eq!(test.out_numbers(), expected);
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

#[test]
fn what_one_record_becomes_waits_for_room() {
    let most = Arc::default();
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let call = in_groups(2, &most);
        stream
            .flat_map_values(|text: String| 0..text.parse().unwrap())
            .map_values_async_with(move |_, n| call(n), Calls::new().with_max_in_flight(2))
            .to("out");
    });
    pipe_together(&test, &[("a", "5"), ("b", "1")]);
    let expected = ["a=0@0", "a=1@0", "a=2@0", "a=3@0", "a=4@0", "b=0@1"];
    let mut out = test.out_numbers();
    // The last of the first record may be overtaken by the second: they have different keys.
    out.sort();
    assert_eq!(out, expected);
    assert_eq!(most.load(Ordering::SeqCst), 2);
}

#[test]
fn nodes_behind_see_the_record_that_the_call_was_made_for() {
    struct Origin;
    impl FixedKeyProcessor<String, String, String> for Origin {
        fn process(
            &mut self,
            context: &mut FixedKeyProcessorContext<'_, String, String>,
            record: FixedKeyRecord<String, String>,
        ) -> Result<(), ProcessorError> {
            let from = context.record_metadata().unwrap();
            let place = format!("{}-{}:{}", from.topic.unwrap(), from.partition, from.offset);
            let value = format!("{} {place} {:?}", record.value, record.headers);
            Ok(context.forward(record.with_value(value))?)
        }
    }
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let answers = Answers::new();
        let call = move |_, value: String| {
            let answers = answers.clone();
            async move {
                if value == "first" {
                    answers.of("second").await;
                }
                answers.add(&value);
                Ok(value)
            }
        };
        let calls = Calls::new().with_order(CallOrder::Unordered);
        stream.map_values_async_with(call, calls).process_values(|| Origin).to("out");
    });
    pipe_together(&test, &[("a", "first"), ("a", "second")]);
    assert_eq!(test.out(), ["a=second in-0:1 []@1", "a=first in-0:0 []@0"]);

    let mut record = Record::new("a".to_owned(), "third".to_owned(), 9);
    record.headers.add("h", Some(b"1"));
    test.driver.input_topic("in").pipe_record(&record).unwrap();
    let out = test.records::<String>("out").pop().unwrap();
    assert!(out.value.unwrap().starts_with("third in-0:2 [Header"), "headers are lost");
    assert_eq!((out.headers, out.timestamp), (record.headers, 9));
}

/// A service that refuses, so many times for each value.
fn refusing(times: usize, asked: &Arc<AtomicUsize>) -> impl Fn(String) -> RefusingCall + use<> {
    let (left, asked) = (Arc::new(Mutex::new(HashMap::new())), Arc::clone(asked));
    move |value| {
        asked.fetch_add(1, Ordering::SeqCst);
        let left = Arc::clone(&left);
        Box::pin(async move {
            let mut left = left.lock().unwrap();
            let left = left.entry(value.clone()).or_insert(times);
            if *left == 0 {
                return Ok(value);
            }
            *left -= 1;
            Err(Refused("busy"))
        })
    }
}

type RefusingCall = std::pin::Pin<Box<dyn Future<Output = Result<String, Refused>> + Send>>;

#[test]
fn a_failed_attempt_is_made_again_and_pauses_take_no_time_here() {
    let asked = Arc::default();
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let call = refusing(3, &asked);
        let calls =
            Calls::new().with_retries(3).with_pauses(HOUR, 2 * HOUR).with_timeout(24 * HOUR);
        stream.map_values_async_with(move |_, value| call(value), calls).to("out");
    });
    pipe_together(&test, &[("a", "x"), ("a", "y")]);
    assert_eq!(test.out(), ["a=x@0", "a=y@1"]);
    assert_eq!(asked.load(Ordering::SeqCst), 8);
}

#[test]
fn the_last_error_is_reported_with_the_number_of_attempts() {
    let asked = Arc::default();
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let call = refusing(3, &asked);
        let calls = Calls::named("ask").with_retries(2).with_pauses(SHORT, SHORT);
        stream.map_values_async_with(move |_, value| call(value), calls).to("out");
    });
    let error = topology_error(test.try_pipe("in", "k", "x", 0));
    assert_eq!(
        error.report(),
        "the call failed 3 times, task 0_0, node ask, in-0 at offset 0: busy"
    );
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

#[test]
fn an_error_that_is_not_worth_it_is_not_tried_again() {
    let asked = Arc::default();
    let test = Harness::with_config(resuming(), |builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let call = refusing(1, &asked);
        let calls = Calls::new().with_retries(5).with_retry_if(|error| *error != Refused("busy"));
        stream.map_values_async_with(move |_, value| call(value), calls).to("out");
    });
    test.pipe("k", "x", 0);
    assert_eq!((test.out().len(), asked.load(Ordering::SeqCst)), (0, 1));
    assert_eq!(test.driver.dropped_records(), 1);
}

#[test]
fn a_pause_longer_than_the_time_that_is_left_is_not_begun() {
    let asked = Arc::default();
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let call = refusing(9, &asked);
        let calls = Calls::new().with_retries(9).with_pauses(HOUR, HOUR).with_timeout(HOUR * 3 / 2);
        stream.map_values_async_with(move |_, value| call(value), calls).to("out");
    });
    let error = topology_error(test.try_pipe("in", "k", "x", 0));
    assert!(error.report().ends_with("busy"), "{}", error.report());
    // Each pause takes between one and two hours.
    assert!(asked.load(Ordering::SeqCst) <= 2);
}

#[test]
fn a_call_without_an_answer_fails_in_time_and_names_its_record() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let calls = Calls::named("ask").with_timeout(SHORT);
        let call = |_, value: String| async move {
            if value == "bad" { pending().await } else { Ok(value) }
        };
        stream.map_values_async_with(call, calls).to("out");
    });
    test.pipe("k", "good", 0);
    let error = topology_error(test.try_pipe("in", "k", "bad", 0));
    let expected = "the call was not answered within 5ms, task 0_0, node ask, in-0 at offset 1";
    assert_eq!(error.report(), expected);
    assert_eq!(test.out(), ["k=good@0"]);
}

#[test]
fn an_attempt_without_an_answer_is_cut_off_and_made_again() {
    let asked = Arc::new(AtomicUsize::new(0));
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let asked = Arc::clone(&asked);
        let call = move |_, value: String| {
            let attempt = asked.fetch_add(1, Ordering::SeqCst);
            async move { if attempt == 0 { pending().await } else { Ok(value) } }
        };
        let calls = Calls::new()
            .with_timeout(24 * HOUR)
            .with_attempt_timeout(SHORT)
            .with_retries(1)
            .with_retry_if(|_| false);
        stream.map_values_async_with(call, calls).to("out");
    });
    test.pipe("k", "v", 0);
    assert_eq!(test.out(), ["k=v@0"]);
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

/// Notes what it is asked about, and goes on.
#[derive(Debug, Clone, Default)]
struct Noting(Arc<Mutex<Vec<String>>>);

impl ProcessingHandler for Noting {
    fn handle(
        &self,
        context: &ErrorContext<'_>,
        record: Option<&FailedRecord<'_>>,
        error: &(dyn StdError + Send + Sync + 'static),
    ) -> HandlerResponse {
        let value = record.and_then(FailedRecord::value::<String>).unwrap();
        let raw = std::str::from_utf8(context.raw_value.unwrap()).unwrap();
        let kind = if error.is::<UserPanic>() {
            "panic"
        } else if error.is::<Refused>() {
            "refused"
        } else {
            "other"
        };
        let offset = context.metadata.offset;
        self.0
            .lock()
            .unwrap()
            .push(format!("{} {offset} {value} {raw} {kind}: {error}", context.node));
        HandlerResponse::resume()
    }
}

#[test]
fn failures_go_to_the_handler_with_the_record_and_its_source() {
    let handler = Noting::default();
    let notes = Arc::clone(&handler.0);
    let test = Harness::with_config(
        config().processing_handler(handler).dead_letter_topic(LETTERS),
        |builder| {
            let stream: KStream<String, String> = builder.stream("in");
            let call = |_, value: String| async move {
                match value.as_str() {
                    "panic!" => unreachable!("boom"),
                    "error!" => Err(Refused("no")),
                    "slow!" => pending().await,
                    _ => Ok(value),
                }
            };
            let calls = Calls::named("ask").with_timeout(SHORT * 10);
            stream.map_values(|value| value + "!").map_values_async_with(call, calls).to("out");
        },
    );
    pipe_together(
        &test,
        &[("a", "panic"), ("a", "fine"), ("a", "error"), ("b", "slow"), ("b", "good")],
    );
    assert_eq!(test.out(), ["a=fine!@1", "b=good!@4"]);
    let notes = notes.lock().unwrap().clone();
    let expected = [
        "ask 0 panic! panic panic: internal error: entered unreachable code: boom",
        "ask 2 error! error refused: no",
        "ask 3 slow! slow other: the call was not answered within 50ms",
    ];
    assert_eq!(notes, expected);
    assert_eq!(test.read_from::<String>(LETTERS), ["a=panic@0", "a=error@2", "b=slow@3"]);
    assert_eq!(test.driver.dropped_records(), 3);
}

#[test]
fn a_panic_without_a_handler_names_node_and_record() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let call = |_, value: String| {
            assert_ne!(value, "bad", "cannot even begin");
            async move { Ok(value) }
        };
        stream.map_values_async_with(call, Calls::named("ask")).to("out");
    });
    let error = topology_error(test.try_pipe("in", "k", "bad", 0));
    for part in ["panicked", "cannot even begin", "node ask", "in-0 at offset 0"] {
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
}

#[test]
fn a_node_behind_that_fails_is_named_with_the_record_of_the_call() {
    let test = Harness::with_config(resuming(), |builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let fine = |value: String| {
            assert!(!value.starts_with("bad"), "boom {value}");
            value
        };
        let answered = stream.map_values_async(|value: String| async { Ok::<_, Refused>(value) });
        answered.map_values(fine).to("out");
    });
    pipe_together(&test, &[("a", "bad"), ("b", "good")]);
    assert_eq!(test.out(), ["b=good@1"]);
    assert_eq!(test.read_from::<String>(LETTERS), ["a=bad@0"]);
}

#[test]
fn a_new_key_needs_a_repartition_and_a_new_value_does_not() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let swapped = stream.map_async_with(
            |key, value| async move { Ok::<_, Refused>((value, key)) },
            AsyncCalls::named("swap"),
        );
        swapped.group_by_key().count().to_stream().to("out");
        let same = stream.map_values_async(|value: String| async { Ok::<_, Refused>(value) });
        same.group_by_key().count();
    });
    assert_eq!(test.driver.task().borrow().repartition_topics().len(), 1);
    pipe_together(&test, &[("a", "x"), ("b", "x"), ("c", "y")]);
    assert_eq!(test.out_numbers(), ["x=1@0", "x=2@1", "y=1@2"]);
}

#[test]
fn what_the_record_cache_holds_back_is_called_for_before_the_commit() {
    let cached = StreamsConfig::new("app").statestore_cache_max_bytes(1 << 20);
    let test = Harness::with_config(cached, |builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let doubled = |count: Option<i64>| async move { Ok::<_, Refused>(count.unwrap() * 2) };
        let once = stream.group_by_key().count_with("once", Materialized::named("once"));
        let doubles = once.to_stream().map_values_async(doubled);
        // The second count holds its results back as well, and leads to calls of its own.
        let twice = doubles.group_by_key().reduce(|_, new| new);
        twice.to_stream().map_values_async(doubled).to("out");
    });
    pipe_together(&test, &[("a", "x"), ("a", "x"), ("a", "x"), ("b", "x")]);
    assert_eq!(test.out_numbers(), ["a=12@2", "b=4@3"]);
}

#[test]
fn calls_lead_to_calls() {
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let answer = |value: String| async { Ok::<_, Refused>(value + "!") };
        let few = Calls::new().with_max_in_flight(2);
        stream
            .map_values_async(answer)
            .map_values_async_with(move |_, value| answer(value), few)
            .repartition()
            .map_values_async(answer)
            .to("out");
    });
    pipe_together(&test, &[("a", "1"), ("a", "2"), ("a", "3"), ("a", "4"), ("a", "5")]);
    assert_eq!(test.out(), ["a=1!!!@0", "a=2!!!@1", "a=3!!!@2", "a=4!!!@3", "a=5!!!@4"]);
}

#[test]
fn calls_can_come_from_a_clock() {
    struct Ticks;
    impl Processor<String, String, String, String> for Ticks {
        fn init(
            &mut self,
            context: &mut ProcessorContext<'_, String, String>,
        ) -> Result<(), ProcessorError> {
            context.schedule(Duration::from_millis(10), PunctuationType::WallClockTime)?;
            Ok(())
        }
        fn process(
            &mut self,
            _: &mut ProcessorContext<'_, String, String>,
            _: Record<String, String>,
        ) -> Result<(), ProcessorError> {
            Ok(())
        }
        fn punctuate(
            &mut self,
            context: &mut ProcessorContext<'_, String, String>,
            _: ScheduleId,
            timestamp: Timestamp,
        ) -> Result<(), ProcessorError> {
            Ok(context.forward(Record::new("k".to_owned(), "tick".to_owned(), timestamp))?)
        }
    }
    let test = Harness::new(|builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let answer = |value: String| async { Ok::<_, Refused>(value + "!") };
        stream.process(|| Ticks).map_values_async(answer).to("out");
    });
    test.driver.advance_wall_clock_time(Duration::from_millis(10)).unwrap();
    assert_eq!(test.out(), ["k=tick!@10"]);
}

#[test]
fn calls_run_on_the_runtime_that_is_given() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("mine")
        .build()
        .unwrap();
    // Its end is no failure of the record: a handler that resumes would lose it.
    let given = resuming().async_runtime(runtime.handle().clone());
    let test = Harness::with_config(given, |builder| {
        let stream: KStream<String, String> = builder.stream("in");
        let thread = |_: String| async {
            Ok::<_, Refused>(std::thread::current().name().unwrap().to_owned())
        };
        stream.map_values_async(thread).to("out");
    });
    test.pipe("k", "v", 0);
    assert_eq!(test.out(), ["k=mine@0"]);
    runtime.shutdown_background();
    let error = topology_error(test.try_pipe("in", "k", "v", 1));
    assert!(error.to_string().starts_with("the runtime of asynchronous calls"), "{error}");
}

#[test]
fn options_that_let_nothing_through_are_reported() {
    let builder = StreamsBuilder::new();
    let stream: KStream<String, String> = builder.stream("in");
    let wrong = [
        Calls::named("none").with_max_in_flight(0),
        Calls::named("at-once").with_timeout(Duration::ZERO),
        Calls::named("cut").with_attempt_timeout(Duration::ZERO),
        Calls::named("swapped").with_pauses(HOUR, SHORT),
    ];
    for calls in wrong {
        stream.map_values_async_with(|_, value| async { Ok(value) }, calls).for_each(|_, _| ());
    }
    let errors = builder.build().unwrap_err();
    let subjects: Vec<_> = errors.iter().map(|error| error.subject.clone()).collect();
    assert_eq!(subjects, ["none", "at-once", "cut", "swapped"]);
    assert!(errors.iter().all(|error| error.location.unwrap().file().ends_with("map_async.rs")));
}
