//! What a task costs per record, on the in-process broker: forwarding through nodes, and aggregating.
//!
//! Times are those of the one core that works, and compare within a run; the least of five rounds counts.
//! Arguments are names of workloads; none means all.

#![expect(clippy::print_stdout, reason = "a benchmark shows what it measures")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]

use std::error::Error;
use std::time::{Duration, Instant};

use kstream::broker::OutgoingRecord;
use kstream::driver::TaskDriver;
use kstream::{Headers, KStream, StreamsBuilder, StreamsConfig, TimeWindows};

const RECORDS: u32 = 200_000;
const KEYS: u32 = 10_000;
const ROUNDS: usize = 5;
/// About what a thread processes between two commits when it is busy.
const RECORDS_PER_COMMIT: usize = 100_000;

type Stream = KStream<String, String>;

/// A workload: its name, what it does with the input, and the bytes of the record cache.
type Workload = (&'static str, fn(&Stream), usize);

const WORKLOADS: [Workload; 8] = [
    ("read", read, 0),
    ("read, 5 nodes", read_through_five_nodes, 0),
    ("chain of 5 operators", chain_of_five, 0),
    ("read, write", |stream| stream.to("out"), 0),
    ("count", |stream| drop(stream.group_by_key().count()), 0),
    ("count, write", count, 0),
    ("count, write, record cache", count, 10 << 20),
    ("window count, write", window_count, 0),
];

fn read(stream: &Stream) {
    stream.for_each(|_, value| _ = std::hint::black_box(value.len()));
}

fn read_through_five_nodes(stream: &Stream) {
    let stream = stream
        .filter(|key, _| !key.is_empty())
        .map_values(|value| value)
        .peek(|_, value| _ = std::hint::black_box(value.len()))
        .filter_not(|_, value| value.is_empty())
        .map_values(|value| value);
    read(&stream);
}

/// What the goal of 1,000,000 records per second is about: five operators, then a sink.
fn chain_of_five(stream: &Stream) {
    stream
        .filter(|key, _| !key.is_empty())
        .map_values(|value| value)
        .peek(|_, value| _ = std::hint::black_box(value.len()))
        .filter_not(|_, value| value.is_empty())
        .map_values(|value| value)
        .to("out");
}

fn count(stream: &Stream) {
    stream.group_by_key().count().to_stream().to("out");
}

fn window_count(stream: &Stream) {
    let windows = TimeWindows::of_size_and_grace(Duration::from_secs(10), Duration::from_secs(10));
    let counts = stream.group_by_key().windowed_by(windows).count().to_stream();
    counts.map(|windowed, count| (windowed.key, count)).to("out");
}

/// The time that a task takes for the input of one round.
fn round((_, build, cache_bytes): Workload) -> Result<Duration, Box<dyn Error>> {
    let builder = StreamsBuilder::new();
    build(&builder.stream("in"));
    let config = StreamsConfig::new("bench").statestore_cache_max_bytes(cache_bytes);
    let mut task = TaskDriver::new(builder.build()?, config)?;
    let headers = Headers::new();
    for number in 0..RECORDS {
        // Keys come in no order that a cache would like.
        let key = format!("key-{:05}", number.wrapping_mul(2_654_435_761) % KEYS);
        let record = OutgoingRecord {
            partition: 0,
            key: Some(key.as_bytes()),
            value: Some(b"a value of about thirty bytes!"),
            // Ten records per millisecond: two windows in all.
            timestamp: Some(i64::from(number / 10)),
            headers: &headers,
        };
        task.append("in", record)?;
    }
    let (begin, begin_on_cpu) = (Instant::now(), on_cpu());
    task.process_waiting(RECORDS_PER_COMMIT)?;
    let spent = on_cpu().zip(begin_on_cpu).map(|(now, then)| now.saturating_sub(then));
    Ok(spent.unwrap_or_else(|| begin.elapsed()))
}

/// How long this thread has been on a core, where the system says so: other programs do not count.
fn on_cpu() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(text.split_whitespace().next()?.parse().ok()?))
}

fn main() -> Result<(), Box<dyn Error>> {
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let mut first = None;
    for workload in WORKLOADS {
        let name = workload.0;
        if !wanted.is_empty() && !wanted.iter().any(|wanted| wanted == name) {
            continue;
        }
        let mut least = round(workload)?;
        for _ in 1..ROUNDS {
            least = least.min(round(workload)?);
        }
        let nanoseconds = least.as_secs_f64() * 1e9 / f64::from(RECORDS);
        let ratio = nanoseconds / *first.get_or_insert(nanoseconds);
        let per_second = 1e9 / nanoseconds;
        println!(
            "{name:28} {nanoseconds:7.0} ns per record {ratio:6.2} x {per_second:10.0} records/s"
        );
    }
    Ok(())
}
