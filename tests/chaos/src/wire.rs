//! The topics, and what their records say. All of it is text: words with a space in between.

/// Partitions of each topic of streams; tables that are joined with them have as many.
pub const PARTITIONS: i32 = 6;
/// Size of the windows in which the application counts.
pub const WINDOW_MS: i64 = 10_000;

/// `key` → `number seq group [last]`: numbered over all keys, and for each key.
pub const EVENTS: &str = "chaos-events";
/// `key` → `version`, or null: a table with the keys of the events.
pub const PROFILES: &str = "chaos-profiles";
/// `order` → `version product`, or null: a table with a foreign key.
pub const ORDERS: &str = "chaos-orders";
/// `product` → `version`, or null: the table that the foreign key names.
pub const PRODUCTS: &str = "chaos-products";

/// `group` → `number seq key`: the events, with the group as key.
pub const REPARTITIONED: &str = "chaos-repartitioned";
/// `group@start of the window` → `count`, for each event.
pub const COUNTS: &str = "chaos-counts";
/// `group` → `count`, behind a record cache.
pub const TOTALS: &str = "chaos-totals";
/// `key` → `count digest`, for each event: the digest tells of all numbers so far and their order.
pub const CHAINS: &str = "chaos-chains";
/// `key` → `number seq version`, the version `-` where the profile is not there.
pub const JOINED: &str = "chaos-joined";
/// `order` → `version product version-of-product`, the latter `-` where the product is not there, or null.
pub const PRICED: &str = "chaos-priced";

/// What `chaos-chains` has. Only the second release of the application writes it.
pub const COPIES: &str = "chaos-copies";

/// What the application reads.
pub const INPUTS: [&str; 4] = [EVENTS, PROFILES, ORDERS, PRODUCTS];
/// What it writes.
pub const OUTPUTS: [&str; 7] = [REPARTITIONED, COUNTS, TOTALS, CHAINS, JOINED, PRICED, COPIES];

/// What stands where a row is not there.
pub const ABSENT: &str = "-";

/// The digest of numbers and one more.
pub fn link(digest: u64, number: u64) -> u64 {
    (digest ^ number).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(17)
}

/// An event's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// Its number in the whole run, from 1.
    pub number: u64,
    /// Its number among those of its key, from 1.
    pub seq: u64,
    /// What it is repartitioned by.
    pub group: &'a str,
    /// Whether it was sent when nothing else was under way any more.
    pub is_last: bool,
}

impl<'a> Event<'a> {
    /// Reads it from a record's value.
    pub fn parse(value: &'a str) -> Option<Self> {
        let mut words = value.split(' ');
        let number = words.next()?.parse().ok()?;
        let seq = words.next()?.parse().ok()?;
        let group = words.next()?;
        let is_last = match words.next() {
            None => false,
            Some("last") => true,
            Some(_) => return None,
        };
        words.next().is_none().then_some(Self { number, seq, group, is_last })
    }
}

impl std::fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let last = if self.is_last { " last" } else { "" };
        write!(f, "{} {} {}{last}", self.number, self.seq, self.group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_as_they_are_written() {
        let last = Event { number: 17, seq: 3, group: "group-5", is_last: true };
        assert_eq!(last.to_string(), "17 3 group-5 last");
        for event in [last, Event { is_last: false, ..last }] {
            assert_eq!(Event::parse(&event.to_string()), Some(event));
        }
    }

    #[test]
    fn other_texts_are_no_events() {
        for text in ["", "1 2", "1 2 g more", "1 2 g last more", "x 2 g", "1 -2 g"] {
            assert_eq!(Event::parse(text), None, "{text}");
        }
    }

    #[test]
    fn digest_depends_on_the_order() {
        assert_ne!(link(link(0, 1), 2), link(link(0, 2), 1));
    }
}
