//! Both topologies, driven record by record.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::sync::Arc;
use std::time::Duration;

use geo_aggregation::country::CountryCode;
use geo_aggregation::geoip::Locator;
use geo_aggregation::model::{LineId, LineKey, LineSource, PageView, Visit, WindowVisits};
use geo_aggregation::topics;
use geo_aggregation::topology::{self, RejectLines};
use geo_aggregation::user_agent::Device;
use kstream::{LogAndContinue, StreamsConfig};
use kstream_test_utils::{TestInputTopic, TopologyTestDriver};

const LINE: &str = r#"193.99.144.80 - - [17/May/2015:12:05:03 +0200] "GET /a?b HTTP/1.1" 200 512 "http://x/" "Mozilla/5.0 (X11; Linux x86_64; rv:135.0) Gecko/20100101 Firefox/135.0""#;
const LINE_MS: i64 = 1_431_857_103_000;

/// Windows of arrival, as the topology has them.
const WINDOW: Duration = Duration::from_secs(5);

fn key(run: u64, number: u64) -> LineKey {
    LineKey(Some(LineId { source: LineSource { run, partition: 2 }, number }))
}

fn code(code: &str) -> CountryCode {
    code.parse().unwrap()
}

fn preprocess() -> TopologyTestDriver {
    let config = StreamsConfig::new("preprocess")
        .deserialization_handler(RejectLines)
        .dead_letter_topic(topics::REJECTED);
    let topology = topology::preprocess(Arc::new(Locator::Embedded)).unwrap();
    TopologyTestDriver::with_config(topology, config).unwrap()
}

fn aggregate() -> TopologyTestDriver {
    let config = StreamsConfig::new("aggregate")
        .deserialization_handler(LogAndContinue)
        .statestore_cache_max_bytes(0);
    TopologyTestDriver::with_config(topology::aggregate().unwrap(), config).unwrap()
}

#[test]
fn line_becomes_a_located_page_view_at_its_own_time() {
    let driver = preprocess();
    let lines = driver.input_topic::<LineKey, String>(topics::RAW_PAGE_VIEWS);
    lines.pipe(key(7, 1), LINE.to_owned()).unwrap();
    let views = driver.output_topic::<CountryCode, PageView>(topics::PAGE_VIEWS);
    let records = views.read_records().unwrap();
    let [record] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!((record.key, record.timestamp), (code("DE"), LINE_MS));
    assert_eq!(
        record.value,
        PageView {
            line: key(7, 1),
            time: LINE_MS,
            ip: Some([193, 99, 144, 80].into()),
            country: code("DE"),
            method: Some("GET".to_owned()),
            path: Some("/a?b".to_owned()),
            status: Some(200),
            bytes: Some(512),
            referer: Some("http://x/".to_owned()),
            browser: Some("Firefox".into()),
            os: Some("Linux".into()),
            device: Device::Desktop,
            bot: false,
        }
    );
}

#[test]
fn private_addresses_and_host_names_are_unknown_countries() {
    let driver = preprocess();
    let lines = driver.input_topic::<LineKey, String>(topics::RAW_PAGE_VIEWS);
    for host in ["10.1.2.3", "crawl.example.org"] {
        lines.pipe(key(7, 1), LINE.replace("193.99.144.80", host)).unwrap();
    }
    let views = driver.output_topic::<CountryCode, PageView>(topics::PAGE_VIEWS);
    let keys: Vec<_> = views.read_records().unwrap().iter().map(|record| record.key).collect();
    assert_eq!(keys, [CountryCode::UNKNOWN; 2]);
}

#[test]
fn line_from_before_the_epoch_is_a_visit() {
    let driver = preprocess();
    let lines = driver.input_topic::<LineKey, String>(topics::RAW_PAGE_VIEWS);
    lines.pipe(key(7, 1), LINE.replace("2015", "1915")).unwrap();
    let views = driver.output_topic::<CountryCode, PageView>(topics::PAGE_VIEWS);
    let records = views.read_records().unwrap();
    assert_eq!((records[0].timestamp, records[0].value.time < 0), (0, true));
}

