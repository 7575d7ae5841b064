//! What the Kafka ports cost by themselves: records copied from one topic to another with nothing in
//! between, per second of CPU time of this process (librdkafka's threads included).
//!
//! `port-throughput BOOTSTRAP [RECORDS] [PARTITIONS] [VALUE_BYTES] [OPTION…]`; the option `acks` tracks
//! offsets of acknowledged records, `main.NAME=VALUE` and `producer.NAME=VALUE` set client properties.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use kstream::broker::kafka::{KafkaBroker, KafkaSettings};
use kstream::broker::{
    Broker, ConsumerRole, NewTopic, OutgoingRecord, Producer, ProducerSettings, StartOffset,
};
use kstream::time::{Clock, SystemClock};
use kstream::{Headers, TopicPartition};

const FLUSH_TIMEOUT: Duration = Duration::from_mins(1);
const KEY_BYTES: usize = 8;
const BATCH: usize = 1000;
/// A linux kernel counts process time in these parts of a second.
const TICKS_PER_SECOND: f64 = 100.0;

struct Workload {
    records: usize,
    partitions: i32,
    value_bytes: usize,
    track_acks: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let (options, numbers): (Vec<_>, Vec<_>) =
        std::env::args().skip(1).partition(|argument| argument == "acks" || argument.contains('='));
    let mut numbers = numbers.into_iter();
    let bootstrap = numbers.next().ok_or("usage: port-throughput BOOTSTRAP [RECORDS] …")?;
    let workload = Workload {
        records: numbers.next().map_or(Ok(2_000_000), |text| text.parse())?,
        partitions: numbers.next().map_or(Ok(4), |text| text.parse())?,
        value_bytes: numbers.next().map_or(Ok(100), |text| text.parse())?,
        track_acks: options.iter().any(|option| option == "acks"),
    };
    let mut settings = KafkaSettings::default();
    for (name, value) in options.iter().filter_map(|option| option.split_once('=')) {
        let (role, name) = name.split_once('.').ok_or("a property needs a role")?;
        let properties = if role == "main" { &mut settings.main } else { &mut settings.producer };
        properties.insert(name.to_owned(), value.to_owned());
    }
    let broker = KafkaBroker::new(&bootstrap, settings)?;
    let topics = Topics::create(&broker, workload.partitions)?;
    Stage::run("produce", &workload, || produce(&broker, &topics.input, &workload))?;
    Stage::run("fetch", &workload, || copy(&broker, &topics, &workload, false))?;
    Stage::run("fetch and produce", &workload, || copy(&broker, &topics, &workload, true))?;
    topics.delete(&broker)
}

struct Topics {
    input: String,
    output: String,
}

impl Topics {
    fn create(broker: &dyn Broker, partitions: i32) -> Result<Self, Box<dyn Error>> {
        let id = SystemClock::new().now_ms();
        let topics = Self { input: format!("bench-{id}-in"), output: format!("bench-{id}-out") };
        let new = [&topics.input, &topics.output].map(|name| NewTopic {
            name: name.clone(),
            partitions,
            replication_factor: -1,
            // Made-up timestamps are old enough to be deleted at once.
            configs: BTreeMap::from([("retention.ms".to_owned(), "-1".to_owned())]),
        });
        for result in broker.admin()?.create_topics(&new)? {
            result?;
        }
        Ok(topics)
    }

    fn delete(&self, broker: &dyn Broker) -> Result<(), Box<dyn Error>> {
        for result in broker.admin()?.delete_topics(&[&self.input, &self.output])? {
            result?;
        }
        Ok(())
    }
}

fn producer(broker: &dyn Broker, workload: &Workload) -> Result<Box<dyn Producer>, Box<dyn Error>> {
    let client_id = "bench".to_owned();
    Ok(broker.producer(&ProducerSettings {
        client_id,
        track_acks: workload.track_acks,
        transactions: None,
    })?)
}

fn produce(broker: &dyn Broker, topic: &str, workload: &Workload) -> Result<(), Box<dyn Error>> {
    let mut producer = producer(broker, workload)?;
    let topic = producer.topic(topic)?;
    let mut value = vec![b'v'; workload.value_bytes.max(KEY_BYTES)];
    let headers = Headers::new();
    let mut partition = 0;
    for number in 0..workload.records {
        let key = number.to_be_bytes();
        value.iter_mut().zip(key).for_each(|(to, from)| *to = from);
        let timestamp = Some(i64::try_from(number)? + 1);
        let (key, value) = (Some(&key[..]), Some(&value[..]));
        producer
            .send(topic, OutgoingRecord { partition, key, value, timestamp, headers: &headers })?;
        partition = (partition + 1) % workload.partitions;
        if number % BATCH == 0 {
            producer.poll()?;
        }
    }
    Ok(producer.flush(FLUSH_TIMEOUT)?)
}

fn copy(
    broker: &dyn Broker,
    topics: &Topics,
    workload: &Workload,
    is_sending: bool,
) -> Result<(), Box<dyn Error>> {
    let mut producer = producer(broker, workload)?;
    let output = producer.topic(&topics.output)?;
    let mut consumer = broker.consumer(ConsumerRole::Main, "bench")?;
    let partitions: Vec<_> = (0..workload.partitions)
        .map(|number| (TopicPartition::new(topics.input.as_str(), number), StartOffset::Earliest))
        .collect();
    let slots: Vec<_> = consumer.assign(&partitions)?.into_iter().zip(0..).collect();
    let mut copied = 0;
    while copied < workload.records {
        let before = copied;
        for (slot, partition) in &slots {
            let Some(batch) = consumer.fetch(*slot, BATCH)? else { continue };
            for index in 0..batch.len() {
                let record = batch.record(index);
                if is_sending {
                    producer.send(
                        output,
                        OutgoingRecord {
                            partition: *partition,
                            key: record.key,
                            value: record.value,
                            timestamp: Some(record.timestamp),
                            headers: &record.headers,
                        },
                    )?;
                }
            }
            copied += batch.len();
        }
        consumer.poll()?;
        producer.poll()?;
        if copied == before {
            consumer.wait(Duration::from_millis(100));
        }
    }
    Ok(producer.flush(FLUSH_TIMEOUT)?)
}

/// One measured part of the run.
struct Stage;

impl Stage {
    fn run(
        name: &str,
        workload: &Workload,
        work: impl FnOnce() -> Result<(), Box<dyn Error>>,
    ) -> Result<(), Box<dyn Error>> {
        let clock = SystemClock::new();
        let before = cpu_seconds()?;
        work()?;
        let (wall, cpu) = (clock.monotonic().as_secs_f64(), cpu_seconds()? - before);
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let records = workload.records as f64;
        println!(
            "{name}: {records} records of {} bytes, {} partitions: {wall:.2} s, {cpu:.2} CPU s; {:.0} \
             records/s, {:.0} records/CPU s; peak {} MiB",
            workload.value_bytes,
            workload.partitions,
            records / wall,
            records / cpu,
            peak_memory_kib()? / 1024,
        );
        Ok(())
    }
}

/// User and system time of this process.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(") ").ok_or("no process name")?;
    // Behind the name: state, then numbers, of which the 11th and 12th are the times.
    let times = fields.split(' ').skip(11).take(2).map(str::parse::<f64>);
    Ok(times.sum::<Result<f64, _>>()? / TICKS_PER_SECOND)
}

fn peak_memory_kib() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
