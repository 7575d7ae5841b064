//! What grows with every event: counts by window, totals, and chains of digests.

use std::collections::{BTreeMap, BTreeSet};

use super::{Keys, Verdict};
use crate::Guarantee;
use crate::model::Input;
use crate::records::Entry;
use crate::wire::link;

/// The counts of one key as they came.
struct Counter<'a> {
    topic: &'static str,
    key: &'a str,
    /// What the last count must be.
    expected: u64,
    seen: BTreeSet<u64>,
    highest: u64,
}

impl<'a> Counter<'a> {
    fn new(topic: &'static str, key: &'a str, expected: u64) -> Self {
        Self { topic, key, expected, seen: BTreeSet::new(), highest: 0 }
    }

    /// Notes a count; true when it may be looked at further.
    fn see(&mut self, count: u64, entry: &Entry, verdict: &mut Verdict) -> bool {
        let text = || format!("{}: {}: count {count} at {}", self.topic, self.key, entry.place());
        if count == 0 {
            verdict.wrong.add(text());
            return false;
        }
        if count > self.expected {
            // More than there are: something was counted twice.
            self.highest = self.expected;
            verdict.duplicated.add(format!("{} of {}", text(), self.expected));
            return false;
        }
        if self.seen.contains(&count) {
            verdict.duplicated.add(text());
            return false;
        }
        if self.highest > count {
            verdict.wrong.add(format!("{} after {}", text(), self.highest));
        }
        self.highest = self.highest.max(count);
        self.seen.insert(count)
    }

    /// Notes what is missing: `each` asks for every count, otherwise the last one will do.
    fn finish(&self, each: bool, verdict: &mut Verdict) {
        let highest = self.highest;
        let missing =
            if each { self.expected - self.seen.len() as u64 } else { self.expected - highest };
        let first = (1..=self.expected).find(|count| !self.seen.contains(count));
        let text = format!(
            "{}: {}: {missing} of {} counts, the first is {first:?}, the highest seen is {highest}",
            self.topic, self.key, self.expected
        );
        verdict.lost.add_several(usize::try_from(missing).unwrap_or(usize::MAX), text);
    }
}

/// Under exactly once every count must be there. Under at least once what is counted again may skip
/// some, and only the last one tells whether anything was lost.
fn asks_for_each(guarantee: Guarantee) -> bool {
    guarantee == Guarantee::ExactlyOnceV2
}

pub(super) fn check_counts(
    guarantee: Guarantee,
    windows: &BTreeMap<String, u64>,
    keys: &Keys<'_>,
    verdict: &mut Verdict,
) {
    check_numbers("counts", asks_for_each(guarantee), windows, keys, verdict);
}

pub(super) fn check_totals(totals: &BTreeMap<String, u64>, keys: &Keys<'_>, verdict: &mut Verdict) {
    check_numbers("totals", false, totals, keys, verdict);
}

fn check_numbers(
    topic: &'static str,
    each: bool,
    expected: &BTreeMap<String, u64>,
    keys: &Keys<'_>,
    verdict: &mut Verdict,
) {
    for (key, entries) in keys.iter().filter(|(key, _)| !expected.contains_key(**key)) {
        verdict.wrong.add(format!("{topic}: {key} never existed, {} records", entries.len()));
    }
    for (key, expected) in expected {
        let mut counter = Counter::new(topic, key, *expected);
        for entry in keys.get(key.as_str()).into_iter().flatten() {
            let count = entry.value.as_deref().and_then(|value| value.parse().ok());
            counter.see(count.unwrap_or(0), entry, verdict);
        }
        counter.finish(each, verdict);
    }
}

pub(super) fn check_chains(
    guarantee: Guarantee,
    input: &Input,
    keys: &Keys<'_>,
    verdict: &mut Verdict,
) {
    for (key, entries) in keys.iter().filter(|(key, _)| !input.keys.contains_key(**key)) {
        verdict.wrong.add(format!("chains: {key} never existed, {} records", entries.len()));
    }
    for (key, numbers) in &input.keys {
        let chain = numbers.iter().scan(0, |digest, number| {
            *digest = link(*digest, *number);
            Some(*digest)
        });
        let digests: BTreeMap<u64, u64> = (1..).zip(chain).collect();
        let mut counter = Counter::new("chains", key, numbers.len() as u64);
        for entry in keys.get(key.as_str()).into_iter().flatten() {
            let value = entry.value.as_deref().unwrap_or("null");
            let (count, digest) = value.split_once(' ').unwrap_or((value, ""));
            let count = count.parse().unwrap_or(0);
            if counter.see(count, entry, verdict)
                && u64::from_str_radix(digest, 16).ok().as_ref() != digests.get(&count)
            {
                let place = entry.place();
                verdict.wrong.add(format!("chains: {key}: digest of `{value}` at {place}"));
            }
        }
        counter.finish(asks_for_each(guarantee), verdict);
    }
}
