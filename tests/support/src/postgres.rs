//! A real PostgreSQL of one test, from the binaries that the distribution installed.

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::run;
use crate::{Process, SupportError, free_port, poll_until};

const DEADLINE: Duration = Duration::from_mins(1);

/// A PostgreSQL server with its own empty data folder. Anybody on this machine may log in; nothing
/// is synced to disk.
#[derive(Debug)]
pub struct PostgresServer {
    process: Option<Process>,
    bin: PathBuf,
    port: u16,
    dir: TempDir,
    account: Option<Account>,
}

/// Who runs the server: it refuses root.
#[derive(Debug, Clone, Copy)]
struct Account {
    uid: u32,
    gid: u32,
}

impl PostgresServer {
    /// Starts a server and waits until it accepts connections.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or does not come up.
    pub fn start() -> Result<Self, SupportError> {
        let bin = binaries().ok_or(SupportError::Missing("postgresql"))?;
        let dir = TempDir::with_prefix("kstream-postgres-")
            .map_err(SupportError::io("create a temporary folder"))?;
        let account = account()?;
        if let Some(account) = account {
            chown(dir.path(), Some(account.uid), Some(account.gid))
                .map_err(SupportError::io("hand the data folder to user postgres"))?;
        }
        let mut server = Self { process: None, bin, port: free_port()?, dir, account };
        run(server
            .command("initdb")
            .args(["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C"])
            .args(["--no-sync", "--pgdata"])
            .arg(server.data()))?;
        server.launch()?;
        Ok(server)
    }

    /// Its URL for clients, naming the database `postgres`.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Runs SQL with the server's own client: rows by line, columns divided by `|`.
    ///
    /// # Errors
    /// When the SQL fails; the server's message is in the error.
    pub fn sql(&self, text: &str) -> Result<String, SupportError> {
        run(self
            .client("psql")
            .args(["--no-psqlrc", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"])
            .args(["--dbname=postgres", "--command", text]))
    }

    /// Stops it, breaking the connections of its clients; its data stay for
    /// [`PostgresServer::restart`].
    ///
    /// # Errors
    /// [`SupportError::TimedOut`] when it does not end.
    pub fn stop(&mut self) -> Result<(), SupportError> {
        if let Some(mut process) = self.process.take() {
            // "Fast" shutdown; a plain SIGTERM would wait for clients to leave.
            process.end_with(Signal::INT, DEADLINE)?;
        }
        Ok(())
    }

    /// Starts it again on the same data and port, after stopping it if it still runs.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn restart(&mut self) -> Result<(), SupportError> {
        self.stop()?;
        self.launch()
    }

    fn launch(&mut self) -> Result<(), SupportError> {
        let mut command = self.command("postgres");
        command
            .arg("-D")
            .arg(self.data())
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-k"])
            .arg(self.dir.path())
            .args(["-c", "fsync=off", "-c", "full_page_writes=off"]);
        let log = self.dir.path().join("server.log");
        let mut process = Process::spawn("postgres", command, &log)?;
        let what = format!("answer of postgres on {}", self.port);
        poll_until(DEADLINE, &what, || {
            process.check_running()?;
            // Refusals are expected until it is ready.
            Ok(run(&mut self.client("pg_isready")).ok())
        })?;
        self.process = Some(process);
        Ok(())
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command
            .args(["--host=127.0.0.1", "--username=postgres"])
            .arg(format!("--port={}", self.port));
        command
    }

    /// A program of the server, run under its account.
    fn command(&self, program: &str) -> Command {
        let program = self.bin.join(program);
        let mut command = match self.account {
            None => Command::new(program),
            Some(Account { uid, gid }) => {
                // It replaces itself by the program, so that the process id is the server's.
                let mut command = Command::new("setpriv");
                command
                    .arg(format!("--reuid={uid}"))
                    .arg(format!("--regid={gid}"))
                    .arg("--clear-groups")
                    .arg(program);
                command
            }
        };
        command.current_dir(self.dir.path());
        command
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // Its children write to the folder until they have ended. If it does not stop, the process
        // is killed all the same.
        drop(self.stop());
    }
}

/// The folder of the newest installed version.
fn binaries() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let packaged = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path())))
        .max()
        .map(|(_, path)| path.join("bin"));
    let on_path = || std::env::split_paths(&std::env::var_os("PATH")?).find(|dir| has_server(dir));
    packaged.filter(|dir| has_server(dir)).or_else(on_path)
}

fn has_server(dir: &Path) -> bool {
    dir.join("initdb").exists() && dir.join("postgres").exists()
}

/// The account that the package made, if we are root.
fn account() -> Result<Option<Account>, SupportError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let id = |flag: &str| -> Result<u32, SupportError> {
        let text = run(Command::new("id").args([flag, "postgres"]))?;
        text.trim().parse().map_err(|_not_a_number| SupportError::Missing("user postgres"))
    };
    Ok(Some(Account { uid: id("-u")?, gid: id("-g")? }))
}
