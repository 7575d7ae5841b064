//! The test driver of `kstream-test-utils` as a [`Driver`]: records go in and out as bytes.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use kstream::broker::{OutgoingRecord, RawRecord};
use kstream::driver::TaskDriver;
use kstream::{
    BuiltInTimestampExtractor, ChangelogUpdates, DslStoreFormat, Headers, LogAndContinue,
    StreamsConfig, TopologyConfig,
};
use kstream_test_utils::TopologyTestDriver;

use super::topologies::Recipe;
use super::topologies::error_handlers::{DlqHandler, ProductionContinue};
use super::{Config, Driver, DriverError, DriverFactory, StepOutput, VectorRecord};

/// A factory of drivers for a topology.
pub(super) fn factory(recipe: Recipe) -> DriverFactory {
    Box::new(move |config| {
        let topology_config = topology_config(config)?;
        let (config, dead_letters) = streams_config(config)?;
        let topology = recipe.topology(&topology_config)?;
        let driver = TopologyTestDriver::with_config(topology, config)?;
        Ok(Box::new(BytesDriver::new(driver.task(), dead_letters)))
    })
}

/// The settings of a vector file that concern the building of its topology.
fn topology_config(config: &Config) -> Result<TopologyConfig, DriverError> {
    let optimization = config.get("topology.optimization").map_or("none", String::as_str);
    Ok(TopologyConfig::new().optimization(optimization.parse()?))
}

/// The settings of a vector file; one that is not known here is an error. The second is the topic of
/// dead letters.
fn streams_config(config: &Config) -> Result<(StreamsConfig, Option<String>), DriverError> {
    let mut result = StreamsConfig::new("app")
        .statestore_cache_max_bytes(0)
        .changelog_updates(ChangelogUpdates::Every);
    let mut dead_letters = None;
    for (name, value) in config {
        result = match (name.as_str(), value.rsplit('.').next()) {
            ("statestore.cache.max.bytes", _) => {
                result.statestore_cache_max_bytes(value.parse::<usize>()?)
            }
            ("dsl.store.format", Some("HEADERS")) => {
                result.dsl_store_format(DslStoreFormat::Headers)
            }
            ("errors.dead.letter.queue.topic.name", _) => {
                dead_letters = Some(value.clone());
                result.dead_letter_topic(value)
            }
            ("deserialization.exception.handler", Some("LogAndContinueExceptionHandler")) => {
                result.deserialization_handler(LogAndContinue)
            }
            ("processing.exception.handler", Some("LogAndContinueProcessingExceptionHandler")) => {
                result.processing_handler(LogAndContinue)
            }
            ("processing.exception.handler", Some("H$DlqHandler")) => {
                result.processing_handler(DlqHandler)
            }
            ("production.exception.handler", Some("H$ProductionContinue")) => {
                result.production_handler(ProductionContinue)
            }
            ("default.timestamp.extractor", Some(name)) => {
                result.default_timestamp_extractor(timestamp_extractor(name)?)
            }
            // The topology has it, or here the types say it.
            ("topology.optimization", _)
            | ("default.key.serde" | "default.value.serde", Some("Serdes$StringSerde")) => result,
            _ => return Err(format!("setting {name} = {value} is not known").into()),
        };
    }
    Ok((result, dead_letters))
}

/// A timestamp extractor by the name of its Java class.
fn timestamp_extractor(class: &str) -> Result<BuiltInTimestampExtractor, DriverError> {
    Ok(match class {
        "FailOnInvalidTimestamp" => BuiltInTimestampExtractor::FailOnInvalidTimestamp,
        "LogAndSkipOnInvalidTimestamp" => BuiltInTimestampExtractor::LogAndSkipOnInvalidTimestamp,
        "UsePartitionTimeOnInvalidTimestamp" => {
            BuiltInTimestampExtractor::UsePartitionTimeOnInvalidTimestamp
        }
        "WallclockTimestampExtractor" => BuiltInTimestampExtractor::WallClock,
        _ => return Err(format!("timestamp extractor {class} is not known").into()),
    })
}

