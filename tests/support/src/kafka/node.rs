//! One node: its folder, its configuration, how it is started, and when it is ready.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::jars::kafka_jars;
use super::{DEADLINE, KafkaOptions, probe};
use crate::process::run;
use crate::{SupportError, free_port, poll_until};

/// Any fixed id will do: clusters of different tests never meet.
const CLUSTER_ID: &str = "a3N0cmVhbS10ZXN0LTAwMQ";

/// What a node is told before it exists.
#[derive(Debug)]
pub(super) struct NodeSettings<'a> {
    /// Where everything of it goes.
    pub(super) dir: &'a Path,
    /// Its number in the cluster, from 1.
    pub(super) id: usize,
    pub(super) port: u16,
    /// The controllers' ports, in the order of the nodes: every node is a controller.
    pub(super) controller_ports: &'a [u16],
    pub(super) options: &'a KafkaOptions,
}

/// A node that is formatted and can be started.
#[derive(Debug)]
pub(super) struct Node {
    dir: PathBuf,
    log: PathBuf,
    jars: PathBuf,
    jvm: Vec<String>,
    port: u16,
    /// The ports of further listeners by their names.
    listeners: BTreeMap<String, u16>,
}

impl Node {
    /// Writes the configuration into the folder and formats the storage, if it is not there yet.
    pub(super) fn create(settings: &NodeSettings<'_>) -> Result<Self, SupportError> {
        let dir = settings.dir;
        std::fs::create_dir_all(dir)
            .map_err(SupportError::io(format!("create {}", dir.display())))?;
        let listeners = settings.options.listeners.iter();
        let listeners = listeners
            .map(|listener| Ok((listener.name.clone(), free_port()?)))
            .collect::<Result<BTreeMap<_, _>, SupportError>>()?;
        let node = Self {
            listeners,
            dir: dir.to_owned(),
            log: dir.join("server.log"),
            jars: kafka_jars()?,
            jvm: settings.options.jvm.clone(),
            port: settings.port,
        };
        let config = node.config();
        if !config.exists() {
            let format = dir.join("format.properties");
            std::fs::write(&format, properties(settings, &node.listeners))
                .map_err(SupportError::io(format!("write {}", format.display())))?;
            let mut tool = node.java("kafka.tools.StorageTool");
            tool.args(["format", "--cluster-id", CLUSTER_ID, "--config"]).arg(&format);
            for [mechanism, name, password] in &settings.options.scram_users {
                tool.arg("--add-scram");
                tool.arg(format!("{mechanism}=[name={name},password={password}]"));
            }
            run(&mut tool)?;
            std::fs::rename(&format, &config)
                .map_err(SupportError::io(format!("create {}", config.display())))?;
        }
        Ok(node)
    }

    pub(super) fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The address of a further listener.
    pub(super) fn listener(&self, name: &str) -> Option<String> {
        Some(format!("127.0.0.1:{}", self.listeners.get(name)?))
    }

    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    /// The command that runs the broker.
    pub(super) fn command(&self) -> Command {
        let mut command = self.java("kafka.Kafka");
        command.arg(self.config());
        command
    }

    /// Waits until the broker is part of its own cluster, which is when it serves topics.
    /// `check_running` fails when its process has ended.
    pub(super) fn wait_until_ready(
        &self,
        mut check_running: impl FnMut() -> Result<(), SupportError>,
    ) -> Result<(), SupportError> {
        let what = format!("answer of kafka on {} (its output: {})", self.port, self.log.display());
        poll_until(DEADLINE, &what, || {
            check_running()?;
            Ok(self.view().is_some_and(|view| !view.brokers.is_empty()).then_some(()))
        })
    }

    /// The cluster as this node sees it; `None`: it does not answer.
    pub(super) fn view(&self) -> Option<probe::View> {
        // Refused, reset, late: not ready yet, whatever the reason.
        probe::view(self.port).ok()
    }

    fn config(&self) -> PathBuf {
        self.dir.join("server.properties")
    }

    fn java(&self, class: &str) -> Command {
        let mut command = Command::new("java");
        command
            .args(&self.jvm)
            .arg(format!("-Dlog4j2.configurationFile={}/log4j2.properties", self.jars.display()))
            .arg("-cp")
            .arg(self.jars.join("*"))
            .arg(class);
        command
    }
}

