//! Requests per second in windows of event time: late records, grace, windowed keys.
//!
//! `cargo run --release --example 03_windowed_rate`

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::Duration;

use kstream::{KStream, StreamsBuilder, TimeWindows, Topology, TopologyErrors, Windowed};
use kstream_test_utils::TopologyTestDriver;

const WINDOW: Duration = Duration::from_secs(5);
const GRACE: Duration = Duration::from_secs(2);

/// Topic `requests` (server, path) → topic `rates` (`server@second`, requests per second).
fn topology() -> Result<Topology, TopologyErrors> {
    let builder = StreamsBuilder::new();
    let requests: KStream<String, String> = builder.stream("requests");
    requests
        .group_by_key()
        .windowed_by(TimeWindows::of_size_and_grace(WINDOW, GRACE))
        .count()
        .to_stream()
        .map(|windowed, count| (label(&windowed), count.map(per_second)))
        .to("rates");
    builder.build()
}

fn label(windowed: &Windowed<String>) -> String {
    format!("{}@{}", windowed.key, windowed.window.start / 1000)
}

#[expect(clippy::cast_precision_loss, reason = "a rate is shown with two digits")]
fn per_second(count: i64) -> f64 {
    count as f64 / WINDOW.as_secs_f64()
}

/// Windows with their rates.
type Rates = Vec<(String, f64)>;

/// The updates that requests at these times, in milliseconds, cause; and how many came too late.
fn run(requests: &[(&str, i64)]) -> Result<(Rates, u64), Box<dyn Error>> {
    let driver = TopologyTestDriver::new(topology()?)?;
    let input = driver.input_topic::<String, String>("requests");
    for &(server, at_ms) in requests {
        input.pipe_at(server.to_owned(), "/".to_owned(), at_ms)?;
    }
    let rates = driver.output_topic("rates").read_key_values()?;
    Ok((rates, driver.dropped_records()))
}

const REQUESTS: [(&str, i64); 6] = [
    ("a", 1000),
    ("a", 4999),
    ("b", 5000), // the next window
    ("a", 3000), // out of order, but within grace
    ("b", 7000), // the first window closes: 5 s and 2 s of grace have passed
    ("a", 3000), // late
];

fn main() -> Result<(), Box<dyn Error>> {
    let (rates, late) = run(&REQUESTS)?;
    for (window, rate) in rates {
        println!("{window}: {rate:.2} requests per second");
    }
    println!("{late} came too late");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_out_of_order_counts_until_its_window_closes() {
        let (rates, late) = run(&REQUESTS).unwrap();
        let rates: Vec<_> =
            rates.iter().map(|(window, rate)| format!("{window} {rate:.1}")).collect();
        assert_eq!(rates, ["a@0 0.2", "a@0 0.4", "b@5 0.2", "a@0 0.6", "b@5 0.4"]);
        assert_eq!(late, 1);
    }
}
