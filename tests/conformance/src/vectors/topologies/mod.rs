//! The topologies of the vector files, built with this project's operators, one file per family.
//!
//! Where a recording has null keys or values, the types say so: `Text` is a string that may be null.

mod aggregations;
mod by_hand;
mod cached;
mod cogroup;
mod emit_final;
pub(super) mod error_handlers;
mod errors;
mod foreign_keys;
mod optimized;
mod processors;
mod repartition;
mod sessions;
mod sliding;
mod stateless;
mod stores;
mod stream_joins;
mod stream_table_joins;
mod suppression;
mod table_joins;
mod tables;
mod timestamps;
mod topics;
mod typed;
mod windows;

use kstream::{StreamsBuilder, Topology, TopologyConfig, TopologyErrors, Windowed};

use super::DriverFactory;
use super::task_driver::factory;

/// A string that may be null.
type Text = Option<String>;

/// Adds a topology to a builder.
pub(super) type Build = fn(&StreamsBuilder);

/// How a topology is made.
#[derive(Clone, Copy)]
pub(super) enum Recipe {
    /// With a builder of streams.
    Dsl(Build),
    /// Node by node.
    ByHand(fn() -> Result<Topology, TopologyErrors>),
}

impl Recipe {
    /// Makes it.
    pub(super) fn topology(self, config: &TopologyConfig) -> Result<Topology, TopologyErrors> {
        match self {
            Self::Dsl(build) => {
                let builder = StreamsBuilder::new();
                build(&builder);
                builder.build_with(config)
            }
            Self::ByHand(build) => build(),
        }
    }
}

/// The topology of this name, if it is built yet.
pub fn topology(name: &str) -> Option<DriverFactory> {
    let families = [
        stateless::topology,
        stream_joins::topology,
        stream_table_joins::topology,
        stores::topology,
        tables::topology,
        table_joins::topology,
        repartition::topology,
        aggregations::topology,
        windows::topology,
        cached::topology,
        cogroup::topology,
        emit_final::topology,
        sessions::topology,
        sliding::topology,
        errors::topology,
        timestamps::topology,
        topics::topology,
        optimized::topology,
        processors::topology,
        typed::topology,
        suppression::topology,
        foreign_keys::topology,
    ];
    let dsl = families.iter().find_map(|family| family(name)).map(Recipe::Dsl);
    dsl.or_else(|| by_hand::topology(name)).map(factory)
}

/// The parts between commas; none of null.
fn parts(value: Text) -> Vec<Text> {
    let Some(value) = value else { return Vec::new() };
    // Java's `split` drops empty parts at the end, but keeps the only one.
    if value.is_empty() {
        return vec![Some(value)];
    }
    let mut parts: Vec<Text> = value.split(',').map(|part| Some(part.to_owned())).collect();
    while parts.last().is_some_and(|part| part.as_deref() == Some("")) {
        parts.pop();
    }
    parts
}

/// A number as text; null stays null.
fn text(number: Option<i64>) -> Text {
    number.map(|number| number.to_string())
}

/// Java's text of a value that may be null, inside a longer text.
fn shown(value: &Text) -> &str {
    value.as_deref().unwrap_or("null")
}

/// The first letter, null of null.
fn first_letter(value: &Text) -> Text {
    value.as_ref().map(|value| value.chars().take(1).collect())
}

/// A windowed key as text.
fn window_text(key: &Windowed<Text>) -> String {
    let window = key.window;
    format!("{}@{}-{}", shown(&key.key), window.start, window.end)
}
