//! What is sent: numbered events, and updates and deletions of the tables, drawn from a seed.

use std::collections::BTreeMap;

use fastrand::Rng;

use crate::wire::{EVENTS, Event, ORDERS, PRODUCTS, PROFILES};

const KEYS: usize = 200;
const GROUPS: usize = 60;
const ORDER_KEYS: usize = 300;
const PRODUCT_KEYS: usize = 60;
/// Of a hundred records so many are updates of each table; the others are events.
const PROFILE_SHARE: usize = 5;
const ORDER_SHARE: usize = 10;
const PRODUCT_SHARE: usize = 5;
/// Of a hundred updates of a table so many are deletions.
const DELETIONS: usize = 10;

/// A record to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Its topic.
    pub topic: &'static str,
    /// Its key.
    pub key: String,
    /// Its value; `None` deletes a table's row.
    pub value: Option<String>,
}

/// Draws records.
#[derive(Debug)]
pub struct Workload {
    rng: Rng,
    number: u64,
    /// How many events each key has had.
    seqs: Vec<u64>,
    /// How many versions each row has had.
    versions: BTreeMap<(&'static str, usize), u64>,
}

impl Workload {
    /// The records of this seed.
    pub fn new(seed: u64) -> Self {
        let rng = Rng::with_seed(seed);
        Self { rng, number: 0, seqs: vec![0; KEYS], versions: BTreeMap::new() }
    }

    /// How many events there were.
    pub fn events(&self) -> u64 {
        self.number
    }

    /// The next record.
    pub fn next_record(&mut self) -> Outgoing {
        let kind = self.rng.usize(..100);
        if kind < PROFILE_SHARE {
            self.update(PROFILES, "key", KEYS)
        } else if kind < PROFILE_SHARE + PRODUCT_SHARE {
            self.update(PRODUCTS, "product", PRODUCT_KEYS)
        } else if kind < PROFILE_SHARE + PRODUCT_SHARE + ORDER_SHARE {
            self.update(ORDERS, "order", ORDER_KEYS)
        } else {
            let key = self.rng.usize(..KEYS);
            self.event(key, false)
        }
    }

    /// One more event of each key, for when everything else has arrived.
    pub fn last_events(&mut self) -> Vec<Outgoing> {
        (0..KEYS).map(|key| self.event(key, true)).collect()
    }

    fn event(&mut self, key: usize, is_last: bool) -> Outgoing {
        self.number += 1;
        let group = format!("group-{}", self.rng.usize(..GROUPS));
        let seq = self.seqs.get_mut(key).map_or(0, |seq| {
            *seq += 1;
            *seq
        });
        let event = Event { number: self.number, seq, group: &group, is_last };
        Outgoing { topic: EVENTS, key: format!("key-{key}"), value: Some(event.to_string()) }
    }

    fn update(&mut self, topic: &'static str, name: &str, keys: usize) -> Outgoing {
        let key = self.rng.usize(..keys);
        let version = self.versions.entry((topic, key)).or_default();
        *version += 1;
        let version = *version;
        let is_deletion = self.rng.usize(..100) < DELETIONS;
        let product = self.rng.usize(..PRODUCT_KEYS);
        let value = match topic {
            ORDERS => format!("{version} product-{product}"),
            _ => version.to_string(),
        };
        let value = (!is_deletion).then_some(value);
        Outgoing { topic, key: format!("{name}-{key}"), value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Input;
    use crate::records::Entry;

    #[test]
    fn a_seed_gives_the_same_records_again() {
        let draw = |seed| {
            let mut workload = Workload::new(seed);
            (0..1000).map(|_| workload.next_record()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn records_are_the_input_that_the_model_asks_for() {
        let mut workload = Workload::new(1);
        let mut topics: BTreeMap<&str, Vec<Entry>> = BTreeMap::new();
        let mut records: Vec<_> = (0..20_000).map(|_| workload.next_record()).collect();
        records.extend(workload.last_events());
        for (offset, Outgoing { topic, key, value }) in (0..).zip(records) {
            let entry = Entry { partition: 0, offset, timestamp: offset, key, value };
            topics.entry(topic).or_default().push(entry);
        }
        let [events, profiles, orders, products] = crate::wire::INPUTS.map(|topic| &topics[topic]);
        let input = Input::new(events, profiles, orders, products).unwrap();
        assert_eq!(input.events.len() as u64, workload.events());
        assert_eq!(input.events.last_key_value().unwrap().0, &workload.events());
        assert_eq!(input.events.values().filter(|event| event.is_last).count(), KEYS);
        for rows in [&input.profiles, &input.orders, &input.products] {
            let versions: Vec<_> = rows.values().flatten().collect();
            let deletions = versions.iter().filter(|version| version.is_none()).count();
            assert!(deletions > 0 && deletions * 4 < versions.len());
        }
    }
}
