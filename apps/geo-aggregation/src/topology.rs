//! The two topologies: raw lines become page views, and page views become totals.
//!
//! Both are pure: they need neither broker nor threads, so a test can drive them.

use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use kstream::serdes::{ArcSerde, DefaultSerde as _, Serde, SerdeError};
use kstream::{
    BuiltInTimestampExtractor, Consumed, DeserializationHandler, ErrorContext, Grouped,
    HandlerResponse, Materialized, StoreType, StreamsBuilder, TimeWindows, TimestampExtractor,
    Topology, TopologyErrors, Windowed,
};

use crate::access_log::{self, AccessLine};
use crate::country::CountryCode;
use crate::geoip::Locator;
use crate::model::{LineKey, LineSource, PageView, Visit, WindowVisits};
use crate::tally::Tally;
use crate::topics;
use crate::totals::WINDOW_MS;
use crate::user_agent::UserAgentParser;

/// The name of the grouping of rejected lines, from which the framework makes a topic's name.
pub const REJECTED_BY_SOURCE: &str = "rejected-by-source";

/// Records may come this much later than others of their window and still count for the rate. Time
/// is that of arrival, so only a clock that is set back makes a record late.
const WINDOW_GRACE: Duration = Duration::from_secs(5);

thread_local! {
    /// One cache per stream thread: none waits for another.
    static USER_AGENTS: RefCell<UserAgentParser> = RefCell::default();
}

/// Raw lines → page views by country. Lines that cannot be parsed are bad records, which the
/// [handler](RejectLines) sends to the dead-letter topic.
///
/// # Errors
/// A mistake in this function.
pub fn preprocess(locator: Arc<Locator>) -> Result<Topology, TopologyErrors> {
    let builder = StreamsBuilder::new();
    let lines: ArcSerde<LogLine> = Arc::new(LogLineSerde);
    let consumed = Consumed::with(LineKey::default_serde(), lines)
        .with_name("raw-lines")
        .with_timestamp_extractor(TimestampExtractor::record(|_: &LineKey, line: &LogLine, _| {
            // Timestamps of records are never negative.
            line.time_ms.max(0)
        }));
    builder
        .stream_with(topics::RAW_PAGE_VIEWS, consumed)
        .map(move |key, line| page_view(&locator, key, line))
        .to(topics::PAGE_VIEWS);
    builder.build()
}

/// Page views → totals by country and by window of arrival; rejected lines → totals by source.
///
/// # Errors
/// A mistake in this function.
pub fn aggregate() -> Result<Topology, TopologyErrors> {
    let builder = StreamsBuilder::new();
    let arrivals = Consumed::<CountryCode, Visit>::named("page-views")
        .with_timestamp_extractor(BuiltInTimestampExtractor::WallClock);
    let visits = builder.stream_with(topics::PAGE_VIEWS, arrivals).group_by_key();
    visits
        .aggregate_with(
            Tally::default,
            |_country, visit, tally| tally.with(visit.line),
            "count-by-country",
            Materialized::named("visits-by-country"),
        )
        .to_stream()
        .map_values(|tally: Option<Tally>| total(tally.as_ref()))
        .to(topics::COUNTRY_VISITS);

    // A rate that starts anew after a failure is no loss, so these rows need neither disk nor
    // changelog.
    let rows = Materialized::named("visits-by-window")
        .with_store_type(StoreType::InMemory)
        .with_logging_disabled();
    let window = Duration::from_millis(WINDOW_MS.unsigned_abs());
    visits
        .windowed_by(TimeWindows::of_size_and_grace(window, WINDOW_GRACE))
        .count_with("count-by-window", rows)
        .to_stream()
        .map(|windowed: Windowed<CountryCode>, visits: Option<i64>| {
            let visits = visits.unwrap_or(0).unsigned_abs();
            (windowed.key, WindowVisits { start_ms: windowed.window.start, visits })
        })
        .to(topics::VISIT_WINDOWS);

    count_rejected(&builder);
    builder.build()
}

