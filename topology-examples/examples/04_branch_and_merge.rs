//! Payments split by currency and merged again: branches by name, types that change on the way.
//!
//! `cargo run --release --example 04_branch_and_merge`

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use kstream::{Branched, KStream, StreamsBuilder, Topology, TopologyErrors};
use kstream_test_utils::TopologyTestDriver;

/// Euro cents for a dollar.
const DOLLAR: i64 = 92;

/// Topic `payments` (account, `EUR 5.00`) → topics `cents` (account, euro cents), `rejected` (account,
/// text).
fn topology() -> Result<Topology, TopologyErrors> {
    let builder = StreamsBuilder::new();
    let payments: KStream<String, String> = builder.stream("payments");
    let branches = payments
        .split_with("payments-")
        // The first branch that accepts a record gets it.
        .branch_with(|_, text| in_currency("EUR", text), Branched::named("euro"))
        .branch_with(|_, text| in_currency("USD", text), Branched::named("dollar"))
        // Whatever happens here, the branch is not among the results.
        .default_branch_with(Branched::with_consumer(|rest| rest.to("rejected")));
    let cents = |name: &str| {
        let branch = branches.get(name)?;
        Some(branch.flat_map_values(|text: String| cents(&text)))
    };
    if let (Some(euro), Some(dollar)) = (cents("payments-euro"), cents("payments-dollar")) {
        euro.merge(&dollar.map_values(|cents| cents * DOLLAR / 100)).to("cents");
    }
    builder.build()
}

fn in_currency(currency: &str, text: &str) -> bool {
    text.starts_with(currency) && cents(text).is_some()
}

/// The amount in cents, whatever the currency. An `Option` is a stream of none or one.
fn cents(text: &str) -> Option<i64> {
    let (_, amount) = text.split_once(' ')?;
    let (whole, hundredths) = amount.split_once('.')?;
    (hundredths.len() == 2).then_some(())?;
    Some(whole.parse::<i64>().ok()? * 100 + hundredths.parse::<i64>().ok()?)
}

/// Accounts with cents, and accounts with rejected payments.
type Sorted = (Vec<(String, i64)>, Vec<(String, String)>);

fn run(payments: &[(&str, &str)]) -> Result<Sorted, Box<dyn Error>> {
    let driver = TopologyTestDriver::new(topology()?)?;
    let input = driver.input_topic::<String, String>("payments");
    for &(account, text) in payments {
        input.pipe(account.to_owned(), text.to_owned())?;
    }
    let cents = driver.output_topic("cents").read_key_values()?;
    Ok((cents, driver.output_topic("rejected").read_key_values()?))
}

const PAYMENTS: [(&str, &str); 5] = [
    ("ada", "EUR 5.00"),
    ("bob", "USD 10.00"),
    ("ada", "GBP 7.00"),
    ("bob", "EUR 3.1"),
    ("eve", "EUR 0.99"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let (cents, rejected) = run(&PAYMENTS)?;
    for (account, cents) in cents {
        println!("{account}: {cents} cents");
    }
    for (account, text) in rejected {
        println!("{account}: rejected {text:?}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payments_are_converted_merged_in_order_or_rejected() {
        let (cents, rejected) = run(&PAYMENTS).unwrap();
        let cents: Vec<_> = cents.iter().map(|(account, n)| (account.as_str(), *n)).collect();
        assert_eq!(cents, [("ada", 500), ("bob", 920), ("eve", 99)]);
        let rejected: Vec<_> =
            rejected.iter().map(|(account, text)| (account.as_str(), text.as_str())).collect();
        assert_eq!(rejected, [("ada", "GBP 7.00"), ("bob", "EUR 3.1")]);
    }
}
