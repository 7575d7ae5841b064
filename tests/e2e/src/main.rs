//! The application that the tests start, kill and stop:
//! `kstream-e2e-counter BOOTSTRAP APP_ID STATE_DIR GUARANTEE`.
//!
//! It counts the records of `e2e-in` by the first word of their values, to `e2e-counts` and by window to
//! `e2e-windows`, commits every half second, and runs until SIGTERM. When its tasks run for the first time
//! it prints `restored_records=N`. Its exit code is that of its error.

use std::process::ExitCode;
use std::time::Duration;

use kstream::broker::kafka::{KafkaBroker, KafkaSettings};
use kstream::{
    Error, ErrorKind, KStream, KafkaStreams, Materialized, ProcessingGuarantee, State,
    StreamsBuilder, StreamsConfig, TimeWindows, Topology, TopologyErrors, Windowed,
};

const WINDOW: Duration = Duration::from_secs(100);
/// Instances that are away for a while bring late records: none is too late.
const GRACE: Duration = Duration::from_hours(1);

fn topology() -> Result<Topology, TopologyErrors> {
    let builder = StreamsBuilder::new();
    let records: KStream<String, String> = builder.stream("e2e-in");
    let grouped = records.group_by(|_, value| {
        value.split_once(' ').map_or_else(|| value.clone(), |(word, _)| word.to_owned())
    });
    grouped.count_with("count", Materialized::named("counts")).to_stream().to("e2e-counts");
    grouped
        .windowed_by(TimeWindows::of_size_and_grace(WINDOW, GRACE))
        .count_with("count-windows", Materialized::named("windows"))
        .to_stream()
        .map(|key: Windowed<String>, count| (format!("{}@{}", key.key, key.window.start), count))
        .to("e2e-windows");
    builder.build()
}

#[expect(clippy::print_stdout, reason = "the tests read it")]
fn run(arguments: &[String]) -> Result<(), Error> {
    let usage = |problem: &str| {
        let usage = "usage: kstream-e2e-counter BOOTSTRAP APP_ID STATE_DIR GUARANTEE";
        Error::new(ErrorKind::Config, format!("{problem}; {usage}"))
    };
    let [bootstrap, application_id, state_dir, guarantee] = arguments else {
        return Err(usage("four arguments are needed"));
    };
    let guarantee = match &**guarantee {
        "at_least_once" => ProcessingGuarantee::AtLeastOnce,
        "exactly_once_v2" => ProcessingGuarantee::ExactlyOnceV2,
        other => return Err(usage(&format!("there is no guarantee {other}"))),
    };
    let topology = topology().map_err(|errors| usage(&errors.to_string()))?;
    let config = StreamsConfig::new(application_id)
        .state_dir(state_dir)
        .processing_guarantee(guarantee)
        .commit_interval(Duration::from_millis(500))
        .session_timeout(Duration::from_secs(6))
        .close_timeout(Duration::from_secs(20))
        .rocksdb_memory_bytes(32 << 20);
    let broker = KafkaBroker::new(bootstrap, KafkaSettings::default())?;
    let mut streams = KafkaStreams::new(topology, config, broker)?;
    streams.start()?;
    if streams.wait_for_state(State::Running, Duration::from_mins(2)) {
        println!("restored_records={}", streams.restored_records());
    }
    streams.run()
}

#[expect(clippy::print_stderr, reason = "a program tells its user what is wrong")]
fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .log_internal_errors(false)
        .init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kstream-e2e-counter: {}", error.report());
            error.exit_code()
        }
    }
}
