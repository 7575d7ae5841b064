//! The application under test: a repartition, counts by window and in all, a running digest, a join
//! with a table and one by foreign key. It uses what users have and nothing else.

use std::time::Duration;

use kstream::{
    Consumed, KStream, KTable, Materialized, Repartitioned, StreamsBuilder, TableJoined,
    TimeWindows, Topology, TopologyErrors, Windowed,
};

use crate::wire::{
    ABSENT, CHAINS, COPIES, COUNTS, EVENTS, Event, JOINED, ORDERS, PRICED, PRODUCTS, PROFILES,
    REPARTITIONED, TOTALS, WINDOW_MS, link,
};

/// Instances that are away for a while bring late records: none is too late.
const GRACE: Duration = Duration::from_hours(2);

/// What of the application is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// The one that a run begins with.
    First,
    /// Has an operator more in front of the stores, which shifts the numbers of all others (what has to keep its
    /// name has been given one), and a sub-topology more.
    Second,
}

impl std::str::FromStr for Release {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "first" => Ok(Self::First),
            "second" => Ok(Self::Second),
            _ => Err("a release is `first` or `second`".to_owned()),
        }
    }
}

/// The topology of a release.
///
/// # Errors
/// None that a user could cause.
pub fn topology(release: Release) -> Result<Topology, TopologyErrors> {
    let builder = StreamsBuilder::new();
    let mut events: KStream<String, String> = builder.stream(EVENTS);
    if release == Release::Second {
        events = events.filter(|_, value| Event::parse(value).is_some());
    }
    chains(&events);
    let named = Materialized::named("profiles");
    joined(&events, &builder.table_with(PROFILES, Consumed::new(), named));
    grouped(&events);
    // With a record cache in between, a join by foreign key may show a version twice: when the row is read from
    // the cache, and when the cache forwards it.
    let table = |topic, name| {
        let store = Materialized::named(name).with_caching_disabled();
        builder.table_with(topic, Consumed::new(), store)
    };
    priced(&table(ORDERS, "orders"), &table(PRODUCTS, "products"));
    if release == Release::Second {
        let chains: KStream<String, String> = builder.stream(CHAINS);
        chains.to(COPIES);
    }
    builder.build()
}

fn number_of(value: &str) -> u64 {
    Event::parse(value).map_or(0, |event| event.number)
}

/// What depends on every event of a key, and on their order.
fn chains(events: &KStream<String, String>) {
    let add = |_: &String, value: String, chain: String| {
        let (count, digest) = chain.split_once(' ').unwrap_or(("0", "0"));
        let count: u64 = count.parse().unwrap_or(0);
        let digest = u64::from_str_radix(digest, 16).unwrap_or(0);
        format!("{} {:016x}", count + 1, link(digest, number_of(&value)))
    };
    let chains = events.group_by_key().aggregate_with(
        String::new,
        add,
        "chain",
        Materialized::named("chains").with_caching_disabled(),
    );
    chains.to_stream().to(CHAINS);
}

fn joined(events: &KStream<String, String>, profiles: &KTable<String, String>) {
    let join = |value: &String, version: Option<&String>| {
        let (number, rest) = value.split_once(' ').unwrap_or((value, ""));
        let seq = rest.split(' ').next().unwrap_or("");
        format!("{number} {seq} {}", version.map_or(ABSENT, String::as_str))
    };
    events.left_join_table(profiles, join).to(JOINED);
}

fn grouped(events: &KStream<String, String>) {
    let by_group = events.map(|key: String, value: String| match Event::parse(&value) {
        Some(event) => (event.group.to_owned(), format!("{} {} {key}", event.number, event.seq)),
        None => (key, value),
    });
    let by_group = by_group.repartition_with(Repartitioned::named("by-group"));
    by_group.to(REPARTITIONED);
    let grouped = by_group.group_by_key();
    grouped
        .count_with("total", Materialized::named("totals"))
        .to_stream()
        .map_values(text)
        .to(TOTALS);
    let size = Duration::from_millis(WINDOW_MS.unsigned_abs());
    let counts = grouped
        .windowed_by(TimeWindows::of_size_and_grace(size, GRACE))
        .count_with("count", Materialized::named("counts").with_caching_disabled());
    let name = |key: Windowed<String>, count: Option<i64>| {
        (format!("{}@{}", key.key, key.window.start), text(count))
    };
    counts.to_stream().map(name).to(COUNTS);
}

fn text(count: Option<i64>) -> String {
    count.map_or_else(|| ABSENT.to_owned(), |count| count.to_string())
}

fn priced(orders: &KTable<String, String>, products: &KTable<String, String>) {
    let product =
        |_: &String, order: &String| order.split_once(' ').map(|(_, product)| product.to_owned());
    let price = |order: &String, version: Option<&String>| {
        format!("{order} {}", version.map_or(ABSENT, String::as_str))
    };
    orders
        .left_join_on_foreign_key_with(products, product, price, TableJoined::named("price"))
        .to_stream()
        .to(PRICED);
}
