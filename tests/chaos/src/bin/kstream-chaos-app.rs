//! One instance of the application under test. When its tasks run for the first time it prints
//! `ready restored_records=N`; it runs until SIGTERM.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use kstream::broker::kafka::{KafkaBroker, KafkaSettings};
use kstream::{KafkaStreams, ProcessingGuarantee, State, StreamsConfig};
use kstream_chaos::{Guarantee, app};

/// One instance of the application under test.
#[derive(Debug, Parser)]
struct Cli {
    /// Addresses of brokers.
    #[arg(long)]
    bootstrap: String,
    /// The application id.
    #[arg(long)]
    application_id: String,
    /// Where it keeps its state.
    #[arg(long)]
    state_dir: PathBuf,
    /// How many threads process records.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// What holds across failures.
    #[arg(long, default_value = "exactly_once_v2")]
    guarantee: Guarantee,
    /// Milliseconds between commits.
    #[arg(long, default_value_t = 200)]
    commit_interval_ms: u64,
    /// Milliseconds without a heartbeat after which the group goes on without this instance.
    #[arg(long, default_value_t = 6000)]
    session_timeout_ms: u64,
    /// How long it may take to become ready, in seconds.
    #[arg(long, default_value_t = 120)]
    ready_within_s: u64,
}

const ROCKSDB_MEMORY: usize = 32 << 20;
const CLOSE_TIMEOUT: Duration = Duration::from_secs(20);

#[expect(clippy::print_stdout, reason = "whoever started it reads it")]
fn run(cli: &Cli) -> Result<(), String> {
    let topology = app::topology().map_err(|errors| errors.to_string())?;
    let session_timeout = Duration::from_millis(cli.session_timeout_ms);
    let config = StreamsConfig::new(&cli.application_id)
        .state_dir(&cli.state_dir)
        .num_stream_threads(cli.threads)
        .commit_interval(Duration::from_millis(cli.commit_interval_ms))
        .session_timeout(session_timeout)
        .heartbeat_interval(session_timeout / 6)
        .close_timeout(CLOSE_TIMEOUT)
        .rocksdb_memory_bytes(ROCKSDB_MEMORY)
        .processing_guarantee(match cli.guarantee {
            Guarantee::AtLeastOnce => ProcessingGuarantee::AtLeastOnce,
            Guarantee::ExactlyOnceV2 => ProcessingGuarantee::ExactlyOnceV2,
        });
    let mut settings = KafkaSettings::default();
    if let Ok(ms) = std::env::var("CHAOS_IDLE_MS") {
        settings.producer.insert("connections.max.idle.ms".to_owned(), ms);
    }
    let broker = KafkaBroker::new(&cli.bootstrap, settings).map_err(|error| error.to_string())?;
    let mut streams =
        KafkaStreams::new(topology, config, broker).map_err(|error| error.report())?;
    streams.start().map_err(|error| error.report())?;
    if streams.wait_for_state(State::Running, Duration::from_secs(cli.ready_within_s)) {
        println!("ready restored_records={}", streams.restored_records());
    }
    streams.run().map_err(|error| error.report())
}

#[expect(clippy::print_stderr, reason = "a program tells its user what is wrong")]
fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("kstream-chaos-app: {message}");
            ExitCode::FAILURE
        }
    }
}
