//! A made-up access log that looks like a real one: the same seed gives the same lines.
//!
//! Visitors come from address ranges that the embedded database knows, a few countries send most of
//! them, some are bots, some sit in private networks, and some lines are broken.

mod places;
mod words;

use std::io::{self, Write};

use fastrand::Rng;
use jiff::tz::Offset;

use places::Places;
use words::{AGENTS, BOTS, PATHS, REFERERS};

/// When the first line was written: 1 March 2026, 00:00 UTC, in milliseconds since the epoch.
const FIRST_MS: i64 = 1_772_323_200_000;

/// Time between two lines is below this.
const MAX_GAP_MS: i64 = 400;

/// One line in this many is broken.
const BROKEN_ONE_IN: u32 = 500;

/// One line in this many has no referer and no agent, as in Common Log Format.
const COMMON_ONE_IN: u32 = 200;

/// One visitor in this many is a bot.
const BOT_ONE_IN: u32 = 6;

/// A visitor comes back this often on average, so this many lines need one visitor.
const LINES_PER_VISITOR: u64 = 12;

/// Writes `lines` lines.
///
/// # Errors
/// The output cannot be written.
pub fn write(out: &mut impl Write, lines: u64, seed: u64) -> io::Result<()> {
    let mut rng = Rng::with_seed(seed);
    let places = Places::probe(&mut rng);
    let visitors: Vec<Visitor> = (0..(lines / LINES_PER_VISITOR).clamp(50, 100_000))
        .map(|_| Visitor::draw(&mut rng, &places))
        .collect();
    let mut time_ms = FIRST_MS;
    let mut line = Vec::with_capacity(512);
    for _ in 0..lines {
        time_ms += rng.i64(0..MAX_GAP_MS);
        line.clear();
        if let Some(visitor) = pick_skewed(&mut rng, &visitors) {
            visitor.write_line(&mut line, &mut rng, time_ms)?;
        }
        if rng.u32(0..BROKEN_ONE_IN) == 0 {
            damage(&mut line, &mut rng);
        }
        line.push(b'\n');
        out.write_all(&line)?;
    }
    Ok(())
}

/// Someone who comes again and again with the same address and browser.
struct Visitor {
    address: String,
    agent: &'static str,
    user: &'static str,
}

impl Visitor {
    fn draw(rng: &mut Rng, places: &Places) -> Self {
        let agents: &[&str] = if rng.u32(0..BOT_ONE_IN) == 0 { &BOTS } else { &AGENTS };
        Self {
            address: places.draw_address(rng),
            agent: pick_skewed(rng, agents).copied().unwrap_or("-"),
            user: if rng.u32(0..100) == 0 { "frank" } else { "-" },
        }
    }

    fn write_line(&self, line: &mut Vec<u8>, rng: &mut Rng, time_ms: i64) -> io::Result<()> {
        let path = pick_skewed(rng, &PATHS).copied().unwrap_or("/");
        let (status, bytes) = draw_answer(rng);
        let method = if rng.u32(0..30) == 0 { "POST" } else { "GET" };
        let version = if rng.u32(0..4) == 0 { "1.0" } else { "1.1" };
        let time = format_time(time_ms);
        write!(
            line,
            "{} - {} [{time}] \"{method} {path} HTTP/{version}\" {status} {bytes}",
            self.address, self.user
        )?;
        if rng.u32(0..COMMON_ONE_IN) > 0 {
            let referer = pick_skewed(rng, &REFERERS).copied().unwrap_or("-");
            write!(line, " \"{referer}\" \"{}\"", self.agent)?;
        }
        Ok(())
    }
}

fn draw_answer(rng: &mut Rng) -> (u16, String) {
    match rng.u32(0..100) {
        0..88 => (200, rng.u32(200..60_000).to_string()),
        88..93 => (304, "-".to_owned()),
        93..96 => (301, rng.u32(200..600).to_string()),
        96..99 => (404, rng.u32(200..600).to_string()),
        _ => (500, "-".to_owned()),
    }
}

fn format_time(time_ms: i64) -> String {
    let instant = jiff::Timestamp::from_millisecond(time_ms).unwrap_or_default();
    Offset::UTC.to_datetime(instant).strftime("%d/%b/%Y:%H:%M:%S +0000").to_string()
}

/// Breaks a line in one of the ways that logs break: cut off before the status, overwritten, or not
/// an access log line at all.
fn damage(line: &mut Vec<u8>, rng: &mut Rng) {
    match rng.u32(0..3) {
        0 => {
            let quote = line.iter().position(|&byte| byte == b'"').unwrap_or(0);
            line.truncate(quote + 5);
        }
        1 => {
            if let Some(bracket) = line.iter_mut().find(|byte| **byte == b'[') {
                *bracket = b'\0';
            }
        }
        _ => {
            line.clear();
            line.extend_from_slice(b"[error] [client denied] File does not exist: /favicon.ico");
        }
    }
}

/// Picks from the front far more often than from the back.
fn pick_skewed<'a, T>(rng: &mut Rng, items: &'a [T]) -> Option<&'a T> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a list's length is far below 2^52, and the product is between 0 and it"
    )]
    let index = (rng.f64().powi(3) * items.len() as f64) as usize;
    items.get(index)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::access_log;
    use crate::country::CountryCode;
    use crate::geoip::Locator;
    use crate::user_agent::UserAgentParser;

    const LINES: u64 = 20_000;

    fn sample(lines: u64, seed: u64) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out, lines, seed).unwrap();
        out
    }

    #[test]
    fn same_seed_gives_the_same_lines_and_another_seed_others() {
        assert_eq!(sample(500, 7), sample(500, 7));
        assert_ne!(sample(500, 7), sample(500, 8));
    }

    #[test]
    fn it_has_many_countries_bots_strangers_and_some_broken_lines() {
        let mut agents = UserAgentParser::default();
        let mut countries: HashMap<CountryCode, u64> = HashMap::new();
        let (mut bots, mut broken, mut v6) = (0, 0, 0);
        let log = sample(LINES, 1);
        for line in log.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            let Ok(view) = access_log::parse(line) else {
                broken += 1;
                continue;
            };
            let ip = view.ip.unwrap();
            v6 += u64::from(ip.is_ipv6());
            *countries.entry(Locator::Embedded.locate(ip)).or_default() += 1;
            bots += u64::from(agents.parse(view.user_agent.as_deref()).bot);
        }
        let visits: u64 = countries.values().sum();
        assert_eq!(visits + broken, LINES);
        assert!((LINES / 1000..LINES / 250).contains(&broken), "{broken} broken");
        assert!((LINES / 20..LINES / 3).contains(&bots), "{bots} bots");
        assert!(v6 > LINES / 50, "{v6} by IPv6");
        assert!(countries.len() > 30, "{} countries", countries.len());
        assert!(countries[&CountryCode::UNKNOWN] > 0);
        let largest = countries.values().max().unwrap();
        assert!(largest * 6 > visits, "largest {largest} of {visits}");
    }
}
