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
const BOT_MARKS: [&str; 23] = [
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
    "+http",
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
        f.debug_struct("UserAgentParser").field("cached", &self.cache.len()).finish_non_exhaustive()
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
        // Cubot makes phones.
        let lower = agent.to_ascii_lowercase().replace("cubot", "");
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(agent: &str, expected: (Option<&str>, Option<&str>, Device, bool)) {
        let parsed = UserAgentParser::default().parse(Some(agent));
        let UserAgent { browser, os, device, bot } = &parsed;
        assert_eq!((browser.as_deref(), os.as_deref(), *device, *bot), expected, "{agent}");
    }

    #[test]
    fn browsers_of_today_are_known() {
        check(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
             Chrome/133.0.0.0 Safari/537.36 Edg/133.0.0.0",
            (Some("Edge"), Some("Windows 10"), Device::Desktop, false),
        );
        check(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, \
             like Gecko) Version/18.3 Mobile/15E148 Safari/604.1",
            (Some("Safari"), Some("iPhone"), Device::Mobile, false),
        );
        check(
            "Mozilla/5.0 (Linux; Android 9; CUBOT_X19) AppleWebKit/537.36 (KHTML, like Gecko) \
             Chrome/133.0.0.0 Mobile Safari/537.36",
            (Some("Chrome"), Some("Android"), Device::Mobile, false),
        );
        check(
            "Mozilla/5.0 (X11; Linux x86_64; rv:135.0) Gecko/20100101 Firefox/135.0",
            (Some("Firefox"), Some("Linux"), Device::Desktop, false),
        );
    }

    #[test]
    fn programs_are_bots() {
        let google = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
        check(google, (Some("Googlebot"), None, Device::Other, true));
        let mut parser = UserAgentParser::default();
        for agent in [
            "curl/8.12.1",
            "Wget/1.21",
            "python-requests/2.32.3",
            "Go-http-client/2.0",
            "Mozilla/5.0 (compatible; GPTBot/1.2; +https://openai.com/gptbot)",
            "UniversalFeedParser/4.2-pre-314-svn +http://feedparser.org/",
        ] {
            assert!(parser.parse(Some(agent)).bot, "{agent}");
        }
    }

    #[test]
    fn visitor_without_an_agent_is_unknown() {
        let unknown = UserAgent { browser: None, os: None, device: Device::Other, bot: false };
        for agent in [None, Some(""), Some("-")] {
            assert_eq!(UserAgentParser::default().parse(agent), unknown);
        }
    }

    #[test]
    fn second_answer_is_the_first() {
        let mut parser = UserAgentParser::default();
        let first = parser.parse(Some("curl/8.12.1"));
        assert_eq!(parser.cache.len(), 1);
        assert_eq!(parser.parse(Some("curl/8.12.1")), first);
        assert_eq!(parser.cache.len(), 1);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(agent in "\\PC{0,80}") {
            UserAgentParser::default().parse(Some(&agent));
        }

        /// Parts of real agents in any order and cut anywhere: what the parser's patterns look for.
        #[test]
        fn no_mixture_of_known_parts_makes_it_panic(
            parts in proptest::collection::vec(proptest::sample::select(vec![
                "Mozilla/5.0 (", "compatible; MSIE ", "Windows NT 10.0", "Trident/", "Android ",
                "iPhone; CPU", "DoCoMo/2.0 ", "KDDI-", "UP.Browser/", "J-PHONE/", "BlackBerry9000/",
                "Version/", "Opera ", "Opera/", "Chrome/", "Safari/", "Firefox/", "PSP (PlayStation",
                "Nintendo DSi", "Googlebot", "(", ")", ";", "/", "1.0", "\u{3b1}", "bot",
            ]), 0..8),
            cut in 0_usize..60,
        ) {
            let agent: String = parts.concat().chars().take(cut).collect();
            UserAgentParser::default().parse(Some(&agent));
        }
    }
}