fn properties(settings: &NodeSettings<'_>, ports: &BTreeMap<String, u16>) -> String {
    let NodeSettings { dir, id, port, controller_ports, options } = settings;
    let voters: Vec<_> = (1..)
        .zip(controller_ports.iter())
        .map(|(node, port)| format!("{node}@127.0.0.1:{port}"))
        .collect();
    let controller_port = controller_ports.get(id.saturating_sub(1)).copied().unwrap_or_default();
    // With three copies, one may be missing and a write is still acknowledged.
    let copies = voters.len().min(3);
    let in_sync = copies.div_ceil(2);
    let text = format!(
        "process.roles=broker,controller\n\
         node.id={id}\n\
         controller.quorum.voters={}\n\
         listeners=PLAINTEXT://127.0.0.1:{port},{}CONTROLLER://127.0.0.1:{controller_port}\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,{}CONTROLLER:PLAINTEXT\n\
         controller.listener.names=CONTROLLER\n\
         log.dirs={}\n\
         auto.create.topics.enable=false\n\
         num.partitions=1\n\
         default.replication.factor={copies}\n\
         min.insync.replicas={in_sync}\n\
         offsets.topic.num.partitions=4\n\
         offsets.topic.replication.factor={copies}\n\
         transaction.state.log.num.partitions=4\n\
         transaction.state.log.replication.factor={copies}\n\
         transaction.state.log.min.isr={in_sync}\n\
         share.coordinator.state.topic.replication.factor={copies}\n\
         share.coordinator.state.topic.min.isr={in_sync}\n\
         group.initial.rebalance.delay.ms=0\n\
         group.min.session.timeout.ms=500\n\
         log.cleaner.dedupe.buffer.size=16777216\n",
        voters.join(","),
        list(ports.iter().map(|(name, port)| format!("{name}://127.0.0.1:{port},"))),
        list(options.listeners.iter().map(|l| format!("{}:{},", l.name, l.protocol))),
        dir.join("data").display()
    );
    let listeners = options.listeners.iter().flat_map(|listener| {
        let prefix = format!("listener.name.{}.", listener.name.to_lowercase());
        let properties = listener.properties.iter();
        properties.map(move |(name, value)| format!("{prefix}{name}={value}\n"))
    });
    let further = options.properties.iter().map(|(name, value)| format!("{name}={value}\n"));
    text + &listeners.chain(further).collect::<String>()
}

/// Entries that end with a comma, in front of one that does not.
fn list(entries: impl Iterator<Item = String>) -> String {
    entries.collect()
}

#[cfg(test)]
mod tests {
    use super::super::KafkaListener;
    use super::*;

    fn text(id: usize, controller_ports: &[u16], options: &KafkaOptions) -> String {
        let dir = Path::new("/node");
        let ports = options.listeners.iter().map(|listener| (listener.name.clone(), 9)).collect();
        properties(&NodeSettings { dir, id, port: 1, controller_ports, options }, &ports)
    }

    #[test]
    fn properties_of_a_test_come_last_and_so_win() {
        let properties_of_test = vec![("num.partitions".to_owned(), "7".to_owned())];
        let options = KafkaOptions { properties: properties_of_test, ..KafkaOptions::default() };
        let text = text(1, &[2], &options);
        assert!(text.contains("log.dirs=/node/data\n"));
        assert!(text.ends_with("num.partitions=7\n"));
    }

    #[test]
    fn further_listeners_have_their_own_protocols_and_properties() {
        let listeners =
            vec![KafkaListener::new("LOGIN", "SASL_SSL", &[("ssl.client.auth", "none")])];
        let text = text(1, &[2], &KafkaOptions { listeners, ..KafkaOptions::default() });
        assert!(text.contains("PLAINTEXT://127.0.0.1:1,LOGIN://127.0.0.1:9,CONTROLLER"), "{text}");
        assert!(text.contains("PLAINTEXT:PLAINTEXT,LOGIN:SASL_SSL,CONTROLLER:PLAINTEXT"), "{text}");
        assert!(text.contains("\nlistener.name.login.ssl.client.auth=none\n"), "{text}");
    }

    #[test]
    fn one_node_keeps_one_copy_and_three_nodes_keep_three_of_which_one_may_be_missing() {
        let one = text(1, &[2], &KafkaOptions::default());
        assert!(one.contains("\ncontroller.quorum.voters=1@127.0.0.1:2\n"), "{one}");
        assert!(one.contains("\ndefault.replication.factor=1\nmin.insync.replicas=1\n"), "{one}");
        let third = text(3, &[2, 3, 4], &KafkaOptions::default());
        assert!(third.contains("=1@127.0.0.1:2,2@127.0.0.1:3,3@127.0.0.1:4\n"), "{third}");
        assert!(third.contains("CONTROLLER://127.0.0.1:4\n"), "{third}");
        assert!(
            third.contains("\ndefault.replication.factor=3\nmin.insync.replicas=2\n"),
            "{third}"
        );
    }
}
