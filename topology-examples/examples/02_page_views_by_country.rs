//! Page views by country: JSON records, an aggregate of one's own, and a look into the store.
//!
//! `cargo run --release --example 02_page_views_by_country`

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use kstream::{Grouped, KStream, Materialized, Named, StreamsBuilder, Topology, TopologyErrors};
use kstream_test_utils::{Row, TopologyTestDriver};
use serde::{Deserialize, Serialize};

/// A view, as JSON on the topic.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct PageView {
    country: String,
    path: String,
    bytes: u64,
    bot: bool,
}

/// What is kept for a country.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Traffic {
    views: u64,
    bytes: u64,
    newest_path: String,
}

// Says that these types are JSON wherever they go: topics, stores, changelogs.
kstream::json_serde!(PageView, Traffic);

/// Topic `page-views` (visitor, view) → topic `traffic` (country, traffic), and the store `traffic`.
fn topology() -> Result<Topology, TopologyErrors> {
    let builder = StreamsBuilder::new();
    let views: KStream<String, PageView> = builder.stream("page-views");
    views
        .filter_with(|_, view| !view.bot, "drop-bots")
        .group_by_with(|_, view| view.country.clone(), Grouped::named("by-country"))
        .aggregate_with(Traffic::default, add, Named::new("sum"), Materialized::named("traffic"))
        .to_stream()
        .to("traffic");
    builder.build()
}

/// The aggregate takes values, not references: nothing is copied to be changed.
fn add(_country: &String, view: PageView, mut traffic: Traffic) -> Traffic {
    traffic.views += 1;
    traffic.bytes += view.bytes;
    traffic.newest_path = view.path;
    traffic
}

/// The rows of the store when these views have been processed.
fn run(views: &[(&str, &str, u64, bool)]) -> Result<Vec<Row<String, Traffic>>, Box<dyn Error>> {
    let driver = TopologyTestDriver::new(topology()?)?;
    let input = driver.input_topic::<String, PageView>("page-views");
    for (number, &(country, path, bytes, bot)) in views.iter().enumerate() {
        let (country, path) = (country.to_owned(), path.to_owned());
        input.pipe(format!("visitor-{number}"), PageView { country, path, bytes, bot })?;
    }
    Ok(driver.store_rows("traffic")?)
}

const VIEWS: [(&str, &str, u64, bool); 5] = [
    ("NL", "/", 1200, false),
    ("DE", "/about", 800, false),
    ("NL", "/about", 800, false),
    ("US", "/robots.txt", 60, true),
    ("US", "/", 1200, false),
];

fn main() -> Result<(), Box<dyn Error>> {
    for Row { key: country, value: traffic, .. } in run(&VIEWS)? {
        let Traffic { views, bytes, newest_path } = traffic;
        println!("{country}: {views} views, {bytes} bytes, {newest_path} last");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn store_has_the_sums_of_each_country_without_bots() {
        let rows = run(&VIEWS).unwrap();
        let rows: Vec<_> =
            rows.iter().map(|row| (row.key.as_str(), row.value.views, row.value.bytes)).collect();
        assert_eq!(rows, [("DE", 1, 800), ("NL", 2, 2000), ("US", 1, 1200)]);
    }
}
