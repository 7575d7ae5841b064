//! `geo-aggregation`: reads the command line, runs the job until it ends or a signal comes, and says
//! in one line what went wrong.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser as _;
use geo_aggregation::config::Job;
use geo_aggregation::config::raw::{Cli, Command};
use geo_aggregation::error::AppError;
use geo_aggregation::stages::{self, Context};
use geo_aggregation::stop::Stop;
use kstream::time::{Clock as _, SystemClock};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// What is logged unless `RUST_LOG` says otherwise.
const LOG_FILTER: &str = "info,sqlx=warn,hyper=warn,librdkafka=error";

/// The same where all stages share a terminal: what a user wants to know.
const QUIET_LOG_FILTER: &str = "warn,geo_aggregation=info,librdkafka=error";

fn main() -> ExitCode {
    let cli = Cli::parse();
    let quiet = matches!(cli.command, Command::All(_));
    log_to_stderr(if quiet { QUIET_LOG_FILTER } else { LOG_FILTER });
    match Job::resolve(cli).map_err(AppError::from).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If standard error is gone too, the exit code still tells.
            writeln!(std::io::stderr(), "geo-aggregation: {}", error.line()).ok();
            ExitCode::FAILURE
        }
    }
}

fn log_to_stderr(filter: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| filter.into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        // It would panic when standard error is full.
        .log_internal_errors(false)
        .init();
}

fn run(job: Job) -> Result<(), AppError> {
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|source| AppError::Io { what: "cannot start threads", source })?;
    let clock = Arc::new(SystemClock::new());
    let run = clock.now_ms().unsigned_abs();
    let context = Context { clock, stop: Stop::default(), run };
    let result = runtime.block_on(async {
        stop_on_signals(&context.stop)?;
        stages::run(job, &context).await
    });
    // After a failure some part may still wait for another one that never came to be.
    runtime.shutdown_background();
    result
}

/// Ctrl-C and SIGTERM ask to stop; a second one ends the program at once.
fn stop_on_signals(stop: &Stop) -> Result<(), AppError> {
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        let mut signals = signal(kind)
            .map_err(|source| AppError::Io { what: "cannot wait for signals", source })?;
        let stop = stop.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                if stop.is_requested() {
                    std::process::exit(1);
                }
                stop.request();
            }
        });
    }
    Ok(())
}
