//! How far an import is: lines, rate, share of the bytes.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use kstream::time::Clock;
use tracing::info;

use super::input::Input;

/// Time between two updates on a terminal.
const TERMINAL_INTERVAL: Duration = Duration::from_millis(200);

/// Time between two log entries where there is no terminal.
const LOG_INTERVAL: Duration = Duration::from_secs(5);

/// Counts, and shows the count now and then: as one line that updates itself on a terminal, else as
/// log entries.
#[derive(Debug)]
pub struct Progress {
    clock: Arc<dyn Clock>,
    terminal: bool,
    started: Duration,
    shown: Duration,
    lines: u64,
    bytes: u64,
    /// `None` while nobody can know.
    total_bytes: Option<u64>,
}

impl Progress {
    /// Progress that is shown on standard error.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let started = clock.monotonic();
        let terminal = io::stderr().is_terminal();
        Self { clock, terminal, started, shown: started, lines: 0, bytes: 0, total_bytes: None }
    }

    /// Lines sent so far.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    pub(super) fn expect_bytes(&mut self, inputs: &[Input]) {
        self.total_bytes = inputs.iter().map(Input::len).sum();
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn set_bytes(&mut self, bytes: u64) {
        self.bytes = bytes;
    }

    pub(super) fn add_line(&mut self) {
        self.lines += 1;
    }

    pub(super) fn show_if_due(&mut self) {
        let now = self.clock.monotonic();
        let interval = if self.terminal { TERMINAL_INTERVAL } else { LOG_INTERVAL };
        if now.saturating_sub(self.shown) >= interval {
            self.shown = now;
            self.show("\r\x1b[K", "");
        }
    }

    pub(super) fn finish(&self) {
        self.show("\r\x1b[K", "\n");
    }

    fn show(&self, before: &str, after: &str) {
        let text = self.text(self.clock.monotonic());
        if self.terminal {
            // Progress that cannot be shown is no reason to stop.
            write!(io::stderr(), "{before}import: {text}{after}").ok();
        } else {
            info!("import: {text}");
        }
    }

    fn text(&self, now: Duration) -> String {
        let elapsed_ms = now.saturating_sub(self.started).as_millis().max(1);
        let rate = u128::from(self.lines) * 1000 / elapsed_ms;
        let mut text = format!("{} lines, {rate} lines/s", self.lines);
        if let Some(total) = self.total_bytes.filter(|&total| total > 0) {
            // A followed file may have grown beyond what it had.
            let percent = u128::from(self.bytes.min(total)) * 100 / u128::from(total);
            write!(text, ", {percent}% of {total} bytes").ok();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use kstream::time::ManualClock;

    use super::*;

    #[test]
    fn text_has_lines_rate_and_share() {
        let clock = Arc::new(ManualClock::default());
        let mut progress = Progress::new(clock.clone());
        progress.lines = 3000;
        clock.advance(Duration::from_secs(2));
        assert_eq!(progress.text(clock.monotonic()), "3000 lines, 1500 lines/s");
        (progress.bytes, progress.total_bytes) = (50, Some(200));
        assert_eq!(progress.text(clock.monotonic()), "3000 lines, 1500 lines/s, 25% of 200 bytes");
    }
}