fn count_rejected(builder: &StreamsBuilder) {
    let ignored: ArcSerde<IgnoredValue> = Arc::new(IgnoredSerde);
    let consumed = Consumed::with(LineKey::default_serde(), ignored).with_name("rejected-lines");
    builder
        .stream_with(topics::REJECTED, consumed)
        .map(|key: LineKey, _| (key.source(), Visit { line: key }))
        .group_by_key_with(Grouped::named(REJECTED_BY_SOURCE))
        .aggregate_with(
            Tally::default,
            |_source: &LineSource, rejected, tally| tally.with(rejected.line),
            "count-rejected",
            Materialized::named("rejected-by-source"),
        )
        .to_stream()
        .map_values(|tally: Option<Tally>| total(tally.as_ref()))
        .to(topics::REJECTED_LINES);
}

fn total(tally: Option<&Tally>) -> i64 {
    i64::try_from(tally.map_or(0, Tally::count)).unwrap_or(i64::MAX)
}

/// Locates the visitor and recognizes the user agent.
fn page_view(locator: &Locator, key: LineKey, line: LogLine) -> (CountryCode, PageView) {
    let country = line.ip.map_or(CountryCode::UNKNOWN, |ip| locator.locate(ip));
    let agent = USER_AGENTS.with_borrow_mut(|agents| agents.parse(line.user_agent.as_deref()));
    let view = PageView {
        line: key,
        time: line.time_ms,
        ip: line.ip,
        country,
        method: line.method,
        path: line.path,
        status: line.status,
        bytes: line.bytes,
        referer: line.referer,
        browser: agent.browser,
        os: agent.os,
        device: agent.device,
        bot: agent.bot,
    };
    (country, view)
}

/// What a page view takes from an access log line.
#[derive(Debug, Clone)]
struct LogLine {
    time_ms: i64,
    ip: Option<IpAddr>,
    method: Option<String>,
    path: Option<String>,
    status: Option<u16>,
    bytes: Option<u64>,
    referer: Option<String>,
    user_agent: Option<String>,
}

impl From<AccessLine<'_>> for LogLine {
    fn from(line: AccessLine<'_>) -> Self {
        Self {
            time_ms: line.time_ms,
            ip: line.ip,
            method: line.request.method.map(Into::into),
            path: line.request.path.map(Into::into),
            status: line.status,
            bytes: line.bytes,
            referer: line.referer.map(Into::into),
            user_agent: line.user_agent.map(Into::into),
        }
    }
}

/// Parses lines as they are read from the topic, so that a line is copied only where it is kept.
struct LogLineSerde;

impl Serde<LogLine> for LogLineSerde {
    fn serialize(&self, _: &LogLine, _: &mut Vec<u8>) -> Result<(), SerdeError> {
        Err("access log lines are read, never written".into())
    }

    fn deserialize(&self, bytes: &[u8]) -> Result<LogLine, SerdeError> {
        Ok(access_log::parse(bytes)?.into())
    }
}

/// A value that does not matter.
#[derive(Debug, Clone)]
struct IgnoredValue;

struct IgnoredSerde;

impl Serde<IgnoredValue> for IgnoredSerde {
    fn serialize(&self, _: &IgnoredValue, _: &mut Vec<u8>) -> Result<(), SerdeError> {
        Ok(())
    }

    fn deserialize(&self, _: &[u8]) -> Result<IgnoredValue, SerdeError> {
        Ok(IgnoredValue)
    }

    fn null(&self) -> Option<IgnoredValue> {
        Some(IgnoredValue)
    }
}

/// Lets lines that are no visit go to the dead-letter topic. They are counted from there, so a log of
/// something else does not fill this program's own log.
#[derive(Debug, Clone, Copy, Default)]
pub struct RejectLines;

impl DeserializationHandler for RejectLines {
    fn handle(&self, context: &ErrorContext<'_>, error: &SerdeError) -> HandlerResponse {
        tracing::debug!(
            partition = context.metadata.partition,
            offset = context.metadata.offset,
            %error,
            "line rejected"
        );
        HandlerResponse::resume()
    }
}
