//! The processes of the application.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use kstream_test_support::Process;
use rustix::process::{Pid, Signal, kill_process};

use crate::{ChaosError, Guarantee};

/// How an instance is started.
#[derive(Debug, Clone)]
pub struct AppOptions {
    /// The program.
    pub program: PathBuf,
    /// What the application promises.
    pub guarantee: Guarantee,
    /// How many threads each instance has.
    pub threads: usize,
    /// Time between commits.
    pub commit_interval: Duration,
    /// After this time without a heartbeat the group goes on without an instance.
    pub session_timeout: Duration,
}

/// The application's name in its group and topics.
pub(crate) const APPLICATION_ID: &str = "chaos";
/// How long an orderly stop may take: more than the close timeout of the program.
const STOP: Duration = Duration::from_secs(40);
/// How much of a log is shown.
const LOG_LINES: usize = 15;

/// All instances, by number.
#[derive(Debug)]
pub(crate) struct Instances {
    options: AppOptions,
    bootstrap: String,
    folder: PathBuf,
    running: BTreeMap<usize, Process>,
    /// How often each has been started.
    starts: BTreeMap<usize, usize>,
    /// Those that run the second release.
    upgraded: BTreeSet<usize>,
}

impl Instances {
    pub(crate) fn new(options: AppOptions, bootstrap: &str, folder: &Path) -> Self {
        Self {
            options,
            bootstrap: bootstrap.to_owned(),
            folder: folder.to_owned(),
            running: BTreeMap::new(),
            starts: BTreeMap::new(),
            upgraded: BTreeSet::new(),
        }
    }

    pub(crate) fn running(&self) -> Vec<usize> {
        self.running.keys().copied().collect()
    }

    pub(crate) fn is_upgraded(&self, number: usize) -> bool {
        self.upgraded.contains(&number)
    }

    /// Starts an instance as the second release, from now on.
    pub(crate) fn start_upgraded(&mut self, number: usize) -> Result<(), ChaosError> {
        self.upgraded.insert(number);
        self.start(number)
    }

    /// Starts an instance on the state that it left behind, if any.
    pub(crate) fn start(&mut self, number: usize) -> Result<(), ChaosError> {
        let start = self.starts.entry(number).or_default();
        *start += 1;
        let name = format!("instance-{number}");
        let log = self.folder.join(format!("{name}-{start}.log"));
        let mut command = Command::new(&self.options.program);
        let milliseconds = |time: Duration| time.as_millis().to_string();
        command
            .args(["--bootstrap", &self.bootstrap, "--application-id", APPLICATION_ID])
            .args(["--threads", &self.options.threads.to_string()])
            .args(["--guarantee", &self.options.guarantee.to_string()])
            .args(["--commit-interval-ms", &milliseconds(self.options.commit_interval)])
            .args(["--session-timeout-ms", &milliseconds(self.options.session_timeout)])
            .args(["--release", if self.is_upgraded(number) { "second" } else { "first" }])
            .arg("--state-dir")
            .arg(self.state_dir(number));
        self.running.insert(number, Process::spawn(&name, command, &log)?);
        Ok(())
    }

    fn state_dir(&self, number: usize) -> PathBuf {
        self.folder.join(format!("state-{number}"))
    }

    /// Whether an instance has had its tasks running since its last start.
    pub(crate) fn is_ready(&self, number: usize) -> bool {
        self.running.get(&number).is_some_and(|process| {
            std::fs::read_to_string(process.log())
                .is_ok_and(|log| log.lines().any(|line| line == "ready"))
        })
    }

    pub(crate) fn kill(&mut self, number: usize) -> Result<(), ChaosError> {
        if let Some(mut process) = self.running.remove(&number) {
            process.kill()?;
        }
        Ok(())
    }

    pub(crate) fn wipe(&self, number: usize) -> Result<(), ChaosError> {
        let folder = self.state_dir(number);
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(ChaosError::io("delete", &folder)(error))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn suspend(&mut self, number: usize) -> Result<(), ChaosError> {
        Ok(self.running.get_mut(&number).map_or(Ok(()), Process::suspend)?)
    }

    pub(crate) fn resume(&mut self, number: usize) -> Result<(), ChaosError> {
        Ok(self.running.get_mut(&number).map_or(Ok(()), Process::resume)?)
    }

    /// Asks an instance to stop, without waiting.
    pub(crate) fn ask_to_stop(&mut self, number: usize) -> Result<(), ChaosError> {
        let Some(process) = self.running.get_mut(&number) else { return Ok(()) };
        let pid = i32::try_from(process.id()).ok().and_then(Pid::from_raw);
        // INVARIANT: a process that has not been waited for keeps its id.
        if let (None, Some(pid)) = (process.try_wait()?, pid) {
            kill_process(pid, Signal::TERM).map_err(|errno| {
                ChaosError::io("stop the instance of", &self.folder)(errno.into())
            })?;
        }
        Ok(())
    }

    /// Waits for the end of an instance that was asked to stop; says what was not orderly about it.
    pub(crate) fn wait_for_stop(&mut self, number: usize) -> Result<Option<String>, ChaosError> {
        let Some(mut process) = self.running.remove(&number) else { return Ok(None) };
        match process.wait(STOP) {
            Ok(status) if status.success() => Ok(None),
            Ok(status) => Ok(Some(ended(number, status, process.log()))),
            Err(_) => {
                process.kill()?;
                let text = tail(process.log());
                Ok(Some(format!("instance {number} did not stop within {STOP:?}:\n{text}")))
            }
        }
    }

    /// Takes note of instances that have ended by themselves, and starts them again.
    pub(crate) fn revive(&mut self) -> Result<Vec<String>, ChaosError> {
        let mut problems = Vec::new();
        for number in self.running() {
            let Some(process) = self.running.get_mut(&number) else { continue };
            if let Some(status) = process.try_wait()? {
                problems.push(ended(number, status, process.log()));
                self.start(number)?;
            }
        }
        Ok(problems)
    }
}

fn ended(number: usize, status: ExitStatus, log: &Path) -> String {
    format!("instance {number} ended by itself or not well: {status}\n{}", tail(log))
}

/// The end of a log.
fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    let first = lines.len().saturating_sub(LOG_LINES);
    let shown = lines.get(first..).unwrap_or_default().join("\n    ");
    format!("    {shown}\n    (all of it: {})", log.display())
}
