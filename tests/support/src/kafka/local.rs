//! A broker for trying things out by hand: it stays until it is stopped.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal};

use super::jars::{cache_dir, kafka_jars};
use super::node::{Node, NodeSettings};
use super::{DEADLINE, KafkaOptions};
use crate::process::log_file;
use crate::{SupportError, wait_until};

/// Clients use `port`, the controller this much above it.
const CONTROLLER_OFFSET: u16 = 1000;

/// The broker of one port, in the user's cache folder.
#[derive(Debug)]
pub struct LocalKafka {
    dir: PathBuf,
    port: u16,
}

impl LocalKafka {
    /// The broker of this port, running or not.
    pub fn on_port(port: u16) -> Self {
        Self { dir: cache_dir().join("kafka-local").join(port.to_string()), port }
    }

    /// Starts it, on its old data if there are any, and gives its address. A running one is left alone.
    ///
    /// # Errors
    /// When Java or Maven is missing, the artifacts cannot be fetched, or the broker does not come up.
    pub fn start(&self) -> Result<String, SupportError> {
        let jvm = vec!["-Xmx1g".to_owned()];
        let options = &KafkaOptions { jvm, ..KafkaOptions::default() };
        let (dir, port, controller_ports) =
            (&*self.dir, self.port, &[self.port + CONTROLLER_OFFSET]);
        let node = Node::create(&NodeSettings { dir, id: 1, port, controller_ports, options })?;
        if self.running().is_none() {
            let output = log_file(node.log())?;
            let errors = output.try_clone().map_err(SupportError::io("duplicate a file handle"))?;
            let mut child = node
                .command()
                .stdin(Stdio::null())
                .stdout(output)
                .stderr(errors)
                .process_group(0)
                .spawn()
                .map_err(SupportError::io("start kafka"))?;
            std::fs::write(self.pid_file(), child.id().to_string())
                .map_err(SupportError::io("write the process id"))?;
            node.wait_until_ready(|| match child.try_wait() {
                Ok(Some(status)) => Err(SupportError::ended("kafka", &status, node.log())),
                Ok(None) => Ok(()),
                Err(error) => Err(SupportError::io("wait for kafka")(error)),
            })?;
        }
        Ok(node.bootstrap())
    }

    /// Stops it gracefully.
    ///
    /// # Errors
    /// [`SupportError::TimedOut`] when it does not end.
    pub fn stop(&self) -> Result<(), SupportError> {
        self.end(Signal::TERM)
    }

    /// Kills it as a crash would.
    ///
    /// # Errors
    /// [`SupportError::TimedOut`] when it does not end.
    pub fn kill(&self) -> Result<(), SupportError> {
        self.end(Signal::KILL)
    }

    /// Stops it and deletes its data.
    ///
    /// # Errors
    /// When it does not end or its folder cannot be deleted.
    pub fn clean(&self) -> Result<(), SupportError> {
        self.stop()?;
        if self.dir.exists() {
            std::fs::remove_dir_all(&self.dir)
                .map_err(SupportError::io(format!("delete {}", self.dir.display())))?;
        }
        Ok(())
    }

    /// Runs a command-line class of Kafka, such as `org.apache.kafka.tools.TopicCommand`, in the
    /// foreground.
    ///
    /// # Errors
    /// When Java or the artifacts cannot be had; a failing tool is its exit status.
    pub fn tool(class: &str, args: &[String]) -> Result<ExitStatus, SupportError> {
        let jars = kafka_jars()?;
        Command::new("java")
            .arg(format!("-Dlog4j2.configurationFile={}/log4j2.properties", jars.display()))
            .arg("-cp")
            .arg(jars.join("*"))
            .arg(class)
            .args(args)
            .status()
            .map_err(SupportError::io("run java"))
    }

    fn end(&self, signal: Signal) -> Result<(), SupportError> {
        let Some(pid) = self.running() else { return Ok(()) };
        rustix::process::kill_process(pid, signal)
            .map_err(|errno| SupportError::io("stop kafka")(errno.into()))?;
        wait_until(DEADLINE, "end of kafka", || self.running().is_none())?;
        std::fs::remove_file(self.pid_file()).map_err(SupportError::io("delete the process id"))
    }

    /// The process, if the recorded id still belongs to a broker with this folder.
    fn running(&self) -> Option<Pid> {
        let id = std::fs::read_to_string(self.pid_file()).ok()?;
        let command = std::fs::read(Path::new("/proc").join(id.trim()).join("cmdline")).ok()?;
        let ours = self.dir.join("server.properties").into_os_string().into_string().ok()?;
        if !String::from_utf8_lossy(&command).split('\0').any(|argument| argument == ours) {
            return None;
        }
        Pid::from_raw(id.trim().parse().ok()?)
    }

    fn pid_file(&self) -> PathBuf {
        self.dir.join("pid")
    }
}
