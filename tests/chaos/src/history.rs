//! What happened in a run, and when.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kstream::time::{Clock, SystemClock};

use crate::ChaosError;

/// The name of the history in the folder of a run.
pub const HISTORY_FILE: &str = "history.txt";

/// The history of a run, written to a file as it goes on.
#[derive(Debug)]
pub(crate) struct History {
    clock: SystemClock,
    file: File,
    path: PathBuf,
    text: String,
}

impl History {
    /// Begins; times count from now on.
    pub(crate) fn begin(folder: &Path) -> Result<Self, ChaosError> {
        let path = folder.join(HISTORY_FILE);
        let file = File::create(&path).map_err(ChaosError::io("create", &path))?;
        let mut history = Self { clock: SystemClock::new(), file, path, text: String::new() };
        let epoch_ms = history.clock.now_ms();
        history.note(format_args!("begins at {epoch_ms} ms of the epoch"));
        Ok(history)
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.clock.monotonic()
    }

    pub(crate) fn note(&mut self, what: impl std::fmt::Display) {
        let line = format!("{:8.2} s  {what}", self.elapsed().as_secs_f64());
        self.text += &line;
        self.text.push('\n');
        // A full disk must not end the run.
        drop(writeln!(self.file, "{line}"));
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}
