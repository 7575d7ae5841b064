//! Child processes that do not outlive the test.
//!
//! INVARIANT: a [`Process`] is gone when its value is dropped, and when the test process ends in any
//! other way: a watchdog holds the reading end of a pipe whose writing end is ours, and kills the
//! child and its children when the pipe closes. (The kernel's parent-death signal follows the thread
//! that spawned the child, which a test harness ends at will.)

use std::fs::{File, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::{SupportError, poll_until};

/// A running program, its output in a file.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    watchdog: Child,
    log: PathBuf,
    status: Option<ExitStatus>,
}

impl Process {
    /// Starts `command`, appending what it prints to `log`. Its standard input is empty unless the
    /// command says otherwise.
    ///
    /// # Errors
    /// When the program or the log file cannot be opened.
    pub fn spawn(name: &str, mut command: Command, log: &Path) -> Result<Self, SupportError> {
        let output = log_file(log)?;
        let errors = output.try_clone().map_err(SupportError::io("duplicate a file handle"))?;
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        Self::watch(name, command, log)
    }

    /// Starts `command`, whose streams are set already.
    pub(crate) fn watch(
        name: &str,
        mut command: Command,
        log: &Path,
    ) -> Result<Self, SupportError> {
        // Its own group: a Ctrl-C in the terminal reaches the test alone, which then ends all.
        let mut child =
            command.process_group(0).spawn().map_err(SupportError::io(format!("start {name}")))?;
        let watchdog = Command::new("sh")
            .args(["-c", "read -r _; kill -9 \"-$1\"", "watchdog"])
            .arg(child.id().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        match watchdog {
            Ok(watchdog) => Ok(Self {
                name: name.to_owned(),
                child,
                watchdog,
                log: log.to_owned(),
                status: None,
            }),
            Err(error) => {
                // Nothing else can be done about a child that will not be killed.
                drop(child.kill());
                drop(child.wait());
                Err(SupportError::io("start a watchdog")(error))
            }
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The file with what it printed.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The child itself, for its streams.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>, SupportError> {
        if self.status.is_none() {
            let action = format!("wait for {}", self.name);
            self.status = self.child.try_wait().map_err(SupportError::io(action))?;
        }
        Ok(self.status)
    }

    /// Fails when it has ended; its log is in the error.
    ///
    /// # Errors
    /// [`SupportError::Program`] when it has ended.
    pub fn check_running(&mut self) -> Result<(), SupportError> {
        match self.try_wait()? {
            Some(status) => Err(SupportError::ended(&self.name, &status, &self.log)),
            None => Ok(()),
        }
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// [`SupportError::TimedOut`] when it still runs at the deadline.
    pub fn wait(&mut self, deadline: Duration) -> Result<ExitStatus, SupportError> {
        let what = format!("end of {} (its output: {})", self.name, self.log.display());
        poll_until(deadline, &what, || self.try_wait())
    }

    /// Asks it to end (`SIGTERM`) and waits.
    ///
    /// # Errors
    /// [`SupportError::TimedOut`] when it still runs at the deadline.
    pub fn terminate(&mut self, deadline: Duration) -> Result<ExitStatus, SupportError> {
        self.end_with(Signal::TERM, deadline)
    }

    /// Sends a signal that ends it and waits.
    pub(crate) fn end_with(
        &mut self,
        signal: Signal,
        deadline: Duration,
    ) -> Result<ExitStatus, SupportError> {
        if let Some(status) = self.try_wait()? {
            return Ok(status);
        }
        kill_process(Pid::from_child(&self.child), signal)
            .map_err(|errno| SupportError::io(format!("stop {}", self.name))(errno.into()))?;
        self.wait(deadline)
    }

    /// Lets it stand still (`SIGSTOP`), as a machine without time for it would.
    ///
    /// # Errors
    /// When it has ended.
    pub fn suspend(&mut self) -> Result<(), SupportError> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on (`SIGCONT`) after [`Process::suspend`].
    ///
    /// # Errors
    /// When it has ended.
    pub fn resume(&mut self) -> Result<(), SupportError> {
        self.signal(Signal::CONT)
    }

    fn signal(&mut self, signal: Signal) -> Result<(), SupportError> {
        self.check_running()?;
        kill_process(Pid::from_child(&self.child), signal)
            .map_err(|errno| SupportError::io(format!("signal {}", self.name))(errno.into()))
    }

    /// Ends it at once (`SIGKILL`), as a crash would.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn kill(&mut self) -> Result<(), SupportError> {
        if self.try_wait()?.is_none() {
            self.child.kill().map_err(SupportError::io(format!("kill {}", self.name)))?;
            self.status = Some(
                self.child.wait().map_err(SupportError::io(format!("wait for {}", self.name)))?,
            );
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // ORDER: the child is reaped last, so that the watchdog can never meet a reused process id.
        // Errors mean that the process is gone already.
        if self.status.is_none() {
            kill_process_group(Pid::from_child(&self.child), Signal::KILL).unwrap_or_default();
        }
        drop(self.watchdog.kill());
        drop(self.watchdog.wait());
        drop(self.child.wait());
    }
}

/// Opens a log for appending.
pub(crate) fn log_file(path: &Path) -> Result<File, SupportError> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(SupportError::io(format!("open {}", path.display())))
}

/// Runs a program to its end and gives what it printed.
pub(crate) fn run(command: &mut Command) -> Result<String, SupportError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(SupportError::io(format!("run {program}")))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    let all = text(&output.stdout) + &text(&output.stderr);
    Err(SupportError::program(&program, &output.status, "as printed".to_owned(), &all))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait_until;

    const SOON: Duration = Duration::from_secs(20);

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn lives(pid: u32) -> bool {
        // A zombie has no command line left.
        std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
    }

    #[test]
    fn dropped_process_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let process =
            Process::spawn("sleeper", shell("exec sleep 600"), &dir.path().join("log")).unwrap();
        let pid = process.id();
        // In the middle of `exec` it has none.
        wait_until(SOON, "a command line", || lives(pid)).unwrap();
        drop(process);
        assert!(!lives(pid));
    }

    #[test]
    fn process_dies_when_the_pipe_of_its_watchdog_closes() {
        let dir = tempfile::tempdir().unwrap();
        let mut process =
            Process::spawn("sleeper", shell("exec sleep 600"), &dir.path().join("log")).unwrap();
        drop(process.watchdog.stdin.take()); // what the kernel does when the test process is killed
        let status = process.wait(SOON).unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    }

    #[test]
    fn terminate_lets_a_process_end_in_its_own_way() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let script = "trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.05; done";
        let mut process = Process::spawn("polite", shell(script), &log).unwrap();
        let printed = || std::fs::read_to_string(&log).unwrap();
        wait_until(SOON, "the trap is set", || printed().contains("ready")).unwrap();
        assert_eq!(process.terminate(SOON).unwrap().code(), Some(7));
        assert!(printed().contains("bye"));
    }

    #[test]
    fn process_that_ended_is_reported_with_its_output() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let mut process = Process::spawn("broken", shell("echo why >&2; exit 3"), &log).unwrap();
        process.wait(SOON).unwrap();
        let error = process.check_running().unwrap_err().to_string();
        assert!(
            error.contains("broken") && error.contains('3') && error.contains("why"),
            "{error}"
        );
    }

    #[test]
    fn failed_run_shows_what_was_printed() {
        assert_eq!(run(&mut shell("echo fine")).unwrap(), "fine\n");
        let error = run(&mut shell("echo oops >&2; exit 1")).unwrap_err().to_string();
        assert!(error.contains("oops"), "{error}");
    }
}