/// What a topic is to the comparison.
#[derive(Clone, Copy)]
enum Kind {
    Output,
    Changelog,
    Internal,
}

/// A topic and the offset behind what has been read of it.
struct Read {
    topic: String,
    kind: Kind,
    next: i64,
}

struct BytesDriver {
    task: Rc<RefCell<TaskDriver>>,
    topics: Vec<Read>,
}

impl BytesDriver {
    fn new(task: Rc<RefCell<TaskDriver>>, dead_letters: Option<String>) -> Self {
        let driver = task.borrow();
        let internal: BTreeSet<String> = driver.repartition_topics().into_iter().collect();
        let mut output: BTreeSet<String> = dead_letters.into_iter().collect();
        for subtopology in driver.topology().subtopologies() {
            output.extend(subtopology.sink_topics().map(str::to_owned));
        }
        let prefix = format!("{}-", driver.application_id());
        output.retain(|topic| !internal.contains(&format!("{prefix}{topic}")));
        let changelogs = driver.changelog_topics().into_values();
        let topics = output
            .into_iter()
            .map(|topic| (topic, Kind::Output))
            .chain(changelogs.map(|topic| (topic, Kind::Changelog)))
            .chain(internal.into_iter().map(|topic| (topic, Kind::Internal)))
            .map(|(topic, kind)| Read { topic, kind, next: 0 })
            .collect();
        drop(driver);
        Self { task, topics }
    }

    /// What has been written since the last step.
    fn output(&mut self) -> Result<StepOutput, DriverError> {
        let task = self.task.borrow();
        // Topics that records name themselves come to be with the first of them.
        for topic in task.output_topics()? {
            if self.topics.iter().all(|known| known.topic != topic) {
                self.topics.push(Read { topic, kind: Kind::Output, next: 0 });
            }
        }
        let mut output = StepOutput::default();
        for Read { topic, kind, next } in &mut self.topics {
            let list = match kind {
                Kind::Output => &mut output.out,
                Kind::Changelog => &mut output.changelog,
                Kind::Internal => &mut output.internal,
            };
            *next = task.read(topic, *next, &mut |raw| list.push(vector_record(topic, raw)))?;
        }
        Ok(output)
    }
}

fn vector_record(topic: &str, raw: &RawRecord<'_>) -> VectorRecord {
    let header = |header: &kstream::Header| {
        (header.name.to_string(), header.value.as_ref().map(|value| value.to_vec()))
    };
    VectorRecord {
        topic: topic.to_owned(),
        key: raw.key.map(<[u8]>::to_vec),
        value: raw.value.map(<[u8]>::to_vec),
        timestamp: Some(raw.timestamp),
        headers: raw.headers.iter().map(header).collect(),
    }
}

impl Driver for BytesDriver {
    fn describe(&self) -> String {
        self.task.borrow().topology().describe().to_string()
    }

    fn pipe(&mut self, record: &VectorRecord) -> Result<StepOutput, DriverError> {
        let VectorRecord { topic, key, value, timestamp, headers: list } = record;
        let mut headers = Headers::new();
        for (name, value) in list {
            headers.add(name, value.as_deref());
        }
        let timestamp = timestamp.ok_or("a record is piped with a timestamp")?;
        let mut task = self.task.borrow_mut();
        let (key, value, timestamp) = (key.as_deref(), value.as_deref(), Some(timestamp));
        task.pipe(
            topic,
            OutgoingRecord { partition: 0, key, value, timestamp, headers: &headers },
        )?;
        drop(task);
        self.output()
    }

    fn advance_wall_clock(&mut self, ms: i64) -> Result<StepOutput, DriverError> {
        let by = Duration::from_millis(u64::try_from(ms)?);
        self.task.borrow_mut().advance_wall_clock(by)?;
        self.output()
    }
}
