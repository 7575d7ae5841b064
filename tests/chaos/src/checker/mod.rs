//! The checker: what came out, compared with what had to come out.
//!
//! Not everything is determined. Which version of a table a record meets depends on how topics
//! interleave, and a join by foreign key may leave out an update that another one has overtaken. So
//! each check asks for what any interleaving must give:
//!
//! | topic | each record | in the end |
//! |---|---|---|
//! | repartitioned | every event once, with its own group, in order for each key | |
//! | counts | every count from 1 on once, in order | the number of the window's events |
//! | totals | counts grow | the number of the group's events |
//! | chains | every count once with the digest of exactly these events | all events of the key |
//! | joined | every event once, in order, with a version that existed, never an older one than before | the last event has the last version |
//! | copies | every link of the chains once, in order for each key | |
//! | priced | versions that existed and belong together, none twice, never an older one than before | the last order with the last version of its product |
//!
//! *Lost* is what has no trace; *duplicated* what has more than one; *wrong* what no order of events
//! explains.

mod copied;
mod counters;
mod findings;
mod joined;
mod priced;
mod repartitioned;
mod row_history;
#[cfg(test)]
mod tests;

pub use findings::{Findings, Verdict};

use crate::Guarantee;
use crate::model::Input;
use crate::records::{Entry, by_key};
use crate::wire::{CHAINS, COPIES, COUNTS, JOINED, PRICED, REPARTITIONED, TOTALS};

/// Checks all records of one output topic. `chains` are the records of that topic, of which there are copies.
pub fn check(
    guarantee: Guarantee,
    input: &Input,
    chains: &[Entry],
    topic: &str,
    entries: &[Entry],
) -> Verdict {
    let mut verdict = Verdict { records: entries.len(), ..Verdict::default() };
    let keys = match by_key(entries) {
        Ok(keys) => keys,
        Err(scattered) => {
            for what in scattered {
                verdict.wrong.add(format!("{topic}: {what}"));
            }
            return verdict;
        }
    };
    match topic {
        REPARTITIONED => repartitioned::check(input, &keys, &mut verdict),
        COUNTS => counters::check_counts(guarantee, &input.windows(), &keys, &mut verdict),
        TOTALS => counters::check_totals(&input.totals(), &keys, &mut verdict),
        CHAINS => counters::check_chains(guarantee, input, &keys, &mut verdict),
        JOINED => joined::check(input, &keys, &mut verdict),
        PRICED => priced::check(input, &keys, &mut verdict),
        // Keys of chains that are in several partitions are found in that topic.
        COPIES => copied::check(&by_key(chains).unwrap_or_default(), &keys, &mut verdict),
        _ => verdict.wrong.add(format!("{topic} is not a topic of the application")),
    }
    verdict
}

/// The records of each key, in order.
type Keys<'a> = std::collections::BTreeMap<&'a str, Vec<&'a Entry>>;