#[test]
fn line_that_is_no_visit_goes_to_the_dead_letter_topic_with_the_reason() {
    let driver = preprocess();
    let lines = driver.input_topic::<LineKey, Vec<u8>>(topics::RAW_PAGE_VIEWS);
    lines.pipe(key(7, 1), b"not \xff a line".to_vec()).unwrap();
    let views = driver.output_topic::<CountryCode, PageView>(topics::PAGE_VIEWS);
    assert_eq!(views.read_records().unwrap(), []);
    let rejected = driver.output_topic::<LineKey, Vec<u8>>(topics::REJECTED);
    let records = rejected.read_records().unwrap();
    let [record] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!((record.key, record.value.as_slice()), (key(7, 1), &b"not \xff a line"[..]));
    assert_eq!(
        record.headers.last("__streams.errors.message"),
        Some(Some(&b"no timestamp in square brackets"[..]))
    );
}

fn pipe_visits(views: &TestInputTopic<CountryCode, Visit>, visits: &[(&str, LineKey)]) {
    for &(country, line) in visits {
        // Event time is long ago, and plays no part in windows of arrival.
        views.pipe_at(code(country), Visit { line }, LINE_MS).unwrap();
    }
}

#[test]
fn visits_are_counted_by_country_and_repetitions_are_not() {
    let driver = aggregate();
    let views = driver.input_topic::<CountryCode, Visit>(topics::PAGE_VIEWS);
    pipe_visits(&views, &[("US", key(7, 0)), ("DE", key(7, 1)), ("US", key(7, 2))]);
    // A stage died and repeats what it had not committed.
    pipe_visits(&views, &[("DE", key(7, 1)), ("US", key(7, 2)), ("US", key(7, 3))]);
    // The same log imported again is another run.
    pipe_visits(&views, &[("US", key(8, 0)), ("US", LineKey(None))]);
    let totals = driver.output_topic::<CountryCode, i64>(topics::COUNTRY_VISITS);
    let last: std::collections::BTreeMap<_, _> =
        totals.read_key_values().unwrap().into_iter().collect();
    assert_eq!(last, [(code("DE"), 1), (code("US"), 5)].into());
}

#[test]
fn visits_are_counted_by_window_of_arrival() {
    let driver = aggregate();
    driver.advance_wall_clock_time(WINDOW * 2).unwrap();
    let views = driver.input_topic::<CountryCode, Visit>(topics::PAGE_VIEWS);
    pipe_visits(&views, &[("US", key(7, 0)), ("US", key(7, 1))]);
    driver.advance_wall_clock_time(WINDOW).unwrap();
    pipe_visits(&views, &[("US", key(7, 2))]);
    let windows = driver.output_topic::<CountryCode, WindowVisits>(topics::VISIT_WINDOWS);
    let counted: Vec<_> = windows.read_values().unwrap();
    let window = |start_ms, visits| WindowVisits { start_ms, visits };
    assert_eq!(counted, [window(10_000, 1), window(10_000, 2), window(15_000, 1)]);
}

#[test]
fn rejected_lines_are_counted_by_source_and_repetitions_are_not() {
    let driver = aggregate();
    let rejected = driver.input_topic::<LineKey, Vec<u8>>(topics::REJECTED);
    for line in [key(7, 0), key(7, 5), key(7, 5), key(8, 0), LineKey(None)] {
        rejected.pipe(line, b"broken".to_vec()).unwrap();
    }
    let totals = driver.output_topic::<LineSource, i64>(topics::REJECTED_LINES);
    let last: std::collections::BTreeMap<_, _> =
        totals.read_key_values().unwrap().into_iter().collect();
    let source = |run, partition| LineSource { run, partition };
    assert_eq!(last, [(source(0, 0), 1), (source(7, 2), 2), (source(8, 2), 1)].into());
}

#[test]
fn foreign_page_view_counts_and_nonsense_is_passed_over() {
    let driver = aggregate();
    let views = driver.input_topic::<CountryCode, String>(topics::PAGE_VIEWS);
    views.pipe(code("FR"), r#"{"who":"knows"}"#.to_owned()).unwrap();
    views.pipe(code("FR"), "nonsense".to_owned()).unwrap();
    let totals = driver.output_topic::<CountryCode, i64>(topics::COUNTRY_VISITS);
    assert_eq!(totals.read_key_values().unwrap(), [(code("FR"), 1)]);
    assert_eq!(driver.dropped_records(), 1);
}
