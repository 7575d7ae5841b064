//! PostgreSQL as the database, also while it is away.

use std::fs::OpenOptions;
use std::io::Write as _;

use kstream_test_support::{PostgresServer, wait_until};

use crate::program::{PATIENCE, STOP, Workplace, count_independently, counted, read_totals};

#[test]
fn totals_reach_a_database_that_was_away() {
    let mut postgres = PostgresServer::start().unwrap();
    let url = postgres.url();
    let workplace = Workplace::new();
    let log = workplace.sample(2_000);
    let first = count_independently(&log);
    let arguments = [
        "all",
        "--log",
        log.to_str().unwrap(),
        "--follow",
        "--database",
        &url,
        "--interval",
        "200ms",
        "--listen",
        "127.0.0.1:0",
    ];
    let mut program = workplace.start("all", &arguments);
    let reads = |expected| move |url: &str| counted(&read_totals(url)) == expected;
    let has_first = reads(first);
    wait_until(PATIENCE, "the first totals are written", || has_first(&url)).unwrap();

    postgres.stop().unwrap();
    let line = r#"193.99.144.80 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 5"#;
    let mut file = OpenOptions::new().append(true).open(&log).unwrap();
    writeln!(file, "{line}").unwrap();
    let log_text = || std::fs::read_to_string(program.log()).unwrap();
    wait_until(PATIENCE, "a write has failed", || {
        log_text().contains("totals wait for the database")
    })
    .unwrap();
    postgres.restart().unwrap();
    let has_second = reads(count_independently(&log));
    let url = postgres.url();
    wait_until(PATIENCE, "the totals are written after all", || has_second(&url)).unwrap();
    assert!(program.terminate(STOP).unwrap().success());
}
