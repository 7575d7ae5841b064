//! Running the program, and counting logs without it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use geo_aggregation::database::Database;
use geo_aggregation::totals::Totals;
use kstream_test_support::Process;
use tempfile::TempDir;

/// How long anything may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_mins(3);

/// How long a graceful stop may take.
pub(crate) const STOP: Duration = Duration::from_mins(1);

/// A folder for one test, and the program in it.
pub(crate) struct Workplace {
    folder: TempDir,
}

/// What an independent count says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) visits: BTreeMap<String, u64>,
    pub(crate) rejected: u64,
}

impl Workplace {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn database_url(&self) -> String {
        format!("sqlite:{}", self.path("totals.db").display())
    }

    /// The program in this folder, without settings from the test's own environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_geo-aggregation"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("GEO_")) {
            command.env_remove(name);
        }
        command.args(arguments).current_dir(self.folder.path());
        command.env("GEO_DATABASE", self.database_url());
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs it to its end, which has to be a good one; gives what it printed.
    #[track_caller]
    pub(crate) fn run_well(&self, arguments: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.run(arguments);
        assert!(status.success(), "{status}: {}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).unwrap()
    }

    /// Starts it in the background under a name.
    pub(crate) fn start(&self, name: &str, arguments: &[&str]) -> Process {
        let mut command = self.command(arguments);
        command.args(["--state-dir", name].iter().take(usize::from(has_state(arguments)) * 2));
        Process::spawn(name, command, &self.path(&format!("{name}.out"))).unwrap()
    }

    /// A made-up log with this many lines.
    pub(crate) fn sample(&self, lines: u64) -> PathBuf {
        let path = self.path("sample.log");
        let file = std::fs::File::create(&path).unwrap();
        let mut command = self.command(&["sample", "--seed", "11", "--lines", &lines.to_string()]);
        assert!(command.stdout(file).status().unwrap().success());
        path
    }

    /// What the database says.
    pub(crate) fn totals(&self) -> Totals {
        read_totals(&self.database_url())
    }
}

fn has_state(arguments: &[&str]) -> bool {
    arguments.first().is_some_and(|stage| ["all", "preprocess", "aggregate"].contains(stage))
}

/// What a database says; empty if it cannot be read now.
pub(crate) fn read_totals(url: &str) -> Totals {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime
        .block_on(async {
            let database = Database::open(url, "geo-aggregation").await?;
            database.read().await
        })
        .unwrap_or_default()
}

/// The totals in the form of an independent count.
pub(crate) fn counted(totals: &Totals) -> Count {
    let visits = totals.visits.iter().map(|(code, visits)| (code.to_string(), *visits));
    Count { visits: visits.collect(), rejected: totals.rejected.values().sum() }
}

/// Counts a log by the script in `tests/`: it reads lines in another way, decides by itself what a
/// visit is, and counts addresses. Only the addresses' countries come from the same database, asked
/// here directly.
pub(crate) fn count_independently(log: &Path) -> Count {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/access_log_count.py");
    let output = Command::new("python3").arg(script).arg(log).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let count: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut visits: BTreeMap<String, u64> = BTreeMap::new();
    for (address, number) in count["addresses"].as_object().unwrap() {
        let country = iptocc::country_code(address.as_str()).unwrap_or("ZZ");
        *visits.entry(country.to_owned()).or_default() += number.as_u64().unwrap();
    }
    assert_eq!(visits.values().sum::<u64>(), count["total"].as_u64().unwrap());
    Count { visits, rejected: count["rejected"].as_u64().unwrap() }
}

/// The real access log, where the shared data are; `None` elsewhere.
pub(crate) fn real_log() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = std::env::var_os("KSTREAM_SHARED_DATA")
        .map_or_else(|| root.join("../shared/data"), PathBuf::from);
    Some(folder.join("apache_access.log")).filter(|path| path.exists())
}
