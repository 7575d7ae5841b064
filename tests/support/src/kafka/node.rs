//! One node: its folder, its configuration, how it is started, and when it is ready.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::jars::kafka_jars;
use super::{DEADLINE, KafkaOptions, probe};
use crate::process::run;
use crate::{SupportError, poll_until};

/// Any fixed id will do: a node talks to nobody but itself.
const CLUSTER_ID: &str = "a3N0cmVhbS10ZXN0LTAwMQ";

/// A node that is formatted and can be started.
#[derive(Debug)]
pub(super) struct Node {
    dir: PathBuf,
    log: PathBuf,
    jars: PathBuf,
    jvm: Vec<String>,
    port: u16,
}

impl Node {
    /// Writes the configuration into `dir` and formats the storage, if it is not there yet.
    pub(super) fn create(
        dir: &Path,
        port: u16,
        controller_port: u16,
        options: &KafkaOptions,
    ) -> Result<Self, SupportError> {
        let node = Self {
            dir: dir.to_owned(),
            log: dir.join("server.log"),
            jars: kafka_jars()?,
            jvm: options.jvm.clone(),
            port,
        };
        let config = node.config();
        if !config.exists() {
            let text = properties(&dir.join("data"), port, controller_port, options);
            let format = dir.join("format.properties");
            std::fs::write(&format, text)
                .map_err(SupportError::io(format!("write {}", format.display())))?;
            run(node
                .java("kafka.tools.StorageTool")
                .args(["format", "--cluster-id", CLUSTER_ID, "--config"])
                .arg(&format))?;
            std::fs::rename(&format, &config)
                .map_err(SupportError::io(format!("create {}", config.display())))?;
        }
        Ok(node)
    }

    pub(super) fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
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
            Ok(probe::is_ready(self.port).then_some(()))
        })
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

fn properties(data: &Path, port: u16, controller_port: u16, options: &KafkaOptions) -> String {
    let text = format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.voters=1@127.0.0.1:{controller_port}\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
         controller.listener.names=CONTROLLER\n\
         log.dirs={}\n\
         auto.create.topics.enable=false\n\
         num.partitions=1\n\
         offsets.topic.num.partitions=4\n\
         offsets.topic.replication.factor=1\n\
         transaction.state.log.num.partitions=4\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         share.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\n\
         group.initial.rebalance.delay.ms=0\n\
         group.min.session.timeout.ms=500\n\
         log.cleaner.dedupe.buffer.size=16777216\n",
        data.display()
    );
    let further = options.properties.iter().map(|(name, value)| format!("{name}={value}\n"));
    text + &further.collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_of_a_test_come_last_and_so_win() {
        let properties_of_test = vec![("num.partitions".to_owned(), "7".to_owned())];
        let options = KafkaOptions { properties: properties_of_test, ..KafkaOptions::default() };
        let text = properties(Path::new("/data"), 1, 2, &options);
        assert!(text.contains("log.dirs=/data\n"));
        assert!(text.ends_with("num.partitions=7\n"));
    }
}
