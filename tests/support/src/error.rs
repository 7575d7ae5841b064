//! What a fixture can fail at. A test only shows it, so the texts carry what one needs to look at.

use std::io;
use std::path::Path;
use std::time::Duration;

/// A fixture that could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SupportError {
    /// A condition was not met in time.
    #[error("{what}: not within {deadline:?}")]
    TimedOut {
        /// What was waited for.
        what: String,
        /// For how long.
        deadline: Duration,
    },
    /// The operating system refused something.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was tried.
        action: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A program ended when it should not have, or ended badly.
    #[error("{program} ended with {status}; its output ({log}):\n{tail}")]
    Program {
        /// Its name.
        program: String,
        /// How it ended.
        status: String,
        /// Where its output is.
        log: String,
        /// The last lines of its output.
        tail: String,
    },
    /// The browser answered with an error.
    #[error("chromium: {0}")]
    Browser(String),
    /// A server was asked for something that it can only do while it runs.
    #[error("the server at {0} does not run")]
    NotRunning(String),
    /// A thread of a fixture has panicked; its message is above.
    #[error("{0} panicked")]
    Panicked(&'static str),
    /// Something that a fixture needs is not installed.
    #[error("{0} is not installed; `make setup` installs or names it")]
    Missing(&'static str),
}

impl SupportError {
    /// Turns an I/O error into one that says what was tried.
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source }
    }

    /// A program ended; quotes the end of its log.
    pub(crate) fn ended(program: &str, status: &dyn ToString, log: &Path) -> Self {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        Self::program(program, status, log.display().to_string(), &text)
    }

    /// A program ended with this output.
    pub(crate) fn program(program: &str, status: &dyn ToString, log: String, output: &str) -> Self {
        let lines: Vec<&str> = output.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n");
        Self::Program { program: program.to_owned(), status: status.to_string(), log, tail }
    }
}
