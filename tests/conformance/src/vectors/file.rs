//! Reading a vector file. Everything becomes bytes and full topic names here, so that nobody else needs
//! to know how the file writes them.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Config, VectorRecord};

/// The application id of all recordings.
const APPLICATION_ID: &str = "app";

/// One topology and its recorded runs.
#[derive(Debug, Clone)]
pub struct VectorFile {
    /// Its name, also that of the file.
    pub topology: String,
    /// Streams configs.
    pub config: Config,
    /// The text of `Topology.describe()`.
    pub describe: String,
    /// One per random seed.
    pub runs: Vec<Run>,
}

/// A run from an empty start.
#[derive(Debug, Clone)]
pub struct Run {
    /// The seed of its input.
    pub seed: u64,
    /// What happened, in order.
    pub steps: Vec<Step>,
}

/// One thing done and what came of it.
#[derive(Debug, Clone)]
pub struct Step {
    /// What was done.
    pub action: Action,
    /// What it gave; `None` when the step failed.
    pub expected: Option<super::StepOutput>,
}

/// What a step does.
#[derive(Debug, Clone)]
pub enum Action {
    /// Sends a record to an input topic.
    Pipe(VectorRecord),
    /// Moves the wall clock by this many milliseconds.
    AdvanceWallClock(i64),
}

/// A vector file or folder that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct VectorError {
    path: PathBuf,
    reason: String,
}

impl VectorError {
    pub(super) fn new(path: &Path, reason: String) -> Self {
        Self { path: path.to_owned(), reason }
    }
}

impl VectorFile {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, VectorError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| VectorError::new(path, error.to_string()))?;
        Self::parse(&text).map_err(|reason| VectorError::new(path, reason))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let raw: RawFile = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let inputs = Format { serdes: &raw.inputs, text_headers: true, prefix: "" };
        let outputs = Format { serdes: &raw.outputs, ..inputs };
        let formats = [inputs, outputs];
        let run = |run: RawRun| -> Result<Run, String> {
            let steps = run
                .steps
                .into_iter()
                .map(|step| step.resolve(formats))
                .collect::<Result<_, _>>()?;
            Ok(Run { seed: run.seed, steps })
        };
        Ok(Self {
            runs: raw.runs.into_iter().map(run).collect::<Result<_, _>>()?,
            topology: raw.topology,
            config: raw.config,
            describe: raw.describe,
        })
    }
}

#[derive(Deserialize)]
struct RawFile {
    topology: String,
    config: Config,
    inputs: Vec<Topic>,
    outputs: Vec<Topic>,
    describe: String,
    runs: Vec<RawRun>,
}

#[derive(Deserialize)]
struct Topic {
    #[serde(rename = "topic")]
    name: String,
    key: String,
    value: String,
}

#[derive(Deserialize)]
struct RawRun {
    seed: u64,
    steps: Vec<RawStep>,
}

#[derive(Deserialize)]
struct RawStep {
    pipe: Option<RawRecord>,
    advance_wall_clock_ms: Option<i64>,
    #[serde(default)]
    out: Vec<RawRecord>,
    #[serde(default)]
    changelog: Vec<RawRecord>,
    #[serde(default)]
    internal: Vec<RawRecord>,
    error: Option<String>,
}

/// Topic, key, value, timestamp, headers if there are any.
#[derive(Deserialize)]
struct RawRecord(
    String,
    Option<String>,
    Option<String>,
    Option<i64>,
    #[serde(default)] Vec<(String, Option<String>)>,
);

/// How a list of records is written.
#[derive(Clone, Copy)]
struct Format<'a> {
    /// The serdes of its topics; without them everything is hex.
    serdes: &'a [Topic],
    /// Whether headers are text or hex.
    text_headers: bool,
    /// What the topic name lacks at its beginning.
    prefix: &'a str,
}

impl RawStep {
    fn resolve(self, [inputs, outputs]: [Format<'_>; 2]) -> Result<Step, String> {
        let prefix = format!("{APPLICATION_ID}-");
        let written = Format { serdes: &[], text_headers: false, prefix: &prefix };
        let action = match (self.pipe, self.advance_wall_clock_ms) {
            (Some(record), None) => Action::Pipe(inputs.record(record)?),
            (None, Some(ms)) => Action::AdvanceWallClock(ms),
            _ => return Err("a step is either a record or a move of the clock".to_owned()),
        };
        let mut changelog = written.records(self.changelog)?;
        for record in &mut changelog {
            record.topic.push_str("-changelog");
        }
        let output = super::StepOutput {
            out: outputs.records(self.out)?,
            changelog,
            internal: written.records(self.internal)?,
        };
        Ok(Step { action, expected: self.error.is_none().then_some(output) })
    }
}

impl Format<'_> {
    fn records(self, records: Vec<RawRecord>) -> Result<Vec<VectorRecord>, String> {
        records.into_iter().map(|record| self.record(record)).collect()
    }

    fn record(self, raw: RawRecord) -> Result<VectorRecord, String> {
        let RawRecord(topic, key, value, timestamp, headers) = raw;
        let (text_key, text_value) = if self.serdes.is_empty() {
            (false, false)
        } else {
            let known = self.serdes.iter().find(|known| known.name == topic);
            let serdes = known.ok_or_else(|| format!("topic {topic} has no serdes"))?;
            (serdes.key == "string", serdes.value == "string")
        };
        let headers = headers
            .into_iter()
            .map(|(name, value)| Ok((name, bytes(value, self.text_headers)?)))
            .collect::<Result<_, String>>()?;
        Ok(VectorRecord {
            topic: format!("{}{topic}", self.prefix),
            key: bytes(key, text_key)?,
            value: bytes(value, text_value)?,
            timestamp,
            headers,
        })
    }
}

fn bytes(written: Option<String>, text: bool) -> Result<Option<Vec<u8>>, String> {
    match written {
        Some(written) if text => Ok(Some(written.into_bytes())),
        Some(written) => hex(&written).map(Some),
        None => Ok(None),
    }
}

fn hex(text: &str) -> Result<Vec<u8>, String> {
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes = pairs.map(byte).collect::<Option<Vec<u8>>>();
    bytes.filter(|_| text.len().is_multiple_of(2)).ok_or_else(|| format!("{text} is not hex"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_read_strictly() {
        assert_eq!(hex("00ff").unwrap(), [0, 255]);
        assert_eq!(hex("").unwrap(), Vec::<u8>::new());
        for wrong in ["0", "zz", "0g", "é"] {
            assert_eq!(hex(wrong), Err(format!("{wrong} is not hex")));
        }
    }

    #[test]
    fn record_on_a_topic_without_serdes_is_an_error() {
        let text = r#"{"topology":"t","config":{},"inputs":[{"topic":"in","key":"string",
            "value":"string"}],"outputs":[],"describe":"","runs":[{"seed":1,"steps":[
            {"pipe":["elsewhere",null,null,0]}]}]}"#;
        assert_eq!(VectorFile::parse(text).unwrap_err(), "topic elsewhere has no serdes");
    }

    #[test]
    fn step_that_does_nothing_is_an_error() {
        let text = r#"{"topology":"t","config":{},"inputs":[],"outputs":[],"describe":"",
            "runs":[{"seed":1,"steps":[{}]}]}"#;
        let error = VectorFile::parse(text).unwrap_err();
        assert!(error.starts_with("a step is either"), "{error}");
    }
}
