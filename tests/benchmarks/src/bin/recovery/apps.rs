//! The applications that are killed: ours, and the same on Kafka Streams.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use kstream_test_support::{KAFKA_VERSION, Process, SupportError, kafka_streams_jars};

use crate::{Cli, Failure};

/// The group of the application, and the beginning of its topics' names.
pub(crate) const APP_ID: &str = "recovery";
/// How long a graceful stop may take.
const STOP: Duration = Duration::from_mins(2);
const JAVA_SOURCE: &str = include_str!("../../../java/Latest.java");
const JAVA_CLASS: &str = "Latest";

/// Whose application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum App {
    /// This project's.
    Kstream,
    /// Kafka Streams'; it needs a JDK.
    KafkaStreams,
}

impl App {
    pub(crate) fn name(self) -> String {
        match self {
            Self::Kstream => "kstream".to_owned(),
            Self::KafkaStreams => format!("Kafka Streams {KAFKA_VERSION}"),
        }
    }

    /// The command up to its arguments; compiles what is to be compiled.
    fn program(self, folder: &Path) -> Result<Vec<PathBuf>, Failure> {
        if self == Self::Kstream {
            return Ok(vec![
                std::env::current_exe()?.with_file_name("kstream-bench"),
                "latest".into(),
            ]);
        }
        let jars = kafka_streams_jars()?;
        let source = folder.join(format!("{JAVA_CLASS}.java"));
        std::fs::write(&source, JAVA_SOURCE)?;
        let class_path = jars.join("*");
        let compiled = Command::new("javac")
            .arg("-cp")
            .arg(&class_path)
            .arg("-d")
            .args([folder, &source])
            .status();
        match compiled {
            Ok(status) if status.success() => {}
            Ok(status) => return Err(format!("javac failed: {status}").into()),
            Err(error) => return Err(format!("javac, of a JDK 17 or later: {error}").into()),
        }
        let class_path = format!("{}:{}", folder.display(), class_path.display());
        let logging = format!("-Dlog4j2.configurationFile={}/log4j2.properties", jars.display());
        let words = ["java", "-Xmx1g", &logging, "-cp", &class_path, JAVA_CLASS];
        Ok(words.iter().map(PathBuf::from).collect())
    }
}

/// An application that can be started, killed and started again on its state.
#[derive(Debug)]
pub(crate) struct Instance {
    program: Vec<PathBuf>,
    arguments: Vec<String>,
    state_dir: PathBuf,
    folder: PathBuf,
    process: Option<Process>,
    starts: usize,
}

impl Instance {
    pub(crate) fn new(
        app: App,
        bootstrap: &str,
        folder: &Path,
        cli: &Cli,
    ) -> Result<Self, Failure> {
        let state_dir = folder.join("state");
        let state = state_dir.display().to_string();
        let session_timeout_ms = cli.session_timeout_ms.to_string();
        let threads = cli.threads.to_string();
        let mut arguments: Vec<_> =
            [bootstrap, APP_ID, &threads, &cli.guarantee, &state].map(str::to_owned).to_vec();
        match app {
            App::Kstream => {}
            App::KafkaStreams => arguments.push(session_timeout_ms),
        }
        let program = app.program(folder)?;
        let folder = folder.to_owned();
        Ok(Self { program, arguments, state_dir, folder, process: None, starts: 0 })
    }

    pub(crate) fn start(&mut self) -> Result<(), Failure> {
        self.starts += 1;
        let log = self.folder.join(format!("app-{}.log", self.starts));
        let (name, rest) = self.program.split_first().ok_or("no program")?;
        let mut command = Command::new(name);
        command.args(rest).args(&self.arguments);
        self.process = Some(Process::spawn("application", command, &log)?);
        Ok(())
    }

    pub(crate) fn kill(&mut self) -> Result<(), Failure> {
        Ok(self.process.take().map_or(Ok(()), |mut process| process.kill())?)
    }

    pub(crate) fn stop(&mut self) -> Result<(), Failure> {
        if let Some(mut process) = self.process.take() {
            process.terminate(STOP)?;
        }
        Ok(())
    }

    /// Deletes the state; the application must not run.
    pub(crate) fn wipe(&self) -> Result<(), Failure> {
        Ok(std::fs::remove_dir_all(&self.state_dir)?)
    }

    /// Bytes of all files of the state.
    pub(crate) fn state_bytes(&self) -> u64 {
        fn size(folder: &Path) -> u64 {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            let sizes = entries.map(|entry| match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => size(&entry.path()),
                Ok(metadata) => metadata.len(),
                Err(_) => 0,
            });
            sizes.sum()
        }
        size(&self.state_dir)
    }

    /// Fails when it has ended.
    pub(crate) fn check_running(&mut self) -> Result<(), SupportError> {
        self.process.as_mut().map_or(Ok(()), Process::check_running)
    }

    /// What it has replayed since it was started, once its tasks run.
    pub(crate) fn restored_records(&self) -> Option<u64> {
        let log = std::fs::read_to_string(self.process.as_ref()?.log()).ok()?;
        let ready = log.lines().rev().find_map(|line| line.strip_prefix("ready restored_records="));
        ready?.trim().parse().ok()
    }
}
