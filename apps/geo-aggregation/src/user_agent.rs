//! From a user agent to browser, operating system, device class and whether it is a bot.
//!
//! A log has few distinct user agents and many lines, so answers are kept in a bounded cache. The
//! cache has one owner: each stream thread has its own, and none waits for another.

use std::sync::Arc;

use quick_cache::unsync::Cache;
use woothee::parser::{Parser, WootheeResult};

/// How many user agents a cache keeps; about a kilobyte each.
const CACHED_AGENTS: usize = 4096;

/// Longer user agents are cut: nothing behind this tells a browser, and anyone may send megabytes.
const MAX_AGENT_BYTES: usize = 1024;

/// What a user agent says about the visitor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserAgent {
    /// The browser's or the crawler's name; `None` if unknown.
    pub browser: Option<Arc<str>>,
    /// The operating system; `None` if unknown.
    pub os: Option<Arc<str>>,
    /// The kind of device.
    pub device: Device,
    /// Whether it is a program that nobody sits in front of.
    pub bot: bool,
}

/// The kind of device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// A desktop or laptop computer.
    Desktop,
    /// A smartphone or tablet.
    Mobile,
    /// A phone from before the smartphones.
    Phone,
    /// A game console or a television.
    Appliance,
    /// None, as for bots.
    Other,
}

/// Names programs that the parser does not count among crawlers: HTTP libraries, command line tools,
/// feed readers, monitors.
const BOT_MARKS: [&str; 22] = [
    "bot",
    "crawl",
    "spider",
    "slurp",
    "curl/",
    "wget/",
    "python",
    "java/",
    "libwww",
    "ruby",
    "go-http-client",
    "httpclient",
    "okhttp",
    "feed",
    "rss",
    "monitor",
    "scrapy",
    "headless",
    "archiver",
    "validator",
    "preview",
    "fetch",
];

/// Reads user agents, remembering what it has read.
pub struct UserAgentParser {
    parser: Parser,
    cache: Cache<Box<str>, UserAgent>,
}

impl Default for UserAgentParser {
    fn default() -> Self {
        Self { parser: Parser::new(), cache: Cache::new(CACHED_AGENTS) }
    }
}

impl std::fmt::Debug for UserAgentParser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserAgentParser").field("cached", &self.cache.len()).finish()
    }
}

impl UserAgentParser {
    /// What the user agent says; a visitor without one is unknown.
    pub fn parse(&mut self, agent: Option<&str>) -> UserAgent {
        let agent = cut(agent.unwrap_or(""));
        if let Some(known) = self.cache.get(agent) {
            return known.clone();
        }
        let parsed = UserAgent::from_parser(self.parser.parse(agent).as_ref(), agent);
        self.cache.insert(agent.into(), parsed.clone());
        parsed
    }
}

fn cut(agent: &str) -> &str {
    agent.get(..agent.floor_char_boundary(MAX_AGENT_BYTES)).unwrap_or(agent)
}

impl UserAgent {
    fn from_parser(result: Option<&WootheeResult<'_>>, agent: &str) -> Self {
        let lower = agent.to_ascii_lowercase();
        let marked = BOT_MARKS.iter().any(|mark| lower.contains(mark));
        let Some(result) = result else {
            return Self { browser: None, os: None, device: Device::Other, bot: marked };
        };
        let bot = result.category == "crawler" || marked;
        let device = match result.category {
            "pc" => Device::Desktop,
            "smartphone" => Device::Mobile,
            "mobilephone" => Device::Phone,
            "appliance" => Device::Appliance,
            _ => Device::Other,
        };
        Self {
            browser: unless_unknown(result.name),
            os: unless_unknown(result.os),
            device: if bot { Device::Other } else { device },
            bot,
        }
    }
}

fn unless_unknown(name: &str) -> Option<Arc<str>> {
    (!name.is_empty() && name != woothee::woothee::VALUE_UNKNOWN).then(|| name.into())
}
