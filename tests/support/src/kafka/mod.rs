//! A real single-node Apache Kafka in `KRaft` mode, started from Maven Central's artifacts.
//!
//! [`KafkaServer`] is for tests: own folder, own ports, gone with its value. [`LocalKafka`] is the same
//! node in a folder of the user's cache, which stays until it is stopped; the program `kafka-local`
//! drives it.

mod jars;
mod local;
mod node;
mod probe;

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

pub use jars::KAFKA_VERSION;
pub use local::LocalKafka;

use self::node::Node;
use crate::{Process, SupportError, free_port};

/// How long a start and a graceful stop may take; generous, since tests share few cores.
const DEADLINE: Duration = Duration::from_mins(2);

/// What a test may want to be different.
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    /// Flags of the JVM.
    pub jvm: Vec<String>,
    /// Further lines for `server.properties`; they win over ours.
    pub properties: Vec<(String, String)>,
}

impl Default for KafkaOptions {
    /// A small heap, and little compilation: tests start many brokers and give each little to do.
    fn default() -> Self {
        let jvm = ["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];
        Self { jvm: jvm.map(str::to_owned).to_vec(), properties: Vec::new() }
    }
}

/// A Kafka broker of one test. It never creates topics by itself.
#[derive(Debug)]
pub struct KafkaServer {
    process: Option<Process>,
    node: Node,
    bootstrap: String,
    _dir: TempDir,
}

impl KafkaServer {
    /// Starts a broker without data and waits until it answers.
    ///
    /// # Errors
    /// When Java or Maven is missing, the artifacts cannot be fetched, or the broker does not come up.
    pub fn start() -> Result<Self, SupportError> {
        Self::start_with(&KafkaOptions::default())
    }

    /// The same, with options.
    ///
    /// # Errors
    /// As [`KafkaServer::start`].
    pub fn start_with(options: &KafkaOptions) -> Result<Self, SupportError> {
        let dir = TempDir::with_prefix("kstream-kafka-")
            .map_err(SupportError::io("create a temporary folder"))?;
        let node = Node::create(dir.path(), free_port()?, free_port()?, options)?;
        let bootstrap = node.bootstrap();
        let mut server = Self { process: None, node, bootstrap, _dir: dir };
        server.launch()?;
        Ok(server)
    }

    /// Its address for clients: `127.0.0.1:PORT`.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// What it printed.
    pub fn log(&self) -> &Path {
        self.node.log()
    }

    /// The process id, if it runs.
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// Stops it gracefully; its data stays for [`KafkaServer::restart`].
    ///
    /// # Errors
    /// [`SupportError::TimedOut`] when it does not end.
    pub fn stop(&mut self) -> Result<(), SupportError> {
        if let Some(mut process) = self.process.take() {
            process.terminate(DEADLINE)?;
        }
        Ok(())
    }

    /// Kills it as a crash would; its data stays for [`KafkaServer::restart`].
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn kill(&mut self) -> Result<(), SupportError> {
        self.process.take().map_or(Ok(()), |mut process| process.kill())
    }

    /// Starts it again on the same data and address, after a graceful stop if it still runs.
    ///
    /// # Errors
    /// As [`KafkaServer::start`].
    pub fn restart(&mut self) -> Result<(), SupportError> {
        self.stop()?;
        self.launch()
    }

    fn launch(&mut self) -> Result<(), SupportError> {
        let process =
            self.process.insert(Process::spawn("kafka", self.node.command(), self.node.log())?);
        self.node.wait_until_ready(|| process.check_running())
    }
}
