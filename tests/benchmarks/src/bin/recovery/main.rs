//! How long an application with much state needs from `kill -9` and restart until it processes again, and
//! how many rows it replays: ours, and Kafka Streams beside it.
//!
//! The application keeps the latest value of each key. When its state is filled, a trickle of updates goes
//! on; then it is killed, in the midst of a transaction, and started again at once. It processes again
//! when, in every partition, the committed output has an update that was sent after the kill. Both have the
//! same session timeout, since a killed member keeps its tasks for so long.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its figures")]

mod apps;
mod topics;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use kstream::time::{Clock, SystemClock};
use kstream_test_support::{KafkaServer, poll_until, wait_until};

use apps::{App, Instance};
use topics::{Output, Topics, Trickle};

type Failure = Box<dyn std::error::Error>;

/// Time from `kill -9` and restart to processing again.
#[derive(Debug, Clone, Parser)]
struct Cli {
    /// Size of the state in MiB.
    #[arg(long, default_value_t = 100)]
    state_mb: u64,
    /// Which applications.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [App::Kstream, App::KafkaStreams])]
    apps: Vec<App>,
    /// `at_least_once` or `exactly_once_v2`.
    #[arg(long, default_value = "exactly_once_v2")]
    guarantee: String,
    /// Kills of each kind.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Threads of the application.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Updates sent each second.
    #[arg(long, default_value_t = 2000)]
    rate: u64,
    /// Milliseconds without a heartbeat after which the group goes on without the killed process. Ours has
    /// 10 s; this is for Kafka Streams, whose own default is 45 s.
    #[arg(long, default_value_t = 10_000)]
    session_timeout_ms: u64,
    /// A folder for the state; by default a temporary one.
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// How long anything may take.
const LONG: Duration = Duration::from_mins(30);

fn main() -> ExitCode {
    let cli = Cli::parse();
    println!(
        "{} MiB of state, {}, {} threads, {} updates/s, session timeout {} ms",
        cli.state_mb, cli.guarantee, cli.threads, cli.rate, cli.session_timeout_ms
    );
    for app in &cli.apps {
        if let Err(error) = measure(*app, &cli) {
            eprintln!("recovery: {}: {error}", app.name());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn measure(app: App, cli: &Cli) -> Result<(), Failure> {
    let folder = match &cli.dir {
        Some(dir) => tempfile::TempDir::with_prefix_in("recovery-", dir)?,
        None => tempfile::TempDir::with_prefix("recovery-")?,
    };
    // ORDER: the application ends before the broker.
    let server = KafkaServer::start()?;
    let topics = Topics::create(server.bootstrap())?;
    let clock = SystemClock::new();
    let rows = topics.fill(cli.state_mb)?;
    println!("{}: {rows} rows sent in {:.1} s", app.name(), clock.monotonic().as_secs_f64());
    let mut instance = Instance::new(app, server.bootstrap(), folder.path(), cli)?;
    let clock = SystemClock::new();
    instance.start()?;
    let all = topics.input_end()?;
    poll_until(LONG, "the state to be built", || {
        instance.check_running()?;
        Ok((topics.committed() >= all).then_some(()))
    })?;
    println!(
        "{}: state built in {:.1} s, {} MiB on disk",
        app.name(),
        clock.monotonic().as_secs_f64(),
        instance.state_bytes() >> 20
    );
    let mut output = Output::read(server.bootstrap())?;
    let trickle = Trickle::start(server.bootstrap(), cli.rate, rows)?;
    for wipe in [false, true] {
        for _ in 0..cli.runs {
            let figures = kill_once(&mut instance, &trickle, &mut output, wipe)?;
            let state = if wipe { "killed, disk lost" } else { "killed" };
            println!("{}: {state}: {figures}", app.name());
        }
    }
    trickle.stop()?;
    instance.stop()
}

/// Kills the application and starts it again.
fn kill_once(
    instance: &mut Instance,
    trickle: &Trickle,
    output: &mut Output,
    wipe: bool,
) -> Result<String, Failure> {
    wait_until_beyond(instance, output, trickle.last())?;
    // A while longer: a kill soon after a start is another thing.
    wait_until_beyond(instance, output, trickle.last() + 1000)?;
    instance.kill()?;
    let clock = SystemClock::new();
    let last = trickle.last();
    if wipe {
        instance.wipe()?;
    }
    instance.start()?;
    let mut ready = None;
    wait_until(LONG, "processing", || {
        output.poll();
        if ready.is_none() && instance.restored_records().is_some() {
            ready = Some(clock.monotonic());
        }
        instance.check_running().is_err() || output.is_beyond(last)
    })?;
    let took = clock.monotonic();
    instance.check_running()?;
    // The line may come a moment later than the first output.
    let restored = poll_until(LONG, "readiness", || Ok(instance.restored_records()))?;
    let ready = ready.map_or_else(|| "?".to_owned(), |ready| format!("{:.1}", ready.as_secs_f64()));
    Ok(format!(
        "processes again after {:.1} s (ready after {ready} s), {restored} rows replayed",
        took.as_secs_f64()
    ))
}

fn wait_until_beyond(
    instance: &mut Instance,
    output: &mut Output,
    mark: u64,
) -> Result<(), Failure> {
    Ok(poll_until(LONG, "output", || {
        instance.check_running()?;
        output.poll();
        Ok(output.is_beyond(mark).then_some(()))
    })?)
}
