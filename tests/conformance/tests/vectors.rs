//! The comparer, fed with drivers that replay a vector file as it is or with one thing changed.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]
#![expect(clippy::panic, reason = "helpers of tests fail like tests")]
#![expect(clippy::indexing_slicing, reason = "the fixture is known")]

use std::cell::Cell;
use std::collections::VecDeque;
use std::path::Path;

use kstream_conformance::vectors::{
    Config, Driver, DriverError, DriverFactory, Outcome, Report, Step, StepOutput, VectorFile,
    VectorRecord, check,
};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");

/// Answers with what is recorded, whatever is asked.
struct Replay {
    describe: String,
    steps: VecDeque<Step>,
}

impl Replay {
    fn next(&mut self) -> Result<StepOutput, DriverError> {
        self.steps.pop_front().unwrap().expected.ok_or_else(|| "as recorded".into())
    }
}

impl Driver for Replay {
    fn describe(&self) -> String {
        self.describe.clone()
    }

    fn pipe(&mut self, _record: &VectorRecord) -> Result<StepOutput, DriverError> {
        self.next()
    }

    fn advance_wall_clock(&mut self, _ms: i64) -> Result<StepOutput, DriverError> {
        self.next()
    }
}

fn replay(file: VectorFile) -> DriverFactory {
    let run = Cell::new(0);
    Box::new(move |_: &Config| {
        let steps = file.runs[run.replace(run.get() + 1)].steps.clone().into();
        Ok(Box::new(Replay { describe: file.describe.clone(), steps }))
    })
}

fn letters() -> VectorFile {
    VectorFile::read(&Path::new(FIXTURES).join("letters.json")).unwrap()
}

/// Checks the fixture against a replay of a changed copy.
fn outcome(change: impl FnOnce(&mut VectorFile)) -> Outcome {
    let mut changed = letters();
    change(&mut changed);
    check(&letters(), Some(&replay(changed)))
}

#[track_caller]
fn fails(change: impl FnOnce(&mut VectorFile), expected: &[&str]) {
    let Outcome::Failed(differences) = outcome(change) else { panic!("it does not fail") };
    let shown: Vec<String> = differences.iter().map(ToString::to_string).collect();
    assert_eq!(shown, expected);
}

/// What a step of the first run wrote.
fn wrote(file: &mut VectorFile, step: usize) -> &mut StepOutput {
    file.runs[0].steps[step].expected.as_mut().unwrap()
}

#[test]
fn replay_passes() {
    assert_eq!(outcome(|_| ()), Outcome::Passed { runs: 2, steps: 6 });
}

#[test]
fn order_between_topics_does_not_matter() {
    let turned = outcome(|file| wrote(file, 2).changelog.reverse());
    assert_eq!(turned, Outcome::Passed { runs: 2, steps: 6 });
}

#[test]
fn words_of_an_exception_do_not_matter() {
    let reworded = outcome(|file| wrote(file, 3).out[0].headers[2].1 = Some("too short".into()));
    assert_eq!(reworded, Outcome::Passed { runs: 2, steps: 6 });
}

#[test]
fn topology_without_driver_is_missing() {
    assert_eq!(check(&letters(), None), Outcome::Missing);
}

#[test]
fn wrong_value_shows_both_records() {
    fails(
        |file| wrote(file, 2).out[0].value = Some("tock".into()),
        &["run with seed 1, step 2: advance the wall clock by 70 ms\n    \
           output topic out\n    \
           expected: \n      out: \"a\" = \"tick\" at 70\n    \
           got: \n      out: \"a\" = \"tock\" at 70"],
    );
}

#[test]
fn lost_record_is_a_difference() {
    fails(
        |file| drop(wrote(file, 2).changelog.remove(0)),
        &["run with seed 1, step 2: advance the wall clock by 70 ms\n    \
           changelog topic app-buffer-changelog\n    \
           expected: \n      app-buffer-changelog: \"a\" = 0xff without time\n    \
           got: nothing"],
    );
}

#[test]
fn surplus_record_is_a_difference() {
    fails(
        |file| {
            let surplus = wrote(file, 0).internal[0].clone();
            wrote(file, 1).internal.push(surplus);
        },
        &["run with seed 1, step 1: pipe in: null = null at 25 [h: \"z\"] [n: null]\n    \
           internal topic app-counts-repartition\n    \
           expected: nothing\n    \
           got: \n      app-counts-repartition: \"a\" = null at 20 [h: \"z\"]"],
    );
}

