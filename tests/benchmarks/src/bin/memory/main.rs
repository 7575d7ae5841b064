//! Resident memory at full rate with bounded keys: it has to stay within what the settings allow, and
//! must not grow in the second half of the run.
//!
//! The application runs in a process of its own; this one feeds it and watches. Its exit code says whether
//! memory was flat and within the budget.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its figures")]

mod app;
mod feed;
mod trend;

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::{Parser, Subcommand};
use kstream::ProcessingGuarantee;
use kstream::time::{Clock, SystemClock};
use kstream_test_support::{KafkaOptions, KafkaServer, Process, wait_until};

use feed::Feed;
use trend::{Sample, trend};

type Failure = Box<dyn std::error::Error>;

/// Resident memory at full rate with bounded keys.
#[derive(Debug, Parser)]
struct Cli {
    /// How long, in seconds.
    #[arg(long, default_value_t = 3600)]
    duration_s: u64,
    /// How much a line through the second half may rise, in MiB.
    #[arg(long, default_value_t = 8)]
    tolerance_mib: u32,
    /// How many keys there are.
    #[arg(long, default_value_t = 20_000)]
    keys: u64,
    /// Threads of the application.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// `at_least_once` or `exactly_once_v2`.
    #[arg(long, default_value = "exactly_once_v2")]
    guarantee: String,
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// The application itself; started by the bench.
    #[command(hide = true)]
    App { bootstrap: String, state_dir: PathBuf },
}

/// How many samples a run has, and how many lines it prints.
const SAMPLES: u32 = 240;
const LINES: usize = 24;
const START: Duration = Duration::from_mins(2);
const STOP: Duration = Duration::from_mins(1);

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .log_internal_errors(false)
        .init();
    let cli = Cli::parse();
    let result = match &cli.part {
        Some(Part::App { bootstrap, state_dir }) => guarantee(&cli.guarantee)
            .and_then(|guarantee| app::run(bootstrap, state_dir, cli.threads, guarantee))
            .map(|()| true),
        None => measure(&cli),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("memory: {error}");
            ExitCode::from(2)
        }
    }
}

fn guarantee(name: &str) -> Result<ProcessingGuarantee, Failure> {
    match name {
        "at_least_once" => Ok(ProcessingGuarantee::AtLeastOnce),
        "exactly_once_v2" => Ok(ProcessingGuarantee::ExactlyOnceV2),
        _ => Err(format!("no guarantee {name}").into()),
    }
}

/// Runs and judges; false: memory grows, or is more than allowed.
fn measure(cli: &Cli) -> Result<bool, Failure> {
    guarantee(&cli.guarantee)?;
    let folder = tempfile::TempDir::with_prefix("kstream-memory-")?;
    // An hour's records do not fit on a disk: topics keep little, and are cleaned often.
    let mut options = KafkaOptions::default();
    let properties = [
        ("log.segment.bytes", "33554432"),
        ("log.retention.ms", "60000"),
        ("log.retention.check.interval.ms", "10000"),
        ("log.cleaner.backoff.ms", "5000"),
    ];
    options.properties.extend(properties.map(|(name, value)| (name.to_owned(), value.to_owned())));
    // ORDER: the application ends before the broker.
    let server = KafkaServer::start_with(&options)?;
    let feed = Feed::start(server.bootstrap(), cli.keys)?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["--threads", &cli.threads.to_string(), "--guarantee", &cli.guarantee])
        .args(["app", server.bootstrap()])
        .arg(folder.path().join("state"));
    let log = folder.path().join("application.log");
    let mut process = Process::spawn("application", command, &log)?;
    wait_until(START, "the first records", || {
        process.check_running().is_err() || feed.processed() > 0
    })?;
    process.check_running()?;
    let samples = watch(&mut process, &feed, Duration::from_secs(cli.duration_s))?;
    process.terminate(STOP)?;
    feed.stop()?;
    Ok(judge(cli, &samples))
}

/// Looks at the process until the time is over.
fn watch(process: &mut Process, feed: &Feed, time: Duration) -> Result<Vec<Sample>, Failure> {
    let clock = SystemClock::new();
    let interval = time / SAMPLES;
    let mut samples: Vec<Sample> = Vec::new();
    let mut next = interval;
    let (mut printed_at, mut printed_records) = (Duration::ZERO, feed.processed());
    while clock.monotonic() < time {
        wait_until(interval + START, "the clock", || clock.monotonic() >= next)?;
        next += interval;
        process.check_running()?;
        let sample =
            Sample { seconds: clock.monotonic().as_secs_f64(), mib: resident_mib(process)? };
        samples.push(sample);
        if samples.len().is_multiple_of(SAMPLES as usize / LINES) {
            let (now, records) = (clock.monotonic(), feed.processed());
            #[expect(clippy::cast_precision_loss, reason = "figures for people")]
            let rate =
                (records - printed_records) as f64 / now.saturating_sub(printed_at).as_secs_f64();
            println!("{:7.0} s  {:7.1} MiB  {rate:9.0} records/s", sample.seconds, sample.mib);
            (printed_at, printed_records) = (now, records);
        }
    }
    Ok(samples)
}

fn judge(cli: &Cli, samples: &[Sample]) -> bool {
    let trend = trend(samples);
    let parts = app::budget(cli.threads);
    println!("budget:");
    for (name, mib) in &parts {
        println!("  {mib:4} MiB  {name}");
    }
    let budget: usize = parts.iter().map(|(_, mib)| mib).sum();
    #[expect(clippy::cast_precision_loss, reason = "some hundreds")]
    let is_within = trend.peak_mib <= budget as f64;
    let is_flat = trend.growth_mib <= f64::from(cli.tolerance_mib);
    println!(
        "  {budget:4} MiB  in all\n{}: peak {:.1} MiB of {budget}: {}; second half: mean {:.1} MiB, rise {:+.1} \
         MiB, allowed {}: {}",
        cli.guarantee,
        trend.peak_mib,
        if is_within { "within the budget" } else { "TOO MUCH" },
        trend.mean_mib,
        trend.growth_mib,
        cli.tolerance_mib,
        if is_flat { "flat" } else { "GROWS" },
    );
    is_within && is_flat
}

fn resident_mib(process: &Process) -> Result<f64, Failure> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}
