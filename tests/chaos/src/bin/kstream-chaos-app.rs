//! One instance of the application under test. Whenever its tasks begin to run it prints `ready`; it runs
//! until SIGTERM.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use kstream::broker::kafka::{KafkaBroker, KafkaSettings};
use kstream::{KafkaStreams, ProcessingGuarantee, State, StreamsConfig};
use kstream_chaos::{Guarantee, Release, app};

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
    /// Which release of the application this is: `first` or `second`.
    #[arg(long, default_value = "first")]
    release: Release,
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
}

const ROCKSDB_MEMORY: usize = 32 << 20;
const CLOSE_TIMEOUT: Duration = Duration::from_secs(20);

#[expect(clippy::print_stdout, reason = "whoever started it reads it")]
fn run(cli: &Cli) -> Result<(), String> {
    let topology = app::topology(cli.release).map_err(|errors| errors.to_string())?;
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
    let broker = KafkaBroker::new(&cli.bootstrap, KafkaSettings::default())
        .map_err(|error| error.to_string())?;
    let mut streams =
        KafkaStreams::new(topology, config, broker).map_err(|error| error.report())?;
    streams.set_state_listener(|now, _| {
        if now == State::Running {
            println!("ready");
        }
    });
    streams.run().map_err(|error| error.report())
}

#[expect(clippy::print_stderr, reason = "a program tells its user what is wrong")]
fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .log_internal_errors(false)
        .init();
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("kstream-chaos-app: {message}");
            ExitCode::FAILURE
        }
    }
}
