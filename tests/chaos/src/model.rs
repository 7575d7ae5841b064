//! The input as a naive model: vectors and maps.

use std::collections::{BTreeMap, BTreeSet};

use crate::records::{Entry, by_key};
use crate::wire::{Event, WINDOW_MS};

/// An event of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputEvent {
    /// Its key.
    pub key: String,
    /// Its number among those of its key.
    pub seq: u64,
    /// Its group.
    pub group: String,
    /// Its timestamp.
    pub timestamp: i64,
    /// Whether it was sent when nothing else was under way any more.
    pub is_last: bool,
    /// How often the topic has it. More than once when the brokers or the feeder's client kept a record twice:
    /// then it counts as often, because the application can but take what is there.
    pub times: usize,
}

/// What a key of a table was worth, one after the other: version 1 is the first. A deletion is a
/// version too.
pub type Versions = Vec<Option<String>>;

/// The whole input.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Input {
    /// Events by number.
    pub events: BTreeMap<u64, InputEvent>,
    /// Numbers of each key's events, in their order.
    pub keys: BTreeMap<String, Vec<u64>>,
    /// Versions of each profile; values are empty.
    pub profiles: BTreeMap<String, Versions>,
    /// Versions of each order; a value is the product.
    pub orders: BTreeMap<String, Versions>,
    /// Versions of each product; values are empty.
    pub products: BTreeMap<String, Versions>,
}

impl Input {
    /// The model of what was sent.
    ///
    /// # Errors
    /// What is wrong with the input itself: then nothing can be said about the output.
    pub fn new(
        events: &[Entry],
        profiles: &[Entry],
        orders: &[Entry],
        products: &[Entry],
    ) -> Result<Self, Vec<String>> {
        let mut input = Self::default();
        let mut problems = Vec::new();
        input.add_events(events).unwrap_or_else(|found| problems.extend(found));
        let mut table = |entries, has_text| {
            versions(entries, has_text).unwrap_or_else(|found| {
                problems.extend(found);
                BTreeMap::new()
            })
        };
        input.profiles = table(profiles, false);
        input.orders = table(orders, true);
        input.products = table(products, false);
        if problems.is_empty() { Ok(input) } else { Err(problems) }
    }

    fn add_events(&mut self, entries: &[Entry]) -> Result<(), Vec<String>> {
        let mut problems = Vec::new();
        for (key, entries) in by_key(entries)? {
            let mut last = 0;
            for entry in entries {
                let event = entry.value.as_deref().and_then(Event::parse);
                let Some(event) = event.filter(|event| (last..=last + 1).contains(&event.seq))
                else {
                    let found = entry.value.as_deref().unwrap_or("null");
                    let place = entry.place();
                    problems.push(format!("behind event {last} of {key} is `{found}`, at {place}"));
                    break;
                };
                last = event.seq;
                self.keys.entry(key.to_owned()).or_default().push(event.number);
                let known = self.events.entry(event.number).or_insert_with(|| InputEvent {
                    key: key.to_owned(),
                    seq: event.seq,
                    group: event.group.to_owned(),
                    timestamp: entry.timestamp,
                    is_last: event.is_last,
                    times: 0,
                });
                known.times += 1;
                if (known.seq, known.key.as_str()) != (event.seq, key) {
                    problems.push(format!("number {} was given twice", event.number));
                }
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// How many events each group has.
    pub fn totals(&self) -> BTreeMap<String, u64> {
        let mut totals = BTreeMap::new();
        for event in self.events.values() {
            *totals.entry(event.group.clone()).or_default() += event.times as u64;
        }
        totals
    }

    /// How many events each window of a group has, by the name `group@start`.
    pub fn windows(&self) -> BTreeMap<String, u64> {
        let mut windows = BTreeMap::new();
        for event in self.events.values() {
            let start = event.timestamp - event.timestamp.rem_euclid(WINDOW_MS);
            *windows.entry(format!("{}@{start}", event.group)).or_default() += event.times as u64;
        }
        windows
    }

    /// How many events the topic has more than once.
    pub fn repeated(&self) -> usize {
        self.events.values().filter(|event| event.times > 1).count()
    }

    /// How many records there are in all.
    pub fn records(&self) -> usize {
        let tables = [&self.profiles, &self.orders, &self.products];
        let versions = tables.into_iter().flat_map(BTreeMap::values).map(Vec::len);
        self.events.len() + versions.sum::<usize>()
    }

    /// All groups.
    pub fn groups(&self) -> BTreeSet<&str> {
        self.events.values().map(|event| event.group.as_str()).collect()
    }
}

/// What is in front of the version's number in a value, with all versions in a row.
fn versions(entries: &[Entry], has_text: bool) -> Result<BTreeMap<String, Versions>, Vec<String>> {
    let mut table = BTreeMap::new();
    let mut problems = Vec::new();
    for (key, entries) in by_key(entries)? {
        let mut versions = Versions::new();
        for (entry, version) in entries.into_iter().zip(1_u64..) {
            let Some(value) = &entry.value else {
                versions.push(None);
                continue;
            };
            let (number, text) = value.split_once(' ').unwrap_or((value, ""));
            if number.parse() != Ok(version) || text.is_empty() == has_text {
                problems.push(format!("version {version} of {key} is not at {}", entry.place()));
            }
            versions.push(Some(text.to_owned()));
        }
        table.insert(key.to_owned(), versions);
    }
    if problems.is_empty() { Ok(table) } else { Err(problems) }
}
