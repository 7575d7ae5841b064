//! Calls of asynchronous operators beside transactions: a commit waits for calls in flight, and the broker aborts a
//! transaction that takes too long.

use std::time::Duration;

use super::Topology;
use crate::config::StreamsConfig;
use crate::error::{Error, ErrorKind};

/// A node whose calls take up to so long.
#[derive(Debug, Clone)]
pub(crate) struct TimedCalls {
    pub(crate) node: String,
    pub(crate) timeout: Duration,
}

impl Topology {
    /// Reports all nodes whose calls may outlast the transaction that they are made in.
    pub(crate) fn check_calls(&self, config: &StreamsConfig) -> Result<(), Error> {
        if !config.is_exactly_once() {
            return Ok(());
        }
        let (interval, longest) = (config.effective_commit_interval(), config.transaction_timeout);
        let too_long = self.timed_calls.iter().filter(|calls| calls.timeout + interval >= longest);
        let problems: Vec<_> =
            too_long.map(|TimedCalls { node, timeout }| format!("{node}: {timeout:?}")).collect();
        if problems.is_empty() {
            return Ok(());
        }
        let message = format!(
            "calls may take longer than transaction_timeout, {longest:?}, leaves them behind the commit interval, \
             {interval:?}; give them a shorter timeout, or transactions a longer one:\n  {}",
            problems.join("\n  ")
        );
        Err(Error::new(ErrorKind::Config, message))
    }
}
