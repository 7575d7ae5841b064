//! Feeds the recorded input to a driver and finds the first difference of each run.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::description::difference;
use super::{Action, Driver, DriverFactory, Run, Step, StepOutput, VectorFile, VectorRecord};

/// What became of one topology.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing differs in this many runs and steps.
    Passed {
        /// How many runs were compared.
        runs: usize,
        /// How many steps they have.
        steps: usize,
    },
    /// The description or at least one run differs; at most one difference per run.
    Failed(Vec<Difference>),
    /// Nobody has built it yet.
    Missing,
}

/// The first difference of a run, or one of the description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where: the run, the step and what it does.
    pub place: String,
    /// What: expected and got.
    pub what: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n    {}", self.place, self.what.replace('\n', "\n    "))
    }
}

/// Compares a topology with its recorded runs. The factory is called once per run.
pub fn check(file: &VectorFile, factory: Option<&DriverFactory>) -> Outcome {
    let Some(factory) = factory else { return Outcome::Missing };
    let mut differences = Vec::new();
    for (index, run) in file.runs.iter().enumerate() {
        // A panic is a failure of this topology, not of the whole report.
        let checked = catch_unwind(AssertUnwindSafe(|| {
            check_run(file, run, factory, index == 0, &mut differences);
        }));
        if checked.is_err() {
            differences.push(Difference { place: run.place(), what: "it panics".to_owned() });
        }
    }
    if differences.is_empty() {
        let steps = file.runs.iter().map(|run| run.steps.len()).sum();
        Outcome::Passed { runs: file.runs.len(), steps }
    } else {
        Outcome::Failed(differences)
    }
}

fn check_run(
    file: &VectorFile,
    run: &Run,
    factory: &DriverFactory,
    describe: bool,
    differences: &mut Vec<Difference>,
) {
    let mut driver = match factory(&file.config) {
        Ok(driver) => driver,
        Err(error) => {
            let what = format!("it cannot be built: {error}");
            return differences.push(Difference { place: run.place(), what });
        }
    };
    if describe && let Some(what) = difference(&file.describe, &driver.describe()) {
        differences.push(Difference { place: "description".to_owned(), what });
    }
    for (index, step) in run.steps.iter().enumerate() {
        if let Some(what) = step.check(driver.as_mut()) {
            let place = format!("{}, step {index}: {}", run.place(), step.action);
            return differences.push(Difference { place, what });
        }
    }
}

impl Run {
    fn place(&self) -> String {
        format!("run with seed {}", self.seed)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pipe(record) => write!(f, "pipe {record}"),
            Self::AdvanceWallClock(ms) => write!(f, "advance the wall clock by {ms} ms"),
        }
    }
}

impl Step {
    fn check(&self, driver: &mut dyn Driver) -> Option<String> {
        let got = match &self.action {
            Action::Pipe(record) => driver.pipe(record),
            Action::AdvanceWallClock(ms) => driver.advance_wall_clock(*ms),
        };
        match (&self.expected, got) {
            (Some(expected), Ok(got)) => expected.difference(&got),
            (Some(_), Err(error)) => Some(format!("it fails: {error}")),
            (None, Ok(_)) => Some("it should fail".to_owned()),
            (None, Err(_)) => None,
        }
    }
}

impl StepOutput {
    fn difference(&self, got: &Self) -> Option<String> {
        differing_topic("output", &self.out, &got.out)
            .or_else(|| differing_topic("changelog", &self.changelog, &got.changelog))
            .or_else(|| differing_topic("internal", &self.internal, &got.internal))
    }
}

/// Compares topic by topic; shows all that the step wrote to the first topic that differs.
fn differing_topic(kind: &str, expected: &[VectorRecord], got: &[VectorRecord]) -> Option<String> {
    let (expected, mut got) = (by_topic(expected), by_topic(got));
    for (topic, records) in &mut got {
        // Kafka Streams leaves the time of these records to the broker.
        let untimed =
            expected.get(topic).into_iter().flatten().map(|record| record.timestamp.is_none());
        for (record, untimed) in records.iter_mut().zip(untimed) {
            record.timestamp = record.timestamp.filter(|_| !untimed);
        }
    }
    let topic =
        expected.keys().chain(got.keys()).find(|topic| expected.get(*topic) != got.get(*topic))?;
    let show = |records: Option<&Vec<VectorRecord>>| match records {
        None => "nothing".to_owned(),
        Some(records) => {
            records.iter().map(|record| format!("\n  {record}")).collect::<Vec<_>>().concat()
        }
    };
    let (expected, got) = (show(expected.get(topic)), show(got.get(topic)));
    Some(format!("{kind} topic {topic}\nexpected: {expected}\ngot: {got}"))
}

fn by_topic(records: &[VectorRecord]) -> BTreeMap<&str, Vec<VectorRecord>> {
    let mut topics: BTreeMap<&str, Vec<VectorRecord>> = BTreeMap::new();
    for record in records {
        topics.entry(&record.topic).or_default().push(record.comparable());
    }
    topics
}
