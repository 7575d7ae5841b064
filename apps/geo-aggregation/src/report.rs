//! The finished table for the terminal.

use std::fmt::Write as _;

use crate::totals::Countries;

/// Cells of the longest bar.
const BAR_CELLS: u64 = 30;

/// The table with its totals, as text.
pub fn table(countries: &Countries) -> String {
    let mut text = format!("{:<4} {:<28} {:>12} {:>7}\n", "", "country", "visits", "share");
    let most = countries.countries.first().map_or(1, |row| row.visits.max(1));
    for row in &countries.countries {
        let cells = usize::try_from(row.visits * BAR_CELLS / most).unwrap_or(0);
        // Writing to a string cannot fail.
        writeln!(
            text,
            "{:<4} {:<28} {:>12} {:>6.1}% {}",
            row.code,
            shortened(&row.name),
            row.visits,
            row.share * 100.0,
            "█".repeat(cells)
        )
        .ok();
    }
    writeln!(
        text,
        "\n{} visits from {} countries, {} of them unlocated; {} lines rejected",
        countries.total,
        countries.countries.len() - usize::from(countries.unlocated() > 0),
        countries.unlocated(),
        countries.rejected
    )
    .ok();
    text
}

/// A name that fits its column.
fn shortened(name: &str) -> String {
    const WIDTH: usize = 28;
    if name.chars().count() <= WIDTH {
        return name.to_owned();
    }
    name.chars().take(WIDTH - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::totals::Totals;

    #[test]
    fn table_is_aligned_and_ends_with_the_totals() {
        let visits = [("US", 30), ("ZZ", 10), ("GS", 1)];
        let visits = visits.map(|(code, visits)| (code.parse().unwrap(), visits)).into();
        let rejected = [("a".to_owned(), 2)].into();
        let totals = Totals { visits, rejected, ..Totals::default() };
        assert_eq!(
            table(&Countries::of(&totals)),
            "     country                            visits   share\n\
             US   United States                          30   73.2% ██████████████████████████████\n\
             ZZ   Unknown                                10   24.4% ██████████\n\
             GS   South Georgia and the South…            1    2.4% █\n\
             \n\
             41 visits from 2 countries, 10 of them unlocated; 2 lines rejected\n"
        );
    }
}
