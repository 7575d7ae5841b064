//! A real Apache Kafka in `KRaft` mode, started from Maven Central's artifacts.
//!
//! [`KafkaServer`] and [`KafkaCluster`] are for tests, one broker and several: own folder, own ports, gone
//! with the value. [`LocalKafka`] is a single node in a folder of the user's cache, which stays until it is
//! stopped; the program `kafka-local` drives it.

mod acls;
mod cluster;
mod jars;
mod local;
mod node;
mod probe;
mod server;
mod wire;

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use tempfile::TempDir;

pub use acls::{Acl, AclOperation, AclResource};
pub use cluster::KafkaCluster;
pub use jars::{KAFKA_VERSION, kafka_streams_jars};
pub use local::LocalKafka;
pub use server::KafkaNode;

use self::node::{Node, NodeSettings};
use crate::{SupportError, free_port};

/// How long a start and a graceful stop may take; generous, since tests share few cores.
const DEADLINE: Duration = Duration::from_mins(2);

/// What a test may want to be different.
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    /// Flags of the JVM.
    pub jvm: Vec<String>,
    /// Further lines for `server.properties`; they win over ours.
    pub properties: Vec<(String, String)>,
    /// Further listeners for clients, beside the plain one.
    pub listeners: Vec<KafkaListener>,
    /// Users of SASL/SCRAM, known from the start: mechanism, name, password.
    pub scram_users: Vec<[String; 3]>,
}

/// A port on which clients have to encrypt, to log in, or both.
#[derive(Debug, Clone)]
pub struct KafkaListener {
    /// Its name, in capital letters.
    pub name: String,
    /// `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`.
    pub protocol: String,
    /// Its properties, without `listener.name.….` in front.
    pub properties: Vec<(String, String)>,
}

impl KafkaListener {
    /// A listener with these properties.
    pub fn new(name: &str, protocol: &str, properties: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self {
            name: name.to_owned(),
            protocol: protocol.to_owned(),
            properties: properties.iter().map(owned).collect(),
        }
    }
}

impl Default for KafkaOptions {
    /// A small heap, and little compilation: tests start many brokers and give each little to do.
    fn default() -> Self {
        let jvm = ["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];
        Self {
            jvm: jvm.map(str::to_owned).to_vec(),
            properties: Vec::new(),
            listeners: Vec::new(),
            scram_users: Vec::new(),
        }
    }
}

impl KafkaOptions {
    /// For a broker that shares the machine with others: a smaller heap and fewer idle threads. A dead broker
    /// is noticed after six seconds, not after nine.
    pub fn of_cluster() -> Self {
        let jvm = ["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];
        let properties = [
            ("broker.heartbeat.interval.ms", "1000"),
            ("broker.session.timeout.ms", "6000"),
            ("num.network.threads", "2"),
            ("num.io.threads", "4"),
            ("background.threads", "2"),
        ];
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let jvm = jvm.map(str::to_owned).to_vec();
        Self { jvm, properties: properties.map(owned).to_vec(), ..Self::default() }
    }
}

/// A Kafka broker of one test, alone in its cluster: everything that can be done with it is of
/// [`KafkaNode`]. It never creates topics by itself.
#[derive(Debug)]
pub struct KafkaServer {
    node: KafkaNode,
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
        let (port, controller_ports) = (free_port()?, &[free_port()?]);
        let settings = NodeSettings { dir: dir.path(), id: 1, port, controller_ports, options };
        let mut node = KafkaNode::new(Node::create(&settings)?);
        node.restart()?;
        Ok(Self { node, _dir: dir })
    }
}

impl Deref for KafkaServer {
    type Target = KafkaNode;

    fn deref(&self) -> &KafkaNode {
        &self.node
    }
}

impl DerefMut for KafkaServer {
    fn deref_mut(&mut self) -> &mut KafkaNode {
        &mut self.node
    }
}
