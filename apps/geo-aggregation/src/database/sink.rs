//! Writes changed totals to the database, one batch per interval.
//!
//! While the database is away, changes wait here (one number per country, so their memory is
//! bounded) and the batch is tried again after growing pauses. Nothing is lost even if the process
//! dies before: whoever starts next reads all totals from their topics again.

use std::sync::Arc;
use std::time::Duration;

use kstream::time::Clock;
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::{Database, DatabaseError};
use crate::totals::Totals;

/// The pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// How often the last batch is tried again before the sink gives up at its end.
const LAST_ATTEMPTS: u32 = 8;

/// Collects changes and writes them.
#[derive(Debug)]
pub struct Sink {
    database: Database,
    clock: Arc<dyn Clock>,
    interval: Duration,
    pub(super) waiting: Totals,
}

impl Sink {
    /// A sink that writes every `interval`.
    pub fn new(database: Database, clock: Arc<dyn Clock>, interval: Duration) -> Self {
        Self { database, clock, interval, waiting: Totals::default() }
    }

    /// Takes changes until their sender is gone, then writes what is left.
    ///
    /// # Errors
    /// The last batch could not be written, in several attempts.
    pub async fn run(mut self, mut changes: mpsc::Receiver<Totals>) -> Result<(), DatabaseError> {
        let mut failures = 0;
        loop {
            let pause = if failures == 0 { self.interval } else { pause_after(failures) };
            let open = self.collect(&mut changes, pause).await;
            if !open {
                return self.write_last().await;
            }
            failures = match self.write().await {
                Ok(()) => 0,
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    warn!(%error, cause, "totals wait for the database");
                    failures + 1
                }
            };
        }
    }

    /// Takes changes for as long as `time`; false when their sender is gone.
    async fn collect(&mut self, changes: &mut mpsc::Receiver<Totals>, time: Duration) -> bool {
        let end = tokio::time::sleep(time);
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => return true,
                change = changes.recv() => match change {
                    Some(change) => self.waiting.merge(&change),
                    None => return false,
                },
            }
        }
    }

    /// One batch; on failure its rows go on waiting.
    pub(super) async fn write(&mut self) -> Result<(), DatabaseError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        self.database.raise(&self.waiting, self.clock.now_ms()).await?;
        self.waiting = Totals::default();
        Ok(())
    }

    async fn write_last(&mut self) -> Result<(), DatabaseError> {
        for failures in 1..LAST_ATTEMPTS {
            match self.write().await {
                Ok(()) => return Ok(()),
                Err(error) => info!(%error, "trying the last totals again"),
            }
            tokio::time::sleep(pause_after(failures)).await;
        }
        self.write().await
    }
}

fn pause_after(failures: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(failures - 1)).min(MAX_PAUSE)
}
