//! Every event as often as in the input, once as a rule, with its group as key, in order for each of the keys it
//! had before.

use std::collections::BTreeMap;

use super::{Keys, Verdict};
use crate::model::{Input, InputEvent};

pub(super) fn check(input: &Input, keys: &Keys<'_>, verdict: &mut Verdict) {
    let mut seen = Seen::default();
    for (group, entries) in keys {
        let mut last_of_key: BTreeMap<&str, u64> = BTreeMap::new();
        for entry in entries {
            let value = entry.value.as_deref().unwrap_or("null");
            let mut words = value.splitn(3, ' ');
            let number = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
            let event = input.events.get(&number).filter(|event| {
                event.group == *group && value == format!("{number} {} {}", event.seq, event.key)
            });
            let Some(event) = event else {
                let place = entry.place();
                verdict.wrong.add(format!("repartitioned: {group}: `{value}` at {place}"));
                continue;
            };
            if !seen.add(number, event, verdict, "repartitioned") {
                continue;
            }
            let last = last_of_key.entry(&event.key).or_default();
            if event.seq < *last {
                verdict.wrong.add(format!(
                    "repartitioned: {group}: event {} of {} after {last}",
                    event.seq, event.key
                ));
            }
            *last = event.seq;
        }
    }
    seen.finish(input, verdict, "repartitioned");
}

/// How often each event was seen.
#[derive(Debug, Default)]
pub(super) struct Seen(BTreeMap<u64, usize>);

impl Seen {
    /// Notes an event; false when it was there as often as in the input before.
    pub(super) fn add(
        &mut self,
        number: u64,
        event: &InputEvent,
        verdict: &mut Verdict,
        topic: &str,
    ) -> bool {
        let times = self.0.entry(number).or_default();
        *times += 1;
        if *times > event.times {
            verdict.duplicated.add(format!("{topic}: event number {number}, time {times}"));
        }
        *times <= event.times
    }

    /// Notes the events that were not seen as often as they are in the input.
    pub(super) fn finish(&self, input: &Input, verdict: &mut Verdict, topic: &str) {
        for (number, event) in &input.events {
            let seen = self.0.get(number).copied().unwrap_or(0);
            if seen < event.times {
                verdict.lost.add(format!(
                    "{topic}: event number {number}, {} of {}, sent at {}: {seen} of {}",
                    event.seq, event.key, event.timestamp, event.times
                ));
            }
        }
    }
}
