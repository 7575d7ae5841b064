//! Counts words: a key that changes, a repartition topic, a table.
//!
//! `cargo run --release --example 01_word_count`

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use kstream::{KStream, Materialized, Named, StreamsBuilder, Topology, TopologyErrors};
use kstream_test_utils::TopologyTestDriver;

/// Topic `lines` (no key, text) → topic `word-counts` (word, count).
fn topology() -> Result<Topology, TopologyErrors> {
    let builder = StreamsBuilder::new();
    let lines: KStream<(), String> = builder.stream("lines");
    lines
        .flat_map_values(|line: String| words(&line))
        // The word becomes the key: all records of a word have to meet in one task, so this goes through a
        // topic of the application's own.
        .group_by(|(), word| word.clone())
        .count_with(Named::default(), Materialized::named("counts"))
        .to_stream()
        .to("word-counts");
    builder.build()
}

fn words(line: &str) -> Vec<String> {
    let words = line.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

/// The updates that these lines cause.
fn run(lines: &[&str]) -> Result<Vec<(String, i64)>, Box<dyn Error>> {
    let driver = TopologyTestDriver::new(topology()?)?;
    let input = driver.input_topic::<(), String>("lines");
    for line in lines {
        input.pipe((), (*line).to_owned())?;
    }
    Ok(driver.output_topic("word-counts").read_key_values()?)
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("{}", topology()?.describe());
    for (word, count) in run(&["All streams lead to Kafka", "Hello, Kafka streams!"])? {
        println!("{word}: {count}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_counted_whatever_its_case_and_place() {
        let updates = run(&["To be, or not to be", "BE"]).unwrap();
        let updates: Vec<_> = updates.iter().map(|(word, n)| (word.as_str(), *n)).collect();
        let expected =
            [("to", 1), ("be", 1), ("or", 1), ("not", 1), ("to", 2), ("be", 2), ("be", 3)];
        assert_eq!(updates, expected);
    }
}
