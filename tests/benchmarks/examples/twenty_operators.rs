//! A topology of twenty operators with types of its own: what `make compile-time` compiles.

#![expect(clippy::print_stdout, reason = "an example shows what it has built")]

use std::time::Duration;

use kstream::aggregates::TopK;
use kstream::{KStream, KTable, Materialized, Named, StreamsBuilder, TimeWindows, Topology};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize)]
struct View {
    page: String,
    visitor: String,
    ms: u32,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Visit {
    visitor: String,
    pages: Vec<String>,
    ms: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Visitor {
    country: String,
}

kstream::json_serde!(View, Visit, Visitor);

fn topology() -> Result<Topology, kstream::TopologyErrors> {
    let builder = StreamsBuilder::new();
    let views: KStream<String, View> = builder.stream("views");
    let visitors: KTable<String, Visitor> = builder.table("visitors"); // 2
    let views = views
        .filter(|_, view| !view.page.is_empty())
        .filter_not(|_, view| view.page == "/health")
        .peek(|_, view| _ = view.ms)
        .map_values(|view| View { page: view.page.to_lowercase(), ..view }); // 6
    views
        .flat_map_values(|view| view.page.split('/').map(str::to_owned).collect::<Vec<_>>())
        .group_by(|_, part| part.clone())
        .count()
        .to_stream()
        .to("parts"); // 11
    let visits = views
        .select_key(|_, view| view.visitor.clone())
        .map_values(|view| Visit {
            visitor: view.visitor,
            pages: vec![view.page],
            ms: view.ms.into(),
        })
        .group_by_key()
        .reduce_with(
            |mut all: Visit, next| {
                all.pages.extend(next.pages);
                all.ms += next.ms;
                all
            },
            Named::default(),
            Materialized::named("visits"),
        ); // 14
    visits
        .join(&visitors, |visit, visitor| (visitor.country.clone(), visit.ms))
        .to_stream()
        .flat_map(|_, update| update)
        .group_by_key()
        .windowed_by(TimeWindows::of_size_with_no_grace(Duration::from_mins(1)))
        .aggregate(
            || TopK::new(10),
            |country: &String, ms: u64, top: TopK<String, u64>| top.with(country.clone(), ms),
        )
        .to_stream()
        .map(|window, top| (window.key, top.map_or(0, |top| top.len() as u64)))
        .to("slowest"); // 20
    builder.build()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("{}", topology()?.describe());
    Ok(())
}