#[test]
fn order_time_and_headers_matter_within_a_topic() {
    let changes: [fn(&mut VectorFile); 4] = [
        |file| wrote(file, 0).out.reverse(),
        |file| wrote(file, 0).changelog[0].timestamp = Some(21),
        |file| wrote(file, 0).internal[0].headers.clear(),
        |file| wrote(file, 3).out[0].headers[3].1 = Some("elsewhere".into()),
    ];
    for change in changes {
        assert!(matches!(outcome(change), Outcome::Failed(differences) if differences.len() == 1));
    }
}

#[test]
fn step_must_fail_where_it_is_recorded_so_and_nowhere_else() {
    fails(
        |file| file.runs[0].steps[4].expected = Some(StepOutput::default()),
        &["run with seed 1, step 4: pipe in: \"e\" = 0x00 at 60\n    it should fail"],
    );
    fails(
        |file| file.runs[1].steps[0].expected = None,
        &["run with seed 2, step 0: pipe in: \"a\" = 0x0000000000000002 at 5\n    \
           it fails: as recorded"],
    );
}

#[test]
fn description_is_compared_once() {
    fails(
        |file| file.describe = file.describe.replace("[counts]", "[]"),
        &["description\n    count: expected stores or topics {\"counts\"}, got {}"],
    );
}

#[test]
fn driver_that_cannot_be_built_or_panics_fails_each_run() {
    let broken: DriverFactory = Box::new(|_| Err("no such operator".into()));
    let Outcome::Failed(differences) = check(&letters(), Some(&broken)) else { panic!() };
    assert_eq!(differences.len(), 2);
    assert_eq!(differences[0].what, "it cannot be built: no such operator");
    let panicking: DriverFactory = Box::new(|_| panic!("on purpose"));
    let Outcome::Failed(differences) = check(&letters(), Some(&panicking)) else { panic!() };
    assert_eq!(differences[1].to_string(), "run with seed 2\n    it panics");
}

#[test]
fn report_counts_and_names() {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(Path::new(FIXTURES).join("letters.json")).unwrap();
    for name in ["a", "b", "c"] {
        let renamed = text.replace("\"letters\"", &format!("\"{name}\""));
        std::fs::write(folder.path().join(format!("{name}.json")), renamed).unwrap();
    }
    let topology = |name: &str| -> Option<DriverFactory> {
        let mut file = letters();
        match name {
            "a" => Some(replay(file)),
            "b" => {
                wrote(&mut file, 2).out.clear();
                Some(replay(file))
            }
            _ => None,
        }
    };
    let report = Report::of_folder(folder.path(), &[], topology).unwrap();
    assert_eq!(report.failed(), 1);
    let shown = report.to_string();
    assert!(shown.starts_with("passed   a: 2 runs, 6 steps\nfailed   b: 1 differences"), "{shown}");
    assert!(shown.ends_with("missing  c\n1 passed, 1 failed, 1 missing of 3"), "{shown}");

    let only = Report::of_folder(folder.path(), &["c".to_owned()], topology).unwrap();
    assert_eq!(only.outcomes(), [("c".to_owned(), Outcome::Missing)]);
    let unknown = Report::of_folder(folder.path(), &["d".to_owned()], topology).unwrap_err();
    assert!(unknown.to_string().ends_with("no topology named d"), "{unknown}");
}

#[test]
fn every_recorded_run_at_hand_replays() {
    let named = std::env::var("CONFORMANCE_VECTORS");
    let folder = named.unwrap_or_else(|_| format!("{FIXTURES}/../../../../../shared/conformance"));
    // A clone of the repository alone has none.
    let folder = if Path::new(&folder).is_dir() { folder } else { FIXTURES.to_owned() };
    let path = |name: &str| Path::new(&folder).join(format!("{name}.json"));
    let report = Report::of_folder(Path::new(&folder), &[], |name| {
        Some(replay(VectorFile::read(&path(name)).unwrap()))
    });
    let report = report.unwrap();
    assert!(!report.outcomes().is_empty());
    assert_eq!(report.failed(), 0, "{report}");
}
