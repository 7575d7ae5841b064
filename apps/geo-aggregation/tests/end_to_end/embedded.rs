//! `all` on the embedded broker.

use std::path::Path;

use crate::program::{Workplace, count_independently, counted, real_log};

/// The real log's lines, all of which a person would call visits.
const REAL_LINES: u64 = 10_000;

#[track_caller]
fn check(workplace: &Workplace, log: &Path) -> String {
    let log_argument = log.to_str().unwrap();
    let printed = workplace.run_well(&["all", "--log", log_argument, "--exit-when-done"]);
    let expected = count_independently(log);
    assert_eq!(counted(&workplace.totals()), expected);
    let total: u64 = expected.visits.values().sum();
    let summary = printed.lines().last().unwrap();
    assert!(summary.starts_with(&format!("{total} visits from ")), "{summary}");
    assert!(summary.ends_with(&format!("; {} lines rejected", expected.rejected)), "{summary}");
    for (code, visits) in &expected.visits {
        let row = printed.lines().find(|line| line.starts_with(code)).unwrap();
        assert!(row.contains(&format!(" {visits} ")), "{row}");
    }
    summary.to_owned()
}

#[test]
fn sample_is_counted_exactly_also_the_second_time() {
    let workplace = Workplace::new();
    let log = workplace.sample(60_000);
    let first = check(&workplace, &log);
    assert_eq!(check(&workplace, &log), first);
}

#[test]
fn smaller_log_after_a_larger_one_is_counted_for_itself() {
    let workplace = Workplace::new();
    check(&workplace, &workplace.sample(5_000));
    check(&workplace, &workplace.sample(1_000));
}

#[test]
fn real_log_is_counted_exactly_and_no_line_is_rejected() {
    let Some(log) = real_log() else { return };
    let summary = check(&Workplace::new(), &log);
    assert!(summary.starts_with(&format!("{REAL_LINES} visits")), "{summary}");
    assert!(summary.ends_with("; 0 lines rejected"), "{summary}");
}

#[test]
fn log_of_something_else_is_rejected_line_by_line() {
    let workplace = Workplace::new();
    let log = workplace.path("other.log");
    let line = "Jan  1 00:00:00 host daemon[17]: started\n";
    std::fs::write(&log, line.repeat(3_000)).unwrap();
    let summary = check(&workplace, &log);
    assert_eq!(summary, "0 visits from 0 countries, 0 of them unlocated; 3000 lines rejected");
}

#[test]
fn empty_log_is_an_empty_table() {
    let workplace = Workplace::new();
    let log = workplace.path("empty.log");
    std::fs::write(&log, "").unwrap();
    let summary = check(&workplace, &log);
    assert_eq!(summary, "0 visits from 0 countries, 0 of them unlocated; 0 lines rejected");
}
