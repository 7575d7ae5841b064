//! The real access log, line by line.

use std::path::PathBuf;

use geo_aggregation::access_log;
use geo_aggregation::country::CountryCode;
use geo_aggregation::geoip::Locator;
use geo_aggregation::user_agent::UserAgentParser;

/// The real log, where the shared data are; `None` elsewhere.
fn real_log() -> Option<Vec<u8>> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let folder = std::env::var_os("KSTREAM_SHARED_DATA")
        .map_or_else(|| PathBuf::from(root).join("../shared/data"), PathBuf::from);
    std::fs::read(folder.join("apache_access.log")).ok()
}

#[test]
fn every_line_of_the_real_log_is_a_visit_with_an_address_and_nearly_all_have_a_country() {
    let Some(log) = real_log() else { return };
    let mut agents = UserAgentParser::default();
    let (mut lines, mut unlocated, mut bots, mut browsers) = (0, 0, 0, 0);
    for line in log.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        let view = access_log::parse(line).unwrap();
        lines += 1;
        unlocated +=
            usize::from(Locator::Embedded.locate(view.ip.unwrap()) == CountryCode::UNKNOWN);
        let agent = agents.parse(view.user_agent.as_deref());
        bots += usize::from(agent.bot);
        browsers += usize::from(agent.browser.is_some());
    }
    assert_eq!(lines, log.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).count());
    eprintln!("{lines} {unlocated} {bots} {browsers}");
}
