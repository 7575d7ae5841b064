//! The page in a real browser, beside its API.

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use kstream_test_support::{Chromium, Process, free_port, wait_until};

use crate::program::{PATIENCE, STOP, Workplace, count_independently};

const WIDE: (u32, u32) = (1280, 900);
const PHONE: (u32, u32) = (390, 844);

/// A text of the page without the marks between groups of digits.
fn number_of(id: &str) -> String {
    format!("Number(document.getElementById('{id}').textContent.replace(/\\D/g, ''))")
}

fn get(address: &str, path: &str) -> Option<serde_json::Value> {
    let mut stream = TcpStream::connect(address).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
}

/// `all` following a log, with its page; gives the page's address.
fn start(workplace: &Workplace, log: &str) -> (Process, String) {
    let address = format!("127.0.0.1:{}", free_port().unwrap());
    let arguments = ["all", "--log", log, "--follow", "--listen", &address];
    let program = workplace.start("all", &arguments);
    wait_until(PATIENCE, "the page is served", || get(&address, "/api/countries").is_some())
        .unwrap();
    (program, address)
}

#[test]
fn page_shows_the_totals_of_the_api_and_updates_by_itself() {
    let workplace = Workplace::new();
    let log = workplace.sample(5_000);
    let (mut program, address) = start(&workplace, log.to_str().unwrap());
    let expected = count_independently(&log);
    let total: u64 = expected.visits.values().sum();

    let mut browser = Chromium::start().unwrap();
    let mut page = browser.open(&format!("http://{address}/")).unwrap();
    page.resize(WIDE.0, WIDE.1).unwrap();
    page.wait_for(&format!("{} === {total}", number_of("total")), PATIENCE).unwrap();
    let api = get(&address, "/api/countries").unwrap();
    assert_eq!(api["total"], total);
    assert_eq!(page.evaluate(&number_of("rejected")).unwrap(), api["rejected"]);
    assert_eq!(page.evaluate(&number_of("unlocated")).unwrap(), expected.visits["ZZ"]);
    let shown = "[...document.querySelectorAll('#rows tr')].map(row => \
         row.querySelector('.code').textContent + ' ' + \
         row.querySelector('.visits').textContent.replace(/\\D/g, ''))";
    let row = |row: &serde_json::Value| {
        serde_json::json!(format!("{} {}", row["code"].as_str().unwrap(), row["visits"]))
    };
    let rows: Vec<_> = api["countries"].as_array().unwrap().iter().map(row).collect();
    assert_eq!(page.evaluate(shown).unwrap(), serde_json::Value::Array(rows));

    let line = r#"193.99.144.80 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 5"#;
    let mut file = OpenOptions::new().append(true).open(&log).unwrap();
    page.evaluate("window.sameDocument = true").unwrap();
    writeln!(file, "{line}\n{line}\nbroken").unwrap();
    page.wait_for(&format!("{} === {}", number_of("total"), total + 2), PATIENCE).unwrap();
    let rejected = format!("{} === {}", number_of("rejected"), expected.rejected + 1);
    page.wait_for(&rejected, PATIENCE).unwrap();
    assert_eq!(page.evaluate("window.sameDocument").unwrap(), true);
    page.wait_for("document.getElementById('status').textContent === 'live'", PATIENCE).unwrap();

    page.resize(PHONE.0, PHONE.1).unwrap();
    let overflow = "document.documentElement.scrollWidth > innerWidth";
    assert_eq!(page.evaluate(overflow).unwrap(), false);
    assert_eq!(page.problems(), &[] as &[String]);
    for request in page.requests() {
        assert!(request.starts_with(&format!("http://{address}/")) || request.starts_with("data:"));
    }
    assert!(program.terminate(STOP).unwrap().success());
}

#[test]
fn page_finds_its_server_again() {
    let workplace = Workplace::new();
    let log = workplace.sample(500);
    let log = log.to_str().unwrap();
    let (mut program, address) = start(&workplace, log);
    let mut browser = Chromium::start().unwrap();
    let mut page = browser.open(&format!("http://{address}/")).unwrap();
    let status = "document.getElementById('status').textContent";
    page.wait_for(&format!("{status} === 'live'"), PATIENCE).unwrap();
    program.kill().unwrap();
    page.wait_for(&format!("{status} === 'reconnecting'"), PATIENCE).unwrap();
    let arguments = ["all", "--log", log, "--follow", "--listen", &address];
    let mut again = workplace.start("again", &arguments);
    page.wait_for(&format!("{status} === 'live'"), PATIENCE).unwrap();
    assert!(again.terminate(STOP).unwrap().success());
}
