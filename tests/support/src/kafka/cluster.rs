//! Several brokers that are one cluster.

use std::path::Path;
use std::thread;

use tempfile::TempDir;

use super::node::{Node, NodeSettings};
use super::{DEADLINE, KafkaNode, KafkaOptions};
use crate::{SupportError, free_port, wait_until};

/// A Kafka cluster of one test. It never creates topics by itself.
///
/// Every node is broker and controller, so that a majority has to run for anything to go on. Topics have as
/// many copies as there are brokers, up to three, of which a write needs a majority
/// (`min.insync.replicas`); so have the topics of offsets and transactions.
///
/// # Examples
/// ```no_run
/// # fn main() -> Result<(), kstream_test_support::SupportError> {
/// use kstream_test_support::KafkaCluster;
///
/// let mut cluster = KafkaCluster::start(3)?;
/// cluster.broker(0).kill()?;
/// // … whatever is tested goes on with the two others …
/// cluster.broker(0).restart()?;
/// cluster.wait_until_complete()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct KafkaCluster {
    brokers: Vec<KafkaNode>,
    bootstrap: String,
    dir: TempDir,
}

impl KafkaCluster {
    /// Starts so many brokers without data and waits until all of them are in the cluster.
    ///
    /// # Errors
    /// When Java or Maven is missing, the artifacts cannot be fetched, or a broker does not come up.
    pub fn start(brokers: usize) -> Result<Self, SupportError> {
        Self::start_with(brokers, &KafkaOptions::of_cluster())
    }

    /// The same, with options: changes to [`KafkaOptions::of_cluster`].
    ///
    /// # Errors
    /// As [`KafkaCluster::start`].
    pub fn start_with(brokers: usize, options: &KafkaOptions) -> Result<Self, SupportError> {
        let dir = TempDir::with_prefix("kstream-kafka-")
            .map_err(SupportError::io("create a temporary folder"))?;
        let ports = (0..brokers).map(|_| free_port()).collect::<Result<Vec<_>, _>>()?;
        let controller_ports = (0..brokers).map(|_| free_port()).collect::<Result<Vec<_>, _>>()?;
        let create = |(id, port): (usize, &u16)| {
            let dir = dir.path().join(id.to_string());
            let (port, controller_ports) = (*port, &*controller_ports);
            Node::create(&NodeSettings { dir: &dir, id, port, controller_ports, options })
        };
        // Side by side: each starts a JVM to format its storage.
        let nodes = thread::scope(|scope| {
            let creating: Vec<_> =
                (1..).zip(&ports).map(|settings| scope.spawn(move || create(settings))).collect();
            creating
                .into_iter()
                .map(|node| node.join().unwrap_or(Err(SupportError::Panicked("formatting a node"))))
                .collect::<Result<Vec<_>, _>>()
        })?;
        let brokers: Vec<_> = nodes.into_iter().map(KafkaNode::new).collect();
        let bootstrap: Vec<_> = brokers.iter().map(KafkaNode::bootstrap).collect();
        let bootstrap = bootstrap.join(",");
        let mut cluster = Self { brokers, bootstrap, dir };
        cluster.restart_all()?;
        cluster.wait_until_complete()?;
        Ok(cluster)
    }

    /// Lets the data outlive the cluster, for somebody to look at, and gives its folder.
    pub fn keep_data(&mut self) -> &Path {
        self.dir.disable_cleanup(true);
        self.dir.path()
    }

    /// The addresses of all brokers, for clients: `127.0.0.1:PORT,…`.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// How many brokers there are, running or not.
    pub fn size(&self) -> usize {
        self.brokers.len()
    }

    /// The broker with this index, from 0.
    ///
    /// # Panics
    /// When there are not so many.
    #[expect(clippy::indexing_slicing, reason = "a test that miscounts fails here")]
    pub fn broker(&mut self, index: usize) -> &mut KafkaNode {
        &mut self.brokers[index]
    }

    /// Kills all brokers, as a power cut would.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn kill_all(&mut self) -> Result<(), SupportError> {
        self.brokers.iter_mut().try_for_each(KafkaNode::kill)
    }

    /// Starts all brokers that do not run, and waits until each serves.
    ///
    /// # Errors
    /// When one does not come up.
    pub fn restart_all(&mut self) -> Result<(), SupportError> {
        // ORDER: none serves before a majority runs.
        self.brokers.iter_mut().try_for_each(KafkaNode::launch)?;
        self.brokers.iter_mut().try_for_each(KafkaNode::wait_until_ready)
    }

    /// Waits until every broker sees all others, and all copies of all partitions in sync: from then on any
    /// one of them may go, and nothing is missing.
    ///
    /// # Errors
    /// [`SupportError::TimedOut`].
    pub fn wait_until_complete(&self) -> Result<(), SupportError> {
        let complete = |broker: &KafkaNode| {
            broker.view().is_some_and(|view| {
                view.brokers.len() == self.brokers.len() && view.incomplete.is_empty()
            })
        };
        wait_until(DEADLINE, "the whole cluster", || self.brokers.iter().all(complete))
    }
}
