//! A headless Chromium, for tests that look at a page as a user does.
//!
//! It is driven over the `DevTools` protocol through a pair of pipes, so it needs neither a port nor a
//! WebSocket client, and ends when the pipes close. Each browser has an empty profile and no
//! background traffic of its own.

#[expect(clippy::indexing_slicing, reason = "indexing JSON gives null where nothing is")]
mod devtools;
#[expect(clippy::indexing_slicing, reason = "indexing JSON gives null where nothing is")]
mod page;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

pub use page::Page;

use self::devtools::DevTools;
use crate::process::log_file;
use crate::{Process, SupportError};

const FLAGS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
];

const CLOSE_DEADLINE: Duration = Duration::from_secs(10);

/// A running browser.
#[derive(Debug)]
pub struct Chromium {
    devtools: DevTools,
    process: Process,
    _profile: TempDir,
}

impl Chromium {
    /// Starts a browser.
    ///
    /// # Errors
    /// When no Chromium is installed (the variable `CHROMIUM` may name one) or it does not start.
    pub fn start() -> Result<Self, SupportError> {
        let program = program().ok_or(SupportError::Missing("chromium"))?;
        let profile = TempDir::with_prefix("kstream-chromium-")
            .map_err(SupportError::io("create a temporary folder"))?;
        let log = profile.path().join("chromium.log");
        // The protocol runs on descriptors 3 (in) and 4 (out); only a shell can put our pipes there
        // without unsafe code.
        let mut command = Command::new("sh");
        command
            .args(["-c", "exec 3<&0 4>&1; exec \"$@\" </dev/null >&2", "chromium"])
            .arg(program)
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.path().join("profile").display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log_file(&log)?);
        let mut process = Process::watch("chromium", command, &log)?;
        let child = process.child();
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(SupportError::Missing("a pipe to chromium"));
        };
        let devtools = DevTools::new(input, output);
        Ok(Self { devtools, process, _profile: profile })
    }

    /// Opens a page and waits until it is loaded.
    ///
    /// # Errors
    /// When the page cannot be loaded.
    pub fn open(&mut self, url: &str) -> Result<Page<'_>, SupportError> {
        Page::open(&mut self.devtools, url)
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // Its processes write to the profile until it has closed. If it does not, it is killed.
        drop(self.devtools.call(None, "Browser.close", &serde_json::json!({})));
        drop(self.process.wait(CLOSE_DEADLINE));
    }
}

fn program() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("CHROMIUM") {
        return Some(PathBuf::from(named));
    }
    let path = std::env::var_os("PATH")?;
    ["google-chrome", "chromium", "chromium-browser"].iter().find_map(|name| {
        std::env::split_paths(&path).map(|dir| dir.join(name)).find(|program| program.exists())
    })
}
