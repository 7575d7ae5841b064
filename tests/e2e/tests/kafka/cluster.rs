//! A broker, the processes on it, and what its topics say.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use kstream::broker::kafka::{KafkaBroker, KafkaSettings};
use kstream::broker::{
    Admin, Broker, ConsumerRole, NewTopic, OutgoingRecord, ProducerSettings, StartOffset,
    partition_for_key,
};
use kstream::time::{Clock, SystemClock};
use kstream::{Headers, TopicPartition};
use kstream_test_support::{KafkaCluster, KafkaServer, Process, poll_until, wait_until};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;

/// How many numbered records a test sends in all.
pub(crate) const RECORDS: usize = 200_000;
/// Keys of the input.
const SOURCES: usize = 1000;
/// What is counted by.
const WORDS: usize = 200;
const PARTITIONS: i32 = 4;
const INPUT: &str = "e2e-in";
const COUNTS: &str = "e2e-counts";
const WINDOWS: &str = "e2e-windows";
/// Timestamps grow by this from record to record.
const STEP_MS: i64 = 10;
const PROGRAM: &str = env!("CARGO_BIN_EXE_kstream-e2e-counter");
/// How long anything may take; generous, since tests share few cores.
const SOON: Duration = Duration::from_mins(3);
/// How long a stop by SIGTERM may take: more than the close timeout of the program.
const STOP: Duration = Duration::from_secs(40);

pub(crate) type Counts = BTreeMap<String, i64>;

fn word_of(record: usize) -> String {
    format!("word-{}", record % WORDS)
}

/// How often each word is in these records.
pub(crate) fn truth(records: std::ops::Range<usize>) -> Counts {
    let mut counts = Counts::new();
    for record in records {
        *counts.entry(word_of(record)).or_default() += 1;
    }
    counts
}

/// One broker, or three.
enum Servers {
    One(Box<KafkaServer>),
    Three(KafkaCluster),
}

impl Servers {
    fn bootstrap(&self) -> &str {
        match self {
            Self::One(server) => server.bootstrap(),
            Self::Three(cluster) => cluster.bootstrap(),
        }
    }
}

/// Brokers with the topics of the program.
pub(crate) struct Cluster {
    servers: Servers,
    broker: KafkaBroker,
    application_id: String,
    guarantee: &'static str,
    folder: tempfile::TempDir,
    /// Timestamp of the first record. Not long ago: a broker deletes old records of a window store's
    /// changelog, by their timestamps.
    start_ms: i64,
    /// How many instances have been started.
    started: usize,
}

impl Cluster {
    pub(crate) fn start(application_id: &str) -> Self {
        Self::on(Servers::One(Box::new(KafkaServer::start().unwrap())), application_id)
    }

    /// With three brokers, of which one may be missing.
    pub(crate) fn start_of_three(application_id: &str) -> Self {
        Self::on(Servers::Three(KafkaCluster::start(3).unwrap()), application_id)
    }

