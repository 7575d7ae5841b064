//! The totals so far: what the page shows and the database keeps.
//!
//! Numbers here are totals, never increments. They only grow, so of two numbers for one thing the
//! larger one is the newer one, in whatever order they arrive.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::country::CountryCode;

/// Visits are counted per window of this length for the rate.
pub const WINDOW_MS: i64 = 5_000;

/// Windows are kept this long, for readers that lag behind.
pub const WINDOW_RETENTION_MS: i64 = 60_000;

/// Totals, or the part of them that has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Visits by country.
    pub visits: BTreeMap<CountryCode, u64>,
    /// Rejected lines by source.
    pub rejected: BTreeMap<String, u64>,
    /// Visits by the start of their window of arrival and by country.
    pub windows: BTreeMap<(i64, CountryCode), u64>,
}

impl Totals {
    /// Takes over every larger number.
    pub fn merge(&mut self, other: &Self) {
        raise_all(&mut self.visits, &other.visits);
        raise_all(&mut self.rejected, &other.rejected);
        raise_all(&mut self.windows, &other.windows);
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.visits.is_empty() && self.rejected.is_empty() && self.windows.is_empty()
    }

    /// Drops windows that nobody needs any more.
    pub fn forget_old_windows(&mut self, now_ms: i64) {
        let oldest = (now_ms - WINDOW_RETENTION_MS, CountryCode::FIRST);
        self.windows = self.windows.split_off(&oldest);
    }

    /// Visits per second in the newest window that ended at least `lag_ms` ago, so that everybody's
    /// numbers of it are in.
    pub fn visits_per_second(&self, now_ms: i64, lag_ms: i64) -> f64 {
        let start = (now_ms - lag_ms).div_euclid(WINDOW_MS) * WINDOW_MS - WINDOW_MS;
        let next = start + WINDOW_MS;
        let window = self.windows.range((start, CountryCode::FIRST)..(next, CountryCode::FIRST));
        ratio(window.map(|(_, visits)| visits).sum::<u64>() * 1000, WINDOW_MS.unsigned_abs())
    }
}

fn raise_all<K: Ord + Clone>(ours: &mut BTreeMap<K, u64>, theirs: &BTreeMap<K, u64>) {
    for (key, &number) in theirs {
        match ours.get_mut(key) {
            Some(known) => *known = number.max(*known),
            None => drop(ours.insert(key.clone(), number)),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "shares and rates are shown with few digits")]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CountryRow {
    /// The country's code.
    pub code: CountryCode,
    /// Its name.
    pub name: String,
    /// Its visits.
    pub visits: u64,
    /// Its part of all visits, between 0 and 1.
    pub share: f64,
}

/// The totals as `GET /api/countries` gives them.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Countries {
    /// All visits.
    pub total: u64,
    /// Lines that are no visit.
    pub rejected: u64,
    /// Most visits first; equal ones by code.
    pub countries: Vec<CountryRow>,
}

impl Countries {
    /// The table of these totals.
    pub fn of(totals: &Totals) -> Self {
        let total = totals.visits.values().sum();
        let row = |(&code, &visits): (&CountryCode, &u64)| CountryRow {
            code,
            name: code.name().to_owned(),
            visits,
            share: ratio(visits, total),
        };
        let mut countries: Vec<_> = totals.visits.iter().map(row).collect();
        // The sort is stable and the map is in the order of codes.
        countries.sort_by_key(|row| std::cmp::Reverse(row.visits));
        Self { total, rejected: totals.rejected.values().sum(), countries }
    }

    /// Visits without a country.
    pub fn unlocated(&self) -> u64 {
        let unknown = self.countries.iter().find(|row| row.code == CountryCode::UNKNOWN);
        unknown.map_or(0, |row| row.visits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(code: &str) -> CountryCode {
        code.parse().unwrap()
    }

    fn totals(visits: &[(&str, u64)]) -> Totals {
        let visits = visits.iter().map(|&(country, visits)| (code(country), visits)).collect();
        Totals { visits, ..Totals::default() }
    }

    #[test]
    fn larger_numbers_win_in_any_order() {
        let (old, new) = (totals(&[("US", 3), ("DE", 1)]), totals(&[("US", 5), ("FR", 2)]));
        let mut forward = old.clone();
        forward.merge(&new);
        let mut backward = new;
        backward.merge(&old);
        assert_eq!(forward, totals(&[("US", 5), ("DE", 1), ("FR", 2)]));
        assert_eq!(backward, forward);
    }

    #[test]
    fn table_is_sorted_by_visits_then_code() {
        let mut totals = totals(&[("US", 2), ("ZZ", 1), ("DE", 5), ("AT", 2)]);
        totals.rejected.insert("a".to_owned(), 3);
        totals.rejected.insert("b".to_owned(), 4);
        let table = Countries::of(&totals);
        assert_eq!((table.total, table.rejected, table.unlocated()), (10, 7, 1));
        let rows: Vec<_> =
            table.countries.iter().map(|row| (row.code.as_str(), row.share)).collect();
        assert_eq!(rows, [("DE", 0.5), ("AT", 0.2), ("US", 0.2), ("ZZ", 0.1)]);
    }

    #[test]
    fn empty_totals_make_an_empty_table() {
        assert_eq!(Countries::of(&Totals::default()), Countries::default());
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "these quotients are exact")]
    fn rate_is_that_of_the_newest_complete_window() {
        let mut totals = Totals::default();
        for (start, visits) in [(0, 50), (5_000, 10), (10_000, 99)] {
            totals.windows.insert((start, code("US")), visits);
            totals.windows.insert((start, code("DE")), visits);
        }
        assert_eq!(totals.visits_per_second(12_000, 0), 4.0);
        assert_eq!(totals.visits_per_second(15_000, 0), 39.6);
        assert_eq!(totals.visits_per_second(15_000, 5_000), 4.0);
        assert_eq!(totals.visits_per_second(25_000, 0), 0.0);
    }

    #[test]
    fn old_windows_are_forgotten() {
        let mut totals = Totals::default();
        for start in [0, 5_000, 10_000] {
            totals.windows.insert((start, code("US")), 1);
        }
        totals.forget_old_windows(WINDOW_RETENTION_MS + 5_000);
        let left: Vec<_> = totals.windows.keys().map(|(start, _)| *start).collect();
        assert_eq!(left, [5_000, 10_000]);
    }
}
