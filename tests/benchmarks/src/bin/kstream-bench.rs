//! One workload on a real broker, for side-by-side measurements:
//! `kstream-bench WORKLOAD BOOTSTRAP APP_ID THREADS GUARANTEE STATE_DIR`.
//!
//! It reads `bench-in`, writes `bench-out`, commits every second under the group `APP_ID`, and runs until
//! SIGTERM. Keys and values are UTF-8, counts 8-byte big-endian.

use std::process::ExitCode;
use std::time::Duration;

use kstream::broker::kafka::{KafkaBroker, KafkaSettings};
use kstream::{
    KStream, KafkaStreams, Materialized, StreamsBuilder, StreamsConfig, TimeWindows, Topology,
    TopologyErrors, Windowed,
};

const USAGE: &str = "usage: kstream-bench WORKLOAD BOOTSTRAP APP_ID THREADS GUARANTEE STATE_DIR
  WORKLOAD   passthrough | count | count-nocache | rekey-count | window-count
  GUARANTEE  at_least_once";

const WINDOW: Duration = Duration::from_secs(10);

/// A workload by its name.
fn topology(workload: &str) -> Option<Result<Topology, TopologyErrors>> {
    let builder = StreamsBuilder::new();
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

fn run(arguments: &[String]) -> Result<(), String> {
    let [workload, bootstrap, app_id, threads, guarantee, state_dir] = arguments else {
        return Err(USAGE.to_owned());
    };
    let topology = topology(workload).ok_or_else(|| format!("no workload {workload}\n{USAGE}"))?;
    let topology = topology.map_err(|errors| errors.to_string())?;
    if guarantee != "at_least_once" {
        return Err(format!("no guarantee {guarantee}\n{USAGE}"));
    }
    let threads: usize = threads.parse().map_err(|error| format!("threads: {threads}: {error}"))?;
    let mut config = StreamsConfig::new(app_id)
        .num_stream_threads(threads)
        .commit_interval(Duration::from_secs(1))
        .state_dir(state_dir);
    if workload == "count-nocache" {
        config = config.statestore_cache_max_bytes(0);
    }
    let broker =
        KafkaBroker::new(bootstrap, KafkaSettings::default()).map_err(|error| error.to_string())?;
    let streams = KafkaStreams::new(topology, config, broker).map_err(|error| error.report())?;
    streams.run().map_err(|error| error.report())
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
