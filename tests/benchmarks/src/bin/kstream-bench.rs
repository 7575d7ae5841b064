//! One workload on a real broker, for side-by-side measurements:
//! `kstream-bench WORKLOAD BOOTSTRAP APP_ID THREADS GUARANTEE STATE_DIR`.
//!
//! It reads `bench-in`, writes `bench-out`, commits every second (with exactly once every 100 ms) under the
//! group `APP_ID`, and runs until SIGTERM. Keys and values are UTF-8, counts 8-byte big-endian. When its tasks
//! run for the first time it prints `ready restored_records=N`.

use std::process::ExitCode;
use std::time::Duration;

use kstream::broker::kafka::{KafkaBroker, KafkaSettings};
use kstream::{
    KStream, KafkaStreams, Materialized, ProcessingGuarantee, State, StreamsBuilder, StreamsConfig,
    TimeWindows, Topology, TopologyErrors, Windowed,
};

const USAGE: &str = "usage: kstream-bench WORKLOAD BOOTSTRAP APP_ID THREADS GUARANTEE STATE_DIR
  WORKLOAD   passthrough | count | count-nocache | rekey-count | window-count | latest
  GUARANTEE  at_least_once | exactly_once_v2";

const WINDOW: Duration = Duration::from_secs(10);
/// What `latest` sends of a value: its first bytes.
const MARK_BYTES: usize = 8;
/// How long the state of a run may take to be restored.
const RESTORE: Duration = Duration::from_mins(30);

/// A workload by its name.
fn topology(workload: &str) -> Option<Result<Topology, TopologyErrors>> {
    let builder = StreamsBuilder::new();
    if workload == "latest" {
        latest(&builder);
        return Some(builder.build());
    }
    let records: KStream<String, String> = builder.stream("bench-in");
    match workload {
        "passthrough" => records.to("bench-out"),
        "count" | "count-nocache" => {
            records
                .group_by_key()
                .count_with("count", Materialized::named("counts"))
                .to_stream()
                .to("bench-out");
        }
        "rekey-count" => records
            .group_by(|_, value| value.chars().take(2).collect::<String>())
            .count_with("count", Materialized::named("counts"))
            .to_stream()
            .to("bench-out"),
        "window-count" => records
            .group_by_key()
            .windowed_by(TimeWindows::of_size_and_grace(WINDOW, WINDOW))
            .count_with("count", Materialized::named("counts"))
            .to_stream()
            .map(|key: Windowed<String>, count| {
                (format!("{}@{}", key.key, key.window.start), count)
            })
            .to("bench-out"),
        _ => return None,
    }
    Some(builder.build())
}

/// The latest value of each key, whatever its bytes; the beginning of it goes out.
fn latest(builder: &StreamsBuilder) {
    let records: KStream<Vec<u8>, Vec<u8>> = builder.stream("bench-in");
    let mark = |value: Option<Vec<u8>>| {
        value.map(|mut value| {
            value.truncate(MARK_BYTES);
            value
        })
    };
    records
        .group_by_key()
        .reduce_with(|_, latest| latest, "latest", Materialized::named("latest"))
        .to_stream()
        .map_values(mark)
        .to("bench-out");
}

fn run(arguments: &[String]) -> Result<(), String> {
    let [workload, bootstrap, app_id, threads, guarantee, state_dir] = arguments else {
        return Err(USAGE.to_owned());
    };
    let topology = topology(workload).ok_or_else(|| format!("no workload {workload}\n{USAGE}"))?;
    let topology = topology.map_err(|errors| errors.to_string())?;
    let (guarantee, commit_interval) = match guarantee.as_str() {
        "at_least_once" => (ProcessingGuarantee::AtLeastOnce, Duration::from_secs(1)),
        "exactly_once_v2" => (ProcessingGuarantee::ExactlyOnceV2, Duration::from_millis(100)),
        _ => return Err(format!("no guarantee {guarantee}\n{USAGE}")),
    };
    let threads: usize = threads.parse().map_err(|error| format!("threads: {threads}: {error}"))?;
    let mut config = StreamsConfig::new(app_id)
        .num_stream_threads(threads)
        .processing_guarantee(guarantee)
        .commit_interval(commit_interval)
        .state_dir(state_dir);
    if workload == "count-nocache" {
        config = config.statestore_cache_max_bytes(0);
    }
    let broker =
        KafkaBroker::new(bootstrap, KafkaSettings::default()).map_err(|error| error.to_string())?;
    let mut streams =
        KafkaStreams::new(topology, config, broker).map_err(|error| error.report())?;
    if workload == "latest" {
        streams.start().map_err(|error| error.report())?;
        if streams.wait_for_state(State::Running, RESTORE) {
            say(&format!("ready restored_records={}", streams.restored_records()));
        }
    }
    streams.run().map_err(|error| error.report())
}

#[expect(clippy::print_stdout, reason = "whoever started it reads it")]
fn say(what: &str) {
    println!("{what}");
}

#[expect(clippy::print_stderr, clippy::print_stdout, reason = "a program talks to its user")]
fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag] = arguments.as_slice()
        && (flag == "--help" || flag == "-h")
    {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("kstream-bench: {message}");
            ExitCode::FAILURE
        }
    }
}