    fn on(servers: Servers, application_id: &str) -> Self {
        let broker = KafkaBroker::new(servers.bootstrap(), KafkaSettings::default()).unwrap();
        let new = |name: &str| NewTopic {
            name: name.to_owned(),
            partitions: PARTITIONS,
            replication_factor: -1,
            configs: BTreeMap::new(),
        };
        let topics = [INPUT, COUNTS, WINDOWS].map(new);
        for created in broker.admin().unwrap().create_topics(&topics).unwrap() {
            created.unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let application_id = application_id.to_owned();
        let start_ms = SystemClock::new().now_ms();
        let guarantee = "at_least_once";
        Self { servers, broker, application_id, guarantee, folder, start_ms, started: 0 }
    }

    /// Programs that are started from now on process exactly once.
    pub(crate) fn exactly_once(mut self) -> Self {
        self.guarantee = "exactly_once_v2";
        self
    }

    pub(crate) fn restart_broker(&mut self) {
        match &mut self.servers {
            Servers::One(server) => server.restart().unwrap(),
            Servers::Three(_) => panic!("say which"),
        }
    }

    /// Questions are answered by one of the brokers that are there, whichever they went to first.
    #[track_caller]
    pub(crate) fn check_answers(&self) {
        let admin = self.broker.admin().unwrap();
        for topic in [INPUT, COUNTS, WINDOWS].repeat(10) {
            assert!(!admin.topic_configs(topic).unwrap().is_empty());
            assert_eq!(admin.partition_counts(&[topic]).unwrap(), [Some(PARTITIONS)]);
        }
    }

    /// The three brokers.
    pub(crate) fn brokers(&mut self) -> &mut KafkaCluster {
        match &mut self.servers {
            Servers::One(_) => panic!("there is one"),
            Servers::Three(brokers) => brokers,
        }
    }

    /// Starts the program on the state folder of this name.
    pub(crate) fn process(&mut self, name: &str) -> Counter {
        self.spawn(name, Command::new(PROGRAM))
    }

    /// The same with a standard error, its log, that takes nothing.
    pub(crate) fn process_without_log(&mut self, name: &str) -> Counter {
        let mut command = Command::new("sh");
        command.args(["-c", r#"exec "$0" "$@" 2> /dev/full"#, PROGRAM]);
        self.spawn(name, command)
    }

    fn spawn(&mut self, name: &str, mut command: Command) -> Counter {
        self.started += 1;
        let log = self.folder.path().join(format!("{name}-{}.log", self.started));
        let state_dir = self.folder.path().join(name);
        command.args([self.servers.bootstrap(), &self.application_id]);
        command.arg(state_dir).arg(self.guarantee);
        Counter { process: Process::spawn(name, command, &log).unwrap(), log }
    }

    pub(crate) fn produce(&self, records: std::ops::Range<usize>) {
        let settings = ProducerSettings {
            client_id: "test".to_owned(),
            track_acks: false,
            transactions: None,
        };
        let mut producer = self.broker.producer(&settings).unwrap();
        let topic = producer.topic(INPUT).unwrap();
        for record in records {
            let key = format!("source-{}", record % SOURCES);
            let value = format!("{} {record}", word_of(record));
            let outgoing = OutgoingRecord {
                partition: partition_for_key(key.as_bytes(), PARTITIONS),
                key: Some(key.as_bytes()),
                value: Some(value.as_bytes()),
                timestamp: Some(self.start_ms + i64::try_from(record).unwrap() * STEP_MS),
                headers: &Headers::new(),
            };
            producer.send(topic, outgoing).unwrap();
        }
        producer.flush(SOON).unwrap();
    }

    fn admin(&self) -> Box<dyn Admin> {
        self.broker.admin().unwrap()
    }

    fn repartition_topic(&self) -> String {
        format!("{}-counts-repartition", self.application_id)
    }

    fn changelogs(&self) -> [String; 2] {
        ["counts", "windows"].map(|store| format!("{}-{store}-changelog", self.application_id))
    }

    /// The offsets committed for a topic, and its ends; a broker that does not answer has none.
    fn progress(&self, topic: &str) -> Option<(i64, i64)> {
        let (admin, partitions) = (self.admin(), partitions_of(topic));
        let committed = admin.group_offsets(&self.application_id, &partitions).ok()?;
        let committed = committed.into_iter().flatten().map(|committed| committed.offset).sum();
        Some((committed, admin.end_offsets(&partitions).ok()?.into_iter().sum()))
    }

    /// Waits until the whole input is committed, and what it led to.
    #[track_caller]
    pub(crate) fn wait_until_committed(&self) {
        let is_done = |topic: &str| self.progress(topic).is_some_and(|(done, end)| done == end);
        let repartition = self.repartition_topic();
        wait_until(SOON, "commit of all input", || is_done(INPUT) && is_done(&repartition))
            .unwrap();
    }

    /// Waits until readers of committed records see exactly these counts.
    #[track_caller]
    pub(crate) fn wait_until_exact(&self, truth: &Counts) {
        let is_exact = || self.counts() == *truth && self.counts_of_windows() == *truth;
        wait_until(SOON, "exact counts", is_exact).unwrap();
    }

    /// Gives the input another partition.
    pub(crate) fn grow_input(&self) {
        let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
            .set("bootstrap.servers", self.servers.bootstrap())
            .create()
            .unwrap();
        let partitions = usize::try_from(PARTITIONS).unwrap() + 1;
        let (new, options) = (NewPartitions::new(INPUT, partitions), AdminOptions::new());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let results = runtime.block_on(admin.create_partitions(&[new], &options)).unwrap();
        assert_eq!(results, [Ok(INPUT.to_owned())]);
    }

    /// Waits until more than so many records of the input have been counted and committed.
    #[track_caller]
    pub(crate) fn wait_until_committed_beyond(&self, records: usize) {
        let records = i64::try_from(records).unwrap();
        let repartition = self.repartition_topic();
        let is_beyond = || self.progress(&repartition).is_some_and(|(done, _)| done > records);
        wait_until(SOON, "commit of a part of the input", is_beyond).unwrap();
    }

    /// How many records all changelogs have. None has lost any by retention.
    pub(crate) fn changelog_records(&self) -> u64 {
        let ends = self.changelogs().map(|topic| {
            let beginnings = self.admin().beginning_offsets(&partitions_of(&topic)).unwrap();
            assert!(beginnings.iter().all(|offset| *offset == 0), "{topic}: {beginnings:?}");
            self.admin().end_offsets(&partitions_of(&topic)).unwrap().into_iter().sum::<i64>()
        });
        u64::try_from(ends.into_iter().sum::<i64>()).unwrap()
    }

    /// The last count of each word.
    pub(crate) fn counts(&self) -> Counts {
        self.last_values(COUNTS)
    }

    /// The last count of each window, added up by word.
    pub(crate) fn counts_of_windows(&self) -> Counts {
        let mut counts = Counts::new();
        for (window, count) in self.last_values(WINDOWS) {
            *counts.entry(window.split_once('@').unwrap().0.to_owned()).or_default() += count;
        }
        counts
    }

    fn last_values(&self, topic: &str) -> Counts {
        let partitions = partitions_of(topic);
        let ends = self.admin().end_offsets(&partitions).unwrap();
        let mut consumer = self.broker.consumer(ConsumerRole::Main, "test").unwrap();
        let starts: Vec<_> =
            partitions.into_iter().map(|partition| (partition, StartOffset::Earliest)).collect();
        let slots = consumer.assign(&starts).unwrap();
        let mut values = Counts::new();
        for (slot, end) in slots.into_iter().zip(ends) {
            // Offsets of markers and of aborted records give nothing.
            wait_until(SOON, topic, || {
                while let Some(batch) = consumer.fetch(slot, 1000).unwrap() {
                    for record in (0..batch.len()).map(|index| batch.record(index)) {
                        let key = String::from_utf8(record.key.unwrap().to_vec()).unwrap();
                        let value = record.value.unwrap().try_into().unwrap();
                        values.insert(key, i64::from_be_bytes(value));
                    }
                }
                end == 0 || consumer.reached_end(slot).is_some_and(|reached| reached >= end)
            })
            .unwrap();
        }
        values
    }

    /// The internal topics are what Kafka Streams would have made.
    pub(crate) fn check_internal_topics(&self) {
        let [counts, windows] = self.changelogs();
        let repartition = self.repartition_topic();
        for (topic, policies) in
            [(&counts, "compact"), (&windows, "compact,delete"), (&repartition, "delete")]
        {
            assert_eq!(self.admin().partition_counts(&[topic]).unwrap(), [Some(PARTITIONS)]);
            let configs = self.admin().topic_configs(topic).unwrap();
            assert_eq!(configs["cleanup.policy"], policies, "{topic}");
            assert_eq!(configs["message.timestamp.type"], "CreateTime", "{topic}");
        }
        // Size and grace, and a day.
        let retention_ms = 100_000 + 60 * 60 * 1000 + 24 * 60 * 60 * 1000;
        let retention = |topic| self.admin().topic_configs(topic).unwrap()["retention.ms"].clone();
        assert_eq!(retention(&windows), retention_ms.to_string());
        assert_eq!(retention(&repartition), "-1");
    }
}

fn partitions_of(topic: &str) -> Vec<TopicPartition> {
    (0..PARTITIONS).map(|partition| TopicPartition::new(topic, partition)).collect()
}

/// A running program.
pub(crate) struct Counter {
    process: Process,
    log: PathBuf,
}

impl Counter {
    /// What it has replayed until its tasks ran for the first time.
    #[track_caller]
    pub(crate) fn restored_records(&mut self) -> u64 {
        let restored = poll_until(SOON, "running tasks", || {
            self.process.check_running()?;
            let log = std::fs::read_to_string(&self.log).unwrap();
            let mut lines = log.lines();
            Ok(lines.find_map(|line| line.strip_prefix("restored_records=")?.parse().ok()))
        });
        restored.unwrap()
    }

    /// Waits until it ends by itself; its exit code and its log.
    #[track_caller]
    pub(crate) fn wait_for_end(mut self) -> (Option<i32>, String) {
        let status = self.process.wait(SOON).unwrap();
        (status.code(), std::fs::read_to_string(&self.log).unwrap())
    }

    #[track_caller]
    pub(crate) fn check_running(&mut self) {
        self.process.check_running().unwrap();
    }

    /// Kills it as a crash would.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
    }

    /// Asks it to stop, and checks that it does so well.
    #[track_caller]
    pub(crate) fn stop(mut self) {
        self.restored_records();
        let status = self.process.terminate(STOP).unwrap();
        let log = std::fs::read_to_string(&self.log).unwrap();
        assert_eq!(status.code(), Some(0), "{log}");
    }
}
