//! A running node of a test, alone or in a cluster.

use std::path::Path;

use super::DEADLINE;
use super::acls::{self, Acl};
use super::node::Node;
use super::probe::View;
use crate::{Process, SupportError, poll_until};

/// A broker whose life a test decides about. Its data stay through all of it.
#[derive(Debug)]
pub struct KafkaNode {
    process: Option<Process>,
    node: Node,
    bootstrap: String,
}

impl KafkaNode {
    pub(super) fn new(node: Node) -> Self {
        let bootstrap = node.bootstrap();
        Self { process: None, node, bootstrap }
    }

    /// Its own address for clients: `127.0.0.1:PORT`.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// The address of a further listener.
    ///
    /// # Panics
    /// When there is none of this name.
    #[expect(clippy::expect_used, reason = "a test that misspells a name fails here")]
    pub fn listener(&self, name: &str) -> String {
        self.node.listener(name).expect("a listener with this name")
    }

    /// Adds rules to a broker with an authorizer, and waits until it applies them. The plain listener's principal,
    /// `User:ANONYMOUS`, has to have the right to do so.
    ///
    /// # Errors
    /// When the broker refuses one of them or does not answer.
    pub fn add_acls(&self, acls: &[Acl<'_>]) -> Result<(), SupportError> {
        let what = format!("rules of the broker at {}", self.bootstrap);
        poll_until(DEADLINE, &what, || {
            // A broker that starts may not have an authorizer yet: its first answers are refusals.
            Ok(acls::add(self.node.port(), acls).ok())
        })
    }

    /// What it printed.
    pub fn log(&self) -> &Path {
        self.node.log()
    }

    /// The process id, if it runs.
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// Stops it gracefully: its partitions get other leaders first. Also ends one that is suspended.
    ///
    /// # Errors
    /// [`SupportError::TimedOut`] when it does not end.
    pub fn stop(&mut self) -> Result<(), SupportError> {
        if let Some(mut process) = self.process.take() {
            process.resume()?;
            process.terminate(DEADLINE)?;
        }
        Ok(())
    }

    /// Kills it as a crash would (`SIGKILL`).
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn kill(&mut self) -> Result<(), SupportError> {
        self.process.take().map_or(Ok(()), |mut process| process.kill())
    }

    /// Lets it stand still (`SIGSTOP`): it keeps its connections and answers nobody.
    ///
    /// # Errors
    /// When it does not run.
    pub fn suspend(&mut self) -> Result<(), SupportError> {
        self.running()?.suspend()
    }

    /// Lets it go on (`SIGCONT`).
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&mut self) -> Result<(), SupportError> {
        self.running()?.resume()
    }

    /// Starts it again on the same data and address, after a graceful stop if it still runs, and waits until
    /// it serves. In a cluster that needs a majority of the brokers: see [`KafkaNode::launch`].
    ///
    /// # Errors
    /// When it ends, or does not serve in time.
    pub fn restart(&mut self) -> Result<(), SupportError> {
        self.stop()?;
        self.launch()?;
        self.wait_until_ready()
    }

    /// Starts it, without waiting for it. One that runs is left alone.
    ///
    /// # Errors
    /// When Java cannot be started.
    pub fn launch(&mut self) -> Result<(), SupportError> {
        if self.process.is_none() {
            self.process = Some(Process::spawn("kafka", self.node.command(), self.node.log())?);
        }
        Ok(())
    }

    /// Waits until it serves.
    ///
    /// # Errors
    /// When it ends, or does not serve in time.
    pub fn wait_until_ready(&mut self) -> Result<(), SupportError> {
        let Some(process) = self.process.as_mut() else {
            return Err(SupportError::NotRunning(self.bootstrap.clone()));
        };
        self.node.wait_until_ready(|| process.check_running())
    }

    pub(super) fn view(&self) -> Option<View> {
        self.node.view()
    }

    fn running(&mut self) -> Result<&mut Process, SupportError> {
        self.process.as_mut().ok_or_else(|| SupportError::NotRunning(self.bootstrap.clone()))
    }
}
