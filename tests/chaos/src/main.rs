//! `kstream-chaos`: makes a run and judges it. Exit code 0: the guarantee was kept; 1: it was not; 2:
//! the run could not be made.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use kstream_chaos::script::{Plan, script};
use kstream_chaos::{AppOptions, Guarantee, HISTORY_FILE, Options, run};

/// Strikes an application on a real cluster with seeded faults and checks what comes out.
#[derive(Debug, Parser)]
struct Cli {
    /// Decides about faults and records; by default a new one, which is printed.
    #[arg(long)]
    seed: Option<u64>,
    /// How many faults.
    #[arg(long, default_value_t = 120)]
    faults: usize,
    /// `at_least_once` or `exactly_once_v2`.
    #[arg(long, default_value = "exactly_once_v2")]
    guarantee: Guarantee,
    /// A run of about a minute: 10 faults.
    #[arg(long)]
    short: bool,
    /// Records sent each second.
    #[arg(long, default_value_t = 1000)]
    rate: u64,
    /// Instances at the start.
    #[arg(long, default_value_t = 3)]
    instances: usize,
    /// Threads of each instance.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Brokers.
    #[arg(long, default_value_t = 3)]
    brokers: usize,
    /// Milliseconds between commits.
    #[arg(long, default_value_t = 100)]
    commit_interval_ms: u64,
    /// Milliseconds without a heartbeat after which the group goes on without an instance.
    #[arg(long, default_value_t = 5000)]
    session_timeout_ms: u64,
    /// Only prints the script of the seed.
    #[arg(long)]
    script: bool,
    /// A folder for state, logs and history: a new one, or that of an earlier run, which is emptied.
    #[arg(long)]
    dir: Option<PathBuf>,
}

const SHORT: usize = 10;

/// Makes the folder of a run; one of an earlier run is emptied, any other is left alone.
fn prepare(folder: &Path) -> Result<(), String> {
    let name = |error: std::io::Error| format!("{}: {error}", folder.display());
    if folder.join(HISTORY_FILE).exists() {
        std::fs::remove_dir_all(folder).map_err(name)?;
    } else if folder.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(format!("{}: not empty, and not of an earlier run", folder.display()));
    }
    std::fs::create_dir_all(folder).map_err(name)
}

impl Cli {
    fn options(self) -> Result<Options, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let seed = self.seed.unwrap_or_else(|| u64::from(fastrand::u32(..)));
        let folder =
            self.dir.unwrap_or_else(|| std::env::temp_dir().join(format!("kstream-chaos-{seed}")));
        let (instances, brokers) = (self.instances, self.brokers);
        let faults = if self.short { SHORT } else { self.faults };
        let bounds = (instances.saturating_sub(1).max(1), instances + 1);
        Ok(Options {
            seed,
            plan: Plan { faults, instances, bounds, brokers },
            app: AppOptions {
                program: program.with_file_name("kstream-chaos-app"),
                guarantee: self.guarantee,
                threads: self.threads,
                commit_interval: Duration::from_millis(self.commit_interval_ms),
                session_timeout: Duration::from_millis(self.session_timeout_ms),
            },
            rate: self.rate,
            folder,
        })
    }
}

#[expect(clippy::print_stderr, clippy::print_stdout, reason = "a program talks to its user")]
fn main() -> ExitCode {
    let cli = Cli::parse();
    let only_script = cli.script;
    let options = match cli.options() {
        Ok(options) => options,
        Err(message) => {
            eprintln!("kstream-chaos: {message}");
            return ExitCode::from(2);
        }
    };
    let (seed, guarantee) = (options.seed, options.app.guarantee);
    println!("seed {seed}, {guarantee}, {} faults", options.plan.faults);
    if only_script {
        for step in script(seed, &options.plan) {
            println!("{step}");
        }
        return ExitCode::SUCCESS;
    }
    if let Err(message) = prepare(&options.folder) {
        eprintln!("kstream-chaos: {message}");
        return ExitCode::from(2);
    }
    match &run(&options) {
        Ok(summary) if summary.is_good() => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Ok(summary) => {
            println!("{}\n{summary}", summary.history);
            ExitCode::FAILURE
        }
        Err(failed) => {
            println!("{}", failed.history);
            eprintln!("kstream-chaos: seed {seed}: {}", failed.error.report());
            ExitCode::from(if failed.is_of_application() { 1 } else { 2 })
        }
    }
}
